//! One shard's journal: which bytes go where, when to sync, when a segment may go.
//!
//! In: chunks, results of writes and syncs, acknowledgements, time. Out: writes, syncs, removals,
//! and which chunks are durable. The shell owns the files. After a crash [`crate::journal::recover`]
//! turns what is readable into sealed recordings.

use bytes::Bytes;

use crate::id::RecordingId;
use crate::recording::{Opened, Sealed};
use crate::time::Instant;

/// Limits of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalConfig {
    /// A segment is closed once it is this long.
    pub segment_bytes_max: u64,
    /// Longest time from a chunk to its sync.
    pub commit_interval: std::time::Duration,
    /// Most bytes that may wait for the disk. Beyond it new calls are refused
    /// ([`Journal::is_congested`]), and at twice of it chunks are refused with `DiskFull`.
    pub backlog_bytes_max: u64,
}

/// What a journal may be told.
#[derive(Debug)]
pub enum Input {
    /// Append a chunk of this recording; `last` when it holds the `Sealed` entry.
    Append {
        /// Whose.
        recording: RecordingId,
        /// The chunk.
        chunk: Bytes,
        /// Whether the recording ends with it.
        last: bool,
    },
    /// The write with this ticket is done.
    Written(u64),
    /// The write with this ticket failed; the core tries again later, in a new segment.
    WriteFailed(u64),
    /// The sync of this segment, asked for by this ticket, is done.
    Synced(u64),
    /// It failed: everything since the last good sync of that segment is written anew elsewhere
    /// (a failed fsync may have dropped the pages).
    SyncFailed(u64),
    /// The recording's row is committed: the journal may forget it.
    Acknowledged(RecordingId),
    /// Nothing but time has passed.
    Tick,
}

/// What a journal wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Write `chunks`, one behind the other, at `offset` of `segment` (make it if it is new).
    Write {
        /// Names the write in the answer.
        ticket: u64,
        /// Segment number; the file is `<shard>-<segment>.rsj`.
        segment: u64,
        /// Where.
        offset: u64,
        /// What.
        chunks: Vec<Bytes>,
    },
    /// `fdatasync` the segment.
    Sync {
        /// Names the sync in the answer.
        ticket: u64,
        /// Which.
        segment: u64,
    },
    /// The recording is whole and durable: hand it on. `sound` is its chunks in order, as
    /// (segment, offset, length) to read back.
    Durable {
        /// Which.
        recording: RecordingId,
        /// Where its chunks lie.
        extents: Vec<Extent>,
    },
    /// The recording could not be kept whole: end the call with `DiskFull`.
    Refused(RecordingId),
    /// Nothing in the segment is needed: remove the file.
    Remove {
        /// Which.
        segment: u64,
    },
    /// Nothing to do until then, or until the next input.
    Idle {
        /// When to wake.
        until: Option<Instant>,
    },
}

/// A piece of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Segment number.
    pub segment: u64,
    /// Offset of the first byte.
    pub offset: u64,
    /// Number of bytes.
    pub bytes: u32,
}

/// The journal core.
#[derive(Debug)]
pub struct Journal {
    // (implementation to come)
    _config: JournalConfig,
}

impl Journal {
    /// An empty journal whose first segment has this number.
    pub fn new(config: JournalConfig, _first_segment: u64) -> Self {
        Self { _config: config }
    }

    /// Tells the journal something. Drain [`Journal::poll`] to `Idle` afterwards.
    pub fn handle(&mut self, _now: Instant, _input: Input) {}

    /// The next thing to do.
    pub fn poll(&mut self) -> Output {
        Output::Idle { until: None }
    }

    /// Whether the disk is behind: no new calls should be taken.
    pub fn is_congested(&self) -> bool {
        false
    }

    /// Whether everything appended is durable and acknowledged (for a graceful stop).
    pub fn is_settled(&self) -> bool {
        true
    }

    /// Takes over old segments found at start: their recordings (as [`recover`] gave them) wait
    /// for acknowledgement, after which the segments are removed.
    pub fn adopt(&mut self, _segments: Vec<(u64, Vec<RecordingId>)>) {}
}

/// A recording found in old segments.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// From its first chunk.
    pub opened: Opened,
    /// Its `Sealed` entry, or one made here with [`crate::recording::EndReason::Recovered`].
    pub sealed: Sealed,
    /// All its chunks; a made seal is appended as a chunk of its own, so that the file reads like
    /// any other.
    pub sound: Bytes,
    /// The segments it lies in.
    pub segments: Vec<u64>,
}

/// Reads old segments (number, bytes), oldest first. Torn tails, damaged chunks and chunks
/// whose predecessors are missing are left out and counted; the scan goes on behind damage at the
/// next chunk. A chunk that was written twice counts once.
pub fn recover(_segments: &[(u64, Bytes)]) -> (Vec<Recovered>, RecoveryReport) {
    (Vec::new(), RecoveryReport::default())
}

/// What a recovery saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecoveryReport {
    /// Chunks that were whole.
    pub chunks: u64,
    /// Bytes that were no chunk.
    pub damaged_bytes: u64,
    /// Chunks left out because one before them is missing.
    pub orphaned_chunks: u64,
}
