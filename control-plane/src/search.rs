//! Whether a message's text holds what somebody looks for. In: a query and texts. Out: yes or no.
//! Pure; knows nothing of rows.
//!
//! Texts are compared folded: NFKC (full and half width, ligatures), lower case, katakana as
//! hiragana. What stands between words and sentences (spaces, punctuation) does not count, since a
//! recogniser sets it as it likes. Words of a query that are separated by spaces must all be there,
//! in any order.

use unicode_normalization::UnicodeNormalization;

use crate::limits::SEARCH_CHARS_MAX;

/// Why a query cannot be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// Nothing to look for.
    #[error("q must hold a letter or a digit to look for")]
    Empty,
    /// Too long.
    #[error("q may have at most {SEARCH_CHARS_MAX} characters, not {given}")]
    TooLong {
        /// How many were given.
        given: usize,
    },
}

/// What is looked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Needle {
    words: Vec<String>,
}

impl std::fmt::Debug for Needle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What somebody looks for is as private as what is found.
        f.debug_struct("Needle").field("words", &self.words.len()).finish()
    }
}

impl Needle {
    /// Reads a query.
    pub fn new(query: &str) -> Result<Self, SearchError> {
        let given = query.chars().count();
        if given > SEARCH_CHARS_MAX {
            return Err(SearchError::TooLong { given });
        }
        let words: Vec<String> =
            query.split_whitespace().map(fold).filter(|word| !word.is_empty()).collect();
        if words.is_empty() { Err(SearchError::Empty) } else { Ok(Self { words }) }
    }

    /// Whether the text holds every word.
    pub fn is_in(&self, text: &str) -> bool {
        let text = fold(text);
        self.words.iter().all(|word| text.contains(word.as_str()))
    }
}

/// The form in which texts are compared.
fn fold(text: &str) -> String {
    text.nfkc()
        .flat_map(char::to_lowercase)
        .filter(|&c| c.is_alphanumeric() || is_mark(c))
        .map(hiragana)
        .collect()
}

/// Marks that tell words apart though they are no letters: the long vowel, repetition marks, and
/// voice marks that stand alone.
fn is_mark(c: char) -> bool {
    matches!(c, 'ー' | '々' | 'ゝ' | 'ゞ' | 'ヽ' | 'ヾ' | '\u{3099}' | '\u{309a}')
}

/// Katakana as hiragana, which stands 0x60 before it.
fn hiragana(c: char) -> char {
    match c {
        'ァ'..='ヶ' | 'ヽ' | 'ヾ' => char::from_u32(c as u32 - 0x60).unwrap_or(c),
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(query: &str, text: &str) -> bool {
        Needle::new(query).unwrap().is_in(text)
    }

    #[test]
    fn spellings_of_one_word_find_each_other() {
        let spellings = ["サクラ", "さくら", "ｻｸﾗ"];
        for query in spellings {
            for text in spellings {
                assert!(found(query, &format!("昨日の{text}です。")), "{query} in {text}");
            }
        }
        assert!(found("ｶﾞｲﾄﾞ", "ガイドをご覧ください"), "half-width voice marks");
        assert!(found("ＡＢＣ１２３", "abc123"));
        assert!(found("straße", "STRAẞE"));
        assert!(found("㈱", "(株)さくら"));
        assert!(found("ﾃﾞｰﾀ", "でーた"), "the long vowel counts");
        assert!(!found("データ", "でた"));
    }

    #[test]
    fn punctuation_and_spaces_do_not_count() {
        assert!(found("会議は十時", "明日の会議は、十時からです。"));
        assert!(found("call me", "Call, me!"));
        assert!(found("、会議。", "会議"));
    }

    #[test]
    fn words_may_stand_in_any_order_and_all_must_be_there() {
        assert!(found("十時 会議", "明日の会議は十時からです。"));
        assert!(found("十時　会議", "明日の会議は十時からです。"), "an ideographic space");
        assert!(!found("十時 会議 中止", "明日の会議は十時からです。"));
    }

    #[test]
    fn a_query_needs_a_letter_and_has_a_limit() {
        for nothing in ["", " ", "　", "。、", "!?"] {
            assert_eq!(Needle::new(nothing), Err(SearchError::Empty), "{nothing:?}");
        }
        assert!(Needle::new(&"あ".repeat(SEARCH_CHARS_MAX)).is_ok());
        let given = SEARCH_CHARS_MAX + 1;
        assert_eq!(Needle::new(&"あ".repeat(given)), Err(SearchError::TooLong { given }));
    }

    #[test]
    fn a_query_is_not_printed() {
        assert!(!format!("{:?}", Needle::new("秘密").unwrap()).contains("秘密"));
    }

    proptest! {
        #[test]
        fn any_piece_of_a_text_is_found_in_it(text in "[ぁ-んァ-ンｱ-ﾝa-zA-ZＡ-Ｚ0-9一-龠、。 ー]{1,60}", from in 0_usize..60, len in 1_usize..20) {
            // Cut between what NFKC may join: at whole characters of the folded text.
            let folded: Vec<char> = fold(&text).chars().collect();
            let piece: String = folded.iter().skip(from).take(len).collect();
            prop_assume!(!piece.is_empty());
            if let Ok(needle) = Needle::new(&piece) {
                prop_assert!(needle.is_in(&text), "{piece:?} in {text:?}");
            }
        }
    }
}
