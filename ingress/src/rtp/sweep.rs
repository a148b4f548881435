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
    /// Parts of the last round.
    parts: usize,
}

impl Sweep {
    /// Each slot once within `interval`, about `at_once` at a time; a part each [`TICK`] at most.
    pub(super) fn new(interval: Duration, at_once: usize) -> Self {
        Self { interval, at_once, next: None, at: 0, parts: 1 }
    }

    /// The slots whose turn has come; none if it is too early. Whoever comes late gets the parts
    /// that were due, up to the end of the round.
    pub(super) fn due(&mut self, now: Instant, slots: usize) -> Range<usize> {
        let due = self.next.unwrap_or(now);
        if now < due {
            return 0..0;
        }
        let parts_max = (self.interval.as_millis() / TICK.as_millis()).max(1) as usize;
        let parts = slots.div_ceil(self.at_once).clamp(1, parts_max);
        // Slots that come meanwhile make a round one part longer.
        let part = self.interval / (parts + usize::from(parts > 1)) as u32;
        let missed = (now.since(due).as_nanos() / part.as_nanos().max(1)) as usize;
        self.next = Some(now + part);
        // Where the parts change, the rest has its turn at once.
        let changed = std::mem::replace(&mut self.parts, parts) != parts;
        let count = if changed { slots } else { (missed + 1) * slots.div_ceil(parts) };
        let from = self.at.min(slots);
        let to = from.saturating_add(count).min(slots);
        self.at = if to == slots { 0 } else { to };
        from..to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn each_slot_has_its_turn_within_an_interval_however_many_come() {
        let mut sweep = Sweep::new(Duration::from_millis(100), 16);
        let mut turns: Vec<u64> = Vec::new();
        let mut most_at_once = 0;
        for ms in 0..3_000 {
            if ms % 4 == 0 && ms < 2_000 {
                turns.push(ms);
            }
            let due = sweep.due(at(ms), turns.len());
            most_at_once = most_at_once.max(due.len());
            turns[due].fill(ms);
            for (slot, turn) in turns.iter().enumerate() {
                // Here time goes on a millisecond at a time; parts are shorter than a tick.
                assert!(ms - turn <= 110, "slot {slot} waits since {turn} ms, at {ms} ms");
            }
        }
        assert!(most_at_once < turns.len() / 2, "{most_at_once}");
    }

    #[test]
    fn who_comes_late_catches_up() {
        let mut sweep = Sweep::new(Duration::from_millis(100), 2);
        assert_eq!(sweep.due(at(1_000), 8), 0..8, "the first time, all");
        assert_eq!(sweep.due(at(1_019), 8), 0..0, "too early");
        assert_eq!(sweep.due(at(1_020), 8), 0..2);
        assert_eq!(sweep.due(at(1_060), 8), 2..6, "two parts were due");
        assert_eq!(sweep.due(at(1_500), 8), 6..8, "to the end, then from the beginning");
        assert_eq!(sweep.due(at(1_520), 8), 0..2);
        assert_eq!(sweep.due(at(1_600), 0), 0..0);
    }

    #[test]
    fn a_few_slots_have_their_turn_together() {
        let mut sweep = Sweep::new(Duration::from_millis(100), 256);
        let seen: Vec<_> = (0..150).map(|ms| sweep.due(at(ms), 200)).collect();
        assert_eq!((&seen[0], &seen[100]), (&(0..200), &(0..200)));
        assert!(seen.iter().enumerate().all(|(ms, part)| ms % 100 == 0 || part.is_empty()));
    }
}
