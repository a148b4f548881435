//! Readings of a recording's windows to its transcript.
//!
//! In: what the model wrote about each window, with its doubts, in order of time. Out: one
//! [`Transcript`]: segments in order of time that never overlap, each with its confidence, and the
//! verdict *speech* or *no words*; what speaks for each segment stands beside it. Never invents:
//! text that the guards reject leaves a gap. Knows nothing of sound.

use crate::guards::{Doubts, Rejection, Thresholds};
use crate::manner::Temperature;
use crate::private::Private;
use crate::text::{NoWords, Segment, Transcript, Verdict};
use crate::words::{self, Piece, Word};

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
    /// The temperature of the reading that stands.
    pub temperature: Temperature,
    /// Whether the words' times are wanted.
    pub words: bool,
}

/// Text with its place in the window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TextPart {
    /// Start in milliseconds from the window's start, where the model told it.
    pub start_ms: Option<u32>,
    /// End, likewise.
    pub end_ms: Option<u32>,
    /// The words.
    pub text: Private<String>,
    /// The model's tokens of it.
    pub tokens: Private<Vec<u32>>,
    /// Its pieces where they were aligned with the sound, in milliseconds from the window's start.
    pub pieces: Vec<Piece>,
}

/// What speaks for a segment, beside its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Doubts about the window that it was read in.
    pub doubts: Doubts,
    /// Temperature of the reading.
    pub temperature: Temperature,
    /// The model's tokens.
    pub tokens: Private<Vec<u32>>,
    /// Its words with their times, if they were wanted.
    pub words: Vec<Word>,
}

/// A segment and what speaks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// The segment.
    pub segment: Segment,
    /// What speaks for it.
    pub evidence: Evidence,
}

/// A transcript, and what the guards took out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembled {
    /// The transcript.
    pub transcript: Transcript,
    /// What speaks for each of its segments.
    pub evidence: Vec<Evidence>,
    /// Windows whose text was rejected, with the reason; for counters.
    pub rejected: Vec<Rejection>,
}

/// Puts a transcript together as windows are read, in order of time.
#[derive(Debug, Clone)]
pub struct Assembler {
    thresholds: Thresholds,
    /// No segment ends behind it.
    duration_ms: u32,
    language: Option<String>,
    passages: Vec<Passage>,
    rejected: Vec<Rejection>,
    has_windows: bool,
}

impl Assembler {
    /// Nothing was read yet of a recording of this length; `u32::MAX` while it is not known.
    pub const fn new(thresholds: Thresholds, duration_ms: u32) -> Self {
        Self {
            thresholds,
            duration_ms,
            language: None,
            passages: Vec::new(),
            rejected: Vec::new(),
            has_windows: false,
        }
    }

    /// Adds the next window; gives what it brought.
    pub fn add(&mut self, window: &WindowText) -> &[Passage] {
        self.has_windows = true;
        self.language.get_or_insert_with(|| window.language.clone());
        let before = self.passages.len();
        let whole: String = window.parts.iter().map(|part| part.text.reveal().as_str()).collect();
        match self.thresholds.judge(&whole, window.doubts) {
            Ok(()) => window.parts.iter().for_each(|part| self.add_part(window, part)),
            Err(reason) => self.rejected.push(reason),
        }
        &self.passages[before..]
    }

    /// Adds a part of a window. Times that the model invents are brought into the window, and no
    /// segment starts before the one before it has ended.
    fn add_part(&mut self, window: &WindowText, part: &TextPart) {
        let last_ms = window.end_ms.min(self.duration_ms);
        let text = self.thresholds.cut_repeats(part.text.reveal().trim());
        if !text.chars().any(char::is_alphanumeric) {
            return;
        }
        let at = |ms: Option<u32>, otherwise: u32| {
            ms.map_or(otherwise, |ms| window.start_ms.saturating_add(ms)).min(last_ms)
        };
        let free_ms = self.passages.last().map_or(0, |before| before.segment.end_ms);
        let start_ms = at(part.start_ms, window.start_ms).max(free_ms);
        let end_ms = at(part.end_ms, last_ms).max(start_ms);
        let words =
            if window.words { words_of(window, part, &text, start_ms, end_ms) } else { Vec::new() };
        let confidence = window.doubts.avg_logprob.exp().clamp(0.0, 1.0);
        self.passages.push(Passage {
            segment: Segment { start_ms, end_ms, text: Private::new(text), confidence },
            evidence: Evidence {
                doubts: window.doubts,
                temperature: window.temperature,
                tokens: part.tokens.clone(),
                words,
            },
        });
    }

    /// What was read so far, joined as [`Transcript::text`] joins it.
    pub fn text(&self) -> Private<String> {
        let language = self.language.as_deref().unwrap_or_default();
        let parts = self.passages.iter().map(|passage| passage.segment.text.reveal().as_str());
        Private::new(words::join(parts, language))
    }

    /// The end: `language` stands where no window was read.
    pub fn finish(self, language: &str, model: &str) -> Assembled {
        let verdict = if !self.passages.is_empty() {
            Verdict::Speech
        } else if self.duration_ms == 0 {
            Verdict::NoWords(NoWords::Empty)
        } else if self.has_windows {
            Verdict::NoWords(NoWords::Rejected)
        } else {
            Verdict::NoWords(NoWords::NoSpeech)
        };
        let passages = self.passages.into_iter();
        let (segments, evidence) = passages.map(|one| (one.segment, one.evidence)).unzip();
        let language = self.language.unwrap_or_else(|| language.to_owned());
        let transcript = Transcript { language, verdict, segments, model: model.to_owned() };
        Assembled { transcript, evidence, rejected: self.rejected }
    }
}

/// Words of a part within its segment: aligned where the model told it, else shared out.
fn words_of(
    window: &WindowText,
    part: &TextPart,
    text: &str,
    start_ms: u32,
    end_ms: u32,
) -> Vec<Word> {
    if part.pieces.is_empty() {
        return words::spread(text, start_ms, end_ms, &window.language);
    }
    let mut words = words::kept(words::joined(&part.pieces, &window.language), text);
    for word in &mut words {
        let within = |ms: u32| window.start_ms.saturating_add(ms).clamp(start_ms, end_ms);
        (word.start_ms, word.end_ms) = (within(word.start_ms), within(word.end_ms));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::WordTimes;

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
                    ..TextPart::default()
                })
                .collect(),
            doubts: Doubts { avg_logprob: -0.1, no_speech_prob: 0.0, compression_ratio: 1.0 },
            temperature: Temperature::GREEDY,
            words: false,
        }
    }

    fn assembled(windows: &[WindowText], duration_ms: u32) -> Assembled {
        let mut assembler = Assembler::new(Thresholds::default(), duration_ms);
        for window in windows {
            assembler.add(window);
        }
        let so_far = assembler.text();
        let assembled = assembler.finish("ja", "model");
        assert_eq!(so_far, assembled.transcript.text());
        assert_eq!(assembled.evidence.len(), assembled.transcript.segments.len());
        assembled
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

    #[test]
    fn words_stand_within_their_segment_and_say_where_their_times_come_from() {
        let piece = |start_ms, text: &str| Piece {
            start_ms,
            end_ms: start_ms + 400,
            text: Private::new(text.to_owned()),
            probability: 0.9,
        };
        let mut aligned = window(1_000, 3_000, &[(None, None, "明日です。")]);
        aligned.words = true;
        aligned.parts[0].pieces = vec![piece(100, "明日"), piece(500, "です"), piece(5_000, "。")];
        let mut guessed = window(3_000, 4_000, &[(None, None, "はい")]);
        guessed.words = true;
        let all = assembled(&[aligned, guessed], 4_000);
        let shown = |at: usize| -> Vec<(u32, u32, &str, WordTimes)> {
            let words = all.evidence[at].words.iter();
            words.map(|w| (w.start_ms, w.end_ms, w.text.reveal().as_str(), w.times)).collect()
        };
        let (aligned, guessed) = (WordTimes::Aligned, WordTimes::Interpolated);
        assert_eq!(shown(0), [(1_100, 1_500, "明日", aligned), (1_500, 1_900, "です。", aligned)]);
        assert_eq!(shown(1), [(3_000, 3_500, "は", guessed), (3_500, 4_000, "い", guessed)]);
    }
}
