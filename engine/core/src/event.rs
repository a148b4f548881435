//! What happens to a message, as people may watch it.

use crate::id::{MailboxId, RecordingId};
use crate::private::Private;
use crate::time::WallTime;

/// A step in a message's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// The call is being answered.
    Ringing,
    /// The caller hears the greeting.
    Greeting,
    /// The caller speaks.
    Recording,
    /// The recording is whole and on disk.
    Sealed,
    /// Text and MP3 are stored.
    Transcribed,
    /// The subscriber has been told.
    Notified,
    /// The call ended before it was answered.
    Abandoned,
}

impl MessageState {
    /// Stable lower-case name for APIs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ringing => "ringing",
            Self::Greeting => "greeting",
            Self::Recording => "recording",
            Self::Sealed => "sealed",
            Self::Transcribed => "transcribed",
            Self::Notified => "notified",
            Self::Abandoned => "abandoned",
        }
    }
}

/// One step of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageEvent {
    /// Which message.
    pub recording: RecordingId,
    /// In whose mailbox.
    pub mailbox: MailboxId,
    /// What happened.
    pub state: MessageState,
    /// When.
    pub at: WallTime,
    /// Media recorded so far, in milliseconds; `Recording` events repeat about once a second.
    pub recorded_ms: u64,
}

/// Where events go. Must not block: a full sink drops the event and counts it, since events are
/// for watching and the rows are the truth.
pub trait EventSink: Send + Sync + 'static {
    /// Takes one event.
    fn emit(&self, event: MessageEvent);
}

/// What is read of a message so far, while its caller may still speak. Later text replaces it; the
/// final text, which is told once it is stored, replaces all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialText {
    /// Which message.
    pub recording: RecordingId,
    /// In whose mailbox.
    pub mailbox: MailboxId,
    /// All that was read so far.
    pub text: Private<String>,
    /// Media that was read so far, in milliseconds.
    pub read_ms: u64,
}

/// Where partial texts go. Must not block; nobody may keep them: they are for watching.
pub trait PartialSink: Send + Sync + 'static {
    /// Takes what is read so far.
    fn partial(&self, partial: PartialText);
}
