//! The four-digit code that proves an own number (S38). Pure: chance, the row and the time in;
//! a code, or what becomes of an attempt, out. Codes are kept as MACs only.

use engine_core::private::Private;
use engine_core::time::WallTime;

use crate::limits::{CODE_DIGITS, CODE_TRIES_MAX};

/// A code as it is sent and typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(Private<String>);

/// Text that is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the code has {CODE_DIGITS} digits; it stands in the SMS")]
#[non_exhaustive]
pub struct CodeError;

impl Code {
    /// A code from 64 random bits: even to one part in 10¹⁵.
    pub fn from_chance(chance: u64) -> Self {
        let most = 10_u64.pow(CODE_DIGITS);
        Self(Private::new(format!("{:0width$}", chance % most, width = CODE_DIGITS as usize)))
    }

    /// Reads what was typed; full-width digits and spaces are forgiven.
    pub fn read(text: &str) -> Result<Self, CodeError> {
        let mut digits = String::with_capacity(CODE_DIGITS as usize);
        for c in text.trim().chars() {
            match c {
                '0'..='9' => digits.push(c),
                '０'..='９' => digits.push(char::from(b'0' + (c as u32 - '０' as u32) as u8)),
                ' ' | '-' | '　' => {}
                _ => return Err(CodeError),
            }
            if digits.len() > CODE_DIGITS as usize {
                return Err(CodeError);
            }
        }
        if digits.len() == CODE_DIGITS as usize {
            Ok(Self(Private::new(digits)))
        } else {
            Err(CodeError)
        }
    }

    /// The digits, for the SMS and the MAC.
    pub const fn reveal(&self) -> &String {
        self.0.reveal()
    }
}

/// A code that was sent, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentCode {
    /// MAC of the number it went to.
    pub number_mac: String,
    /// MAC of the code under its set-up; one that no code has when the number is not the
    /// contract's.
    pub code_mac: String,
    /// Attempts so far, every one counted.
    pub tries: u32,
    /// When it was sent.
    pub sent_at: WallTime,
    /// When it ceases to hold.
    pub expires_at: WallTime,
}

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It is compared, and counts as a try.
    Counts,
    /// The code holds no longer.
    Expired,
    /// Its tries are used up.
    UsedUp,
}

impl SentCode {
    /// Whether an attempt at `now` is compared.
    pub fn attempt(&self, now: WallTime) -> Attempt {
        if self.tries >= CODE_TRIES_MAX {
            Attempt::UsedUp
        } else if now >= self.expires_at {
            Attempt::Expired
        } else {
            Attempt::Counts
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(tries: u32) -> SentCode {
        SentCode {
            number_mac: String::new(),
            code_mac: String::new(),
            tries,
            sent_at: WallTime::from_unix_millis(0),
            expires_at: WallTime::from_unix_millis(600_000),
        }
    }

    #[test]
    fn s38_a_code_has_four_digits_whatever_chance_gives() {
        for (chance, code) in [(0, "0000"), (7, "0007"), (9_999, "9999"), (10_000, "0000")] {
            assert_eq!(Code::from_chance(chance).reveal(), code);
        }
        assert_eq!(Code::from_chance(u64::MAX).reveal().len(), 4);
    }

    #[test]
    fn s38_a_code_is_read_as_people_type_it() {
        for text in ["0123", " 0123 ", "01 23", "０１２３", "01-23"] {
            assert_eq!(Code::read(text).unwrap().reveal(), "0123", "{text}");
        }
        for text in ["", "012", "01234", "012a", "0x12", "一二三四", "0000000000000000000"] {
            assert_eq!(Code::read(text), Err(CodeError), "{text}");
        }
    }

    #[test]
    fn s38_five_tries_within_ten_minutes_count() {
        let at = WallTime::from_unix_millis;
        assert_eq!(sent(0).attempt(at(599_999)), Attempt::Counts);
        assert_eq!(sent(4).attempt(at(0)), Attempt::Counts);
        assert_eq!(sent(5).attempt(at(0)), Attempt::UsedUp);
        assert_eq!(sent(0).attempt(at(600_000)), Attempt::Expired);
    }

    #[test]
    fn a_code_is_not_printed() {
        assert!(!format!("{:?}", Code::from_chance(1_234)).contains("1234"));
    }
}
