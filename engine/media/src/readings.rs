//! Readings of a recording's windows, handed to `engine_core::transcript`.
//!
//! In: what the model read in each window and where the window stood. Out: the transcript. What
//! may be believed is decided in the core; rejected windows are counted in the log.

use engine_core::private::Private;
use engine_core::text::{LanguageChoice, Transcript};
use engine_core::transcript::{Assembled, Assembler, TextPart, WindowText};

use crate::limits::SAMPLES_PER_MS;
use crate::take::Read;
use crate::whisper::Card;

/// Puts a recording's transcript together.
pub(crate) fn transcript(
    reads: &[Read],
    card: &Card,
    language: LanguageChoice,
    duration_ms: u64,
) -> Transcript {
    let duration_ms = u32::try_from(duration_ms).unwrap_or(u32::MAX);
    let mut assembler = Assembler::new(card.thresholds(), duration_ms);
    for read in reads {
        assembler.add(&window_text(read));
    }
    finished(assembler, language.announcements().code(), card).transcript
}

/// Ends an assembly and notes what the guards took out.
pub(crate) fn finished(assembler: Assembler, language: &str, card: &Card) -> Assembled {
    let assembled = assembler.finish(language, &card.name);
    if !assembled.rejected.is_empty() {
        let reasons: Vec<_> = assembled.rejected.iter().map(|reason| reason.name()).collect();
        tracing::debug!(?reasons, "Windows were not believed.");
    }
    assembled
}

/// A reading at its place in the recording.
pub(crate) fn window_text(read: &Read) -> WindowText {
    let ms = |sample: u64| u32::try_from(sample / SAMPLES_PER_MS as u64).unwrap_or(u32::MAX);
    let parts = read.reading.parts.iter().map(|part| TextPart {
        start_ms: part.start_ms,
        end_ms: part.end_ms,
        text: Private::new(part.text.clone()),
        tokens: Private::new(part.tokens.clone()),
        pieces: part.pieces.clone(),
    });
    WindowText {
        start_ms: ms(read.span.start),
        end_ms: ms(read.span.end),
        language: read.reading.language.clone(),
        parts: parts.collect(),
        doubts: read.reading.doubts(),
        temperature: read.reading.temperature,
        words: read.words,
    }
}
