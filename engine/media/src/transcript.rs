//! Readings of a recording's windows to its transcript.
//!
//! In: what the model read in each window and how sure it was. Out: segments in order of time
//! with their confidence, and the verdict. Silence, noise and a model that repeats itself give no
//! words.

use engine_core::private::Private;
use engine_core::text::{NoWords, Segment, Transcript, Verdict};

use crate::desk::Read;
use crate::limits::SAMPLES_PER_MS;
use crate::whisper::{Card, Reading};

/// Puts a recording's transcript together. `samples` is the recording's length.
pub(crate) fn assemble(reads: &[Read], card: &Card, samples: u64) -> Transcript {
    let segments: Vec<Segment> =
        reads.iter().filter(|read| is_believable(&read.reading, card)).flat_map(segments).collect();
    let verdict = if !segments.is_empty() {
        Verdict::Speech
    } else if samples == 0 {
        Verdict::NoWords(NoWords::Empty)
    } else if reads.is_empty() {
        Verdict::NoWords(NoWords::NoSpeech)
    } else {
        Verdict::NoWords(NoWords::Rejected)
    };
    let language = reads.first().map_or("ja", |read| read.reading.language.as_str());
    Transcript { language: language.to_owned(), verdict, segments, model: card.name.clone() }
}

/// Whether a reading passes the guards that the model's card sets.
fn is_believable(reading: &Reading, card: &Card) -> bool {
    let silence =
        reading.no_speech_prob > card.no_speech_max && reading.avg_logprob < card.logprob_min;
    !silence && reading.compression_ratio <= card.compression_ratio_max
}

fn segments(read: &Read) -> impl Iterator<Item = Segment> {
    let window_ms = (read.span.start / SAMPLES_PER_MS as u64) as u32;
    let end_ms = (read.span.end / SAMPLES_PER_MS as u64) as u32;
    let confidence = read.reading.avg_logprob.exp().clamp(0.0, 1.0);
    read.reading.parts.iter().map(move |part| {
        let at = |ms: Option<u32>, other: u32| ms.map_or(other, |ms| (window_ms + ms).min(end_ms));
        let start_ms = at(part.start_ms, window_ms);
        Segment {
            start_ms,
            end_ms: at(part.end_ms, end_ms).max(start_ms),
            text: Private::new(part.text.trim().to_owned()),
            confidence,
        }
    })
}
