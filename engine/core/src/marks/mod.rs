//! What in a text one would write down: telephone numbers, amounts, dates, times, numbers, names.
//!
//! In: a segment's text and its language. Out: marks in order that never overlap, each with what
//! it is and, where the text leaves no doubt, its value in a form that programs read. Japanese
//! and English, written with Arabic digits of either width or with kanji. What is not certain to
//! be one of them is not marked: 「一緒」 holds no number. Knows nothing of sound; how sure the
//! model was of the words is the segment's affair.

mod clock;
mod names;
mod numerals;

use self::numerals::{Numeral, numeral};
use crate::private::Private;

/// What a mark marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarkKind {
    /// A telephone number; its value is its digits.
    PhoneNumber,
    /// An amount of money; its value is a number and an ISO 4217 code, such as `20400 JPY`.
    Amount,
    /// A day or month. Its value is as XML Schema writes it: `2026-11-23`, `--11-23` without the
    /// year, `---23` without the month, `--11` without the day; none for 「明日」 and weekdays.
    Date,
    /// A time of day. Its value is `15:30`; none for 「3時」 with neither 午前 nor 午後.
    Time,
    /// Any other number; its value is its digits.
    Number,
    /// The name of a person.
    Name,
}

impl MarkKind {
    /// Stable name for APIs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PhoneNumber => "phone_number",
            Self::Amount => "amount",
            Self::Date => "date",
            Self::Time => "time",
            Self::Number => "number",
            Self::Name => "name",
        }
    }
}

/// A marked stretch of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Its first character, counted in Unicode scalar values from 0.
    pub start: usize,
    /// The character behind its last.
    pub end: usize,
    /// What it is.
    pub kind: MarkKind,
    /// Its value, where the text tells it.
    pub value: Option<Private<String>>,
}

impl Mark {
    /// Its characters, out of the text that it was found in.
    pub fn text_in(&self, text: &str) -> String {
        text.chars().skip(self.start).take(self.end - self.start).collect()
    }
}

/// What was found at a place: how many characters, what, its value.
type Found = (usize, MarkKind, Option<String>);

const RELATIVE_DAYS: &[&str] = &[
    "明後日",
    "明日",
    "昨日",
    "一昨日",
    "今日",
    "本日",
    "翌日",
    "再来週",
    "来週",
    "今週",
    "先週",
    "来月",
    "今月",
    "先月",
    "月末",
    "週末",
    "年末",
    "あさって",
    "あした",
    "きのう",
];
const RELATIVE_DAYS_ENGLISH: &[&str] = &["tomorrow", "today", "yesterday", "tonight"];
const WEEKDAYS_ENGLISH: &[&str] =
    &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS_ENGLISH: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Things that kanji numerals may count; with others they are too often part of a word.
const COUNTERS: &[&str] =
    &["人", "名", "枚", "台", "個", "箱", "本", "回", "冊", "件", "泊", "階", "号", "時間"];
/// What begins like a count and is a word.
const NO_COUNTS: &[&str] = &["本木", "本松", "人前", "人称", "回忌", "階堂"];
/// What stands behind 日, 月, 年 where a length of time is meant, or part of a word.
const LENGTHS: &[&str] = &[
    "間",
    "前",
    "後",
    "以内",
    "以上",
    "ほど",
    "程",
    "ぐらい",
    "くらい",
    "目",
    "中",
    "も",
    "市",
    "分",
    "ごと",
];
/// Between the groups of a telephone number.
const SEPARATORS: &[char] = &['-', '‐', '–', '−', 'ー', 'の', ' '];

/// Marks a text of a language (ISO 639-1).
pub fn marks(text: &str, language: &str) -> Vec<Mark> {
    let names = names::find(text, language);
    let text: Vec<char> = text.chars().map(narrow).collect();
    let mut names = names.into_iter().peekable();
    let mut marks: Vec<Mark> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        while names.next_if(|name| name.start < at).is_some() {}
        if let Some(name) = names.next_if(|name| name.start == at) {
            at = name.end;
            marks.push(Mark {
                start: name.start,
                end: name.end,
                kind: MarkKind::Name,
                value: None,
            });
            continue;
        }
        let found = if starts_inside_a_word(&text, at) { None } else { find(&text[at..]) };
        let Some((length, kind, value)) = found else {
            // The rest of a number that is none is none either: 四十九日.
            at += numeral(&text[at..]).map_or(1, |number| number.length);
            continue;
        };
        marks.push(Mark { start: at, end: at + length, kind, value: value.map(Private::new) });
        at += length;
    }
    marks
}

/// Latin letters and digits that go on from the character before, and what follows a decimal point.
fn starts_inside_a_word(text: &[char], at: usize) -> bool {
    let before = |count: usize| at.checked_sub(count).and_then(|before| text.get(before));
    let goes_on = before(1).is_some_and(char::is_ascii_alphanumeric);
    let is_decimal = before(1) == Some(&'.') && before(2).is_some_and(char::is_ascii_digit);
    (goes_on || is_decimal) && text[at].is_ascii_alphanumeric()
}

/// The number at the text's start, unless a decimal point makes it another.
fn whole(text: &[char]) -> Option<Numeral> {
    numeral(text).filter(|number| {
        let behind = |count: usize| text.get(number.length + count);
        behind(0) != Some(&'.') || !behind(1).is_some_and(char::is_ascii_digit)
    })
}

/// Full width to ASCII, Latin to lower case: one character stays one.
fn narrow(c: char) -> char {
    let code = u32::from(c);
    let half = if (0xff01..=0xff5e).contains(&code) { char::from_u32(code - 0xfee0) } else { None };
    half.unwrap_or(c).to_ascii_lowercase()
}

fn find(text: &[char]) -> Option<Found> {
    phone(text)
        .or_else(|| date(text))
        .or_else(|| clock::time(text))
        .or_else(|| amount(text))
        .or_else(|| number(text))
}

fn starts(text: &[char], word: &str) -> bool {
    let mut text = text.iter();
    word.chars().all(|c| text.next() == Some(&c))
}

/// The longest of these words at the text's start, as its length; Latin words must end there.
fn one_of(text: &[char], words: &[&str]) -> Option<usize> {
    let fits = |word: &&&str| {
        let length = word.chars().count();
        let ends = !word.is_ascii() || !text.get(length).is_some_and(char::is_ascii_alphanumeric);
        starts(text, word) && ends
    };
    words.iter().filter(fits).map(|word| word.chars().count()).max()
}

/// Ten or eleven digits that begin with 0, in groups or not; or +81 and the rest.
fn phone(text: &[char]) -> Option<Found> {
    let mut at = usize::from(text.first() == Some(&'+'));
    let is_international = at == 1;
    let mut digits = String::new();
    let mut end = at;
    let mut groups = 0;
    loop {
        let group = text[at..].iter().map_while(|c| numerals::digit(*c)).collect::<Vec<_>>();
        if group.is_empty() {
            break;
        }
        groups += 1;
        digits.extend(group.iter().map(|digit| char::from(b'0' + *digit)));
        end = at + group.len();
        at = end;
        if digits.len() >= phone_digits(&digits, is_international) {
            break;
        }
        if !text.get(at).is_some_and(|c| SEPARATORS.contains(c)) {
            break;
        }
        at += 1;
    }
    let is_phone = if is_international {
        digits.starts_with("81") && (11..=12).contains(&digits.len())
    } else {
        digits.starts_with('0') && (10..=11).contains(&digits.len())
    };
    if !is_phone || groups > 4 {
        return None;
    }
    let value = if is_international { format!("+{digits}") } else { digits };
    Some((end, MarkKind::PhoneNumber, Some(value)))
}

/// How many digits a Japanese number that begins so has.
fn phone_digits(digits: &str, is_international: bool) -> usize {
    let (prefix, country) = if is_international { ("81", 2) } else { ("0", 1) };
    let Some(rest) = digits.strip_prefix(prefix) else { return usize::MAX };
    // 090, 080, 070, 060, 050, 020: one digit more. 0120 and the like are as long as the others.
    let is_long = matches!(rest.as_bytes(), [b'2' | b'5'..=b'9', b'0', ..]);
    country + if is_long { 10 } else { 9 }
}

fn date(text: &[char]) -> Option<Found> {
    let relative = one_of(text, RELATIVE_DAYS)
        .or_else(|| one_of(text, RELATIVE_DAYS_ENGLISH))
        .or_else(|| one_of(text, WEEKDAYS_ENGLISH))
        .or_else(|| weekday(text));
    if let Some(length) = relative {
        return Some((length, MarkKind::Date, None));
    }
    calendar(text).or_else(|| english_date(text))
}

/// 「土曜日」「土曜」
fn weekday(text: &[char]) -> Option<usize> {
    let is_day = matches!(text.first(), Some('月' | '火' | '水' | '木' | '金' | '土' | '日'));
    if !is_day || text.get(1) != Some(&'曜') {
        return None;
    }
    Some(if text.get(2) == Some(&'日') { 3 } else { 2 })
}

/// 「2026年11月23日月曜日」 and what may be left out of it.
fn calendar(text: &[char]) -> Option<Found> {
    let mut at = 0;
    let mut take = |unit: char, range: std::ops::RangeInclusive<u64>| {
        let Numeral { value, length } = numeral(&text[at..])?;
        let fits = range.contains(&value) && text.get(at + length) == Some(&unit);
        // 「3日間」「3年前」「二三日」 are lengths of time.
        let behind = text.get(at + length + 1..).unwrap_or_default();
        let is_length = LENGTHS.iter().any(|word| starts(behind, word))
            || text[at..].starts_with(&['二', '三', '日']);
        (fits && !is_length).then(|| {
            at += length + 1;
            value
        })
    };
    let year = take('年', 1900..=2999);
    let month = take('月', 1..=12);
    let day = take('日', 1..=31);
    let value = match (year, month, day) {
        (Some(year), Some(month), Some(day)) => format!("{year:04}-{month:02}-{day:02}"),
        (Some(year), Some(month), None) => format!("{year:04}-{month:02}"),
        (Some(year), None, None) => format!("{year:04}"),
        (None, Some(month), Some(day)) => format!("--{month:02}-{day:02}"),
        (None, Some(month), None) => format!("--{month:02}"),
        (None, None, Some(day)) => format!("---{day:02}"),
        _ => return None,
    };
    let of = usize::from(text.get(at) == Some(&'の'));
    at += weekday(&text[at + of..]).map_or(0, |length| of + length);
    Some((at, MarkKind::Date, Some(value)))
}

/// "may 12th", "november 3".
fn english_date(text: &[char]) -> Option<Found> {
    let name = one_of(text, MONTHS_ENGLISH)?;
    let word: String = text[..name].iter().collect();
    let month = MONTHS_ENGLISH.iter().position(|known| *known == word)? + 1;
    if text.get(name) != Some(&' ') {
        return None;
    }
    let day = whole(&text[name + 1..]).filter(|day| (1..=31).contains(&day.value))?;
    let end = name + 1 + day.length;
    let ordinal = one_of(&text[end..], &["st", "nd", "rd", "th"]).unwrap_or(0);
    let value = format!("--{month:02}-{:02}", day.value);
    Some((end + ordinal, MarkKind::Date, Some(value)))
}

/// 「12,300円」「3万円」 "$5" "20 dollars".
fn amount(text: &[char]) -> Option<Found> {
    let prefix = match text.first()? {
        '¥' | '￥' => Some("JPY"),
        '$' => Some("USD"),
        _ => None,
    };
    let from = usize::from(prefix.is_some());
    let Numeral { value, length } = whole(&text[from..])?;
    let at = from + length;
    let gap = usize::from(text.get(at) == Some(&' '));
    let units = [(&["円", "yen"][..], "JPY"), (&["ドル", "dollars", "dollar"][..], "USD")];
    let unit = units.into_iter().find_map(|(words, code)| {
        one_of(&text[at + gap..], words).map(|length| (gap + length, code))
    });
    let (behind, code) = unit.or(prefix.map(|code| (0, code)))?;
    Some((at + behind, MarkKind::Amount, Some(format!("{value} {code}"))))
}

fn number(text: &[char]) -> Option<Found> {
    let Numeral { value, length } = whole(text)?;
    // Written in kanji it counts something, or it is a word.
    let is_arabic = text[0].is_ascii_digit();
    let behind = &text[length..];
    let counts = one_of(behind, COUNTERS).is_some() && one_of(behind, NO_COUNTS).is_none();
    if !is_arabic && !counts {
        return None;
    }
    // The digits as they stand, where they are a string and no quantity: 「0011」.
    let value = if text[0] == '0' && length > 1 {
        text[..length].iter().filter(|c| c.is_ascii_digit()).collect()
    } else {
        value.to_string()
    };
    Some((length, MarkKind::Number, Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, language: &str) -> Vec<(String, &'static str, String)> {
        let chars: Vec<char> = text.chars().collect();
        let show = |mark: Mark| {
            let words = chars[mark.start..mark.end].iter().collect();
            let value = mark.value.map(Private::into_inner).unwrap_or_default();
            (words, mark.kind.name(), value)
        };
        marks(text, language).into_iter().map(show).collect()
    }

    #[track_caller]
    fn check(text: &str, language: &str, expected: &[(&str, &str, &str)]) {
        let found = shown(text, language);
        let found: Vec<_> = found
            .iter()
            .map(|(words, kind, value)| (words.as_str(), *kind, value.as_str()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn telephone_numbers_however_written() {
        let mark = |words, value| [(words, "phone_number", value)];
        for (text, words, value) in [
            ("070-9687-0795にお願いします。", "070-9687-0795", "07096870795"),
            ("番号は０６－４５５９－５１７７です。", "０６－４５５９－５１７７", "0645595177"),
            ("〇九〇の一二三四の五六七八です。", "〇九〇の一二三四の五六七八", "09012345678"),
            ("+819012345678まで。", "+819012345678", "+819012345678"),
            ("0312345678です。", "0312345678", "0312345678"),
        ] {
            check(text, "ja", &mark(words, value));
        }
        check(
            "0312345678の3番",
            "ja",
            &[("0312345678", "phone_number", "0312345678"), ("3", "number", "3")],
        );
        check(
            "090-1234-5678の3時、0120-123-456",
            "ja",
            &[
                ("090-1234-5678", "phone_number", "09012345678"),
                ("3時", "time", ""),
                ("0120-123-456", "phone_number", "0120123456"),
            ],
        );
        // Too short to be one, and an order number of twelve digits.
        check("03-1234です。", "ja", &[("03", "number", "03"), ("1234", "number", "1234")]);
        check("012345678901番", "ja", &[("012345678901", "number", "012345678901")]);
    }

    #[test]
    fn days_and_times() {
        check(
            "11月23日月曜日の午後3時半に",
            "ja",
            &[("11月23日月曜日", "date", "--11-23"), ("午後3時半", "time", "15:30")],
        );
        check(
            "2026年1月5日、6日の火曜日と明後日",
            "ja",
            &[
                ("2026年1月5日", "date", "2026-01-05"),
                ("6日の火曜日", "date", "---06"),
                ("明後日", "date", ""),
            ],
        );
        check(
            "十二月二十五日の十時十五分",
            "ja",
            &[("十二月二十五日", "date", "--12-25"), ("十時十五分", "time", "")],
        );
        check(
            "15時、12:30 am、午前12時、午後12時",
            "ja",
            &[
                ("15時", "time", "15:00"),
                ("12:30 am", "time", "00:30"),
                ("午前12時", "time", "00:00"),
                ("午後12時", "time", "12:00"),
            ],
        );
        check(
            "3日以内に、3日目、四十九日、一時的に、二十五時、二三日、一日も早く",
            "ja",
            &[("3", "number", "3"), ("3", "number", "3")],
        );
        check(
            "8月は3日間、2時間かかります",
            "ja",
            &[("8月", "date", "--08"), ("3", "number", "3"), ("2", "number", "2")],
        );
        check(
            "Call on May 12th at 3:30 pm or Friday",
            "en",
            &[
                ("May 12th", "date", "--05-12"),
                ("3:30 pm", "time", "15:30"),
                ("Friday", "date", ""),
            ],
        );
    }

    #[test]
    fn amounts_and_other_numbers() {
        check(
            "合計で20,400円、残りは3万5千円です",
            "ja",
            &[("20,400円", "amount", "20400 JPY"), ("3万5千円", "amount", "35000 JPY")],
        );
        check("1.5万円、$5.50、3.14", "ja", &[]);
        check(
            "50セットの01682926です",
            "ja",
            &[("50", "number", "50"), ("01682926", "number", "01682926")],
        );
        check(
            "二人で三十枚、$5 and 20 dollars",
            "en",
            &[
                ("二", "number", "2"),
                ("三十", "number", "30"),
                ("$5", "amount", "5 USD"),
                ("20 dollars", "amount", "20 USD"),
            ],
        );
    }

    #[test]
    fn words_with_numerals_in_them_are_left_alone() {
        for text in [
            "一緒に千葉へ。",
            "一度、万が一に。",
            "三田と五反田。",
            "六本木の二本松。",
            "十分です。",
            "ABC123X",
        ] {
            let found = shown(text, "ja");
            assert!(found.iter().all(|(_, kind, _)| *kind == "name"), "{text}: {found:?}");
        }
    }

    #[test]
    fn names_stand_before_what_one_calls_people() {
        check(
            "神戸保育園の平井と申します。山田様に。",
            "ja",
            &[("平井", "name", ""), ("山田", "name", "")],
        );
        check(
            "お客様、皆さん、お父さん、明日佐々木さん、田中一郎様",
            "ja",
            &[("明日", "date", ""), ("佐々木", "name", ""), ("田中一郎", "name", "")],
        );
        for none in [
            "同様に、仕様と模様。最近様子が変で。",
            "ご本人様、ご担当者様、弟さん、2名様。",
            "確認といいますか",
        ] {
            let found = shown(none, "ja");
            assert!(found.iter().all(|(_, kind, _)| *kind != "name"), "{none}: {found:?}");
        }
        check("This is regarding you. This is Mary calling.", "en", &[("Mary", "name", "")]);
        check("This is Mr. Green, this is about", "en", &[("Green", "name", "")]);
        check(
            "Hello, this is John Smith, calling Mr. Brown at 5 pm",
            "en",
            &[("John Smith", "name", ""), ("Brown", "name", ""), ("5 pm", "time", "17:00")],
        );
    }

    proptest::proptest! {
        #[test]
        fn marks_stand_in_order_within_the_text(text in "[0-9０-９〇一二十百千万億年月日時分円の\\-ー,:$¥a-z さ様申しま午後半曜間]{0,40}") {
            for language in ["ja", "en"] {
                let mut last = 0;
                for mark in marks(&text, language) {
                    assert!(last <= mark.start && mark.start < mark.end);
                    last = mark.end;
                }
                assert!(last <= text.chars().count());
            }
        }
    }
}
