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

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::caller::Caller;
use crate::codec::Codec;
use crate::id::{MailboxId, RecordingId};
use crate::text::{Language, LanguageChoice};
use crate::time::{RtpTicks, WallTime};

/// Bytes of a chunk's header.
pub const CHUNK_HEADER_BYTES: usize = 32;
/// What every chunk starts with.
pub(crate) const MAGIC: [u8; 4] = *b"RSC1";
const ENTRY_HEADER_BYTES: usize = 8;
const CRC_AT: usize = 28;

const KIND_OPENED: u8 = 1;
const KIND_FRAME: u8 = 2;
const KIND_DIGIT: u8 = 3;
const KIND_SEALED: u8 = 4;
const FLAG_MARKER: u8 = 1;

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

/// One entry of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The call was answered.
    Opened(Opened),
    /// Sound: one RTP payload.
    Frame(Frame),
    /// The caller pressed a key (RFC 4733 event 0–15).
    Digit {
        /// When.
        ticks: RtpTicks,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// The recording ended.
    Sealed(Sealed),
}

/// One RTP payload at its place in media time. A hole between frames is loss or silence; the
/// decoder fills it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Media time of its first sample.
    pub ticks: RtpTicks,
    /// First packet after silence: the hole before it is silence, not loss.
    pub after_silence: bool,
    /// The payload as it came.
    pub payload: Bytes,
}

/// Bytes that are not a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// Fewer bytes than the chunk says it has: the tail of a torn write.
    #[error("the chunk is cut off: {have} of {want} bytes")]
    Cut {
        /// Bytes there.
        have: usize,
        /// Bytes that should be there.
        want: usize,
    },
    /// Not the start of a chunk.
    #[error("no chunk starts here")]
    NoMagic,
    /// Damaged.
    #[error("the chunk's checksum is wrong")]
    Checksum,
    /// Whole, yet nothing this version writes.
    #[error("the chunk holds an entry that cannot be read: {why}")]
    Entry {
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A chunk, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Whose recording it is part of.
    pub recording: RecordingId,
    /// Its place in the recording, from 0.
    pub number: u32,
    /// The entries, still packed; views into the chunk.
    body: Bytes,
}

/// Builds the chunks of one recording.
#[derive(Debug)]
pub struct ChunkWriter {
    recording: RecordingId,
    number: u32,
    buffer: BytesMut,
}

impl ChunkWriter {
    /// A writer at chunk 0. `bytes_hint` is how much one commit interval brings.
    pub fn new(recording: RecordingId, bytes_hint: usize) -> Self {
        Self::resume(recording, 0, bytes_hint)
    }

    /// A writer that goes on behind the chunks before `number`.
    pub fn resume(recording: RecordingId, number: u32, bytes_hint: usize) -> Self {
        let mut writer = Self { recording, number, buffer: BytesMut::with_capacity(bytes_hint) };
        writer.buffer.put_bytes(0, CHUNK_HEADER_BYTES);
        writer
    }

    /// Bytes that wait to be finished into a chunk.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - CHUNK_HEADER_BYTES
    }

    /// Adds the opening entry.
    pub fn open(&mut self, opened: &Opened) {
        self.entry(KIND_OPENED, 0, 0, |buffer| {
            buffer.put_u128_le(opened.recording.as_u128());
            buffer.put_u128_le(opened.mailbox.as_u128());
            buffer.put_u8(opened.codec.code());
            buffer.put_i64_le(opened.answered_at.as_unix_millis());
            put_text(buffer, language_name(opened.language));
            put_text(buffer, opened.caller.kind());
            put_text(buffer, opened.caller.number().unwrap_or(""));
        });
    }

    /// Adds sound: the one copy of the payload between receive buffer and disk.
    pub fn frame(&mut self, ticks: RtpTicks, after_silence: bool, payload: &[u8]) {
        let flags = if after_silence { FLAG_MARKER } else { 0 };
        self.entry(KIND_FRAME, flags, ticks.0 as u32, |buffer| buffer.put_slice(payload));
    }

    /// Adds a key press.
    pub fn digit(&mut self, ticks: RtpTicks, digit: char) {
        self.entry(KIND_DIGIT, 0, ticks.0 as u32, |buffer| buffer.put_u8(digit as u8));
    }

    /// Adds the closing entry.
    pub fn seal(&mut self, sealed: &Sealed) {
        self.entry(KIND_SEALED, 0, sealed.duration.0 as u32, |buffer| {
            buffer.put_u128_le(sealed.recording.as_u128());
            buffer.put_i64_le(sealed.ended_at.as_unix_millis());
            buffer.put_u32_le(sealed.frames);
            buffer.put_u64_le(sealed.call_ms);
            buffer.put_u32_le(sealed.lost);
            put_text(buffer, sealed.reason.name());
        });
    }

    /// Finishes what waits into a chunk; `None` when nothing waits. `bytes_hint` sizes the next.
    pub fn finish(&mut self, bytes_hint: usize) -> Option<Bytes> {
        if self.pending_bytes() == 0 {
            return None;
        }
        let mut chunk = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(bytes_hint));
        self.buffer.put_bytes(0, CHUNK_HEADER_BYTES);
        let body_bytes = (chunk.len() - CHUNK_HEADER_BYTES) as u32;
        chunk[0..4].copy_from_slice(&MAGIC);
        chunk[4..8].copy_from_slice(&body_bytes.to_le_bytes());
        chunk[8..24].copy_from_slice(&self.recording.as_u128().to_le_bytes());
        chunk[24..28].copy_from_slice(&self.number.to_le_bytes());
        let crc = checksum(&chunk);
        chunk[CRC_AT..CHUNK_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        self.number += 1;
        Some(chunk.freeze())
    }

    fn entry(&mut self, kind: u8, flags: u8, ticks: u32, body: impl FnOnce(&mut BytesMut)) {
        let at = self.buffer.len();
        self.buffer.put_u8(kind);
        self.buffer.put_u8(flags);
        self.buffer.put_u16_le(0);
        self.buffer.put_u32_le(ticks);
        body(&mut self.buffer);
        let len = self.buffer.len() - at - ENTRY_HEADER_BYTES;
        let len = u16::try_from(len).expect("payloads are at most PAYLOAD_BYTES_MAX");
        self.buffer[at + 2..at + 4].copy_from_slice(&len.to_le_bytes());
    }
}

impl Chunk {
    /// Takes the chunk at the front of `bytes`, checked; `bytes` moves behind it. On an error
    /// `bytes` is left as it was.
    pub fn take(bytes: &mut Bytes) -> Result<Self, ChunkError> {
        if bytes.len() < CHUNK_HEADER_BYTES {
            return Err(ChunkError::Cut { have: bytes.len(), want: CHUNK_HEADER_BYTES });
        }
        if bytes[0..4] != MAGIC {
            return Err(ChunkError::NoMagic);
        }
        let mut header = &bytes[4..CHUNK_HEADER_BYTES];
        let body_bytes = header.get_u32_le() as usize;
        let recording = RecordingId::from_u128(header.get_u128_le());
        let number = header.get_u32_le();
        let crc = header.get_u32_le();
        let want = CHUNK_HEADER_BYTES.saturating_add(body_bytes);
        if bytes.len() < want {
            return Err(ChunkError::Cut { have: bytes.len(), want });
        }
        if checksum(&bytes[..want]) != crc {
            return Err(ChunkError::Checksum);
        }
        let chunk = bytes.split_to(want);
        Ok(Self { recording, number, body: chunk.slice(CHUNK_HEADER_BYTES..) })
    }

    /// The entries in order. The checksum held, so an unreadable entry means another version's
    /// file; the iterator ends after it.
    pub fn entries(&self) -> Entries {
        Entries { recording: self.recording, rest: self.body.clone() }
    }
}

/// Iterator over a chunk's entries.
#[derive(Debug)]
pub struct Entries {
    recording: RecordingId,
    rest: Bytes,
}

impl Iterator for Entries {
    type Item = Result<Entry, ChunkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.read();
        if entry.is_err() {
            self.rest.clear();
        }
        Some(entry)
    }
}

impl Entries {
    fn read(&mut self) -> Result<Entry, ChunkError> {
        if self.rest.len() < ENTRY_HEADER_BYTES {
            return Err(ChunkError::Entry { why: "header cut off" });
        }
        let kind = self.rest.get_u8();
        let flags = self.rest.get_u8();
        let len = usize::from(self.rest.get_u16_le());
        let ticks = RtpTicks(u64::from(self.rest.get_u32_le()));
        if self.rest.len() < len {
            return Err(ChunkError::Entry { why: "body cut off" });
        }
        let body = self.rest.split_to(len);
        match kind {
            KIND_OPENED => read_opened(body).map(Entry::Opened),
            KIND_FRAME => Ok(Entry::Frame(Frame {
                ticks,
                after_silence: flags & FLAG_MARKER != 0,
                payload: body,
            })),
            KIND_DIGIT => {
                let digit = body.first().ok_or(ChunkError::Entry { why: "empty digit" })?;
                Ok(Entry::Digit { ticks, digit: char::from(*digit) })
            }
            KIND_SEALED => read_sealed(self.recording, ticks, body).map(Entry::Sealed),
            _ => Err(ChunkError::Entry { why: "unknown kind" }),
        }
    }
}

/// Splits a recording file (or a journal's part) into its chunks; stops at the first error.
pub fn chunks(mut bytes: Bytes) -> impl Iterator<Item = Result<Chunk, ChunkError>> {
    let mut broken = false;
    std::iter::from_fn(move || {
        if broken || bytes.is_empty() {
            return None;
        }
        let chunk = Chunk::take(&mut bytes);
        broken = chunk.is_err();
        Some(chunk)
    })
}

fn checksum(chunk: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&chunk[..CRC_AT]);
    hasher.update(&chunk[CHUNK_HEADER_BYTES..]);
    hasher.finalize()
}

fn language_name(language: LanguageChoice) -> &'static str {
    match language {
        LanguageChoice::Fixed(language) => language.code(),
        LanguageChoice::Detect => "detect",
    }
}

fn put_text(buffer: &mut BytesMut, text: &str) {
    let text = &text.as_bytes()[..text.len().min(255)];
    buffer.put_u8(text.len() as u8);
    buffer.put_slice(text);
}

fn get_text(body: &mut Bytes) -> Result<String, ChunkError> {
    let cut = ChunkError::Entry { why: "text cut off" };
    let len = usize::from(body.try_get_u8().map_err(|_| cut.clone())?);
    if body.len() < len {
        return Err(cut);
    }
    String::from_utf8(body.split_to(len).to_vec())
        .map_err(|_| ChunkError::Entry { why: "text is not UTF-8" })
}

fn read_opened(mut body: Bytes) -> Result<Opened, ChunkError> {
    if body.len() < 41 {
        return Err(ChunkError::Entry { why: "opening cut off" });
    }
    let recording = RecordingId::from_u128(body.get_u128_le());
    let mailbox = MailboxId::from_u128(body.get_u128_le());
    let codec =
        Codec::from_code(body.get_u8()).ok_or(ChunkError::Entry { why: "unknown codec" })?;
    let answered_at = WallTime::from_unix_millis(body.get_i64_le());
    let language = match get_text(&mut body)?.as_str() {
        "detect" => LanguageChoice::Detect,
        code => LanguageChoice::Fixed(
            Language::from_code(code).ok_or(ChunkError::Entry { why: "unknown language" })?,
        ),
    };
    let kind = get_text(&mut body)?;
    let number = get_text(&mut body)?;
    let caller = Caller::from_parts(&kind, Some(&number))
        .ok_or(ChunkError::Entry { why: "unknown kind of caller" })?;
    Ok(Opened { recording, mailbox, caller, codec, language, answered_at })
}

fn read_sealed(
    owner: RecordingId,
    duration: RtpTicks,
    mut body: Bytes,
) -> Result<Sealed, ChunkError> {
    if body.len() < 40 {
        return Err(ChunkError::Entry { why: "seal cut off" });
    }
    let recording = RecordingId::from_u128(body.get_u128_le());
    if recording != owner {
        return Err(ChunkError::Entry { why: "seal of another recording" });
    }
    let ended_at = WallTime::from_unix_millis(body.get_i64_le());
    let frames = body.get_u32_le();
    let call_ms = body.get_u64_le();
    let lost = body.get_u32_le();
    let reason = EndReason::from_name(&get_text(&mut body)?)
        .ok_or(ChunkError::Entry { why: "unknown end reason" })?;
    Ok(Sealed { recording, reason, ended_at, frames, duration, call_ms, lost })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::Private;

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
