//! What we play to callers: greetings, the beep, the closing announcement.
//!
//! Sounds are stored as 16 kHz mono PCM and encoded once per codec into 20 ms frames; thousands
//! of calls then share the same frames. `engine-media` implements [`SoundBank`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::codec::Codec;
use crate::id::MailboxId;
use crate::text::Language;

/// Which sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SoundId {
    /// No sound at all.
    Silence,
    /// The greeting we ship: 「ただいま電話に出ることができません。…」
    DefaultGreeting(Language),
    /// A mailbox's own greeting.
    OwnGreeting(MailboxId),
    /// The tone after which recording starts.
    Beep,
    /// Said when the message is full: 「録音時間が終わりました。…」
    Closing(Language),
}

/// A sound ready to send: one entry a packet of 20 ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    /// How `payloads` are coded.
    pub codec: Codec,
    /// RTP payloads in order, 20 ms each.
    pub payloads: Vec<Bytes>,
}

impl Frames {
    /// How long the sound lasts.
    pub fn duration(&self) -> Duration {
        Duration::from_millis(20) * u32::try_from(self.payloads.len()).unwrap_or(u32::MAX)
    }
}

/// Why a sound could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SoundError {
    /// Not a sound file that we read.
    #[error("this is not a sound file we can read ({why}); send WAV, MP3, FLAC or Ogg")]
    Unreadable {
        /// What the reader said.
        why: String,
    },
    /// Too long to greet anybody with.
    #[error("the sound lasts {seconds} s; a greeting may last at most {max_seconds} s")]
    TooLong {
        /// Its length.
        seconds: u64,
        /// The limit.
        max_seconds: u64,
    },
    /// Nothing in it.
    #[error("the sound is empty")]
    Empty,
}

/// Keeps sounds and their encoded frames. Calls may block for some milliseconds the first time a
/// sound is asked for in a codec; afterwards they are a lookup.
pub trait SoundBank: Send + Sync + 'static {
    /// The frames of a sound, or `None` if the bank does not have it. `Silence` has none.
    fn frames(&self, sound: SoundId, codec: Codec) -> Option<Arc<Frames>>;

    /// Reads a sound file (WAV, MP3, FLAC, Ogg) as a mailbox's own greeting: returns it as mono
    /// 16 kHz 16-bit WAV bytes, checked, trimmed of nothing, at most `SOUND_MAX` long.
    fn read_greeting(&self, file: &[u8]) -> Result<Bytes, SoundError>;

    /// Puts a sound in (WAV bytes as [`SoundBank::read_greeting`] gave them), replacing what was
    /// there; calls that play the old one keep it.
    fn put(&self, sound: SoundId, wav: &[u8]) -> Result<(), SoundError>;

    /// Takes a sound out.
    fn remove(&self, sound: SoundId);
}
