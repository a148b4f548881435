//! Group commit: one write and one sync at a time, and a new try elsewhere when the disk fails.
//!
//! In: chunks that wait, answers of the disk. Out: the next write or sync, which recordings are
//! durable. Knows nothing of when a segment may go (that is `segments`).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{Extent, Journal, Output};
use crate::id::RecordingId;
use crate::limits::{WRITE_BYTES_MAX, WRITE_CHUNKS_MAX, WRITE_RETRY_MAX, WRITE_RETRY_MIN};
use crate::time::Instant;

/// One chunk on its way to the disk.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Order of appending, over all recordings.
    pub(super) number: u64,
    pub(super) recording: RecordingId,
    /// Its place among the recording's chunks.
    pub(super) index: usize,
    pub(super) chunk: Bytes,
}

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) item: Item,
    extent: Extent,
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) items: VecDeque<Item>,
    pub(super) bytes: u64,
    pub(super) since: Option<Instant>,
    pub(super) urgent: bool,
}

#[derive(Debug)]
pub(super) struct Writing {
    ticket: u64,
    pub(super) segment: u64,
    pub(super) stored: Vec<Stored>,
}

#[derive(Debug)]
pub(super) struct Syncing {
    ticket: u64,
    pub(super) segment: u64,
    chunks: usize,
}

#[derive(Debug)]
pub(super) struct Retry {
    pub(super) at: Option<Instant>,
    pub(super) pause: Duration,
}

impl Journal {
    /// Starts a write if one is due and none is under way.
    pub(super) fn write(&mut self) -> Option<Output> {
        if self.writing.is_some() || self.write_due()? > self.now {
            return None;
        }
        if self.current.end >= self.config.segment_bytes_max {
            // What the old segment still has to sync is synced first.
            if !self.written.is_empty() || self.syncing.is_some() {
                return None;
            }
            self.close(0);
        }
        let (segment, offset) = (self.current.number, self.current.end);
        let mut stored = Vec::new();
        while let Some(item) = self.waiting.items.front() {
            let bytes = item.chunk.len() as u64;
            let full = self.current.end - offset + bytes > WRITE_BYTES_MAX;
            if !stored.is_empty() && (full || stored.len() == WRITE_CHUNKS_MAX) {
                break;
            }
            let extent = Extent { segment, offset: self.current.end, bytes: bytes as u32 };
            let item = self.waiting.items.pop_front().expect("there is a front");
            self.waiting.bytes -= bytes;
            self.current.end += bytes;
            stored.push(Stored { item, extent });
        }
        if self.waiting.items.is_empty() {
            self.waiting = Waiting::default();
        }
        let chunks = stored.iter().map(|stored| stored.item.chunk.clone()).collect();
        let ticket = self.ticket();
        self.writing = Some(Writing { ticket, segment, stored });
        Some(Output::Write { ticket, segment, offset, chunks })
    }

    /// Starts a sync if something was written and none is under way.
    pub(super) fn sync(&mut self) -> Option<Output> {
        if self.syncing.is_some() || self.written.is_empty() {
            return None;
        }
        let (ticket, segment) = (self.ticket(), self.current.number);
        self.syncing = Some(Syncing { ticket, segment, chunks: self.written.len() });
        Some(Output::Sync { ticket, segment })
    }

    pub(super) fn on_written(&mut self, ticket: u64) {
        let Some(writing) = self.writing.take_if(|writing| writing.ticket == ticket) else {
            return;
        };
        if writing.segment == self.current.number {
            self.written.extend(writing.stored);
        } else {
            // The segment was given up meanwhile.
            self.write_again(writing.stored);
        }
    }

    pub(super) fn on_write_failed(&mut self, ticket: u64) {
        let Some(writing) = self.writing.take_if(|writing| writing.ticket == ticket) else {
            return;
        };
        if writing.segment == self.current.number {
            self.give_up_segment();
        }
        self.write_again(writing.stored);
    }

    pub(super) fn on_synced(&mut self, ticket: u64) {
        let Some(syncing) = self.syncing.take_if(|syncing| syncing.ticket == ticket) else {
            return;
        };
        if syncing.segment != self.current.number {
            return;
        }
        self.retry = Retry { at: None, pause: WRITE_RETRY_MIN };
        for Stored { item, extent } in self.written.drain(..syncing.chunks) {
            self.backlog_bytes -= item.chunk.len() as u64;
            self.current.needed += 1;
            let tracked = self
                .recordings
                .get_mut(&item.recording)
                .expect("a recording is forgotten only after all of it was durable");
            tracked.extents[item.index] = extent;
            tracked.durable += 1;
            if tracked.complete && tracked.durable == tracked.extents.len() {
                let extents = tracked.extents.clone();
                let recording = item.recording;
                self.outbox.push_back(Output::Durable { recording, extents });
            }
        }
    }

    pub(super) fn on_sync_failed(&mut self, ticket: u64) {
        let Some(syncing) = self.syncing.take_if(|syncing| syncing.ticket == ticket) else {
            return;
        };
        if syncing.segment == self.current.number {
            self.give_up_segment();
        }
    }

    /// Writes what the current segment does not safely hold to a new one, after a pause.
    fn give_up_segment(&mut self) {
        let written = std::mem::take(&mut self.written);
        self.write_again(written);
        self.close(self.items);
        self.retry.at = Some(self.now + self.retry.pause);
        self.retry.pause = (self.retry.pause * 2).min(WRITE_RETRY_MAX);
    }

    fn write_again(&mut self, stored: impl IntoIterator<Item = Stored>) {
        for Stored { item, .. } in stored {
            self.waiting.bytes += item.chunk.len() as u64;
            self.waiting.items.push_back(item);
        }
        self.waiting.items.make_contiguous().sort_by_key(|item| item.number);
        if !self.waiting.items.is_empty() {
            self.waiting.since.get_or_insert(self.now);
            self.waiting.urgent = true;
        }
    }

    /// When the next write is due; `None`: nothing waits.
    pub(super) fn write_due(&self) -> Option<Instant> {
        let since = self.waiting.since?;
        let gathered = self.waiting.urgent || self.waiting.bytes >= WRITE_BYTES_MAX;
        let due = if gathered { since } else { since + self.config.commit_interval / 2 };
        Some(self.retry.at.map_or(due, |retry| retry.max(due)))
    }
}
