//! Windows of sound to text: Whisper through CTranslate2.
//!
//! In: windows of mono samples at 16 kHz, any number of callers' at once. Out: for each its text,
//! how sure the model was, and whether it heard speech at all. Knows nothing of recordings or
//! messages; what the figures mean is decided by `engine_core`.

#[cfg(feature = "whisper")]
mod align;
mod card;
mod folder;
#[cfg(feature = "whisper")]
mod reading;
#[cfg(feature = "whisper")]
mod recognizer;

pub use card::{CARD_FILE, Card};
pub use folder::{CHECKSUMS_FILE, ModelError, ModelFolder};
#[cfg(feature = "whisper")]
pub use reading::{Part, Reading};
#[cfg(feature = "whisper")]
pub use recognizer::{Compute, Heard, Processor, Recognizer, RecognizerError, RecognizerOptions};
