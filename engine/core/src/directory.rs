//! Whose mailbox a call is for: asked by `ingress`, answered by `control-plane`.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::caller::Caller;
use crate::id::MailboxId;
use crate::sound::SoundId;
use crate::text::LanguageChoice;

/// What a call needs to know of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its id.
    pub id: MailboxId,
    /// Its own 050 number in E.164.
    pub number: String,
    /// Language of announcements and of recognition.
    pub language: LanguageChoice,
    /// What callers hear first.
    pub greeting: SoundId,
    /// Whether a beep comes before recording.
    pub beep: bool,
    /// Recording ends after this much quiet in a row; `None`: quiet never ends it.
    pub quiet_limit: Option<Duration>,
    /// Longest message, at most [`crate::limits::RECORDING_MAX`].
    pub recording_limit: Duration,
}

/// Why the directory could not answer; the caller gets 503, not 404.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the directory cannot answer now: {why}")]
pub struct DirectoryError {
    /// What failed.
    pub why: String,
}

/// The answer to come.
pub type Lookup<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Mailbox>, DirectoryError>> + Send + 'a>>;

/// The answer to come: whether the call is refused.
pub type Screening<'a> = Pin<Box<dyn Future<Output = Result<bool, DirectoryError>> + Send + 'a>>;

/// Finds mailboxes by number.
pub trait Directory: Send + Sync + 'static {
    /// The mailbox with this number in E.164 (`+8150…`), `None` when nobody has it.
    fn mailbox<'a>(&'a self, number: &'a str) -> Lookup<'a>;

    /// Whether the mailbox's owner refuses this caller. Nobody is refused where nobody can be.
    fn refuses<'a>(&'a self, _mailbox: MailboxId, _caller: &'a Caller) -> Screening<'a> {
        Box::pin(std::future::ready(Ok(false)))
    }
}
