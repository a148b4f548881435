//! Transcripts as text, JSON, SubRip and WebVTT.

use engine_core::text::{Segment, Transcript, Verdict};

use crate::cli::Format;

/// The transcript of `file` in the wanted format, ending with a line break.
pub(crate) fn render(file: &str, transcript: &Transcript, format: Format) -> String {
    match format {
        Format::Text => text(transcript),
        Format::Json => json(file, transcript),
        Format::Srt => subtitles(transcript, "", ',', true),
        Format::Vtt => subtitles(transcript, "WEBVTT\n\n", '.', false),
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

fn subtitles(transcript: &Transcript, head: &str, point: char, numbered: bool) -> String {
    let mut out = head.to_owned();
    for (number, segment) in transcript.segments.iter().enumerate() {
        if numbered {
            out.push_str(&(number + 1).to_string());
            out.push('\n');
        }
        out.push_str(&cue(segment, point));
    }
    out
}

fn cue(segment: &Segment, point: char) -> String {
    format!(
        "{} --> {}\n{}\n\n",
        clock(segment.start_ms, point),
        clock(segment.end_ms, point),
        segment.text.reveal().trim()
    )
}

fn clock(ms: u32, point: char) -> String {
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("{:02}:{:02}:{seconds:02}{point}{ms:03}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_core::private::Private;
    use engine_core::text::NoWords;

    fn transcript() -> Transcript {
        let segment = |start_ms, end_ms, text: &str| Segment {
            start_ms,
            end_ms,
            text: Private::new(text.to_owned()),
            confidence: 0.5,
        };
        Transcript {
            language: "ja".to_owned(),
            verdict: Verdict::Speech,
            segments: vec![
                segment(0, 1_500, "もしもし。"),
                segment(3_599_000, 3_600_007, "では、また。"),
            ],
            model: "test".to_owned(),
        }
    }

    #[test]
    fn srt_numbers_its_cues_and_uses_commas() {
        assert_eq!(
            render("a.wav", &transcript(), Format::Srt),
            "1\n00:00:00,000 --> 00:00:01,500\nもしもし。\n\n\
             2\n00:59:59,000 --> 01:00:00,007\nでは、また。\n\n"
        );
    }

    #[test]
    fn vtt_has_its_head_and_points() {
        let text = render("a.wav", &transcript(), Format::Vtt);
        assert!(
            text.starts_with("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nもしもし。\n\n"),
            "{text}"
        );
    }

    #[test]
    fn json_names_the_verdict_and_its_reason() {
        let mut transcript = transcript();
        transcript.segments.clear();
        transcript.verdict = Verdict::NoWords(NoWords::NoSpeech);
        let text = render("a.wav", &transcript, Format::Json);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["verdict"], "no_words");
        assert_eq!(value["no_words_reason"], "no_speech");
        assert_eq!(render("a.wav", &transcript, Format::Text), "（無言）\n");
    }
}
