//! Readings of a recording's windows to its transcript.
//!
//! In: what the model wrote about each window, with its doubts. Out: one [`Transcript`]: segments
//! in order of time that never overlap, each with its confidence, and the verdict *speech* or *no
//! words*. Never invents: text that the guards reject leaves a gap. Knows nothing of sound.

use crate::guards::{Doubts, Rejection, Thresholds};
use crate::private::Private;
use crate::text::{NoWords, Segment, Transcript, Verdict};

/// What the model wrote about one window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowText {
    /// The window's start, in milliseconds from the start of the recording.
    pub start_ms: u32,
    /// Its end.
    pub end_ms: u32,
    /// ISO 639-1 code of the language it was read in.
    pub language: String,
    /// The text in order; one part where the model told no times.
    pub parts: Vec<TextPart>,
    /// The model's doubts.
    pub doubts: Doubts,
}

/// Text with its place in the window.
#[derive(Debug, Clone, PartialEq)]
pub struct TextPart {
    /// Start in milliseconds from the window's start, where the model told it.
    pub start_ms: Option<u32>,
    /// End, likewise.
    pub end_ms: Option<u32>,
    /// The words.
    pub text: Private<String>,
}

/// A transcript, and what the guards took out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembled {
    /// The transcript.
    pub transcript: Transcript,
    /// Windows whose text was rejected, with the reason; for counters.
    pub rejected: Vec<Rejection>,
}

/// Puts a transcript together from windows in order of time. `duration_ms` is the recording's
/// length; `language` stands where no window was read.
pub fn assemble(
    windows: &[WindowText],
    thresholds: &Thresholds,
    duration_ms: u32,
    language: &str,
    model: &str,
) -> Assembled {
    let mut segments: Vec<Segment> = Vec::new();
    let mut rejected = Vec::new();
    for window in windows {
        let whole: String = window.parts.iter().map(|part| part.text.reveal().as_str()).collect();
        match thresholds.judge(&whole, window.doubts) {
            Ok(()) => add(&mut segments, window, thresholds, duration_ms),
            Err(reason) => rejected.push(reason),
        }
    }
    let verdict = if !segments.is_empty() {
        Verdict::Speech
    } else if duration_ms == 0 {
        Verdict::NoWords(NoWords::Empty)
    } else if windows.is_empty() {
        Verdict::NoWords(NoWords::NoSpeech)
    } else {
        Verdict::NoWords(NoWords::Rejected)
    };
    let language = windows.first().map_or(language, |window| window.language.as_str()).to_owned();
    let transcript = Transcript { language, verdict, segments, model: model.to_owned() };
    Assembled { transcript, rejected }
}

/// Adds a window's parts. Times that the model invents are brought into the window, and no
/// segment starts before the one before it has ended.
fn add(
    segments: &mut Vec<Segment>,
    window: &WindowText,
    thresholds: &Thresholds,
    duration_ms: u32,
) {
    let last_ms = window.end_ms.min(duration_ms);
    let confidence = window.doubts.avg_logprob.exp().clamp(0.0, 1.0);
    for part in &window.parts {
        let text = thresholds.cut_repeats(part.text.reveal().trim());
        if !text.chars().any(char::is_alphanumeric) {
            continue;
        }
        let at = |ms: Option<u32>, otherwise: u32| {
            ms.map_or(otherwise, |ms| window.start_ms.saturating_add(ms)).min(last_ms)
        };
        let free_ms = segments.last().map_or(0, |before| before.end_ms);
        let start_ms = at(part.start_ms, window.start_ms).max(free_ms);
        let end_ms = at(part.end_ms, last_ms).max(start_ms);
        segments.push(Segment { start_ms, end_ms, text: Private::new(text), confidence });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(
        start_ms: u32,
        end_ms: u32,
        parts: &[(Option<u32>, Option<u32>, &str)],
    ) -> WindowText {
        WindowText {
            start_ms,
            end_ms,
            language: "ja".to_owned(),
            parts: parts
                .iter()
                .map(|&(start_ms, end_ms, text)| TextPart {
                    start_ms,
                    end_ms,
                    text: Private::new(text.to_owned()),
                })
                .collect(),
            doubts: Doubts { avg_logprob: -0.1, no_speech_prob: 0.0, compression_ratio: 1.0 },
        }
    }

    fn assembled(windows: &[WindowText], duration_ms: u32) -> Assembled {
        assemble(windows, &Thresholds::default(), duration_ms, "ja", "model")
    }

    fn times(assembled: &Assembled) -> Vec<(u32, u32)> {
        assembled.transcript.segments.iter().map(|s| (s.start_ms, s.end_ms)).collect()
    }

    #[test]
    fn windows_become_segments_in_the_recordings_time() {
        let all = assembled(
            &[
                window(
                    0,
                    3_000,
                    &[(Some(100), Some(900), "田中です。"), (Some(900), None, "明日")],
                ),
                window(3_500, 5_000, &[(None, None, " 伺います ")]),
            ],
            5_000,
        );
        assert_eq!(times(&all), [(100, 900), (900, 3_000), (3_500, 5_000)]);
        assert_eq!(all.transcript.text().reveal(), "田中です。明日伺います");
        assert_eq!(all.transcript.verdict, Verdict::Speech);
        assert!((all.transcript.confidence() - (-0.1_f32).exp()).abs() < 1e-5);
    }

    #[test]
    fn invented_times_stay_within_window_and_order() {
        let parts = [(Some(2_000), Some(90_000), "一"), (Some(500), Some(100), "二")];
        let all = assembled(
            &[window(0, 3_000, &parts), window(2_500, 9_000, &[(None, None, "三")])],
            4_000,
        );
        assert_eq!(times(&all), [(2_000, 3_000), (3_000, 3_000), (3_000, 4_000)]);
    }

    #[test]
    fn verdict_says_why_there_are_no_words() {
        let none = |windows: &[WindowText], ms| assembled(windows, ms).transcript.verdict;
        assert_eq!(none(&[], 0), Verdict::NoWords(NoWords::Empty));
        assert_eq!(none(&[], 1), Verdict::NoWords(NoWords::NoSpeech));
        let noise = window(0, 1_000, &[(None, None, "♪")]);
        assert_eq!(none(&[noise], 1_000), Verdict::NoWords(NoWords::Rejected));
    }

    #[test]
    fn rejected_window_leaves_a_gap_and_its_reason() {
        let mut phantom = window(1_000, 2_000, &[(None, None, "ご視聴ありがとうございました")]);
        phantom.doubts.no_speech_prob = 0.5;
        let spoken = |start| window(start, start + 1_000, &[(None, None, "はい")]);
        let all = assembled(&[spoken(0), phantom, spoken(2_000)], 3_000);
        assert_eq!(times(&all), [(0, 1_000), (2_000, 3_000)]);
        assert_eq!(all.rejected, [Rejection::Phantom]);
    }

    #[test]
    fn loop_inside_a_window_is_cut() {
        let looping = "お電話ください。".repeat(6);
        let all = assembled(&[window(0, 9_000, &[(None, None, &looping)])], 9_000);
        assert_eq!(all.transcript.text().reveal(), "お電話ください。");
    }
}
