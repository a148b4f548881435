//! When each call of a shard wants to be woken.
//!
//! In: wishes by slot. Out: the slots that are due, and the next moment that anything is. Knows
//! nothing of what a call does then.

use engine_core::time::Instant;

/// A call that never wakes by itself.
const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// When a call wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    At(Instant),
    /// Never: it is over.
    Over,
}

/// Dense by slot, so that a look at all of them costs next to nothing.
#[derive(Debug)]
pub(super) struct Wakes {
    at: Vec<Instant>,
    /// Not later than any of them.
    next: Instant,
    /// Calls that are over since the last look.
    over: Vec<usize>,
}

impl Wakes {
    pub(super) const fn new() -> Self {
        Self { at: Vec::new(), next: NEVER, over: Vec::new() }
    }

    /// One slot more.
    pub(super) fn grow(&mut self) {
        self.at.push(NEVER);
    }

    /// A call's wish.
    pub(super) fn note(&mut self, slot: usize, wake: Wake) {
        match wake {
            Wake::At(until) => {
                self.at[slot] = until;
                self.next = self.next.min(until);
            }
            Wake::Over => self.end(slot),
        }
    }

    /// The slot's call is over.
    pub(super) fn end(&mut self, slot: usize) {
        self.at[slot] = NEVER;
        self.over.push(slot);
    }

    /// A slot whose call is over.
    pub(super) fn take_over(&mut self) -> Option<usize> {
        self.over.pop()
    }

    /// The next moment that something may be due.
    pub(super) fn next(&self) -> Option<Instant> {
        Some(self.next).filter(|next| *next != NEVER)
    }

    /// When a slot was due, if it is.
    pub(super) fn due(&self, slot: usize, now: Instant) -> Option<Instant> {
        self.at.get(slot).copied().filter(|at| *at <= now)
    }

    pub(super) fn slots(&self) -> usize {
        self.at.len()
    }

    /// Finds the next moment anew; call after the due ones were woken.
    pub(super) fn settle(&mut self) {
        self.next = self.at.iter().copied().min().unwrap_or(NEVER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_next_moment_is_the_earliest_wish() {
        let mut wakes = Wakes::new();
        assert_eq!(wakes.next(), None);
        for slot in 0..3 {
            wakes.grow();
            wakes.note(slot, Wake::At(at(30 - 10 * slot as u64)));
        }
        assert_eq!(wakes.next(), Some(at(10)));
        let due: Vec<_> = [2, 1, 7].into_iter().map(|slot| wakes.due(slot, at(10))).collect();
        assert_eq!(due, [Some(at(10)), None, None]);
        wakes.note(2, Wake::At(at(40)));
        wakes.settle();
        assert_eq!(wakes.next(), Some(at(20)));
        wakes.note(1, Wake::Over);
        wakes.settle();
        assert_eq!(
            (wakes.next(), wakes.take_over(), wakes.take_over()),
            (Some(at(30)), Some(1), None)
        );
    }
}
