//! How often something may be done: sliding windows over the times at which it was. Pure: the
//! past and the time in; a turn, or when to come again, out.

use std::time::Duration;

use engine_core::time::WallTime;

use crate::clock::after;
use crate::limits::{
    CODES_PER_ADDRESS_HOUR_MAX, CODES_PER_NUMBER_DAY_MAX, CODES_PER_NUMBER_HOUR_MAX,
    CODES_PER_NUMBER_MINUTE_MAX, SERIALS_PER_ADDRESS_HOUR_MAX, SETUPS_PER_ADDRESS_HOUR_MAX,
    TRIES_PER_ADDRESS_HOUR_MAX, TURN_AGE_MAX, WRONG_CODES_PER_NUMBER_DAY_MAX,
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// At most so many in any span of so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Most of them.
    pub most: u32,
    /// In any span of this length.
    pub span: Duration,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TurnKind {
    /// A set-up begun from an address.
    Setup,
    /// A serial entered from an address.
    Serial,
    /// A code asked for a number (S38).
    CodeToNumber,
    /// A code asked from an address.
    CodeFromAddress,
    /// A code entered from an address.
    TryFromAddress,
    /// A wrong code entered for a number.
    WrongCode,
}

impl TurnKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Setup,
        Self::Serial,
        Self::CodeToNumber,
        Self::CodeFromAddress,
        Self::TryFromAddress,
        Self::WrongCode,
    ];

    /// Stable name for rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Serial => "serial",
            Self::CodeToNumber => "code_to_number",
            Self::CodeFromAddress => "code_from_address",
            Self::TryFromAddress => "try_from_address",
            Self::WrongCode => "wrong_code",
        }
    }

    /// The limits of this kind; all of them hold.
    pub const fn limits(self) -> &'static [Limit] {
        match self {
            Self::Setup => &[Limit { most: SETUPS_PER_ADDRESS_HOUR_MAX, span: HOUR }],
            Self::Serial => &[Limit { most: SERIALS_PER_ADDRESS_HOUR_MAX, span: HOUR }],
            Self::CodeToNumber => &[
                Limit { most: CODES_PER_NUMBER_MINUTE_MAX, span: MINUTE },
                Limit { most: CODES_PER_NUMBER_HOUR_MAX, span: HOUR },
                Limit { most: CODES_PER_NUMBER_DAY_MAX, span: DAY },
            ],
            Self::CodeFromAddress => &[Limit { most: CODES_PER_ADDRESS_HOUR_MAX, span: HOUR }],
            Self::TryFromAddress => &[Limit { most: TRIES_PER_ADDRESS_HOUR_MAX, span: HOUR }],
            Self::WrongCode => &[Limit { most: WRONG_CODES_PER_NUMBER_DAY_MAX, span: DAY }],
        }
    }
}

/// Something that one subject is about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What.
    pub kind: TurnKind,
    /// MAC of the number or the address.
    pub subject: String,
}

/// When the next turn is free, given the times of earlier ones in any order; `None`: now.
///
/// ```
/// use std::time::Duration;
/// use control_plane::turns::{Limit, next_free};
/// use engine_core::time::WallTime;
/// let at = WallTime::from_unix_millis;
/// let once_a_minute = [Limit { most: 1, span: Duration::from_secs(60) }];
/// assert_eq!(next_free(&[at(0)], &once_a_minute, at(59_999)), Some(at(60_000)));
/// assert_eq!(next_free(&[at(0)], &once_a_minute, at(60_000)), None);
/// ```
pub fn next_free(past: &[WallTime], limits: &[Limit], now: WallTime) -> Option<WallTime> {
    let mut past = past.to_vec();
    past.sort_unstable();
    let free = |limit: &Limit| {
        // The turn that must leave the window before another fits into it.
        let oldest = past.len().checked_sub(limit.most as usize)?;
        past.get(oldest).map(|&at| after(at, limit.span)).filter(|&free| free > now)
    };
    limits.iter().filter_map(free).max()
}

const _: () = {
    let mut kind = 0;
    while kind < TurnKind::ALL.len() {
        let limits = TurnKind::ALL[kind].limits();
        let mut at = 0;
        while at < limits.len() {
            assert!(limits[at].most > 0, "a limit of none would never be free");
            assert!(limits[at].span.as_secs() <= TURN_AGE_MAX.as_secs(), "turns are kept so long");
            at += 1;
        }
        kind += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> WallTime {
        WallTime::from_unix_millis(seconds as i64 * 1_000)
    }

    #[test]
    fn s38_a_number_gets_one_code_a_minute_and_five_an_hour() {
        let limits = TurnKind::CodeToNumber.limits();
        assert_eq!(next_free(&[], limits, at(0)), None);
        assert_eq!(next_free(&[at(0)], limits, at(59)), Some(at(60)));
        assert_eq!(next_free(&[at(0)], limits, at(60)), None);
        let four = [0, 60, 120, 180].map(at);
        assert_eq!(next_free(&four, limits, at(240)), None);
        let five = [0, 60, 120, 180, 240].map(at);
        assert_eq!(next_free(&five, limits, at(300)), Some(at(3_600)));
        assert_eq!(next_free(&five, limits, at(3_599)), Some(at(3_600)));
        assert_eq!(next_free(&five, limits, at(3_600)), None);
    }

    proptest! {
        /// Against the plain meaning: whoever takes every free turn never has more than `most`
        /// in any span.
        #[test]
        fn no_span_ever_holds_more_than_the_most(
            gaps in proptest::collection::vec(0_u64..90, 1..200),
            most in 1_u32..6,
            span in 1_u64..300,
        ) {
            let limit = Limit { most, span: Duration::from_secs(span) };
            let (mut now, mut taken) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                match next_free(&taken, &[limit], at(now)) {
                    None => taken.push(at(now)),
                    Some(free) => {
                        prop_assert!(free > at(now));
                        prop_assert_eq!(next_free(&taken, &[limit], free), None);
                    }
                }
            }
            for &first in &taken {
                let end = after(first, limit.span);
                let held = taken.iter().filter(|&&other| other >= first && other < end).count();
                prop_assert!(held <= most as usize);
            }
        }
    }
}
