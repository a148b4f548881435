//! Entries: what a chunk says, byte by byte, written and read.
//!
//! In: an opening, a payload, a key, a seal, or a chunk's checked body. Out: the bytes, or
//! [`Entry`] values. Knows nothing of checksums, nor of which entry may follow which.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{ChunkError, EndReason, Opened, Sealed};
use crate::caller::Caller;
use crate::codec::Codec;
use crate::id::{MailboxId, RecordingId};
use crate::text::{Language, LanguageChoice};
use crate::time::{RtpTicks, WallTime};

const ENTRY_HEADER_BYTES: usize = 8;

pub(super) const KIND_OPENED: u8 = 1;
pub(super) const KIND_FRAME: u8 = 2;
pub(super) const KIND_DIGIT: u8 = 3;
pub(super) const KIND_SEALED: u8 = 4;
pub(super) const FLAG_MARKER: u8 = 1;

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
    /// The entries packed in `body`, a chunk of this recording.
    pub(super) const fn new(recording: RecordingId, body: Bytes) -> Self {
        Self { recording, rest: body }
    }

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

/// Adds an entry whose body is what `body` writes.
pub(super) fn append(
    buffer: &mut BytesMut,
    kind: u8,
    flags: u8,
    ticks: u32,
    body: impl FnOnce(&mut BytesMut),
) {
    let at = buffer.len();
    buffer.put_u8(kind);
    buffer.put_u8(flags);
    buffer.put_u16_le(0);
    buffer.put_u32_le(ticks);
    body(buffer);
    let len = buffer.len() - at - ENTRY_HEADER_BYTES;
    let len = u16::try_from(len).expect("payloads are at most PAYLOAD_BYTES_MAX");
    buffer[at + 2..at + 4].copy_from_slice(&len.to_le_bytes());
}

pub(super) fn put_opened(buffer: &mut BytesMut, opened: &Opened) {
    buffer.put_u128_le(opened.recording.as_u128());
    buffer.put_u128_le(opened.mailbox.as_u128());
    buffer.put_u8(opened.codec.code());
    buffer.put_i64_le(opened.answered_at.as_unix_millis());
    put_text(buffer, language_name(opened.language));
    put_text(buffer, opened.caller.kind());
    put_text(buffer, opened.caller.number().unwrap_or(""));
}

pub(super) fn put_sealed(buffer: &mut BytesMut, sealed: &Sealed) {
    buffer.put_u128_le(sealed.recording.as_u128());
    buffer.put_i64_le(sealed.ended_at.as_unix_millis());
    buffer.put_u32_le(sealed.frames);
    buffer.put_u64_le(sealed.call_ms);
    buffer.put_u32_le(sealed.lost);
    put_text(buffer, sealed.reason.name());
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
