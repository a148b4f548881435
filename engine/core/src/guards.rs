//! Whether what the model wrote may be believed.
//!
//! In: one window's text with the model's own doubts about it. Out: keep it, read it again at a
//! higher temperature, or reject it; loops are cut. Whisper writes fluent text about silence, so
//! a known phantom is rejected, but only where the sound gives reason to doubt it: callers do say
//! 「ありがとうございました」. Knows nothing of sound, tokens or the rest of the recording.

use std::sync::LazyLock;

use crate::manner::Temperature;

/// Limits of belief; a model's card may set its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// A window whose no-speech probability exceeds this holds no words, unless its text is
    /// likely.
    pub no_speech_max: f32,
    /// Text less likely than this on average (log probability a token) is doubtful.
    pub logprob_min: f32,
    /// Text that compresses better than this repeats itself.
    pub compression_ratio_max: f32,
    /// A phrase may follow itself this often.
    pub repeats_max: usize,
}

impl Default for Thresholds {
    /// Those of openai/whisper's `transcribe.py`, which has none for repeats.
    fn default() -> Self {
        Self { no_speech_max: 0.6, logprob_min: -1.0, compression_ratio_max: 2.4, repeats_max: 3 }
    }
}

/// What the model says of one window, beside its text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doubts {
    /// Average log probability of the tokens.
    pub avg_logprob: f32,
    /// Probability that nobody spoke.
    pub no_speech_prob: f32,
    /// UTF-8 bytes of the text over its bytes when compressed by zlib.
    pub compression_ratio: f32,
}

/// Why a window's text is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The model heard nobody.
    Silence,
    /// The text repeats itself.
    Loop,
    /// The model writes this about silence, and has doubts here too.
    Phantom,
    /// There is no word in it.
    Wordless,
}

impl Rejection {
    /// Stable name for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Loop => "loop",
            Self::Phantom => "phantom",
            Self::Wordless => "wordless",
        }
    }
}

impl Thresholds {
    /// Whether the window is silence whatever its text says.
    pub fn is_silence(&self, doubts: Doubts) -> bool {
        doubts.no_speech_prob > self.no_speech_max && doubts.avg_logprob < self.logprob_min
    }

    /// Whether the window should be read again at the next higher temperature: its text loops or
    /// is unlikely, and it is not simply silence.
    pub fn wants_another_reading(&self, doubts: Doubts) -> bool {
        let poor = doubts.compression_ratio > self.compression_ratio_max
            || doubts.avg_logprob < self.logprob_min;
        // A doubt that is no number is a doubt.
        (poor || doubts.avg_logprob.is_nan()) && !self.is_silence(doubts)
    }

    /// The temperature of the next reading of a window that was read at `tried`, the lowest of
    /// `ladder` above it; `None`: what was read stands, or nothing is left to try.
    pub fn next_temperature(
        &self,
        ladder: &[Temperature],
        tried: Temperature,
        doubts: Doubts,
    ) -> Option<Temperature> {
        let higher = ladder.iter().copied().filter(|rung| *rung > tried).min();
        higher.filter(|_| self.wants_another_reading(doubts))
    }

    /// Whether a later reading is to be believed rather than the one before.
    pub fn prefers(&self, later: Doubts, before: Doubts) -> bool {
        !self.wants_another_reading(later) || later.avg_logprob > before.avg_logprob
    }

    /// Judges a window's whole text after its last reading.
    pub fn judge(&self, text: &str, doubts: Doubts) -> Result<(), Rejection> {
        if self.is_silence(doubts) {
            return Err(Rejection::Silence);
        }
        if doubts.compression_ratio > self.compression_ratio_max {
            return Err(Rejection::Loop);
        }
        let words = normalised(text);
        if words.is_empty() {
            return Err(Rejection::Wordless);
        }
        let doubtful = doubts.no_speech_prob >= PHANTOM_NO_SPEECH_MIN
            || doubts.avg_logprob < PHANTOM_LOGPROB_MAX;
        if doubtful && is_phantom(&words) {
            return Err(Rejection::Phantom);
        }
        Ok(())
    }

    /// The text with every phrase that follows itself more than `repeats_max` times said once.
    /// Single characters and digits are left alone: numbers may well repeat.
    pub fn cut_repeats(&self, text: &str) -> String {
        let chars: Vec<char> = text.chars().collect();
        let mut kept = String::with_capacity(text.len());
        let mut at = 0;
        while at < chars.len() {
            let rest = &chars[at..];
            let found = (2..=PHRASE_CHARS_MAX.min(rest.len() / 2)).find_map(|unit| {
                let phrase = &rest[..unit];
                let times = rest.chunks_exact(unit).take_while(|part| *part == phrase).count();
                let is_words = phrase.iter().any(|c| c.is_alphabetic());
                (times > self.repeats_max && is_words && times * unit >= LOOP_CHARS_MIN)
                    .then_some((unit, times))
            });
            let (keep, skip) = found.map_or((1, 1), |(unit, times)| (unit, unit * times));
            kept.extend(&chars[at..at + keep]);
            at += skip;
        }
        kept
    }
}

/// Whether all of the (normalised) text is phantoms.
fn is_phantom(words: &str) -> bool {
    let mut rest = words;
    while !rest.is_empty() {
        let longest = PHANTOMS
            .iter()
            .filter(|phantom| rest.starts_with(phantom.as_str()))
            .max_by_key(|phantom| phantom.len());
        match longest {
            Some(phantom) => rest = &rest[phantom.len()..],
            None => return false,
        }
    }
    true
}

/// Letters and digits only, in lower case.
fn normalised(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// From here on a known phantom is believed to be one: on silence Whisper's no-speech probability
/// is often only 0.3–0.55.
const PHANTOM_NO_SPEECH_MIN: f32 = 0.3;
/// Likewise below this average log probability: about 60 % a token.
const PHANTOM_LOGPROB_MAX: f32 = -0.5;
/// Longest phrase whose repeats are looked for.
const PHRASE_CHARS_MAX: usize = 60;
/// Shorter runs are left to the caller: 「もしもしもしもし」 is said.
const LOOP_CHARS_MIN: usize = 16;

/// Known phantoms, normalised. See also Koenecke et al., "Careless Whisper" (2024).
static PHANTOMS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let lines = include_str!("phantoms.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split('\t').nth(1)).map(normalised).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    const SURE: Doubts = Doubts { avg_logprob: -0.2, no_speech_prob: 0.05, compression_ratio: 1.2 };

    fn judge(text: &str, doubts: Doubts) -> Result<(), Rejection> {
        Thresholds::default().judge(text, doubts)
    }

    #[test]
    fn phantom_is_rejected_only_where_the_sound_is_doubtful() {
        for text in
            ["ご視聴ありがとうございました。", "Thanks for watching!", "Thank you for watching."]
        {
            assert_eq!(judge(text, SURE), Ok(()), "{text}");
            let quiet = Doubts { no_speech_prob: 0.3, ..SURE };
            assert_eq!(judge(text, quiet), Err(Rejection::Phantom), "{text}");
            let unlikely = Doubts { avg_logprob: -0.51, ..SURE };
            assert_eq!(judge(text, unlikely), Err(Rejection::Phantom), "{text}");
        }
        let almost = Doubts { no_speech_prob: 0.29, avg_logprob: -0.5, ..SURE };
        assert_eq!(judge("Thanks for watching!", almost), Ok(()));
    }

    #[test]
    fn words_beside_a_phantom_save_it_and_another_phantom_does_not() {
        let quiet = Doubts { no_speech_prob: 0.5, ..SURE };
        assert_eq!(judge("田中です。ご視聴ありがとうございました", quiet), Ok(()));
        assert_eq!(judge("Thanks for watching! Please subscribe.", quiet), Err(Rejection::Phantom));
    }

    #[test]
    fn silence_needs_both_no_speech_and_unlikely_text() {
        let both = Doubts { no_speech_prob: 0.61, avg_logprob: -1.01, ..SURE };
        assert_eq!(judge("明日", both), Err(Rejection::Silence));
        assert_eq!(judge("明日", Doubts { no_speech_prob: 0.6, ..both }), Ok(()));
        assert_eq!(judge("明日", Doubts { avg_logprob: -1.0, ..both }), Ok(()));
    }

    #[test]
    fn loops_are_rejected_past_the_compression_limit() {
        assert_eq!(judge("あ", Doubts { compression_ratio: 2.4, ..SURE }), Ok(()));
        let looping = Doubts { compression_ratio: 2.41, ..SURE };
        assert_eq!(judge("あ", looping), Err(Rejection::Loop));
    }

    #[test]
    fn text_without_a_letter_is_no_word() {
        for text in ["", "  ", "…", "♪♪♪", "。"] {
            assert_eq!(judge(text, SURE), Err(Rejection::Wordless), "{text:?}");
        }
    }

    #[test]
    fn poor_text_is_read_again_and_silence_is_not() {
        let again = |doubts| Thresholds::default().wants_another_reading(doubts);
        assert!(!again(SURE));
        assert!(again(Doubts { avg_logprob: -1.1, ..SURE }));
        assert!(again(Doubts { compression_ratio: 2.5, ..SURE }));
        assert!(again(Doubts { avg_logprob: f32::NAN, ..SURE }));
        assert!(!again(Doubts { avg_logprob: -1.1, no_speech_prob: 0.7, ..SURE }));
    }

    #[test]
    fn the_ladder_is_climbed_until_a_reading_stands() {
        let thresholds = Thresholds::default();
        let ladder = [0.4, 0.8].map(|degrees| Temperature::new(degrees).unwrap());
        let poor = Doubts { avg_logprob: -1.1, ..SURE };
        let next = |tried, doubts| thresholds.next_temperature(&ladder, tried, doubts);
        assert_eq!(next(Temperature::GREEDY, SURE), None);
        assert_eq!(next(Temperature::GREEDY, poor), Some(ladder[0]));
        assert_eq!(next(ladder[0], poor), Some(ladder[1]));
        assert_eq!(next(ladder[1], poor), None, "nothing is left to try");
        assert_eq!(thresholds.next_temperature(&[], Temperature::GREEDY, poor), None);
        let poorer = Doubts { avg_logprob: -1.2, ..SURE };
        assert!(thresholds.prefers(SURE, poor) && thresholds.prefers(poor, poorer));
        assert!(!thresholds.prefers(poorer, poor));
    }

    #[test]
    fn every_phantom_has_a_language_a_phrase_and_a_source() {
        let lines = include_str!("phantoms.txt").lines().filter(|line| !line.starts_with('#'));
        for line in lines {
            let [language, phrase, source] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line:?} has not three parts")
            };
            assert!(["ja", "en"].contains(&language), "{line:?}");
            assert!(!normalised(phrase).is_empty(), "{line:?}");
            let is_named = ["variant", "collected"].contains(&source);
            assert!(is_named || source.starts_with("github.com/"), "{line:?}");
            let doubtful = Doubts { no_speech_prob: 0.5, ..SURE };
            assert_eq!(judge(phrase, doubtful), Err(Rejection::Phantom), "{line:?}");
        }
        assert!(PHANTOMS.len() > 20);
    }

    #[test]
    fn phrase_said_too_often_is_said_once() {
        let cut = |text: &str| Thresholds::default().cut_repeats(text);
        let often = |phrase: &str, times| phrase.repeat(times);
        let thanks = "ありがとうございます。";
        assert_eq!(cut(&often(thanks, 3)), often(thanks, 3), "three times is spoken");
        assert_eq!(cut(&often(thanks, 4)), thanks);
        assert_eq!(
            cut(&format!("田中です。{}では", often(thanks, 9))),
            format!("田中です。{thanks}では")
        );
        assert_eq!(cut(&often("I'm here. ", 5)), "I'm here. ");
    }

    #[test]
    fn numbers_and_short_calls_are_left_alone() {
        let same = |text: &str| assert_eq!(Thresholds::default().cut_repeats(text), text);
        same("電話番号は0900000000000000000です");
        same("12121212121212121212");
        same("もしもしもしもし");
        same("はいはいはいはい、わかりました");
    }
}
