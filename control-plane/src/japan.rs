//! Dates in Japan, where there is one zone, nine hours ahead, and no summer time. Pure: times in,
//! calendar dates and months out, and back. Whatever a subscriber or a bill calls a day or a month
//! is decided here.

use std::fmt;
use std::str::FromStr;

use engine_core::time::WallTime;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

const JST: Offset = Offset::constant(9);
/// The first year a month can be asked for by name.
const YEAR_MIN: i16 = 2000;
/// The last year a month can be asked for by name.
const YEAR_MAX: i16 = 2999;

/// The date in Japan at this time. Times before year −9999 or after year 9999 count as its ends.
pub fn date_of(time: WallTime) -> Date {
    let end = if time.as_unix_millis() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let time = Timestamp::from_millisecond(time.as_unix_millis()).unwrap_or(end);
    JST.to_datetime(time).date()
}

/// The first instant of this date in Japan.
pub fn start_of(date: Date) -> WallTime {
    let end = if date.year() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let time = JST.to_timestamp(date.at(0, 0, 0, 0)).unwrap_or(end);
    WallTime::from_unix_millis(time.as_millisecond())
}

/// The first instant after this date in Japan: 24:00.
pub fn end_of(date: Date) -> WallTime {
    start_of(date.tomorrow().unwrap_or(Date::MAX))
}

/// Why a date cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no date; write it as yyyy-mm-dd, such as 2026-07-25")]
#[non_exhaustive]
pub struct DateError {
    /// What was given, cut to 32 characters.
    pub given: String,
}

/// Reads `yyyy-mm-dd`, and nothing else.
pub fn read_date(text: &str) -> Result<Date, DateError> {
    let wrong = || DateError { given: text.chars().take(32).collect() };
    let is_plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let date: Date = is_plain.then(|| text.parse().ok()).flatten().ok_or_else(wrong)?;
    let is_near = (YEAR_MIN..=YEAR_MAX).contains(&date.year());
    if is_near && date.to_string() == text { Ok(date) } else { Err(wrong()) }
}

/// A month of the calendar, `yyyy-mm`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month(Date);

impl Month {
    /// The month of this date.
    pub fn of(date: Date) -> Self {
        Self(date.first_of_month())
    }

    /// The month in Japan at this time.
    pub fn at(time: WallTime) -> Self {
        Self::of(date_of(time))
    }

    /// Its first date.
    pub const fn first(self) -> Date {
        self.0
    }

    /// Its last date.
    pub fn last(self) -> Date {
        self.0.last_of_month()
    }

    /// The month after it; December 9999 has none and stays.
    #[must_use]
    pub fn next(self) -> Self {
        self.last().tomorrow().map_or(self, Self::of)
    }

    /// The month before it; January −9999 has none and stays.
    #[must_use]
    pub fn previous(self) -> Self {
        self.0.yesterday().map_or(self, Self::of)
    }

    /// The month `months` after it, as far as the calendar goes.
    #[must_use]
    pub fn plus(self, months: u32) -> Self {
        (0..months).fold(self, |month, _| month.next())
    }

    /// Its first instant in Japan.
    pub fn starts_at(self) -> WallTime {
        start_of(self.first())
    }

    /// The first instant after it in Japan.
    pub fn ends_at(self) -> WallTime {
        end_of(self.last())
    }

    /// Its number in the year, from 1.
    pub fn number(self) -> i8 {
        self.0.month()
    }

    /// Its year.
    pub fn year(self) -> i16 {
        self.0.year()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a month cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no month; write it as yyyy-mm, such as 2026-07")]
#[non_exhaustive]
pub struct MonthError {
    /// What was given, cut to 32 characters.
    pub given: String,
}

impl FromStr for Month {
    type Err = MonthError;
    fn from_str(text: &str) -> Result<Self, MonthError> {
        let read = (text.len() == 7).then(|| read_date(&format!("{text}-01")).ok()).flatten();
        let wrong = || MonthError { given: text.chars().take(32).collect() };
        read.map(Self::of).ok_or_else(wrong)
    }
}

#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;

    /// A time in Japan, `2026-07-25 23:59:59.999`.
    pub(crate) fn jst(text: &str) -> WallTime {
        let civil: jiff::civil::DateTime = text.parse().unwrap();
        WallTime::from_unix_millis(JST.to_timestamp(civil).unwrap().as_millisecond())
    }

    /// A date, `2026-07-25`.
    pub(crate) fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    /// A month, `2026-07`.
    pub(crate) fn month(text: &str) -> Month {
        text.parse().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::tests_support::{date, jst, month};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_day_in_japan_begins_at_15_utc_of_the_day_before() {
        assert_eq!(start_of(date("1970-01-01")).as_unix_millis(), -9 * 3_600_000);
        let midnight = start_of(date("2026-07-26"));
        assert_eq!(midnight, jst("2026-07-26 00:00"));
        let before = WallTime::from_unix_millis(midnight.as_unix_millis() - 1);
        assert_eq!(date_of(before), date("2026-07-25"));
        assert_eq!(date_of(midnight), date("2026-07-26"));
        assert_eq!(end_of(date("2026-07-25")), midnight);
    }

    #[test]
    fn months_know_their_ends_and_neighbours() {
        let table = [
            ("2026-12", "2026-12-31", "2027-01", "2026-11"),
            ("2028-02", "2028-02-29", "2028-03", "2028-01"),
            ("2026-02", "2026-02-28", "2026-03", "2026-01"),
            ("2100-02", "2100-02-28", "2100-03", "2100-01"),
        ];
        for (this, last, next, previous) in table {
            let this = month(this);
            assert_eq!(this.last(), date(last));
            assert_eq!((this.next(), this.previous()), (month(next), month(previous)));
            assert_eq!(this.ends_at(), this.next().starts_at());
        }
        assert_eq!(month("2026-11").plus(14), month("2028-01"));
    }

    #[test]
    fn only_plain_dates_and_months_are_read() {
        for bad in ["", "2026-13", "2026-00", "2026-7", "26-07", "1999-12", "3000-01", "２026-7"] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
        for bad in ["2026-02-29", "20260725", "2026-07-25T00", "2026-7-25", "+026-07-25"] {
            assert!(read_date(bad).is_err(), "{bad}");
        }
        assert_eq!(read_date("2028-02-29"), Ok(date("2028-02-29")));
        assert_eq!(month("2999-12").to_string(), "2999-12");
    }

    #[test]
    fn times_beyond_the_calendar_count_as_its_ends() {
        let (first, last) = (WallTime::from_unix_millis(i64::MIN), i64::MAX);
        let last = WallTime::from_unix_millis(last);
        assert_eq!((date_of(first).year(), date_of(last).year()), (-9999, 9999));
        let end = Month::at(last);
        assert_eq!(end.next(), end);
        assert!(end.ends_at() > jst("9999-01-01 00:00"));
    }

    proptest! {
        #[test]
        fn a_time_lies_in_its_date(millis in -60_000_000_000_000_i64..250_000_000_000_000) {
            let time = WallTime::from_unix_millis(millis);
            let date = date_of(time);
            prop_assert!(start_of(date) <= time && time < end_of(date));
            // The same by hand: days since 1970 in Japan.
            let days = (millis + 9 * 3_600_000).div_euclid(86_400_000);
            let start = days * 86_400_000 - 9 * 3_600_000;
            prop_assert_eq!(start_of(date).as_unix_millis(), start);
        }
    }
}
