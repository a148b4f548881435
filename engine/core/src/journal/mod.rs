//! One shard's journal: which bytes go where, when to sync, when a segment may go.
//!
//! In: chunks, results of writes and syncs, acknowledgements, time. Out: writes, syncs, removals,
//! and which recordings are durable. The shell owns the files. After a crash [`recover`] turns
//! what is readable into sealed recordings.
//!
//! One write and one sync are under way at a time; what comes meanwhile goes into the next (group
//! commit). Chunks stay in memory until a sync has covered them, so that a segment whose disk
//! fails can be written anew elsewhere; [`recover`] counts a chunk that lies in two places once.

mod commit;
mod segments;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::id::RecordingId;
use crate::limits::WRITE_RETRY_MIN;
pub use crate::recovery::{Recovered, RecoveryReport, recover};
use crate::time::Instant;

use self::commit::{Item, Retry, Stored, Syncing, Waiting, Writing};
use self::segments::{Closed, Segment};

/// Limits of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalConfig {
    /// A segment is closed once it is this long.
    pub segment_bytes_max: u64,
    /// Longest time from a chunk to its sync: chunks gather for half of it, the disk may take the
    /// other half. The last chunk of a recording does not wait. A crash costs at most this, the
    /// time between two flushes of a call, and [`crate::limits::REORDER_WAIT_MAX`]; together they
    /// must stay within [`crate::limits::COMMIT_INTERVAL_MAX`].
    pub commit_interval: Duration,
    /// Most bytes that may wait for the disk. Beyond it new calls are refused
    /// ([`Journal::is_congested`]), and beyond twice of it calls under way are ended
    /// ([`Output::Refused`]).
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
    /// The recording is whole and durable: hand it on.
    Durable {
        /// Which.
        recording: RecordingId,
        /// Where its chunks lie, in order; to be read back.
        extents: Vec<Extent>,
    },
    /// Too much waits for the disk: end the call with `DiskFull`. Its last chunk is still taken,
    /// so that what was recorded stays whole.
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
    config: JournalConfig,
    now: Instant,
    current: Segment,
    closed: BTreeMap<u64, Closed>,
    adopted: BTreeMap<u64, BTreeSet<RecordingId>>,
    recordings: BTreeMap<RecordingId, Tracked>,
    waiting: Waiting,
    writing: Option<Writing>,
    /// Written to the current segment, not yet covered by a sync.
    written: VecDeque<Stored>,
    syncing: Option<Syncing>,
    backlog_bytes: u64,
    retry: Retry,
    tickets: u64,
    items: u64,
    outbox: VecDeque<Output>,
}

#[derive(Debug, Default)]
struct Tracked {
    extents: Vec<Extent>,
    durable: usize,
    complete: bool,
    refused: bool,
}

impl Journal {
    /// An empty journal whose first segment has this number.
    pub fn new(config: JournalConfig, first_segment: u64) -> Self {
        Self {
            config,
            now: Instant::default(),
            current: Segment { number: first_segment, end: 0, needed: 0 },
            closed: BTreeMap::new(),
            adopted: BTreeMap::new(),
            recordings: BTreeMap::new(),
            waiting: Waiting::default(),
            writing: None,
            written: VecDeque::new(),
            syncing: None,
            backlog_bytes: 0,
            retry: Retry { at: None, pause: WRITE_RETRY_MIN },
            tickets: 0,
            items: 0,
            outbox: VecDeque::new(),
        }
    }

    /// Tells the journal something. Drain [`Journal::poll`] to `Idle` afterwards. Answers with a
    /// ticket that is not under way are ignored.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = now;
        match input {
            Input::Append { recording, chunk, last } => self.append(recording, chunk, last),
            Input::Written(ticket) => self.on_written(ticket),
            Input::WriteFailed(ticket) => self.on_write_failed(ticket),
            Input::Synced(ticket) => self.on_synced(ticket),
            Input::SyncFailed(ticket) => self.on_sync_failed(ticket),
            Input::Acknowledged(recording) => self.forget(recording),
            Input::Tick => {}
        }
        self.collect();
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Output {
        let next = self.outbox.pop_front().or_else(|| self.write()).or_else(|| self.sync());
        next.unwrap_or_else(|| Output::Idle { until: self.wakes() })
    }

    /// Whether the disk is behind: no new calls should be taken.
    pub const fn is_congested(&self) -> bool {
        self.backlog_bytes > self.config.backlog_bytes_max
    }

    /// Whether everything appended is durable and acknowledged (for a graceful stop).
    pub fn is_settled(&self) -> bool {
        self.recordings.is_empty() && self.outbox.is_empty()
    }

    /// Bytes that no sync has covered yet.
    pub const fn backlog_bytes(&self) -> u64 {
        self.backlog_bytes
    }

    /// Takes over old segments found at start: their recordings (as [`recover`] gave them) wait
    /// for acknowledgement, after which the segments are removed.
    pub fn adopt(&mut self, segments: Vec<(u64, Vec<RecordingId>)>) {
        for (segment, recordings) in segments {
            self.adopted.entry(segment).or_default().extend(recordings);
        }
        self.collect();
    }

    fn append(&mut self, recording: RecordingId, chunk: Bytes, last: bool) {
        let tracked = self.recordings.entry(recording).or_default();
        assert!(!tracked.complete, "nothing is appended behind a seal");
        let index = tracked.extents.len();
        tracked.extents.push(Extent { segment: 0, offset: 0, bytes: 0 });
        tracked.complete = last;
        self.backlog_bytes += chunk.len() as u64;
        let over = self.backlog_bytes > self.config.backlog_bytes_max.saturating_mul(2);
        if over && !last && !std::mem::replace(&mut tracked.refused, true) {
            self.outbox.push_back(Output::Refused(recording));
        }
        self.waiting.bytes += chunk.len() as u64;
        self.waiting.since.get_or_insert(self.now);
        self.waiting.urgent |= last;
        self.waiting.items.push_back(Item { number: self.items, recording, index, chunk });
        self.items += 1;
    }

    fn wakes(&self) -> Option<Instant> {
        // A due write that has not started waits for an answer from the disk, not for time.
        self.write_due().filter(|&due| self.writing.is_none() && due > self.now)
    }

    const fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{WRITE_CHUNKS_MAX, WRITE_RETRY_MAX};

    const A: RecordingId = RecordingId::from_u128(1);
    const B: RecordingId = RecordingId::from_u128(2);
    const CONFIG: JournalConfig = JournalConfig {
        segment_bytes_max: 1_000,
        commit_interval: Duration::from_millis(200),
        backlog_bytes_max: 500,
    };

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn append(recording: RecordingId, bytes: usize, last: bool) -> Input {
        Input::Append { recording, chunk: vec![0; bytes].into(), last }
    }

    fn tell(journal: &mut Journal, millis: u64, input: Input) -> (Vec<Output>, Option<Instant>) {
        journal.handle(at(millis), input);
        let mut outputs = Vec::new();
        loop {
            match journal.poll() {
                Output::Idle { until } => return (outputs, until),
                output => outputs.push(output),
            }
        }
    }

    fn do_it(journal: &mut Journal, millis: u64, input: Input) -> Vec<Output> {
        tell(journal, millis, input).0
    }

    /// Acts on writes and syncs at once until nothing is left to do; gives everything else.
    fn settle(journal: &mut Journal, millis: u64, mut todo: Vec<Output>) -> Vec<Output> {
        let mut rest = Vec::new();
        while !todo.is_empty() {
            for output in std::mem::take(&mut todo) {
                let answer = match output {
                    Output::Write { ticket, .. } => Input::Written(ticket),
                    Output::Sync { ticket, .. } => Input::Synced(ticket),
                    other => {
                        rest.push(other);
                        continue;
                    }
                };
                todo.extend(do_it(journal, millis, answer));
            }
        }
        rest
    }

    fn ticket(outputs: &[Output]) -> u64 {
        match outputs {
            [Output::Write { ticket, .. } | Output::Sync { ticket, .. }] => *ticket,
            other => panic!("one write or sync was expected, not {other:?}"),
        }
    }

    #[test]
    fn chunks_gather_for_half_the_interval_and_are_written_together() {
        let mut journal = Journal::new(CONFIG, 7);
        let (outputs, until) = tell(&mut journal, 0, append(A, 10, false));
        assert_eq!((outputs, until), (vec![], Some(at(100))));
        assert_eq!(do_it(&mut journal, 50, append(B, 20, false)), []);
        assert_eq!(do_it(&mut journal, 99, Input::Tick), []);
        let outputs = do_it(&mut journal, 100, Input::Tick);
        let [Output::Write { segment: 7, offset: 0, chunks, .. }] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [10, 20]);
    }

    #[test]
    fn last_chunk_goes_at_once_and_is_durable_only_after_the_sync() {
        let mut journal = Journal::new(CONFIG, 0);
        do_it(&mut journal, 0, append(A, 10, false));
        let write = do_it(&mut journal, 1, append(A, 30, true));
        let sync = do_it(&mut journal, 2, Input::Written(ticket(&write)));
        assert!(matches!(sync[..], [Output::Sync { segment: 0, .. }]));
        assert!(!journal.is_settled());
        let durable = do_it(&mut journal, 3, Input::Synced(ticket(&sync)));
        let extent = |offset, bytes| Extent { segment: 0, offset, bytes };
        let extents = vec![extent(0, 10), extent(10, 30)];
        assert_eq!(durable, [Output::Durable { recording: A, extents }]);
        let removed = do_it(&mut journal, 4, Input::Acknowledged(A));
        assert_eq!(removed, [Output::Remove { segment: 0 }]);
        assert!(journal.is_settled());
    }

    #[test]
    fn sync_covers_only_what_was_written_before_it() {
        let mut journal = Journal::new(CONFIG, 0);
        let write = do_it(&mut journal, 0, append(A, 10, true));
        let sync = do_it(&mut journal, 1, Input::Written(ticket(&write)));
        let write = do_it(&mut journal, 2, append(B, 10, true));
        assert_eq!(do_it(&mut journal, 3, Input::Written(ticket(&write))), []);
        let outputs = do_it(&mut journal, 4, Input::Synced(ticket(&sync)));
        assert!(matches!(
            outputs[..],
            [Output::Durable { recording: A, .. }, Output::Sync { segment: 0, .. }]
        ));
    }

    #[test]
    fn segment_is_closed_at_its_length_and_removed_once_all_in_it_are_acknowledged() {
        let mut journal = Journal::new(CONFIG, 0);
        let first = do_it(&mut journal, 0, append(A, 999, true));
        settle(&mut journal, 0, first);
        let second = do_it(&mut journal, 1, append(B, 1, true));
        assert!(matches!(second[..], [Output::Write { segment: 0, offset: 999, .. }]));
        settle(&mut journal, 1, second);
        let third = do_it(&mut journal, 2, append(RecordingId::from_u128(3), 1, false));
        assert_eq!(third, []);
        let third = do_it(&mut journal, 102, Input::Tick);
        assert!(matches!(third[..], [Output::Write { segment: 1, offset: 0, .. }]));
        assert_eq!(do_it(&mut journal, 103, Input::Acknowledged(A)), []);
        let removed = do_it(&mut journal, 104, Input::Acknowledged(B));
        assert_eq!(removed, [Output::Remove { segment: 0 }]);
    }

    #[test]
    fn failed_write_goes_to_a_new_segment_after_a_pause_that_grows() {
        let mut journal = Journal::new(CONFIG, 0);
        let mut write = do_it(&mut journal, 0, append(A, 10, true));
        let (mut now, mut pause) = (0, WRITE_RETRY_MIN.as_millis() as u64);
        for segment in 1..9 {
            let (outputs, until) = tell(&mut journal, now, Input::WriteFailed(ticket(&write)));
            assert_eq!(outputs, [], "what may lie only in the failed segment stays");
            assert_eq!(until, Some(at(now + pause)));
            assert_eq!(do_it(&mut journal, now + pause - 1, Input::Tick), []);
            now += pause;
            write = do_it(&mut journal, now, Input::Tick);
            assert!(
                matches!(write[..], [Output::Write { segment: s, offset: 0, .. }] if s == segment)
            );
            pause = (pause * 2).min(WRITE_RETRY_MAX.as_millis() as u64);
        }
        let rest = settle(&mut journal, now, write);
        let extents = vec![Extent { segment: 8, offset: 0, bytes: 10 }];
        assert_eq!(rest[0], Output::Durable { recording: A, extents });
        let removed = (0..8).map(|segment| Output::Remove { segment });
        assert_eq!(rest[1..], removed.collect::<Vec<_>>(), "the failed ones go when A is safe");
    }

    #[test]
    fn failed_sync_rewrites_all_since_the_last_good_one_even_what_is_under_way() {
        let mut journal = Journal::new(CONFIG, 0);
        let write = do_it(&mut journal, 0, append(A, 10, false));
        assert_eq!(write, []);
        let write = do_it(&mut journal, 100, Input::Tick);
        settle(&mut journal, 100, write);
        let write = do_it(&mut journal, 101, append(A, 20, true));
        let sync = do_it(&mut journal, 102, Input::Written(ticket(&write)));
        let under_way = do_it(&mut journal, 103, append(B, 30, true));
        assert_eq!(do_it(&mut journal, 104, Input::SyncFailed(ticket(&sync))), []);
        assert_eq!(do_it(&mut journal, 105, Input::Written(ticket(&under_way))), []);
        let again = do_it(&mut journal, 200, Input::Tick);
        let [Output::Write { segment: 1, offset: 0, chunks, .. }] = &again[..] else {
            panic!("{again:?}")
        };
        assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [20, 30]);
        let rest = settle(&mut journal, 201, again);
        let extent = |segment, offset, bytes| Extent { segment, offset, bytes };
        assert_eq!(
            rest,
            [
                Output::Durable { recording: A, extents: vec![extent(0, 0, 10), extent(1, 0, 20)] },
                Output::Durable { recording: B, extents: vec![extent(1, 20, 30)] },
            ]
        );
        let removed = do_it(&mut journal, 202, Input::Acknowledged(A));
        assert_eq!(removed, [Output::Remove { segment: 0 }]);
    }

    #[test]
    fn sync_that_answers_for_a_given_up_segment_makes_nothing_durable() {
        let mut journal = Journal::new(CONFIG, 0);
        let write = do_it(&mut journal, 0, append(A, 10, true));
        let sync = do_it(&mut journal, 1, Input::Written(ticket(&write)));
        let write = do_it(&mut journal, 2, append(B, 10, true));
        do_it(&mut journal, 3, Input::WriteFailed(ticket(&write)));
        assert_eq!(do_it(&mut journal, 4, Input::Synced(ticket(&sync))), []);
        assert_eq!(journal.backlog_bytes(), 20);
    }

    #[test]
    fn backlog_is_congested_past_its_limit_and_ends_calls_past_twice_of_it() {
        let mut journal = Journal::new(CONFIG, 0);
        do_it(&mut journal, 0, append(A, 500, false));
        assert!(!journal.is_congested());
        do_it(&mut journal, 0, append(B, 500, false));
        assert!(journal.is_congested());
        let outputs = do_it(&mut journal, 0, append(A, 1, false));
        assert_eq!(outputs, [Output::Refused(A)]);
        assert_eq!(do_it(&mut journal, 0, append(A, 1, false)), [], "a call is told once");
        let write = do_it(&mut journal, 1, append(A, 1, true));
        let rest = settle(&mut journal, 1, write);
        let durable =
            |o: &Output| matches!(o, Output::Durable { recording, .. } if *recording == A);
        assert!(rest.iter().any(durable), "what was recorded stays whole");
        assert!(!journal.is_congested());
    }

    #[test]
    fn adopted_segment_is_removed_when_the_last_of_its_recordings_is_acknowledged() {
        let mut journal = Journal::new(CONFIG, 9);
        journal.adopt(vec![(3, vec![A, B]), (4, vec![B]), (5, vec![])]);
        assert_eq!(do_it(&mut journal, 0, Input::Tick), [Output::Remove { segment: 5 }]);
        let removed = do_it(&mut journal, 0, Input::Acknowledged(B));
        assert_eq!(removed, [Output::Remove { segment: 4 }]);
        let removed = do_it(&mut journal, 0, Input::Acknowledged(A));
        assert_eq!(removed, [Output::Remove { segment: 3 }]);
    }

    #[test]
    fn one_write_brings_its_limit_of_chunks_and_not_one_more() {
        let mut journal = Journal::new(
            JournalConfig { segment_bytes_max: 5_000, backlog_bytes_max: 5_000, ..CONFIG },
            0,
        );
        for _ in 0..=WRITE_CHUNKS_MAX {
            assert_eq!(do_it(&mut journal, 0, append(A, 1, false)), []);
        }
        let outputs = do_it(&mut journal, 100, Input::Tick);
        let [Output::Write { chunks, ticket, .. }] = &outputs[..] else { panic!("{outputs:?}") };
        assert_eq!(chunks.len(), WRITE_CHUNKS_MAX);
        let next = do_it(&mut journal, 101, Input::Written(*ticket));
        assert!(matches!(&next[0], Output::Write { chunks, .. } if chunks.len() == 1));
    }
}
