//! Words with their times.
//!
//! In: pieces of text that the model aligned with the sound, or a text and the stretch that it
//! was spoken in. Out: words in order, each marked with where its times come from. Punctuation
//! belongs to the word beside it. Languages without spaces give one word a piece, as OpenAI's
//! reference does. Knows nothing of tokens or sound.

use crate::private::Private;

/// Where a word's times come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WordTimes {
    /// The model's attention was aligned with the sound.
    Aligned,
    /// The stretch was shared out by the length of the words: a guess.
    Interpolated,
}

impl WordTimes {
    /// Stable name for APIs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aligned => "aligned",
            Self::Interpolated => "interpolated",
        }
    }
}

/// A word with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// Start in milliseconds.
    pub start_ms: u32,
    /// End, never before the start.
    pub end_ms: u32,
    /// The word, without space around it.
    pub text: Private<String>,
    /// Average probability of its tokens, where they were looked at.
    pub probability: Option<f32>,
    /// Where its times come from.
    pub times: WordTimes,
}

/// A few tokens that are whole characters, with their place.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Start in milliseconds.
    pub start_ms: u32,
    /// End, likewise.
    pub end_ms: u32,
    /// The text as the model wrote it, spaces included.
    pub text: Private<String>,
    /// Average probability of the tokens.
    pub probability: f32,
}

/// Whether a language (ISO 639-1) puts spaces between its words.
pub fn has_spaces(language: &str) -> bool {
    !["ja", "zh", "th", "lo", "my", "km", "yue"].contains(&language)
}

/// Parts of a text as one, with a space between only where the language uses one.
pub fn join<'a>(parts: impl Iterator<Item = &'a str>, language: &str) -> String {
    let joint = if has_spaces(language) { " " } else { "" };
    parts.map(str::trim).collect::<Vec<_>>().join(joint)
}

/// Words of aligned pieces.
pub fn joined(pieces: &[Piece], language: &str) -> Vec<Word> {
    let spaced = has_spaces(language);
    let mut words: Vec<Draft> = Vec::new();
    for piece in pieces {
        let text = piece.text.reveal();
        let goes_on = words.last().is_some_and(|word| {
            word.opens() || is_closing(text) || spaced && !text.starts_with(char::is_whitespace)
        });
        match words.last_mut() {
            Some(word) if goes_on => word.add(piece),
            _ => words.push(Draft::new(piece)),
        }
    }
    words.into_iter().filter_map(Draft::finish).collect()
}

/// Words of a text that was spoken from `start_ms` to `end_ms`: each gets a part of the time as
/// long as its part of the text.
pub fn spread(text: &str, start_ms: u32, end_ms: u32, language: &str) -> Vec<Word> {
    let spaced = has_spaces(language);
    let mut parts: Vec<String> = Vec::new();
    let mut gap = true;
    for c in text.chars() {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        let follows = is_close(c) || parts.last().is_some_and(|part| ends_open(part));
        let goes_on = if spaced { !gap } else { follows };
        match parts.last_mut() {
            Some(part) if goes_on => part.push(c),
            _ => parts.push(c.to_string()),
        }
        gap = false;
    }
    let total = parts.iter().map(|part| part.chars().count() as u64).sum::<u64>().max(1);
    let span = u64::from(end_ms.saturating_sub(start_ms));
    let mut before = 0;
    let at = |chars: u64| start_ms + (span * chars / total) as u32;
    let words = parts.into_iter().map(|part| {
        let from = before;
        before += part.chars().count() as u64;
        Word {
            start_ms: at(from),
            end_ms: at(before),
            text: Private::new(part),
            probability: None,
            times: WordTimes::Interpolated,
        }
    });
    words.collect()
}

/// The words that are left of `words` in a text from which repeats were cut, in order.
pub fn kept(words: Vec<Word>, text: &str) -> Vec<Word> {
    let mut rest = text.trim_start();
    words
        .into_iter()
        .filter(|word| match rest.strip_prefix(word.text.reveal().as_str()) {
            Some(after) => {
                rest = after.trim_start();
                true
            }
            None => false,
        })
        .collect()
}

struct Draft {
    start_ms: u32,
    end_ms: u32,
    text: String,
    probabilities: f32,
    pieces: u32,
}

impl Draft {
    fn new(piece: &Piece) -> Self {
        let text = piece.text.reveal().clone();
        let Piece { start_ms, end_ms, probability, .. } = *piece;
        Self { start_ms, end_ms, text, probabilities: probability, pieces: 1 }
    }

    /// Takes a piece. The time of punctuation is silence: it makes no word longer.
    fn add(&mut self, piece: &Piece) {
        let text = piece.text.reveal();
        if self.opens() {
            self.start_ms = piece.start_ms;
        }
        if self.opens() || !is_closing(text) {
            self.end_ms = piece.end_ms;
        }
        self.text.push_str(text);
        self.probabilities += piece.probability;
        self.pieces += 1;
    }

    /// Whether all of it opens what comes next.
    fn opens(&self) -> bool {
        let text = self.text.trim();
        !text.is_empty() && text.chars().all(is_open)
    }

    fn finish(self) -> Option<Word> {
        let text = self.text.trim();
        (!text.is_empty()).then(|| Word {
            start_ms: self.start_ms,
            end_ms: self.end_ms.max(self.start_ms),
            text: Private::new(text.to_owned()),
            probability: Some((self.probabilities / self.pieces as f32).clamp(0.0, 1.0)),
            times: WordTimes::Aligned,
        })
    }
}

fn is_closing(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.chars().all(is_close)
}

fn ends_open(text: &str) -> bool {
    text.chars().next_back().is_some_and(is_open)
}

const fn is_open(c: char) -> bool {
    matches!(c, '“' | '¿' | '¡' | '(' | '[' | '{' | '「' | '『' | '（')
}

const fn is_close(c: char) -> bool {
    matches!(
        c,
        '.' | ','
            | '!'
            | '?'
            | ':'
            | ';'
            | ')'
            | ']'
            | '}'
            | '”'
            | '。'
            | '、'
            | '，'
            | '．'
            | '！'
            | '？'
            | '：'
            | '」'
            | '』'
            | '）'
            | '…'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(texts: &[&str]) -> Vec<Piece> {
        let piece = |(n, text): (usize, &&str)| Piece {
            start_ms: 100 * n as u32,
            end_ms: 100 * (n as u32 + 1),
            text: Private::new((*text).to_owned()),
            probability: 0.5,
        };
        texts.iter().enumerate().map(piece).collect()
    }

    fn shown(words: &[Word]) -> Vec<(u32, u32, &str)> {
        words.iter().map(|w| (w.start_ms, w.end_ms, w.text.reveal().as_str())).collect()
    }

    #[test]
    fn english_pieces_become_words_at_spaces() {
        let words = joined(&pieces(&[" Hel", "lo", ",", " it", "'s", " me", "."]), "en");
        assert_eq!(shown(&words), [(0, 200, "Hello,"), (300, 500, "it's"), (500, 600, "me.")]);
        assert!(words.iter().all(|word| word.times == WordTimes::Aligned));
    }

    #[test]
    fn japanese_pieces_are_words_and_punctuation_belongs_to_its_neighbour() {
        let words = joined(&pieces(&["田中", "です", "。", "「", "はい", "」"]), "ja");
        assert_eq!(shown(&words), [(0, 100, "田中"), (100, 200, "です。"), (400, 500, "「はい」")]);
    }

    #[test]
    fn nothing_gives_no_words() {
        assert!(joined(&[], "ja").is_empty());
        assert!(joined(&pieces(&[" ", ""]), "en").is_empty());
        assert!(spread("  ", 0, 100, "en").is_empty());
    }

    #[test]
    fn a_text_without_alignment_is_shared_out_by_length() {
        let words = spread("I am here.", 1_000, 1_800, "en");
        assert_eq!(
            shown(&words),
            [(1_000, 1_100, "I"), (1_100, 1_300, "am"), (1_300, 1_800, "here.")]
        );
        assert!(words.iter().all(|word| word.times == WordTimes::Interpolated));
        let words = spread("「はい」。", 0, 500, "ja");
        assert_eq!(shown(&words), [(0, 200, "「は"), (200, 500, "い」。")]);
        assert_eq!(spread("はい", 50, 50, "ja").last().unwrap().end_ms, 50);
    }

    #[test]
    fn words_of_repeats_that_were_cut_go_with_them() {
        let words = joined(&pieces(&["お", "電話", "お", "電話", "です"]), "ja");
        let left = kept(words, "お電話です");
        assert_eq!(shown(&left), [(0, 100, "お"), (100, 200, "電話"), (400, 500, "です")]);
    }
}
