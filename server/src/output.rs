//! Transcripts as text, JSON, SubRip and WebVTT.

use engine_core::marks::{Mark, marks};
use engine_core::private::Private;
use engine_core::subtitles;
use engine_core::text::{Segment, Transcript, Verdict};

use crate::cli::Format;

/// The transcript of `file` in the wanted format, ending with a line break.
pub(crate) fn render(file: &str, transcript: &Transcript, format: Format) -> String {
    match format {
        Format::Text => text(transcript),
        Format::Json => json(file, transcript),
        Format::Srt => subtitles::srt(&transcript.segments),
        Format::Vtt => subtitles::vtt(&transcript.segments),
    }
}

fn text(transcript: &Transcript) -> String {
    match transcript.verdict {
        Verdict::Speech => format!("{}\n", transcript.text().reveal()),
        Verdict::NoWords(_) => "（無言）\n".to_owned(),
    }
}

fn json(file: &str, transcript: &Transcript) -> String {
    let (verdict, reason) = match transcript.verdict {
        Verdict::Speech => ("speech", None),
        Verdict::NoWords(reason) => ("no_words", Some(reason.name())),
    };
    let segments: Vec<_> = transcript
        .segments
        .iter()
        .map(|segment| {
            serde_json::json!({
                "start_ms": segment.start_ms,
                "end_ms": segment.end_ms,
                "text": segment.text.reveal(),
                "confidence": segment.confidence,
                "marks": marks_of(segment, &transcript.language),
            })
        })
        .collect();
    let value = serde_json::json!({
        "file": file,
        "language": transcript.language,
        "verdict": verdict,
        "no_words_reason": reason,
        "text": transcript.text().reveal(),
        "confidence": transcript.confidence(),
        "model": transcript.model,
        "segments": segments,
    });
    format!("{value:#}\n")
}

fn marks_of(segment: &Segment, language: &str) -> Vec<serde_json::Value> {
    let text = segment.text.reveal();
    let view = |mark: Mark| {
        let words = mark.text_in(text);
        let value = mark.value.map(Private::into_inner);
        serde_json::json!({ "kind": mark.kind.name(), "text": words, "value": value })
    };
    marks(text, language).into_iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_core::text::NoWords;

    #[test]
    fn json_names_the_verdict_and_its_reason() {
        let transcript = Transcript {
            language: "ja".to_owned(),
            verdict: Verdict::NoWords(NoWords::NoSpeech),
            segments: Vec::new(),
            model: "test".to_owned(),
        };
        let text = render("a.wav", &transcript, Format::Json);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["verdict"], "no_words");
        assert_eq!(value["no_words_reason"], "no_speech");
        assert_eq!(render("a.wav", &transcript, Format::Text), "（無言）\n");
    }
}
