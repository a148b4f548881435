//! The queues between shells. `server` makes them; each says what happens when it is full.
//!
//! * [`LiveLane`], ingress → engine: chunks of recordings under way. Full: the chunk is *left on
//!   disk*, and the engine reads the sealed recording instead.
//! * arrivals, ingress → control plane: sealed recordings, durable in the journal. Full: they
//!   *wait* in the shard, which offers them again.
//! * acknowledgements, control plane → ingress: recordings whose row is committed, so that the
//!   journal may forget them. Never full: at most one per arrival under way.
//! * work, control plane → engine: full means the lease is given back and tried again.
//! * files, control plane → engine: full means *refuse with 503*.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossbeam::channel::{Receiver, Sender};
use crossbeam::queue::{ArrayQueue, SegQueue};

use crate::file_work::FileWork;
use crate::id::RecordingId;
use crate::recording::{Opened, Sealed};
use crate::work::Work;

/// Chunks of recordings under way, for whoever wants to listen in.
#[derive(Debug)]
pub struct LiveLane {
    chunks: ArrayQueue<Bytes>,
    skipped: AtomicU64,
}

impl LiveLane {
    /// A lane that holds at most `chunks_max` chunks.
    pub fn new(chunks_max: usize) -> Self {
        Self { chunks: ArrayQueue::new(chunks_max), skipped: AtomicU64::new(0) }
    }

    /// Offers a chunk; a full lane leaves it on disk and counts it.
    pub fn offer(&self, chunk: Bytes) {
        if self.chunks.push(chunk).is_err() {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes the oldest chunk.
    pub fn take(&self) -> Option<Bytes> {
        self.chunks.pop()
    }

    /// Chunks that were left on disk because the lane was full.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

/// A sealed recording, durable in the journal.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// What was known when it was answered.
    pub opened: Opened,
    /// How it ended.
    pub sealed: Sealed,
    /// All its chunks, one behind the other: the recording file.
    pub sound: Bytes,
}

/// Recordings whose row is committed.
pub type Acks = Arc<SegQueue<RecordingId>>;

/// Where a shard puts arrivals.
pub type ArrivalsIn = Sender<Arrival>;
/// Where the control plane takes them.
pub type ArrivalsOut = Receiver<Arrival>;
/// Where the control plane puts work.
pub type WorkIn = Sender<Work>;
/// Where the engine takes it.
pub type WorkOut = Receiver<Work>;
/// Where the control plane puts files that somebody asks about.
pub type FilesIn = Sender<FileWork>;
/// Where the engine takes them.
pub type FilesOut = Receiver<FileWork>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_lane_leaves_the_newest_on_disk_and_counts_it() {
        let lane = LiveLane::new(2);
        for n in 0..3_u8 {
            lane.offer(Bytes::from(vec![n]));
        }
        assert_eq!(lane.skipped(), 1);
        assert_eq!(lane.take().as_deref(), Some(&[0][..]));
        lane.offer(Bytes::from_static(&[9]));
        assert_eq!(lane.take().as_deref(), Some(&[1][..]));
        assert_eq!(lane.take().as_deref(), Some(&[9][..]));
        assert_eq!(lane.take(), None);
        assert_eq!(lane.skipped(), 1);
    }

    #[test]
    fn many_shards_and_one_listener_lose_nothing_but_what_is_counted() {
        let lane = LiveLane::new(16);
        let (shards, each) = (4, 2_000_u64);
        let offered = AtomicU64::new(0);
        let taken = crossbeam::thread::scope(|scope| {
            for _ in 0..shards {
                scope.spawn(|_| {
                    for _ in 0..each {
                        lane.offer(Bytes::from_static(b"x"));
                        offered.fetch_add(1, Ordering::Release);
                    }
                });
            }
            let mut taken = 0;
            while offered.load(Ordering::Acquire) < shards * each {
                taken += u64::from(lane.take().is_some());
            }
            taken + std::iter::from_fn(|| lane.take()).count() as u64
        });
        assert_eq!(taken.unwrap() + lane.skipped(), shards * each);
    }
}
