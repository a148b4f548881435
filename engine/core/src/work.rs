//! Work for the engine: a whole recording in, text and MP3 out.

use bytes::Bytes;

use crate::id::RecordingId;
use crate::text::{LanguageChoice, Transcript};

/// What came out of a recording.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Its text.
    pub transcript: Transcript,
    /// The whole recording as MP3, mono, constant bit rate.
    pub mp3: Bytes,
    /// Length of the recording (and of the MP3 when decoded), in milliseconds.
    pub duration_ms: u64,
}

/// Why a recording gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// The recording cannot be read; trying again will not help.
    #[error("the recording is damaged: {why}")]
    Damaged {
        /// What is wrong with it.
        why: String,
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

/// One recording to be turned into text and MP3.
pub struct Work {
    /// Which recording. If the engine listened in while it was made, that work is not done twice.
    pub recording: RecordingId,
    /// The sealed recording: its chunks, one behind the other (`recording` module).
    pub sound: Bytes,
    /// Language of recognition.
    pub language: LanguageChoice,
    /// Called once with the result, on an engine thread; must not block.
    pub done: Box<dyn FnOnce(Result<Rendered, WorkError>) + Send>,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("recording", &self.recording).finish_non_exhaustive()
    }
}
