//! Whether one more call may come in.
//!
//! In: how much is going on. Out: yes, or why not; the caller then gets 503 with Retry-After.
//! Calls that are up are never touched. Pure: counts come in as arguments.

use crate::limits::{PACKETS_PER_CALL_SECOND, TURN_LATE_MAX};
use crate::media::AdmissionError;

/// What goes on, over all shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    /// Calls and reservations.
    pub(super) calls: u64,
    /// RTP packets received a second.
    pub(super) packets_per_second: u64,
    /// Longest that a shard came late to its work lately, in microseconds.
    pub(super) turn_late_micros: u64,
    /// Durable recordings that nobody has taken yet.
    pub(super) sealed_waiting: u64,
}

/// What the operator allows; 0 means no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Bounds {
    pub(super) packets_per_second_max: u64,
    pub(super) sealed_waiting_max: u64,
}

/// Judges one more call. Calls that are not heard yet count as if they sent 20 ms packets.
pub(super) fn judge(load: Load, bounds: Bounds) -> Result<(), AdmissionError> {
    let expected = load.calls.saturating_mul(PACKETS_PER_CALL_SECOND);
    let packets = load.packets_per_second.max(expected) + PACKETS_PER_CALL_SECOND;
    let packets_per_second_max = bounds.packets_per_second_max;
    if packets_per_second_max > 0 && packets > packets_per_second_max {
        return Err(AdmissionError::TooManyPackets { packets_per_second_max });
    }
    if bounds.sealed_waiting_max > 0 && load.sealed_waiting >= bounds.sealed_waiting_max {
        return Err(AdmissionError::EngineBehind { waiting: load.sealed_waiting });
    }
    if u128::from(load.turn_late_micros) > TURN_LATE_MAX.as_micros() {
        return Err(AdmissionError::Overloaded { late_ms: load.turn_late_micros / 1_000 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Load =
        Load { calls: 0, packets_per_second: 0, turn_late_micros: 0, sealed_waiting: 0 };
    const BOUNDS: Bounds = Bounds { packets_per_second_max: 1_000, sealed_waiting_max: 10 };

    #[test]
    fn packets_are_bounded_by_what_comes_and_by_what_is_to_be_expected() {
        let at =
            |calls, packets_per_second| judge(Load { calls, packets_per_second, ..IDLE }, BOUNDS);
        let refused = Err(AdmissionError::TooManyPackets { packets_per_second_max: 1_000 });
        assert_eq!((at(0, 950), at(0, 951)), (Ok(()), refused.clone()));
        assert_eq!((at(19, 0), at(20, 0)), (Ok(()), refused));
    }

    #[test]
    fn an_engine_that_is_behind_is_given_no_more() {
        let at = |sealed_waiting| judge(Load { sealed_waiting, ..IDLE }, BOUNDS);
        assert_eq!((at(9), at(10)), (Ok(()), Err(AdmissionError::EngineBehind { waiting: 10 })));
    }

    #[test]
    fn a_shard_that_comes_too_late_takes_no_new_calls() {
        let limit = TURN_LATE_MAX.as_micros() as u64;
        let at = |turn_late_micros| judge(Load { turn_late_micros, ..IDLE }, BOUNDS);
        assert_eq!(at(limit), Ok(()));
        assert!(matches!(at(limit + 1), Err(AdmissionError::Overloaded { .. })));
    }

    #[test]
    fn zero_means_no_bound() {
        let load = Load { calls: 1 << 20, packets_per_second: 1 << 40, ..IDLE };
        assert_eq!(judge(Load { sealed_waiting: 1 << 40, ..load }, Bounds::default()), Ok(()));
    }
}
