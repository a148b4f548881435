//! Words that people read, in Japanese and English: callers, times, the notice of S52. Pure.

use engine_core::caller::Caller;
use engine_core::text::Language;
use engine_core::time::WallTime;
use jiff::Timestamp;
use jiff::tz::{TimeZone, offset};

/// Said with every transcript (S52).
pub const fn confidence_notice(language: Language) -> &'static str {
    match language {
        Language::Japanese => "認識結果は必ずしも正確ではありません。",
        Language::English => "The recognised text is not guaranteed to be correct.",
    }
}

/// A caller as the subscriber reads it: a number, or why there is none.
pub fn caller_words(caller: &Caller, language: Language) -> String {
    let japanese = language == Language::Japanese;
    let words = match caller {
        Caller::Number(number) => return number_words(number.reveal(), language),
        Caller::Withheld if japanese => "非通知",
        Caller::Withheld => "Withheld number",
        Caller::Payphone if japanese => "公衆電話",
        Caller::Payphone => "Payphone",
        Caller::Unavailable if japanese => "表示圏外",
        Caller::Unavailable => "Unavailable number",
    };
    words.to_owned()
}

/// A Japanese number as it is written in Japan (`090-1234-5678`); others as they came, without
/// anything that could break a header.
pub(crate) fn number_words(number: &str, language: Language) -> String {
    let national = number.strip_prefix("+81").filter(|_| language == Language::Japanese);
    let Some(national) = national else {
        return number.chars().filter(|c| !c.is_control()).collect();
    };
    let digits: String = national.chars().filter(char::is_ascii_digit).collect();
    // 050, 060, 070, 080 and 090 numbers are written 3-4-4; the areas of others vary.
    if digits.len() == 10 && digits.as_bytes()[1] == b'0' {
        return format!("0{}-{}-{}", &digits[..2], &digits[2..6], &digits[6..]);
    }
    format!("0{digits}")
}

/// A time in Japan, where there is no summer time and one zone.
pub(crate) fn in_japan(time: WallTime) -> jiff::Zoned {
    let timestamp = Timestamp::from_millisecond(time.as_unix_millis()).unwrap_or_default();
    timestamp.to_zoned(TimeZone::fixed(offset(9)))
}

/// A time as people read it, in JST.
pub fn time_words(time: WallTime, language: Language) -> String {
    const DAYS: [&str; 7] = ["月", "火", "水", "木", "金", "土", "日"];
    let time = in_japan(time);
    match language {
        Language::Japanese => {
            let day = DAYS[usize::from(time.weekday().to_monday_zero_offset().unsigned_abs())];
            time.strftime(&format!("%Y年%-m月%-d日({day}) %H時%M分")).to_string()
        }
        Language::English => time.strftime("%a, %-d %b %Y, %H:%M JST").to_string(),
    }
}

/// A day of the calendar (yyyy-mm-dd) as people read it; other text as it came.
pub fn date_words(day: &str, language: Language) -> String {
    let Ok(date) = day.parse::<jiff::civil::Date>() else { return day.to_owned() };
    let format = match language {
        Language::Japanese => "%Y年%-m月%-d日",
        Language::English => "%-d %B %Y",
    };
    date.strftime(format).to_string()
}

/// A time for file names, in JST.
pub fn time_stamp(time: WallTime) -> String {
    in_japan(time).strftime("%Y%m%d_%H%M%S").to_string()
}

/// A time for APIs: RFC 3339 in UTC with milliseconds.
pub fn time_utc(time: WallTime) -> String {
    let timestamp = Timestamp::from_millisecond(time.as_unix_millis()).unwrap_or_default();
    format!("{timestamp:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_core::private::Private;

    fn number(text: &str) -> Caller {
        Caller::Number(Private::new(text.to_owned()))
    }

    #[test]
    fn a_caller_without_number_is_shown_by_its_reason() {
        let words = |caller| caller_words(&caller, Language::Japanese);
        assert_eq!(words(Caller::Withheld), "非通知");
        assert_eq!(words(Caller::Payphone), "公衆電話");
        assert_eq!(words(Caller::Unavailable), "表示圏外");
        assert_eq!(caller_words(&Caller::Withheld, Language::English), "Withheld number");
    }

    #[test]
    fn numbers_are_written_as_in_japan() {
        let words = |text| caller_words(&number(text), Language::Japanese);
        assert_eq!(words("+819012345678"), "090-1234-5678");
        assert_eq!(words("+81312345678"), "0312345678");
        assert_eq!(words("+14155550100"), "+14155550100");
        assert_eq!(words("1\r\nBcc: x"), "1Bcc: x");
        assert_eq!(caller_words(&number("+819012345678"), Language::English), "+819012345678");
    }

    #[test]
    fn times_are_in_japan() {
        // 2026-11-22T15:04:05.006Z is Monday, 00:04 in Japan.
        let time = WallTime::from_unix_millis(1_795_359_845_006);
        assert_eq!(time_utc(time), "2026-11-22T15:04:05.006Z");
        assert_eq!(time_words(time, Language::Japanese), "2026年11月23日(月) 00時04分");
        assert_eq!(time_words(time, Language::English), "Mon, 23 Nov 2026, 00:04 JST");
        assert_eq!(time_stamp(time), "20261123_000405");
    }
}
