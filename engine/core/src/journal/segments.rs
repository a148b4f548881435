//! The journal's segments: when one is closed, and when nothing needs it any more.
//!
//! In: acknowledgements, what is still on its way to the disk. Out: removals. Knows nothing of
//! how bytes get into a segment (that is `commit`).

use super::{Journal, Output, Tracked};
use crate::id::RecordingId;

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) end: u64,
    /// Durable chunks here whose recordings are not acknowledged.
    pub(super) needed: u64,
}

#[derive(Debug)]
pub(super) struct Closed {
    needed: u64,
    /// Chunks before this one may lie only here until they are durable elsewhere.
    keep_until: u64,
}

impl Journal {
    /// Closes the current segment and begins the next.
    pub(super) fn close(&mut self, keep_until: u64) {
        let next = Segment { number: self.current.number + 1, end: 0, needed: 0 };
        let Segment { number, needed, .. } = std::mem::replace(&mut self.current, next);
        self.closed.insert(number, Closed { needed, keep_until });
    }

    pub(super) fn forget(&mut self, recording: RecordingId) {
        for recordings in self.adopted.values_mut() {
            recordings.remove(&recording);
        }
        let whole =
            |tracked: &Tracked| tracked.complete && tracked.durable == tracked.extents.len();
        if !self.recordings.get(&recording).is_some_and(whole) {
            return;
        }
        let tracked = self.recordings.remove(&recording).expect("it was there a moment ago");
        for extent in tracked.extents {
            if extent.segment == self.current.number {
                self.current.needed -= 1;
            } else if let Some(closed) = self.closed.get_mut(&extent.segment) {
                closed.needed -= 1;
            }
        }
    }

    /// Removes segments that nothing needs. When nothing at all is under way the current one
    /// goes too: no caller's voice stays behind on the disk.
    pub(super) fn collect(&mut self) {
        let is_quiet = self.writing.is_none() && self.syncing.is_none();
        if self.recordings.is_empty() && is_quiet && self.current.end > 0 {
            self.close(0);
        }
        let undurable = [
            self.written.front().map(|stored| stored.item.number),
            self.writing.iter().flat_map(|w| &w.stored).map(|stored| stored.item.number).next(),
            self.waiting.items.front().map(|item| item.number),
        ];
        let oldest = undurable.into_iter().flatten().min().unwrap_or(self.items);
        let writing = self.writing.as_ref().map(|writing| writing.segment);
        let syncing = self.syncing.as_ref().map(|syncing| syncing.segment);
        let outbox = &mut self.outbox;
        self.closed.retain(|&segment, closed| {
            let busy = writing == Some(segment) || syncing == Some(segment);
            let stays = busy || closed.needed > 0 || closed.keep_until > oldest;
            if !stays {
                outbox.push_back(Output::Remove { segment });
            }
            stays
        });
        self.adopted.retain(|&segment, recordings| {
            if recordings.is_empty() {
                outbox.push_back(Output::Remove { segment });
            }
            !recordings.is_empty()
        });
    }
}
