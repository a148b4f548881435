//! The recording's bytes: one format for the journal, the live lane and the recording file.
//!
//! A recording is a run of **chunks**. A chunk holds everything that one call recorded between
//! two commits, with its own checksum, so that the shard writes it to the journal, offers it to
//! the engine and later strings it into the recording file without touching its bytes:
//!
//! ```text
//! chunk  = magic "RSC1" · body_bytes u32 · recording u128 · number u32 · crc32 u32 · entry*
//! entry  = kind u8 · flags u8 · len u16 · ticks u32 · body[len]
//! ```
//!
//! Everything is little-endian. `crc32` (IEEE) covers the header without itself, then the body.
//! Chunk 0 starts with an `Opened` entry; the last one ends with `Sealed`.
//! `ticks` is media time since the first recorded packet, in the codec's RTP clock.

mod chunk;
mod entry;

use crate::caller::Caller;
use crate::codec::Codec;
use crate::id::{MailboxId, RecordingId};
use crate::text::LanguageChoice;
use crate::time::{RtpTicks, WallTime};

pub(crate) use self::chunk::MAGIC;
pub use self::chunk::{CHUNK_HEADER_BYTES, Chunk, ChunkError, ChunkWriter, chunks};
pub use self::entry::{Entries, Entry, Frame};

/// What is known when a call is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The recording.
    pub recording: RecordingId,
    /// Whose mailbox.
    pub mailbox: MailboxId,
    /// Who called.
    pub caller: Caller,
    /// How the payload is coded.
    pub codec: Codec,
    /// Language of recognition.
    pub language: LanguageChoice,
    /// When the call was answered.
    pub answered_at: WallTime,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The caller hung up (BYE).
    HungUp,
    /// The message is full (S16).
    Full,
    /// The caller pressed `#`.
    Pound,
    /// Quiet for as long as the mailbox allows.
    Quiet,
    /// No packet for 30 s.
    SilentLine,
    /// The service stopped and drained the call.
    Stopped,
    /// The disk could not take more.
    DiskFull,
    /// Found unfinished after a crash, sealed as far as it was readable.
    Recovered,
}

impl EndReason {
    const ALL: [Self; 8] = [
        Self::HungUp,
        Self::Full,
        Self::Pound,
        Self::Quiet,
        Self::SilentLine,
        Self::Stopped,
        Self::DiskFull,
        Self::Recovered,
    ];

    /// Stable name for APIs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HungUp => "hung_up",
            Self::Full => "full",
            Self::Pound => "pound",
            Self::Quiet => "quiet",
            Self::SilentLine => "silent_line",
            Self::Stopped => "stopped",
            Self::DiskFull => "disk_full",
            Self::Recovered => "recovered",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The recording.
    pub recording: RecordingId,
    /// Why it ended.
    pub reason: EndReason,
    /// When.
    pub ended_at: WallTime,
    /// How many frames it holds.
    pub frames: u32,
    /// Its length in media time: end of the last frame, at most the limit.
    pub duration: RtpTicks,
    /// Milliseconds from the answer to the end of the call, greeting included: what forwarding
    /// is charged by (S22–S23). Counted by the media clock of the shell.
    pub call_ms: u64,
    /// Packets that never came.
    pub lost: u32,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::private::Private;
    use crate::text::Language;

    fn opened() -> Opened {
        Opened {
            recording: RecordingId::from_u128(7),
            mailbox: MailboxId::from_u128(9),
            caller: Caller::Number(Private::new("+819012345678".to_owned())),
            codec: Codec::Pcmu,
            language: LanguageChoice::Fixed(Language::Japanese),
            answered_at: WallTime::from_unix_millis(1_700_000_000_000),
        }
    }

    fn sealed() -> Sealed {
        Sealed {
            recording: RecordingId::from_u128(7),
            reason: EndReason::HungUp,
            ended_at: WallTime::from_unix_millis(1_700_000_001_000),
            frames: 2,
            duration: RtpTicks(320),
            call_ms: 1_000,
            lost: 1,
        }
    }

    fn recording() -> (Bytes, Vec<Bytes>) {
        let mut writer = ChunkWriter::new(RecordingId::from_u128(7), 64);
        writer.open(&opened());
        writer.frame(RtpTicks(0), true, &[1; 160]);
        let first = writer.finish(64).unwrap();
        writer.frame(RtpTicks(160), false, &[2; 160]);
        writer.digit(RtpTicks(320), '#');
        writer.seal(&sealed());
        let second = writer.finish(64).unwrap();
        assert_eq!(writer.finish(64), None);
        ([first.as_ref(), second.as_ref()].concat().into(), vec![first, second])
    }

    #[test]
    fn a_recording_reads_back_what_was_written() {
        let (file, _) = recording();
        let chunks: Vec<_> = chunks(file).collect::<Result<_, _>>().unwrap();
        assert_eq!(chunks.iter().map(|c| c.number).collect::<Vec<_>>(), [0, 1]);
        let entries: Vec<_> =
            chunks.iter().flat_map(Chunk::entries).collect::<Result<_, _>>().unwrap();
        let frame = |ticks, after_silence, byte| {
            let payload = Bytes::from(vec![byte; 160]);
            Entry::Frame(Frame { ticks: RtpTicks(ticks), after_silence, payload })
        };
        assert_eq!(
            entries,
            [
                Entry::Opened(opened()),
                frame(0, true, 1),
                frame(160, false, 2),
                Entry::Digit { ticks: RtpTicks(320), digit: '#' },
                Entry::Sealed(sealed()),
            ]
        );
    }

    #[test]
    fn a_chunk_serves_again_once_nobody_holds_it_and_not_before() {
        let mut writer = ChunkWriter::new(opened().recording, 1_000);
        let mut chunk = |octet: u8| {
            writer.frame(RtpTicks(0), false, &[octet; 700]);
            writer.finish(1_000).unwrap()
        };
        let first = chunk(1);
        let place = first.as_ptr();
        let second = chunk(2);
        drop(first);
        let third = chunk(3);
        assert_ne!(third.as_ptr(), place, "it was still held when the next was begun");
        let place = third.as_ptr();
        drop(third);
        let fourth = chunk(4);
        let fifth = chunk(5);
        assert_eq!(fifth.as_ptr(), place, "nobody held it when the fourth was finished");
        for (octet, chunk) in [(2, second), (4, fourth), (5, fifth)] {
            assert!(chunk.ends_with(&[octet; 700]), "what is held keeps its octets");
        }
    }

    #[test]
    fn any_single_flipped_bit_is_noticed() {
        let (_, parts) = recording();
        for at in 0..parts[0].len() {
            let mut bytes = parts[0].to_vec();
            bytes[at] ^= 0x10;
            let mut bytes = Bytes::from(bytes);
            let before = bytes.clone();
            assert!(Chunk::take(&mut bytes).is_err(), "byte {at}");
            assert_eq!(bytes, before);
        }
    }

    #[test]
    fn a_torn_tail_keeps_what_came_before() {
        let (file, parts) = recording();
        for cut in parts[0].len()..file.len() {
            let whole = chunks(file.slice(..cut)).flatten().count();
            assert_eq!(whole, 1, "cut at {cut}");
        }
    }
}
