//! Work for the engine: a sound file in, its text out, piece by piece.
//!
//! In: a file from anybody, what its sender wishes. Out: passages in order as they are read, then
//! the whole text. A file is read in the same batches as calls, and behind them.

use std::time::Duration;

use bytes::Bytes;

use crate::manner::{Task, Temperature};
use crate::private::Private;
use crate::transcript::{Assembled, Passage};

/// What the sender of a file wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// ISO 639-1 code of the spoken language; `None`: to be heard.
    pub language: Option<String>,
    /// What is asked of the model.
    pub task: Task,
    /// Text that the model is to believe it has just written: names, spelling, style.
    pub prompt: Private<String>,
    /// The only temperature to read at; `None`: greedily, and warmer where that fails.
    pub temperature: Option<Temperature>,
    /// Whether the words' times are wanted.
    pub words: bool,
    /// Longer sound is refused.
    pub duration_max: Duration,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            language: None,
            task: Task::Transcribe,
            prompt: Private::default(),
            temperature: None,
            words: false,
            duration_max: Duration::from_hours(4),
        }
    }
}

/// A file's text.
#[derive(Debug, Clone, PartialEq)]
pub struct FileText {
    /// The transcript, and what speaks for it.
    pub read: Assembled,
    /// Length of the sound in milliseconds.
    pub duration_ms: u32,
    /// What was asked of the model.
    pub task: Task,
}

/// Why a file gave no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileWorkError {
    /// The file cannot be read.
    #[error("{why}")]
    Unreadable {
        /// A sentence that says what is wrong and what to give instead.
        why: String,
    },
    /// The sound is too long.
    #[error("the sound lasts more than {} s; cut it into shorter files", .max.as_secs())]
    TooLong {
        /// The longest that is taken.
        max: Duration,
    },
    /// The model does not know the language.
    #[error("the model {model} does not know the language {language:?}")]
    Language {
        /// What was asked for.
        language: String,
        /// The model's name.
        model: String,
    },
    /// The model does not translate.
    #[error("the model {model} knows one language only and cannot translate; load another")]
    Translation {
        /// The model's name.
        model: String,
    },
    /// The engine failed; trying again may help.
    #[error("the engine failed: {why}")]
    Engine {
        /// What failed.
        why: String,
    },
    /// The engine is stopping; try again after the restart.
    #[error("the engine is stopping")]
    Stopping,
}

/// What is told of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum FileTold {
    /// What the next window brought.
    Passages {
        /// ISO 639-1 code of the language that it was read in.
        language: String,
        /// In order of time; none where the guards left nothing of the window.
        passages: Vec<Passage>,
    },
    /// The end; nothing comes behind it.
    Done(Result<FileText, FileWorkError>),
}

/// Where it is told, on an engine thread; must not block. `false`: nobody wants to know any more,
/// and what is not read yet is left.
pub type FileTeller = Box<dyn FnMut(FileTold) -> bool + Send>;

/// One file to be turned into text.
pub struct FileWork {
    /// The file's bytes: WAV, MP3, FLAC, Ogg.
    pub file: Bytes,
    /// What its sender wishes.
    pub wishes: Wishes,
    /// Where it is told.
    pub told: FileTeller,
}

impl std::fmt::Debug for FileWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWork").field("bytes", &self.file.len()).finish_non_exhaustive()
    }
}
