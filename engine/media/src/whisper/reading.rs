//! What a model read in a window: texts, their places, the model's doubts. Knows neither how it
//! was read nor what the doubts mean.

use engine_core::guards::Doubts;
use engine_core::manner::Temperature;
use engine_core::words::Piece;

/// What the model read in one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The text, or its parts where the model told their times; in order.
    pub parts: Vec<Part>,
    /// ISO 639-1 code of the language it was read in.
    pub language: String,
    /// Average log probability of its tokens.
    pub avg_logprob: f32,
    /// Probability that nobody spoke.
    pub no_speech_prob: f32,
    /// UTF-8 bytes over zlib bytes: high when the text repeats itself.
    pub compression_ratio: f32,
    /// Temperature it was read at.
    pub temperature: Temperature,
}

/// Text with its place in the window, in milliseconds from the window's start.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Start, where the model told it.
    pub start_ms: Option<u32>,
    /// End, likewise.
    pub end_ms: Option<u32>,
    /// The words.
    pub text: String,
    /// The tokens of the words.
    pub tokens: Vec<u32>,
    /// Its pieces with their places in the window, where they were asked for and found.
    pub pieces: Vec<Piece>,
}

impl Reading {
    /// What speaks against it.
    pub const fn doubts(&self) -> Doubts {
        Doubts {
            avg_logprob: self.avg_logprob,
            no_speech_prob: self.no_speech_prob,
            compression_ratio: self.compression_ratio,
        }
    }

    /// All of its text.
    pub fn text(&self) -> String {
        self.parts.iter().map(|part| part.text.as_str()).collect()
    }
}

/// The reference's measure of repetition.
pub(super) fn compression_ratio(text: &str) -> f32 {
    if text.is_empty() {
        return 0.0;
    }
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(text.as_bytes(), 6);
    text.len() as f32 / packed.len() as f32
}
