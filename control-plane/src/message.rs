//! Messages as they are stored. In: sealed recordings and what the engine made of them. Out:
//! rows. Knows nothing of HTTP or mail.

use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::handoff::Arrival;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::private::Private;
use engine_core::recording::{Entry, chunks};
use engine_core::text::{LanguageChoice, NoWords, Segment, Transcript, Verdict};
use engine_core::time::WallTime;
use sha2::{Digest, Sha256};

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredState {
    /// The recording is kept; its text is not made yet.
    Sealed,
    /// Text and MP3 are kept.
    Transcribed,
    /// The recording is kept; text could not be made of it.
    Failed,
    /// The recording is kept, but its mailbox is unknown or deleted.
    Orphaned,
    /// Text and sound are gone; the row stays so that no replay brings the message back.
    Deleted,
}

impl StoredState {
    const ALL: [Self; 5] =
        [Self::Sealed, Self::Transcribed, Self::Failed, Self::Orphaned, Self::Deleted];

    /// Stable name for APIs and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Transcribed => "transcribed",
            Self::Failed => "failed",
            Self::Orphaned => "orphaned",
            Self::Deleted => "deleted",
        }
    }

    /// Reads [`StoredState::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What is known of a message as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The recording's id, and the message's.
    pub id: RecordingId,
    /// Whose mailbox.
    pub mailbox: MailboxId,
    /// Who called.
    pub caller: Caller,
    /// How the recording is coded.
    pub codec: Codec,
    /// Language of recognition.
    pub language: LanguageChoice,
    /// When the call was answered.
    pub answered_at: WallTime,
    /// When the recording ended.
    pub received_at: WallTime,
    /// Stable name of why it ended.
    pub end_reason: String,
    /// Frames in the recording.
    pub frames: u32,
    /// Packets that never came.
    pub lost: u32,
    /// Length of the recording in milliseconds.
    pub duration_ms: u64,
    /// Length of the call in milliseconds, greeting included (S22).
    pub call_ms: u64,
    /// SHA-256 over all frame payloads in order, in hex.
    pub payload_sha256: String,
    /// Size of the recording file.
    pub recording_bytes: u64,
}

impl NewMessage {
    /// What an arrival becomes. Reads the whole recording: not for a thread that must not wait.
    pub fn from_arrival(arrival: &Arrival) -> Self {
        let Arrival { opened, sealed, sound } = arrival;
        let payload = payload_frames(sound);
        let mut hash = Sha256::new();
        for frame in &payload {
            hash.update(frame);
        }
        Self {
            id: opened.recording,
            mailbox: opened.mailbox,
            caller: opened.caller.clone(),
            codec: opened.codec,
            language: opened.language,
            answered_at: opened.answered_at,
            received_at: sealed.ended_at,
            end_reason: sealed.reason.name().to_owned(),
            frames: sealed.frames,
            lost: sealed.lost,
            duration_ms: sealed.duration.to_millis(opened.codec.clock_hz()),
            call_ms: sealed.call_ms,
            payload_sha256: hex::encode(hash.finalize()),
            recording_bytes: sound.len() as u64,
        }
    }
}

/// The payloads of a recording file in order, as far as it is readable.
pub fn payload_frames(sound: &bytes::Bytes) -> Vec<bytes::Bytes> {
    chunks(sound.clone())
        .map_while(Result::ok)
        .flat_map(|chunk| chunk.entries().map_while(Result::ok).collect::<Vec<_>>())
        .filter_map(|entry| match entry {
            Entry::Frame(frame) => Some(frame.payload),
            _ => None,
        })
        .collect()
}

/// What the engine made of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageText {
    /// ISO 639-1 code of the language that was spoken.
    pub language: String,
    /// Speech or no words.
    pub verdict: Verdict,
    /// The whole text; empty when there are no words.
    pub text: Private<String>,
    /// Its pieces in order of time.
    pub segments: Vec<Segment>,
    /// Confidence of the whole, 0–1.
    pub confidence: f32,
    /// Name of the model that wrote it.
    pub model: String,
}

impl From<Transcript> for MessageText {
    fn from(transcript: Transcript) -> Self {
        Self {
            text: transcript.text(),
            confidence: transcript.confidence(),
            language: transcript.language,
            verdict: transcript.verdict,
            segments: transcript.segments,
            model: transcript.model,
        }
    }
}

/// The MP3 that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageAudio {
    /// Its size (S04).
    pub bytes: u64,
    /// Its SHA-256 in hex; also its entity tag.
    pub sha256: String,
}

impl MessageAudio {
    /// What an MP3 is.
    pub fn of(mp3: &[u8]) -> Self {
        Self { bytes: mp3.len() as u64, sha256: hex::encode(Sha256::digest(mp3)) }
    }
}

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What was known as it arrived.
    pub arrived: NewMessage,
    /// How far it has come.
    pub state: StoredState,
    /// Its text, once made.
    pub text: Option<MessageText>,
    /// Its MP3, once made.
    pub audio: Option<MessageAudio>,
    /// Why there is no text.
    pub failure: Option<String>,
    /// When the subscriber marked it read.
    pub read_at: Option<WallTime>,
    /// When the subscriber was told.
    pub notified_at: Option<WallTime>,
}

/// Stable name of a verdict for rows: `speech`, or why there are no words.
pub(crate) const fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Speech => "speech",
        Verdict::NoWords(why) => why.name(),
    }
}

/// Reads [`verdict_name`] back.
pub(crate) fn verdict_from_name(name: &str) -> Option<Verdict> {
    let no_words = [NoWords::Empty, NoWords::NoSpeech, NoWords::Rejected];
    match name {
        "speech" => Some(Verdict::Speech),
        _ => no_words.into_iter().find(|why| why.name() == name).map(Verdict::NoWords),
    }
}

/// Messages for tests of this crate.
#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;
    use engine_core::text::Language;

    /// What arrives in `mailbox`, at a time that grows with `id`.
    pub(crate) fn new_message(id: u128, mailbox: MailboxId) -> NewMessage {
        NewMessage {
            id: RecordingId::from_u128(id),
            mailbox,
            caller: Caller::Number(Private::new("+819012345678".to_owned())),
            codec: Codec::Pcmu,
            language: LanguageChoice::Fixed(Language::Japanese),
            answered_at: WallTime::from_unix_millis(1_795_359_835_000),
            received_at: WallTime::from_unix_millis(1_795_359_844_999 + id as i64),
            end_reason: "hung_up".to_owned(),
            frames: 250,
            lost: 1,
            duration_ms: 5_000,
            call_ms: 10_000,
            payload_sha256: "ab".repeat(32),
            recording_bytes: 42_000,
        }
    }

    /// Text of a message.
    pub(crate) fn text() -> MessageText {
        let segment = Segment {
            start_ms: 100,
            end_ms: 4_900,
            text: Private::new("明日の会議は十時からです。".to_owned()),
            confidence: 0.87,
        };
        MessageText {
            language: "ja".to_owned(),
            verdict: Verdict::Speech,
            text: segment.text.clone(),
            segments: vec![segment],
            confidence: 0.87,
            model: "test".to_owned(),
        }
    }

    /// A message with text and MP3.
    pub(crate) fn message() -> Message {
        Message {
            arrived: new_message(7, MailboxId::from_u128(9)),
            state: StoredState::Transcribed,
            text: Some(text()),
            audio: Some(MessageAudio { bytes: 20_000, sha256: "cd".repeat(32) }),
            failure: None,
            read_at: None,
            notified_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for state in StoredState::ALL {
            assert_eq!(StoredState::from_name(state.name()), Some(state));
        }
        for name in ["speech", "empty", "no_speech", "rejected"] {
            assert_eq!(verdict_from_name(name).map(verdict_name), Some(name));
        }
        assert_eq!(verdict_from_name("words"), None);
    }
}
