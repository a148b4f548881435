//! Segments as SubRip and WebVTT: what players read.
//!
//! In: segments in order of time. Out: the whole file's text. Pure.

use crate::text::Segment;

/// `SubRip`: numbered cues, milliseconds behind a comma.
pub fn srt(segments: &[Segment]) -> String {
    let cues = segments.iter().zip(1_u32..);
    cues.map(|(segment, number)| format!("{number}\n{}", cue(segment, ',')))
        .collect::<Vec<_>>()
        .concat()
}

/// `WebVTT`: a head, milliseconds behind a point.
pub fn vtt(segments: &[Segment]) -> String {
    let cues: String = segments.iter().map(|segment| cue(segment, '.')).collect();
    format!("WEBVTT\n\n{cues}")
}

/// The arrow must not stand in a cue's text, nor a line of nothing: both would end it.
fn cue(segment: &Segment, point: char) -> String {
    let text = segment.text.reveal().trim().replace("-->", "->");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let (start, end) = (clock(segment.start_ms, point), clock(segment.end_ms, point));
    format!("{start} --> {end}\n{}\n\n", lines.join("\n"))
}

fn clock(ms: u32, point: char) -> String {
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("{:02}:{:02}:{seconds:02}{point}{ms:03}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::Private;

    fn segments() -> Vec<Segment> {
        let segment = |start_ms, end_ms, text: &str| Segment {
            start_ms,
            end_ms,
            text: Private::new(text.to_owned()),
            confidence: 0.5,
        };
        vec![segment(0, 1_500, "もしもし。"), segment(3_599_000, 3_600_007, "では、-->\n\nまた。")]
    }

    #[test]
    fn srt_numbers_its_cues_and_uses_commas() {
        assert_eq!(
            srt(&segments()),
            "1\n00:00:00,000 --> 00:00:01,500\nもしもし。\n\n\
             2\n00:59:59,000 --> 01:00:00,007\nでは、->\nまた。\n\n"
        );
        assert_eq!(srt(&[]), "");
    }

    #[test]
    fn vtt_has_its_head_and_points() {
        let text = vtt(&segments());
        assert!(
            text.starts_with("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nもしもし。\n\n"),
            "{text}"
        );
        assert_eq!(vtt(&[]), "WEBVTT\n\n");
    }
}
