//! Counters between the stages of a shard: written by its thread, read by anybody.
//!
//! In: what the shard saw. Out: a [`CountersSnapshot`]. Every drop is counted with its reason.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use engine_core::call::CallStats;

use super::histogram::{Histogram, HistogramSnapshot};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// The living counters of one shard.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub(crate) $name: AtomicU64,)+
            /// Calls and reservations on the shard.
            pub(crate) calls: AtomicUsize,
            /// Whether the journal asked for no new calls.
            pub(crate) congested: AtomicBool,
            /// How long journal syncs took.
            pub(crate) commit_times: Histogram,
        }

        /// What a shard had counted at one moment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct CountersSnapshot {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// Calls and reservations on the shard now.
            pub calls: u64,
            /// How long journal syncs took.
            pub commit_times: HistogramSnapshot,
        }

        impl Counters {
            /// Reads all counters.
            pub fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot {
                    $($name: self.$name.load(Ordering::Relaxed),)+
                    calls: self.calls.load(Ordering::Relaxed) as u64,
                    commit_times: self.commit_times.snapshot(),
                }
            }
        }

        impl CountersSnapshot {
            /// Names, descriptions and values, for metrics.
            pub fn described(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![
                    $((stringify!($name), concat!($($doc),+), self.$name),)+
                    ("calls", " Calls and reservations on the shard now.", self.calls),
                ]
            }
        }
    };
}

counters! {
    /// RTP packets received, taken or not.
    packets,
    /// Their octets, headers included.
    bytes,
    /// RTP packets a second, over the last quarter of a second.
    packet_rate,
    /// Datagrams that the kernel dropped because the socket's buffer was full: ours to prevent.
    kernel_dropped,
    /// Packets that never came.
    lost,
    /// Packets that came too late to be used.
    late,
    /// Packets that came twice.
    duplicated,
    /// Packets that came out of order and were put right.
    reordered,
    /// Packets refused because another sender had been latched.
    hijacks,
    /// Packets of another stream of the same sender that did not last.
    stray,
    /// Packets whose payload was too long to be kept.
    oversized,
    /// Datagrams that are no RTP or RTCP packet that we take.
    malformed,
    /// Packets for a port pair whose call is not answered yet.
    refused,
    /// RTCP datagrams received, taken or not.
    rtcp,
    /// RTP packets sent.
    sent,
    /// Packets that could not be sent.
    unsent,
    /// Packets sent more than 2 ms after their time.
    sent_late,
    /// Longest that the shard came late to its work within the last quarter of a second, in
    /// microseconds.
    turn_late_micros,
    /// Times that a call listened to a new sender: the first one, or after it moved.
    latched,
    /// Calls answered.
    answered,
    /// Recordings sealed.
    sealed,
    /// Durable recordings that nobody has taken yet.
    sealed_waiting,
    /// Journal syncs done.
    commits,
    /// Slowest journal sync so far, in microseconds.
    commit_micros_max,
    /// Writes, syncs, reads and removals that failed.
    disk_errors,
    /// Bytes that wait for the disk now.
    backlog_bytes,
    /// Recordings that were cut because the disk could not take them.
    disk_refusals,
    /// Chunks that the live lane left on disk, over all shards.
    live_skipped,
    /// Receive slabs made.
    slabs_made,
    /// Receive slabs pinned by views now.
    slabs_pinned,
}

/// Adds to a counter that only the shard's thread writes: nothing is ordered by it, and no locked
/// instruction is needed.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    if count > 0 {
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }
}

/// Sets a gauge.
pub(crate) fn set(gauge: &AtomicU64, value: u64) {
    gauge.store(value, Ordering::Relaxed);
}

impl Counters {
    /// Adds what a call has seen since it was counted last.
    pub(crate) fn count_call(&self, before: &CallStats, now: &CallStats) {
        let grown = |now: u32, before: u32| u64::from(now.saturating_sub(before));
        add(&self.lost, grown(now.lost, before.lost));
        add(&self.late, grown(now.late, before.late));
        add(&self.duplicated, grown(now.duplicated, before.duplicated));
        add(&self.reordered, grown(now.reordered, before.reordered));
        add(&self.hijacks, grown(now.hijacks, before.hijacks));
        add(&self.stray, grown(now.stray, before.stray));
        add(&self.oversized, grown(now.oversized, before.oversized));
    }
}
