//! How a window is to be read: what windows must have in common to share a batch.
//!
//! CTranslate2 decodes a batch with one set of options, and all its prompts must be of one length;
//! so task, temperature, length of the prompt and the wish for words' times are part of the group
//! that a window waits in. Knows nothing of sound.

/// What is asked of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Task {
    /// The words as they were spoken.
    #[default]
    Transcribe,
    /// The words in English.
    Translate,
}

impl Task {
    /// Stable name, as Whisper's tokens and OpenAI's API use it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transcribe => "transcribe",
            Self::Translate => "translate",
        }
    }
}

/// A temperature of decoding, in hundredths: 0 takes the likeliest token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Temperature(u16);

impl Temperature {
    /// The likeliest token, always.
    pub const GREEDY: Self = Self(0);
    /// The highest that is of use.
    pub const MAX: Self = Self(100);

    /// From 0 to 1; `None` beyond, or when it is no number.
    pub fn new(degrees: f32) -> Option<Self> {
        (0.0..=1.0).contains(&degrees).then(|| Self((degrees * 100.0).round() as u16))
    }

    /// From 0 to 1.
    pub fn degrees(self) -> f32 {
        f32::from(self.0) / 100.0
    }
}

/// How a window is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Manner {
    /// What is asked of the model.
    pub task: Task,
    /// At which temperature.
    pub temperature: Temperature,
    /// Tokens of the prompt before the start of the transcript.
    pub prompt_tokens: u16,
    /// Whether the words' times are wanted.
    pub words: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperatures_are_hundredths_from_0_to_1() {
        for (degrees, read) in [(0.0, Some(0.0)), (0.004, Some(0.0)), (0.4, Some(0.4))] {
            assert_eq!(Temperature::new(degrees).map(Temperature::degrees), read, "{degrees}");
        }
        assert_eq!(Temperature::new(1.0), Some(Temperature::MAX));
        for degrees in [-0.01, 1.01, f32::NAN, f32::INFINITY] {
            assert_eq!(Temperature::new(degrees), None, "{degrees}");
        }
    }
}
