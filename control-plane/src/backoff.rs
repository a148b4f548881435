//! How long to rest after a failure. Pure: attempts and chance in, a span out.

use std::time::Duration;

use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX};

/// Rest after `failed` attempts in a row: doubles from [`BACKOFF_FIRST`] to [`BACKOFF_MAX`], less
/// up to a quarter by `chance`, so that what failed together is not tried again together.
pub fn backoff(failed: u32, chance: u32) -> Duration {
    let doublings = failed.saturating_sub(1).min(31);
    let whole = BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    let less = whole / 4 * (chance % 1_024) / 1_024;
    whole.saturating_sub(less)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_up_to_the_longest() {
        assert_eq!(backoff(1, 0), BACKOFF_FIRST);
        assert_eq!(backoff(2, 0), BACKOFF_FIRST * 2);
        assert_eq!(backoff(3, 0), BACKOFF_FIRST * 4);
        assert_eq!(backoff(u32::MAX, 0), BACKOFF_MAX);
    }

    #[test]
    fn chance_takes_less_than_a_quarter() {
        for failed in 0..64 {
            for chance in [0, 1, 511, 1_023, u32::MAX] {
                let rest = backoff(failed, chance);
                assert!(rest <= BACKOFF_MAX && rest > backoff(failed, 0) * 3 / 4);
            }
        }
    }
}
