//! Quiet hours: when push and SMS wait. Pure: hours and a time in; until when to wait out.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use engine_core::time::WallTime;

use crate::clock::after;

const DAY_MINUTES: i64 = 24 * 60;
/// Japan is nine hours ahead of UTC, all year round.
const JAPAN_MINUTES: i64 = 9 * 60;

/// Text that names no quiet hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quiet hours are written as two different times in Japan, such as 22:00-07:00")]
#[non_exhaustive]
pub struct QuietError;

/// Hours of every day in Japan, the first minute included, the last not. They may pass midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    /// Minute of the day at which they begin, 0 to 1,439.
    start_minute: u16,
    /// Minute of the day at which they end.
    end_minute: u16,
}

impl QuietHours {
    /// Hours between two minutes of the day; equal ones would say nothing.
    pub const fn new(start_minute: u16, end_minute: u16) -> Result<Self, QuietError> {
        let day = DAY_MINUTES as u16;
        if start_minute >= day || end_minute >= day || start_minute == end_minute {
            return Err(QuietError);
        }
        Ok(Self { start_minute, end_minute })
    }

    /// When the quiet hours end that hold at `now`; `None` outside of them.
    pub fn end(self, now: WallTime) -> Option<WallTime> {
        let millis = now.as_unix_millis() + JAPAN_MINUTES * 60_000;
        let minute = millis.div_euclid(60_000).rem_euclid(DAY_MINUTES);
        let since_start = (minute - i64::from(self.start_minute)).rem_euclid(DAY_MINUTES);
        let span =
            (i64::from(self.end_minute) - i64::from(self.start_minute)).rem_euclid(DAY_MINUTES);
        if since_start >= span {
            return None;
        }
        let whole_minute = WallTime::from_unix_millis(
            now.as_unix_millis() - now.as_unix_millis().rem_euclid(60_000),
        );
        let left = Duration::from_mins((span - since_start).unsigned_abs());
        Some(after(whole_minute, left))
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (self.start_minute, self.end_minute);
        write!(f, "{:02}:{:02}-{:02}:{:02}", start / 60, start % 60, end / 60, end % 60)
    }
}

impl FromStr for QuietHours {
    type Err = QuietError;
    fn from_str(text: &str) -> Result<Self, QuietError> {
        let (start, end) = text.split_once('-').ok_or(QuietError)?;
        Self::new(minute_of_day(start)?, minute_of_day(end)?)
    }
}

fn minute_of_day(text: &str) -> Result<u16, QuietError> {
    let (hour, minute) = text.split_once(':').ok_or(QuietError)?;
    let two_digits = |text: &str| {
        let plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        if plain { text.parse::<u16>().map_err(|_| QuietError) } else { Err(QuietError) }
    };
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    if hour < 24 && minute < 60 { Ok(hour * 60 + minute) } else { Err(QuietError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time on 23 November 2026 in Japan.
    fn at(hour: i64, minute: i64, millis: i64) -> WallTime {
        const MIDNIGHT: i64 = 1_795_359_600_000;
        WallTime::from_unix_millis(MIDNIGHT + (hour * 60 + minute) * 60_000 + millis)
    }

    #[test]
    fn a_night_passes_midnight_and_ends_at_its_minute() {
        let night: QuietHours = "22:00-07:00".parse().unwrap();
        assert_eq!(night.end(at(21, 59, 59_999)), None);
        assert_eq!(night.end(at(22, 0, 0)), Some(at(31, 0, 0)));
        assert_eq!(night.end(at(3, 30, 12_345)), Some(at(7, 0, 0)));
        assert_eq!(night.end(at(6, 59, 59_999)), Some(at(7, 0, 0)));
        assert_eq!(night.end(at(7, 0, 0)), None);
    }

    #[test]
    fn hours_within_a_day_hold_only_between() {
        let lunch: QuietHours = "12:15-13:00".parse().unwrap();
        assert_eq!(lunch.end(at(12, 14, 59_999)), None);
        assert_eq!(lunch.end(at(12, 15, 0)), Some(at(13, 0, 0)));
        assert_eq!(lunch.end(at(13, 0, 0)), None);
    }

    #[test]
    fn every_minute_of_a_week_agrees_with_a_naive_look_at_the_clock() {
        let inside = |hours: &str, minute: i64| {
            let (from, to): (i64, i64) = match hours {
                "22:00-07:00" => (1_320, 420),
                "00:00-23:59" => (0, 1_439),
                _ => (539, 540),
            };
            if from < to { from <= minute && minute < to } else { minute >= from || minute < to }
        };
        for text in ["22:00-07:00", "00:00-23:59", "08:59-09:00"] {
            let hours: QuietHours = text.parse().unwrap();
            for minute in 0..7 * 1_440 {
                let now = at(0, minute, 500);
                let end = hours.end(now);
                assert_eq!(end.is_some(), inside(text, minute % 1_440), "{text} {minute}");
                if let Some(end) = end {
                    assert!(end > now && hours.end(end).is_none(), "{text} {minute}");
                }
            }
        }
    }

    #[test]
    fn only_two_different_times_are_hours() {
        for text in ["", "22:00", "22:00-22:00", "24:00-07:00", "22:60-07:00", "2:00-07:00", "a-b"]
        {
            assert!(text.parse::<QuietHours>().is_err(), "{text}");
        }
        assert_eq!("00:00-23:59".parse::<QuietHours>().unwrap().to_string(), "00:00-23:59");
    }
}
