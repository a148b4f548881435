//! What became of the calls that were offered.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A reading of the counters. A retransmission of an INVITE that was taken is not counted again;
/// one that was refused at the gate leaves no trace there, so its retransmission is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SipCounters {
    /// INVITEs outside a call.
    pub offered: u64,
    /// Calls answered with 200.
    pub answered: u64,
    /// INVITEs refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Calls that ended before the answer (CANCEL).
    pub abandoned: u64,
    /// Calls whose 200 was never acknowledged.
    pub unacknowledged: u64,
    /// UDP messages dropped because they fill the receive buffer and are cut.
    pub oversize: u64,
    /// TCP connections closed at once: an unknown peer, or as many as allowed were open.
    pub connections_closed: u64,
    /// Calls up now.
    pub calls: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) offered: AtomicU64,
    pub(crate) answered: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) unacknowledged: AtomicU64,
    pub(crate) oversize: AtomicU64,
    pub(crate) connections_closed: AtomicU64,
    pub(crate) calls: AtomicUsize,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    pub(crate) fn refuse(&self, reason: &'static str) {
        let mut refused = self.refused.lock().expect("nothing panics while counting");
        *refused.entry(reason).or_default() += 1;
    }

    pub(crate) fn read(&self) -> SipCounters {
        SipCounters {
            offered: self.offered.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            refused: self.refused.lock().expect("nothing panics while counting").clone(),
            abandoned: self.abandoned.load(Ordering::Relaxed),
            unacknowledged: self.unacknowledged.load(Ordering::Relaxed),
            oversize: self.oversize.load(Ordering::Relaxed),
            connections_closed: self.connections_closed.load(Ordering::Relaxed),
            calls: self.calls.load(Ordering::Relaxed),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
