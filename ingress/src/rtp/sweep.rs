//! All slots of a shard within an interval, a part at a time, so that no part keeps what is due
//! meanwhile waiting.
//!
//! In: time, how many slots there are. Out: the slots whose turn it is. Knows nothing of what is
//! done with them.

use std::ops::Range;
use std::time::Duration;

use engine_core::time::Instant;

use crate::limits::TICK;

/// Goes round and round.
#[derive(Debug)]
pub(super) struct Sweep {
    interval: Duration,
    at_once: usize,
    /// When the next part is due; the first one always is.
    next: Option<Instant>,
    /// Where the next part begins.
    at: usize,
}

impl Sweep {
    /// Each slot once within `interval`, about `at_once` at a time; a part each [`TICK`] at most.
    pub(super) fn new(interval: Duration, at_once: usize) -> Self {
        Self { interval, at_once, next: None, at: 0 }
    }

    /// The slots whose turn has come; none if it is too early. Whoever comes late gets all parts
    /// that were due, each slot once at most.
    pub(super) fn due(&mut self, now: Instant, slots: usize) -> Range<usize> {
        let due = self.next.unwrap_or(now);
        if now < due {
            return 0..0;
        }
        let parts_max = (self.interval.as_millis() / TICK.as_millis()).max(1) as usize;
        let parts = slots.div_ceil(self.at_once).clamp(1, parts_max);
        let part = self.interval / parts as u32;
        let missed = (now.since(due).as_nanos() / part.as_nanos().max(1)) as usize;
        self.next = Some(now + part);
        if self.at >= slots {
            self.at = 0;
        }
        let from = self.at;
        self.at = (from + (missed + 1).min(parts) * slots.div_ceil(parts)).min(slots);
        from..self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn each_slot_has_its_turn_once_in_an_interval() {
        let mut sweep = Sweep::new(Duration::from_millis(100), 3);
        for round in 0..3 {
            let seen: Vec<usize> =
                (0..100).flat_map(|ms| sweep.due(at(1_000 + round * 100 + ms), 10)).collect();
            assert_eq!(seen, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_comes_late_catches_up() {
        let mut sweep = Sweep::new(Duration::from_millis(100), 2);
        assert_eq!(sweep.due(at(1_000), 8), 0..2);
        assert_eq!(sweep.due(at(1_024), 8), 0..0, "too early");
        assert_eq!(sweep.due(at(1_050), 8), 2..6, "two parts were due");
        assert_eq!(sweep.due(at(1_080), 8), 6..8);
        assert_eq!(sweep.due(at(1_500), 8), 0..8, "long overdue: each once");
        assert_eq!(sweep.due(at(1_525), 3), 0..2, "fewer slots than before: two parts");
        assert_eq!(sweep.due(at(1_580), 0), 0..0);
    }

    #[test]
    fn a_few_slots_have_their_turn_together() {
        let mut sweep = Sweep::new(Duration::from_millis(100), 256);
        let seen: Vec<_> = (0..150).map(|ms| sweep.due(at(ms), 200)).collect();
        assert_eq!((&seen[0], &seen[100]), (&(0..200), &(0..200)));
        assert!(seen.iter().enumerate().all(|(ms, part)| ms % 100 == 0 || part.is_empty()));
    }
}
