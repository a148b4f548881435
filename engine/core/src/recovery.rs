//! Turns the segments that a crash left behind into sealed recordings.
//!
//! In: the bytes of old segments. Out: every recording as far as it is readable without a hole,
//! once, each with a seal. Knows nothing of files, nor of what became of a recording before the
//! crash: whoever takes it over must be idempotent under its id.
//!
//! Damage is skipped by the damaged chunk's own length where the next chunk starts there, and
//! searched for the next chunk otherwise. A search may take sound that imitates a chunk for one, so
//! none is made where the length can be believed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::codec::Codec;
use crate::id::RecordingId;
use crate::limits::{CHUNK_BYTES_MAX, RECORDING_MAX};
use crate::recording::{
    CHUNK_HEADER_BYTES, Chunk, ChunkError, ChunkWriter, EndReason, Entry, MAGIC, Opened, Sealed,
};
use crate::time::{RtpTicks, WallTime};

/// A recording found in old segments.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// From its first chunk.
    pub opened: Opened,
    /// Its `Sealed` entry, or one made here with [`EndReason::Recovered`]. What a made seal cannot
    /// know it understates: the call counts as long as its sound, so nobody pays for a guess.
    pub sealed: Sealed,
    /// All its chunks; a made seal is appended as a chunk of its own, so that the file reads like
    /// any other.
    pub sound: Bytes,
    /// The segments it lies in.
    pub segments: Vec<u64>,
}

/// What a recovery saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecoveryReport {
    /// Chunks that were whole, copies included.
    pub chunks: u64,
    /// Bytes that were no chunk.
    pub damaged_bytes: u64,
    /// Chunks left out because one before them is missing.
    pub orphaned_chunks: u64,
}

/// Reads old segments (number, bytes), oldest first. Torn tails, damaged chunks and chunks
/// whose predecessors are missing are left out and counted; the scan goes on behind damage at the
/// next chunk. A chunk that was written twice counts once. The result is in order of ids.
pub fn recover(segments: &[(u64, Bytes)]) -> (Vec<Recovered>, RecoveryReport) {
    let mut report = RecoveryReport::default();
    let mut found = BTreeMap::<RecordingId, Found>::new();
    for (segment, bytes) in segments {
        scan(bytes.clone(), &mut report, |chunk, raw| {
            let found = found.entry(chunk.recording).or_default();
            found.segments.insert(*segment);
            found.chunks.entry(chunk.number).or_insert((chunk, raw));
        });
    }
    let recovered = found.into_values().filter_map(|found| found.assemble(&mut report)).collect();
    (recovered, report)
}

#[derive(Default)]
struct Found {
    chunks: BTreeMap<u32, (Chunk, Bytes)>,
    segments: BTreeSet<u64>,
}

/// Calls `found` with every whole chunk.
fn scan(mut rest: Bytes, report: &mut RecoveryReport, mut found: impl FnMut(Chunk, Bytes)) {
    while !rest.is_empty() {
        let before = rest.clone();
        match Chunk::take(&mut rest) {
            Ok(chunk) => {
                report.chunks += 1;
                let bytes = before.len() - rest.len();
                found(chunk, before.slice(..bytes));
            }
            Err(error) => {
                let skip = damage(&rest, &error);
                report.damaged_bytes += skip as u64;
                rest = rest.slice(skip..);
            }
        }
    }
}

/// Bytes to the next place where a chunk may start.
fn damage(bytes: &Bytes, error: &ChunkError) -> usize {
    if *error == ChunkError::Checksum {
        let body = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let end = CHUNK_HEADER_BYTES.saturating_add(body as usize);
        if end == bytes.len() || bytes.get(end..end + MAGIC.len()) == Some(&MAGIC[..]) {
            return end;
        }
    }
    let mut at = 1;
    while let Some(step) = bytes[at..].iter().position(|&byte| byte == MAGIC[0]) {
        at += step;
        if may_start(&bytes[at..]) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// Whether a chunk of possible length may start here: keeps the search from summing up megabytes
/// for every four bytes that look like a start.
fn may_start(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(..8) else { return bytes.starts_with(&MAGIC) };
    let body = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    header.starts_with(&MAGIC) && body as usize <= CHUNK_BYTES_MAX
}

impl Found {
    /// The recording up to the first hole; `None` without an opening.
    fn assemble(self, report: &mut RecoveryReport) -> Option<Recovered> {
        let total = self.chunks.len() as u64;
        let mut opened = None;
        let mut sealed = None;
        let mut tally = Tally::default();
        let mut parts: Vec<Bytes> = Vec::new();
        for (place, (number, (chunk, raw))) in (0..).zip(self.chunks) {
            let whole = number == place && sealed.is_none();
            let readable = whole.then(|| chunk.entries().collect::<Result<Vec<_>, _>>().ok());
            let Some(Some(entries)) = readable else { break };
            for entry in entries {
                match entry {
                    Entry::Opened(entry) => opened = Some(entry),
                    Entry::Sealed(entry) => sealed = Some(entry),
                    Entry::Frame(frame) => {
                        let codec = opened.as_ref().map(|opened: &Opened| opened.codec);
                        tally.count(codec.unwrap_or(Codec::Pcmu), frame.ticks, &frame.payload);
                    }
                    Entry::Digit { .. } => {}
                }
            }
            if opened.is_none() {
                break;
            }
            parts.push(raw);
        }
        report.orphaned_chunks += total - parts.len() as u64;
        let opened = opened.filter(|_| !parts.is_empty())?;
        let sealed = sealed.unwrap_or_else(|| {
            let sealed = tally.seal(&opened);
            let number = parts.len() as u32;
            let mut writer = ChunkWriter::resume(opened.recording, number, SEAL_BYTES);
            writer.seal(&sealed);
            parts.extend(writer.finish(0));
            sealed
        });
        let segments = self.segments.into_iter().collect();
        Some(Recovered { opened, sealed, sound: parts.concat().into(), segments })
    }
}

#[derive(Default)]
struct Tally {
    frames: u32,
    end: u64,
}

impl Tally {
    fn count(&mut self, codec: Codec, ticks: RtpTicks, payload: &[u8]) {
        let duration = codec.payload_ticks(payload).unwrap_or(codec.ticks_per_20ms());
        self.frames += 1;
        self.end = self.end.max(ticks.0 + u64::from(duration));
    }

    fn seal(&self, opened: &Opened) -> Sealed {
        let hz = opened.codec.clock_hz();
        let limit = RECORDING_MAX.as_secs() * u64::from(hz);
        let duration = RtpTicks(self.end.min(limit));
        let call_ms = duration.to_millis(hz);
        let ended_at = opened.answered_at.as_unix_millis().saturating_add(call_ms as i64);
        Sealed {
            recording: opened.recording,
            reason: EndReason::Recovered,
            ended_at: WallTime::from_unix_millis(ended_at),
            frames: self.frames,
            duration,
            call_ms,
            lost: 0,
        }
    }
}

const SEAL_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::caller::Caller;
    use crate::id::MailboxId;
    use crate::recording::chunks;
    use crate::text::LanguageChoice;

    fn opened(id: u128) -> Opened {
        Opened {
            recording: RecordingId::from_u128(id),
            mailbox: MailboxId::from_u128(2),
            caller: Caller::Payphone,
            codec: Codec::Pcmu,
            language: LanguageChoice::Detect,
            answered_at: WallTime::from_unix_millis(5_000),
        }
    }

    fn seal(id: u128, frames: u32) -> Sealed {
        Sealed {
            recording: RecordingId::from_u128(id),
            reason: EndReason::HungUp,
            ended_at: WallTime::from_unix_millis(9_000),
            frames,
            duration: RtpTicks(u64::from(frames) * 160),
            call_ms: 4_000,
            lost: 0,
        }
    }

    /// Chunks of a recording: the opening, then one frame each, then perhaps a seal.
    fn recording(id: u128, frames: u32, sealed: bool) -> Vec<Bytes> {
        let mut writer = ChunkWriter::new(RecordingId::from_u128(id), 0);
        writer.open(&opened(id));
        let mut parts = vec![writer.finish(0).unwrap()];
        for n in 0..frames {
            writer.frame(RtpTicks(u64::from(n) * 160), false, &[n as u8; 160]);
            parts.extend(writer.finish(0));
        }
        if sealed {
            writer.seal(&seal(id, frames));
            parts.extend(writer.finish(0));
        }
        parts
    }

    fn check_reads_like_any_other(recovered: &Recovered) {
        let all: Vec<_> = chunks(recovered.sound.clone()).collect::<Result<_, _>>().unwrap();
        assert!(all.iter().zip(0..).all(|(chunk, number)| chunk.number == number));
        let entries: Vec<_> = all.iter().flat_map(Chunk::entries).map(Result::unwrap).collect();
        assert_eq!(entries.first(), Some(&Entry::Opened(recovered.opened.clone())));
        assert_eq!(entries.last(), Some(&Entry::Sealed(recovered.sealed.clone())));
        let frames = entries.iter().filter(|entry| matches!(entry, Entry::Frame(_))).count();
        assert_eq!(recovered.sealed.frames as usize, frames);
    }

    #[test]
    fn sealed_recording_comes_back_as_it_was() {
        let parts = recording(1, 3, true);
        let (recovered, report) = recover(&[(4, parts.concat().into())]);
        assert_eq!(recovered[0].sound, Bytes::from(parts.concat()));
        assert_eq!(recovered[0].sealed, seal(1, 3));
        assert_eq!(recovered[0].segments, [4]);
        assert_eq!(report, RecoveryReport { chunks: 5, damaged_bytes: 0, orphaned_chunks: 0 });
    }

    #[test]
    fn unfinished_recording_is_sealed_where_it_stands() {
        let (recovered, _) = recover(&[(0, recording(1, 3, false).concat().into())]);
        let sealed = &recovered[0].sealed;
        assert_eq!(
            (sealed.reason, sealed.frames, sealed.duration.0),
            (EndReason::Recovered, 3, 480)
        );
        assert_eq!((sealed.call_ms, sealed.ended_at.as_unix_millis()), (60, 5_060));
        check_reads_like_any_other(&recovered[0]);
    }

    #[test]
    fn crash_during_the_greeting_gives_a_message_of_no_length() {
        let (recovered, _) = recover(&[(0, recording(1, 0, false).concat().into())]);
        assert_eq!((recovered[0].sealed.frames, recovered[0].sealed.duration.0), (0, 0));
        check_reads_like_any_other(&recovered[0]);
    }

    #[test]
    fn chunk_behind_a_missing_one_is_an_orphan() {
        let parts = recording(1, 3, true);
        let bytes = [&parts[0][..], &parts[1], &parts[3], &parts[4]].concat();
        let (recovered, report) = recover(&[(0, bytes.into())]);
        assert_eq!(recovered[0].sealed.frames, 1);
        assert_eq!(report.orphaned_chunks, 2);
    }

    #[test]
    fn recording_without_its_opening_is_nothing() {
        let (recovered, report) = recover(&[(0, recording(1, 3, true)[1..].concat().into())]);
        assert!(recovered.is_empty());
        assert_eq!(report.orphaned_chunks, 4);
    }

    #[test]
    fn imitated_chunk_inside_a_damaged_one_is_not_taken() {
        let forged = recording(66, 0, true).concat();
        let mut writer = ChunkWriter::new(RecordingId::from_u128(1), 0);
        writer.open(&opened(1));
        writer.frame(RtpTicks(0), false, &forged);
        let mut first = writer.finish(0).unwrap().to_vec();
        first[CHUNK_HEADER_BYTES + 9] ^= 1;
        let bytes = [first, recording(2, 1, true).concat()].concat();
        let (recovered, _) = recover(&[(0, bytes.into())]);
        let ids: Vec<_> = recovered.iter().map(|r| r.opened.recording.as_u128()).collect();
        assert_eq!(ids, [2]);
    }

    #[test]
    fn noise_full_of_starts_is_read_in_one_sweep() {
        let mut noise = Vec::new();
        while noise.len() < 2_000_000 {
            noise.extend_from_slice(&MAGIC);
            noise.extend_from_slice(&u32::MAX.to_le_bytes());
        }
        let (recovered, report) = recover(&[(0, noise.clone().into())]);
        assert!(recovered.is_empty());
        assert_eq!(report.damaged_bytes, noise.len() as u64);
    }

    #[derive(Debug, Clone)]
    struct Kept {
        copies: u8,
        damaged_at: Option<usize>,
        other_segment: bool,
    }

    proptest! {
        #[test]
        fn what_is_whole_up_to_the_first_hole_comes_back_once(
            shapes in prop::collection::vec((0_u32..8, any::<bool>()), 1..5),
            fates in prop::collection::vec(
                (0_u8..4, prop::option::weighted(0.1, 0_usize..100_000), any::<bool>())
                    .prop_map(|(copies, damaged_at, other_segment)| Kept {
                        copies: if copies == 0 { 2 } else { 1 }, damaged_at, other_segment,
                    }),
                60,
            ),
            torn in 0_usize..200,
        ) {
            let mut segments = [Vec::new(), Vec::new()];
            let mut want = BTreeMap::<u128, u32>::new();
            let mut fate = fates.into_iter().cycle();
            let mut last = None;
            for (id, &(frames, sealed)) in (1_u128..).zip(&shapes) {
                let mut whole = true;
                for (number, part) in (0..).zip(recording(id, frames, sealed)) {
                    let kept = fate.next().unwrap();
                    let segment = usize::from(kept.other_segment);
                    for copy in 0..kept.copies {
                        let mut part = part.to_vec();
                        if let Some(at) = kept.damaged_at.filter(|_| copy == 0) {
                            let at = at % part.len();
                            part[at] ^= 0x55;
                        }
                        segments[segment].extend(part);
                    }
                    whole &= kept.damaged_at.is_none() || kept.copies > 1;
                    if whole {
                        want.insert(id, number + 1);
                    }
                    last = Some(segment);
                }
            }
            // A torn write behind everything, in the segment that was written last.
            let half = recording(99, 1, false).concat();
            segments[last.unwrap()].extend(&half[..torn % 60]);
            let segments = segments.map(Bytes::from);
            let (recovered, _) = recover(&[(0, segments[0].clone()), (1, segments[1].clone())]);
            let mut got = BTreeMap::new();
            for recording in &recovered {
                check_reads_like_any_other(recording);
                let id = recording.opened.recording.as_u128();
                let made = u32::from(recording.sealed.reason == EndReason::Recovered);
                let count = chunks(recording.sound.clone()).count() as u32;
                prop_assert!(got.insert(id, count - made).is_none(), "{id} came twice");
            }
            prop_assert_eq!(got, want);
        }
    }
}
