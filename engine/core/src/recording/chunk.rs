//! Chunks: what one call recorded between two commits, with its own checksum.
//!
//! In: entries to write, or bytes found. Out: chunks, checked. Knows where a chunk starts and
//! ends, not what its entries say (that is `entry`), nor where it is kept.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::entry::{
    self, Entries, FLAG_MARKER, KIND_DIGIT, KIND_FRAME, KIND_OPENED, KIND_SEALED, put_opened,
    put_sealed,
};
use super::{Opened, Sealed};
use crate::id::RecordingId;
use crate::time::RtpTicks;

/// Bytes of a chunk's header.
pub const CHUNK_HEADER_BYTES: usize = 32;
/// What every chunk starts with.
pub(crate) const MAGIC: [u8; 4] = *b"RSC1";
const CRC_AT: usize = 28;

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
    /// The chunk before: once the disk and the engine are done with it, its memory serves again.
    before: Option<Bytes>,
}

impl ChunkWriter {
    /// A writer at chunk 0. `bytes_hint` is how much one commit interval brings.
    pub fn new(recording: RecordingId, bytes_hint: usize) -> Self {
        Self::resume(recording, 0, bytes_hint)
    }

    /// A writer that goes on behind the chunks before `number`.
    pub fn resume(recording: RecordingId, number: u32, bytes_hint: usize) -> Self {
        let mut writer =
            Self { recording, number, buffer: BytesMut::with_capacity(bytes_hint), before: None };
        writer.buffer.put_bytes(0, CHUNK_HEADER_BYTES);
        writer
    }

    /// Bytes that wait to be finished into a chunk.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len() - CHUNK_HEADER_BYTES
    }

    /// Where the next entry will be written.
    pub fn next_octets(&self) -> *const u8 {
        self.buffer.as_ptr().wrapping_add(self.buffer.len())
    }

    /// Adds the opening entry.
    pub fn open(&mut self, opened: &Opened) {
        entry::append(&mut self.buffer, KIND_OPENED, 0, 0, |body| put_opened(body, opened));
    }

    /// Adds sound: the one copy of the payload between receive buffer and disk.
    pub fn frame(&mut self, ticks: RtpTicks, after_silence: bool, payload: &[u8]) {
        let flags = if after_silence { FLAG_MARKER } else { 0 };
        let ticks = ticks.0 as u32;
        entry::append(&mut self.buffer, KIND_FRAME, flags, ticks, |body| body.put_slice(payload));
    }

    /// Adds a key press.
    pub fn digit(&mut self, ticks: RtpTicks, digit: char) {
        let ticks = ticks.0 as u32;
        entry::append(&mut self.buffer, KIND_DIGIT, 0, ticks, |body| body.put_u8(digit as u8));
    }

    /// Adds the closing entry.
    pub fn seal(&mut self, sealed: &Sealed) {
        let ticks = sealed.duration.0 as u32;
        entry::append(&mut self.buffer, KIND_SEALED, 0, ticks, |body| put_sealed(body, sealed));
    }

    /// Finishes what waits into a chunk; `None` when nothing waits. `bytes_hint` sizes the next; 0
    /// if there will be none.
    pub fn finish(&mut self, bytes_hint: usize) -> Option<Bytes> {
        if self.pending_bytes() == 0 {
            return None;
        }
        let next = self.next_buffer(bytes_hint);
        let mut chunk = std::mem::replace(&mut self.buffer, next);
        self.buffer.put_bytes(0, CHUNK_HEADER_BYTES);
        let body_bytes = (chunk.len() - CHUNK_HEADER_BYTES) as u32;
        chunk[0..4].copy_from_slice(&MAGIC);
        chunk[4..8].copy_from_slice(&body_bytes.to_le_bytes());
        chunk[8..24].copy_from_slice(&self.recording.as_u128().to_le_bytes());
        chunk[24..28].copy_from_slice(&self.number.to_le_bytes());
        let crc = checksum(&chunk);
        chunk[CRC_AT..CHUNK_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        self.number += 1;
        let chunk = chunk.freeze();
        self.before = (bytes_hint > 0).then(|| chunk.clone());
        Some(chunk)
    }

    /// An empty buffer: the last but one's memory if nobody holds it any more.
    fn next_buffer(&mut self, bytes_hint: usize) -> BytesMut {
        let before = self.before.take().and_then(|chunk| chunk.try_into_mut().ok());
        // What an interval brings varies by a packet or two.
        let least = bytes_hint - bytes_hint / 8;
        let fits = |buffer: &BytesMut| (least..=4 * bytes_hint).contains(&buffer.capacity());
        let mut buffer = before.filter(fits).unwrap_or_else(|| BytesMut::with_capacity(bytes_hint));
        buffer.clear();
        buffer
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
        Entries::new(self.recording, self.body.clone())
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
