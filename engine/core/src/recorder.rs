//! What of a call goes into its recording.
//!
//! In: packets in order, keys, the seal. Out: chunks, and whether the message is full. Media time
//! starts at the first packet that is kept. Knows nothing of greetings, timers or the caller.

use std::time::Duration;

use bytes::Bytes;

use crate::codec::Codec;
use crate::jitter::Released;
use crate::limits::{CHUNK_FLUSH_BYTES, DIGITS_MAX, RECORDING_MAX};
use crate::recording::{ChunkWriter, Opened, Sealed};
use crate::time::RtpTicks;

/// The recording of one call.
#[derive(Debug)]
pub struct Recorder {
    codec: Codec,
    writer: ChunkWriter,
    limit: RtpTicks,
    origin: Option<RtpTicks>,
    end: RtpTicks,
    frames: u32,
    digits: u32,
}

impl Recorder {
    /// A recording that holds its opening and no sound. `limit` counts in media time.
    pub fn new(opened: &Opened, limit: Duration) -> Self {
        let mut writer = ChunkWriter::new(opened.recording, OPENING_BYTES);
        writer.open(opened);
        let nanos = limit.min(RECORDING_MAX).as_nanos();
        let ticks = nanos * u128::from(opened.codec.clock_hz()) / 1_000_000_000;
        Self {
            codec: opened.codec,
            writer,
            limit: RtpTicks(ticks as u64),
            origin: None,
            end: RtpTicks(0),
            frames: 0,
            digits: 0,
        }
    }

    /// Keeps a packet of sound if it starts before the limit. Packets without octets hold no
    /// sound and are left out.
    pub fn keep(&mut self, released: &Released) {
        if released.payload.is_empty() {
            return;
        }
        let origin = *self.origin.get_or_insert(released.ticks);
        let start = released.ticks.0.saturating_sub(origin.0);
        if start >= self.limit.0 {
            self.end = self.limit;
            return;
        }
        self.writer.frame(RtpTicks(start), released.after_silence, &released.payload);
        self.end = RtpTicks((start + released.duration.0).min(self.limit.0));
        self.frames += 1;
    }

    /// Keeps a key press; beyond [`DIGITS_MAX`] they are dropped.
    pub fn key(&mut self, ticks: RtpTicks, key: char) {
        if self.digits < DIGITS_MAX {
            let start = ticks.0.saturating_sub(self.origin.map_or(ticks.0, |origin| origin.0));
            self.writer.digit(RtpTicks(start.min(self.limit.0)), key);
            self.digits += 1;
        }
    }

    /// Whether the limit is reached: nothing that comes now could be kept.
    pub const fn is_full(&self) -> bool {
        self.end.0 >= self.limit.0
    }

    /// Length in media time, at most the limit.
    pub const fn duration(&self) -> RtpTicks {
        self.end
    }

    /// The same in milliseconds.
    pub const fn duration_ms(&self) -> u64 {
        self.end.to_millis(self.codec.clock_hz())
    }

    /// Frames kept so far.
    pub const fn frames(&self) -> u32 {
        self.frames
    }

    /// Where the next packet's octets will be written.
    pub fn next_octets(&self) -> *const u8 {
        self.writer.next_octets()
    }

    /// Whether so much waits that it should not wait for the next commit.
    pub fn is_heavy(&self) -> bool {
        self.writer.pending_bytes() >= CHUNK_FLUSH_BYTES
    }

    /// What waits, as a chunk.
    pub fn flush(&mut self) -> Option<Bytes> {
        // The next interval most likely brings what this one brought.
        let pending = self.writer.pending_bytes();
        self.writer.finish((pending + pending / 8).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_HINT_MAX))
    }

    /// The last chunk, with the seal at its end.
    pub fn seal(&mut self, sealed: &Sealed) -> Bytes {
        self.writer.seal(sealed);
        self.writer.finish(0).expect("a seal waits")
    }
}

const OPENING_BYTES: usize = 192;
const CHUNK_BYTES_MIN: usize = 512;
const CHUNK_BYTES_HINT_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Caller;
    use crate::id::{MailboxId, RecordingId};
    use crate::jitter::Seq;
    use crate::recording::{Entry, chunks};
    use crate::text::LanguageChoice;
    use crate::time::{Instant, WallTime};

    fn opened() -> Opened {
        Opened {
            recording: RecordingId::from_u128(1),
            mailbox: MailboxId::from_u128(2),
            caller: Caller::Withheld,
            codec: Codec::Pcmu,
            language: LanguageChoice::Detect,
            answered_at: WallTime::from_unix_millis(0),
        }
    }

    fn released(ticks: u64, octets: usize) -> Released {
        Released {
            seq: Seq(0),
            arrival: Instant::default(),
            payload_type: 0,
            marker: false,
            timestamp: 0,
            ticks: RtpTicks(ticks),
            duration: RtpTicks(octets as u64),
            after_silence: false,
            payload: vec![7; octets].into(),
        }
    }

    #[test]
    fn frame_that_starts_before_the_limit_is_kept_and_one_at_it_is_not() {
        let limit = Duration::from_millis(100);
        let mut recorder = Recorder::new(&opened(), limit);
        recorder.keep(&released(5_000, 160));
        recorder.keep(&released(5_799, 160));
        assert_eq!((recorder.frames(), recorder.duration()), (2, RtpTicks(800)));
        let mut recorder = Recorder::new(&opened(), limit);
        recorder.keep(&released(5_000, 160));
        assert!(!recorder.is_full());
        recorder.keep(&released(5_800, 160));
        assert_eq!((recorder.frames(), recorder.duration()), (1, RtpTicks(800)));
        assert!(recorder.is_full());
    }

    #[test]
    fn limit_never_exceeds_the_services() {
        let recorder = Recorder::new(&opened(), Duration::from_hours(1));
        assert_eq!(recorder.limit, RtpTicks(480_000));
    }

    #[test]
    fn empty_packets_hold_nothing() {
        let mut recorder = Recorder::new(&opened(), RECORDING_MAX);
        recorder.keep(&released(0, 0));
        assert_eq!(recorder.frames(), 0);
    }

    #[test]
    fn keys_are_kept_up_to_the_limit_and_not_one_more() {
        let mut recorder = Recorder::new(&opened(), RECORDING_MAX);
        for _ in 0..=DIGITS_MAX {
            recorder.key(RtpTicks(9), '1');
        }
        let entries: Vec<_> = chunks(recorder.flush().unwrap())
            .flat_map(|chunk| chunk.unwrap().entries())
            .collect::<Result<_, _>>()
            .unwrap();
        let keys = entries.iter().filter(|entry| matches!(entry, Entry::Digit { .. })).count();
        assert_eq!(keys, DIGITS_MAX as usize);
    }
}
