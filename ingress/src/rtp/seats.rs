//! Who may come in: as many calls as configured, counted from reservation to the end.
//!
//! In: a wish. Out: a [`Seat`] that gives itself back when dropped. Knows nothing of calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::counters::Counters;

/// Seats of all shards together.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    taken: Arc<AtomicUsize>,
    calls_max: usize,
}

/// One call's seat, on no shard yet.
#[derive(Debug)]
pub(super) struct Ticket(Arc<AtomicUsize>);

/// One call's seat on its shard.
#[derive(Debug)]
pub(super) struct Seat {
    _ticket: Ticket,
    counters: Arc<Counters>,
}

impl Seats {
    pub(super) fn new(calls_max: usize) -> Self {
        Self { taken: Arc::default(), calls_max }
    }

    pub(super) fn calls_max(&self) -> usize {
        self.calls_max
    }

    /// A seat, unless all are taken.
    pub(super) fn take(&self) -> Option<Ticket> {
        let more = |taken: usize| (taken < self.calls_max).then_some(taken + 1);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Ticket(Arc::clone(&self.taken)))
    }
}

impl Ticket {
    /// Takes the seat on a shard.
    pub(super) fn on(self, counters: &Arc<Counters>) -> Seat {
        counters.calls.fetch_add(1, Ordering::AcqRel);
        Seat { _ticket: self, counters: Arc::clone(counters) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.counters.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seat_is_given_and_no_more() {
        let seats = Seats::new(2);
        let first = seats.take().unwrap();
        let second = seats.take().unwrap();
        assert!(seats.take().is_none());
        drop(first);
        let counters = Arc::default();
        let seat = seats.take().unwrap().on(&counters);
        assert_eq!(counters.calls.load(Ordering::Relaxed), 1);
        drop((second, seat));
        assert_eq!(counters.calls.load(Ordering::Relaxed), 0);
        assert!(seats.take().is_some());
    }
}
