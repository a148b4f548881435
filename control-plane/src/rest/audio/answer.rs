//! A file's text in the format that was asked for, as OpenAI's API shapes it. What it has no
//! place for stands beside it: why there are no words, where words' times come from. Pure.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use engine_core::file_work::FileText;
use engine_core::subtitles;
use engine_core::text::{Segment, Verdict};
use engine_core::transcript::Evidence;
use engine_core::words::Word;
use serde::Serialize;
use utoipa::ToSchema;

use super::form::{Format, Shape};
use super::language_of;

/// A text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Transcription)]
pub(crate) struct TranscriptionView {
    /// The words; empty where there are none.
    text: String,
    /// Why there are none: `empty`, `no_speech`, `rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_words_reason: Option<&'static str>,
    /// What was read.
    usage: UsageView,
}

/// How much was read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TranscriptionUsage)]
pub(crate) struct UsageView {
    /// `duration`.
    r#type: &'static str,
    /// Seconds of sound, begun ones counted.
    seconds: u32,
}

/// A text with everything that is known of it; as `json` the text and its usage alone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VerboseTranscription)]
pub(crate) struct VerboseView {
    /// `transcribe` or `translate`.
    #[schema(required = false)]
    task: &'static str,
    /// English name of the spoken language.
    #[schema(example = "japanese", required = false)]
    language: String,
    /// Seconds of sound.
    #[schema(required = false)]
    duration: f64,
    #[serde(flatten)]
    text: TranscriptionView,
    /// The text in pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Vec<VerboseSegment>>,
    /// Its words.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Vec<WordView>>,
}

/// A piece of a text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TranscriptionSegment)]
pub(crate) struct VerboseSegment {
    /// Its place among the segments, from 0.
    id: usize,
    /// Where it begins in the sound, in frames of 10 ms.
    seek: u32,
    /// Start in seconds.
    start: f64,
    /// End in seconds.
    end: f64,
    /// The words.
    text: String,
    /// The model's tokens.
    tokens: Vec<u32>,
    /// Temperature it was read at.
    temperature: f32,
    /// Average log probability of the tokens of the window that it was read in.
    avg_logprob: f32,
    /// Bytes of that window's text over its compressed bytes.
    compression_ratio: f32,
    /// Probability that nobody spoke there.
    no_speech_prob: f32,
}

/// A word.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TranscriptionWord)]
pub(crate) struct WordView {
    /// The word.
    word: String,
    /// Start in seconds.
    start: f64,
    /// End in seconds.
    end: f64,
    /// Where the times come from: `aligned` with the sound, or `interpolated`, which is a guess.
    times: &'static str,
    /// Average probability of its tokens, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
}

/// The answer in the shape that was asked for.
pub(super) fn answer(text: &FileText, shape: &Shape) -> Response {
    let segments = &text.read.transcript.segments;
    match shape.format {
        Format::Json => axum::Json(transcription(text)).into_response(),
        Format::VerboseJson => axum::Json(verbose(text, shape)).into_response(),
        Format::Text => plain(format!("{}\n", text.read.transcript.text().reveal())),
        Format::Srt => plain(subtitles::srt(segments)),
        Format::Vtt => plain(subtitles::vtt(segments)),
    }
}

fn plain(text: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn transcription(text: &FileText) -> TranscriptionView {
    let no_words_reason = match text.read.transcript.verdict {
        Verdict::Speech => None,
        Verdict::NoWords(reason) => Some(reason.name()),
    };
    TranscriptionView {
        text: text.read.transcript.text().into_inner(),
        no_words_reason,
        usage: UsageView { r#type: "duration", seconds: text.duration_ms.div_ceil(1_000) },
    }
}

fn verbose(text: &FileText, shape: &Shape) -> VerboseView {
    let read = &text.read;
    let segments = || {
        let all = read.transcript.segments.iter().zip(&read.evidence).enumerate();
        all.map(|(id, (segment, evidence))| segment_view(id, segment, evidence)).collect()
    };
    let words = || {
        let words = read.evidence.iter().flat_map(|evidence| &evidence.words);
        words.map(word_view).collect()
    };
    VerboseView {
        task: text.task.name(),
        language: language_of(text).to_owned(),
        duration: seconds(text.duration_ms),
        text: transcription(text),
        segments: shape.segments.then(segments),
        words: shape.words.then(words),
    }
}

fn segment_view(id: usize, segment: &Segment, evidence: &Evidence) -> VerboseSegment {
    VerboseSegment {
        id,
        seek: segment.start_ms / 10,
        start: seconds(segment.start_ms),
        end: seconds(segment.end_ms),
        text: segment.text.reveal().clone(),
        tokens: evidence.tokens.reveal().clone(),
        temperature: evidence.temperature.degrees(),
        avg_logprob: finite(evidence.doubts.avg_logprob),
        compression_ratio: finite(evidence.doubts.compression_ratio),
        no_speech_prob: finite(evidence.doubts.no_speech_prob),
    }
}

fn word_view(word: &Word) -> WordView {
    WordView {
        word: word.text.reveal().clone(),
        start: seconds(word.start_ms),
        end: seconds(word.end_ms),
        times: word.times.name(),
        probability: word.probability,
    }
}

fn seconds(ms: u32) -> f64 {
    f64::from(ms) / 1_000.0
}

/// JSON has no infinity, and no client expects null here.
fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { f32::MIN }
}
