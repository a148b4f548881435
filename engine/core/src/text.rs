//! Words with their times: what the engine hands to the control plane.

use crate::private::Private;
use crate::words;

/// A language we announce and recognise in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// 日本語
    Japanese,
    /// English
    English,
}

impl Language {
    /// ISO 639-1 code, as Whisper's language tokens use it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Japanese => "ja",
            Self::English => "en",
        }
    }

    /// Reads [`Language::code`] back.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Japanese, Self::English].into_iter().find(|language| language.code() == code)
    }
}

/// How a mailbox chooses the language of recognition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LanguageChoice {
    /// Always this one.
    Fixed(Language),
    /// Heard from the first window; announcements are Japanese.
    Detect,
}

impl LanguageChoice {
    /// ISO 639-1 code of the language, if one is chosen.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Fixed(language) => Some(language.code()),
            Self::Detect => None,
        }
    }

    /// The language that announcements are made in.
    pub const fn announcements(self) -> Language {
        match self {
            Self::Fixed(language) => language,
            Self::Detect => Language::Japanese,
        }
    }
}

/// A stretch of speech.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Start, in milliseconds from the start of the recording.
    pub start_ms: u32,
    /// End, likewise; never before `start_ms`.
    pub end_ms: u32,
    /// The words.
    pub text: Private<String>,
    /// Average probability of the words, 0–1.
    pub confidence: f32,
}

/// Why a recording has no words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoWords {
    /// Nothing was recorded.
    Empty,
    /// Speech detection heard no speech.
    NoSpeech,
    /// The model heard no speech, or what it wrote did not pass the guards.
    Rejected,
}

impl NoWords {
    /// Stable name for APIs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NoSpeech => "no_speech",
            Self::Rejected => "rejected",
        }
    }
}

/// Whether the recording holds words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It does.
    Speech,
    /// It does not: 「（無言）」.
    NoWords(NoWords),
}

/// One recording's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// ISO 639-1 code of the language it was read in.
    pub language: String,
    /// Speech or no words.
    pub verdict: Verdict,
    /// In order of time; empty when there are no words.
    pub segments: Vec<Segment>,
    /// Name of the model that wrote it.
    pub model: String,
}

impl Transcript {
    /// The whole text: segments joined, with a space only where the language uses one.
    pub fn text(&self) -> Private<String> {
        let parts = self.segments.iter().map(|segment| segment.text.reveal().as_str());
        Private::new(words::join(parts, &self.language))
    }

    /// Confidence of the whole, weighted by length; 0 when there are no words.
    pub fn confidence(&self) -> f32 {
        let weight = |s: &Segment| (s.end_ms - s.start_ms).max(1) as f32;
        let total: f32 = self.segments.iter().map(weight).sum();
        if total == 0.0 {
            return 0.0;
        }
        self.segments.iter().map(|s| s.confidence * weight(s)).sum::<f32>() / total
    }
}
