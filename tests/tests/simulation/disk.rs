//! A disk that is slow, fails, forgets what was not synced, and tears its last writes.

use std::collections::BTreeMap;

use bytes::Bytes;
use engine_core::journal::Extent;
use rand::Rng;
use rand::rngs::StdRng;

use crate::caller::MS;

/// How a disk misbehaves, until it gets well again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Health {
    pub(crate) write_fails: f64,
    pub(crate) sync_fails: f64,
    pub(crate) latency_max: u64,
    pub(crate) well_from: u64,
}

#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) health: Health,
    segments: BTreeMap<u64, Segment>,
    under_way: BTreeMap<u64, Request>,
    /// Everywhere that a chunk was ever meant to lie.
    places: BTreeMap<(u128, u32), Vec<Extent>>,
    pub(crate) failed_writes: u64,
    pub(crate) failed_syncs: u64,
}

#[derive(Debug, Default)]
struct Segment {
    data: Vec<u8>,
    synced: usize,
}

#[derive(Debug)]
enum Request {
    Write { segment: u64, offset: usize, bytes: Vec<u8> },
    Sync { segment: u64, up_to: usize },
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Written,
    WriteFailed,
    Synced,
    SyncFailed,
}

impl Disk {
    pub(crate) fn new(health: Health) -> Self {
        Self {
            health,
            segments: BTreeMap::new(),
            under_way: BTreeMap::new(),
            places: BTreeMap::new(),
            failed_writes: 0,
            failed_syncs: 0,
        }
    }

    /// How long the next request takes.
    pub(crate) fn latency(&self, rng: &mut StdRng, now: u64) -> u64 {
        let max = if now < self.health.well_from { self.health.latency_max } else { 20 * MS };
        rng.random_range(MS / 10..max)
    }

    pub(crate) fn write(&mut self, ticket: u64, segment: u64, offset: u64, chunks: &[Bytes]) {
        let mut at = offset;
        for chunk in chunks {
            let place = Extent { segment, offset: at, bytes: chunk.len() as u32 };
            self.places.entry(name(chunk)).or_default().push(place);
            at += chunk.len() as u64;
        }
        let bytes = chunks.concat();
        self.segments.entry(segment).or_default();
        self.under_way.insert(ticket, Request::Write { segment, offset: offset as usize, bytes });
    }

    pub(crate) fn sync(&mut self, ticket: u64, segment: u64) {
        let up_to = self.segments[&segment].data.len();
        self.under_way.insert(ticket, Request::Sync { segment, up_to });
    }

    pub(crate) fn finish(&mut self, rng: &mut StdRng, now: u64, ticket: u64) -> Answer {
        let ill = now < self.health.well_from;
        let request = self.under_way.remove(&ticket).expect("the request is under way");
        match request {
            Request::Write { segment, offset, bytes } => {
                let fails = ill && rng.random_bool(self.health.write_fails);
                let done = if fails { rng.random_range(0..=bytes.len()) } else { bytes.len() };
                self.segment(segment).put(offset, &bytes[..done]);
                if fails {
                    self.failed_writes += 1;
                    return Answer::WriteFailed;
                }
                Answer::Written
            }
            Request::Sync { segment, up_to } => {
                let fails = ill && rng.random_bool(self.health.sync_fails);
                let forgets = rng.random_bool(0.5);
                let segment = self.segment(segment);
                if fails {
                    // A failed fsync may have dropped the pages.
                    if forgets {
                        let synced = segment.synced;
                        segment.data[synced..].fill(0);
                    }
                    self.failed_syncs += 1;
                    return Answer::SyncFailed;
                }
                segment.synced = segment.synced.max(up_to);
                Answer::Synced
            }
        }
    }

    pub(crate) fn read(&self, extents: &[Extent]) -> Bytes {
        let mut bytes = Vec::new();
        for extent in extents {
            let start = extent.offset as usize;
            let end = start + extent.bytes as usize;
            let segment = &self.segments[&extent.segment];
            assert!(end <= segment.synced, "a durable extent is synced");
            bytes.extend_from_slice(&segment.data[start..end]);
        }
        bytes.into()
    }

    pub(crate) fn remove(&mut self, segment: u64) {
        assert!(self.segments.remove(&segment).is_some(), "a segment is removed once");
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The machine dies: what was not synced is there in part, or not, or is garbage.
    pub(crate) fn crash(&mut self, rng: &mut StdRng) -> Vec<(u64, Bytes)> {
        for (_, request) in std::mem::take(&mut self.under_way) {
            if let Request::Write { segment, offset, bytes } = request {
                let done = rng.random_range(0..=bytes.len());
                self.segment(segment).put(offset, &bytes[..done]);
            }
        }
        for segment in self.segments.values_mut() {
            let keeps = rng.random_range(segment.synced..=segment.data.len());
            segment.data.truncate(keeps);
            if rng.random_bool(0.3) {
                let garbage = rng.random_range(0..300);
                segment.data.extend((0..garbage).map(|_| rng.random::<u8>()));
            }
        }
        self.segments.iter().map(|(&n, segment)| (n, segment.data.clone().into())).collect()
    }

    /// Whether the chunk lies whole somewhere in what is left.
    pub(crate) fn holds(&self, chunk: &Bytes) -> bool {
        let places = self.places.get(&name(chunk)).map_or(&[][..], Vec::as_slice);
        places.iter().any(|place| {
            let start = place.offset as usize;
            self.segments
                .get(&place.segment)
                .and_then(|segment| segment.data.get(start..start + place.bytes as usize))
                .is_some_and(|bytes| bytes == chunk)
        })
    }

    /// Whether a segment that was meant to hold the chunk has been removed.
    pub(crate) fn removed(&self, chunk: &Bytes) -> bool {
        let places = self.places.get(&name(chunk)).map_or(&[][..], Vec::as_slice);
        places.iter().any(|place| !self.segments.contains_key(&place.segment))
    }

    fn segment(&mut self, segment: u64) -> &mut Segment {
        self.segments.get_mut(&segment).expect("nobody removes a segment that is in use")
    }
}

impl Segment {
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        if self.data.len() < offset + bytes.len() {
            self.data.resize(offset + bytes.len(), 0);
        }
        self.data[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

/// Recording and number, from the chunk's header.
fn name(chunk: &Bytes) -> (u128, u32) {
    let recording = u128::from_le_bytes(chunk[8..24].try_into().expect("16 bytes"));
    (recording, u32::from_le_bytes(chunk[24..28].try_into().expect("4 bytes")))
}
