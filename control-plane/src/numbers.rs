//! The pool of 050 numbers (S10). Pure: a range in; its numbers, or a refusal, out.

use engine_core::time::WallTime;

use crate::limits::{NUMBERS_PER_REQUEST_MAX, QUARANTINE};
use crate::mailbox::read_number;

/// A range of 050 numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberRange {
    first: u32,
    last: u32,
}

impl NumberRange {
    /// Reads both ends, in E.164 or as written in Japan.
    pub fn read(first: &str, last: &str) -> Result<Self, NumberError> {
        let read = |text, field| {
            let number = read_number(text).map_err(|_| NumberError::Number { field })?;
            number[5..].parse().map_err(|_| NumberError::Number { field })
        };
        let range = Self { first: read(first, "first")?, last: read(last, "last")? };
        if range.last < range.first {
            return Err(NumberError::Backwards);
        }
        if range.count() > NUMBERS_PER_REQUEST_MAX {
            return Err(NumberError::TooMany { given: range.count() });
        }
        Ok(range)
    }

    /// How many numbers it holds.
    pub const fn count(&self) -> u32 {
        self.last - self.first + 1
    }

    /// Its numbers in E.164, lowest first.
    pub fn numbers(&self) -> impl Iterator<Item = String> + use<> {
        (self.first..=self.last).map(|number| format!("+8150{number:08}"))
    }
}

/// Why numbers cannot be taken into the pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// Not an 050 number.
    #[error("{field} must be an 050 number in E.164, such as +815012345678")]
    Number {
        /// Which end.
        field: &'static str,
    },
    /// The end lies before the beginning.
    #[error("last lies before first")]
    Backwards,
    /// Too many at once.
    #[error("a range may hold {NUMBERS_PER_REQUEST_MAX} numbers, not {given}; send it in parts")]
    TooMany {
        /// How many it holds.
        given: u32,
    },
}

impl NumberError {
    /// Name of the field that is wrong.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Number { field } => field,
            Self::Backwards | Self::TooMany { .. } => "last",
        }
    }
}

/// When a number given back at `now` may be handed out again.
pub fn quarantined_until(now: WallTime) -> WallTime {
    crate::clock::after(now, QUARANTINE)
}

/// How many numbers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NumberCounts {
    /// Can be handed out now, those out of quarantine included.
    pub free: u64,
    /// Belong to a contract.
    pub assigned: u64,
    /// Were given back and rest.
    pub quarantined: u64,
}

/// What became of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumbersAdded {
    /// Numbers that are new in the pool.
    pub added: u64,
    /// Numbers that were in it before; they stay as they were.
    pub known: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_both_ends() {
        let range = NumberRange::read("050-1234-0009", "+815012340011").unwrap();
        let numbers: Vec<_> = range.numbers().collect();
        assert_eq!(numbers, ["+815012340009", "+815012340010", "+815012340011"]);
        assert_eq!(range.count(), 3);
        let one = NumberRange::read("+815000000000", "+815000000000").unwrap();
        assert_eq!(one.numbers().collect::<Vec<_>>(), ["+815000000000"]);
    }

    #[test]
    fn a_range_is_full_at_its_limit_and_refused_one_past_it() {
        assert!(NumberRange::read("+815000000001", "+815000010000").is_ok());
        let past = NumberRange::read("+815000000000", "+815000010000");
        assert_eq!(past, Err(NumberError::TooMany { given: NUMBERS_PER_REQUEST_MAX + 1 }));
    }

    #[test]
    fn ranges_that_are_none_are_refused_by_their_field() {
        let field = |first, last| NumberRange::read(first, last).unwrap_err().field();
        assert_eq!(field("+819012345678", "+815012345678"), "first");
        assert_eq!(field("+815012345678", "x"), "last");
        assert_eq!(field("+815012345678", "+815012345677"), "last");
    }

    #[test]
    fn a_number_rests_for_180_days() {
        let until = quarantined_until(WallTime::from_unix_millis(0));
        assert_eq!(until.as_unix_millis(), 180 * 86_400_000);
    }
}
