//! Names of people, found by what stands beside them: a title, or what one says before or after
//! one's own name. What is called so without being a name (お客様) is known by list.

use std::ops::Range;

use super::{RELATIVE_DAYS, one_of, starts};

/// What follows a name.
const BEHIND: &[&str] = &[
    "と申します",
    "と言います",
    "といいます",
    "と申し",
    "様",
    "さま",
    "さん",
    "先生",
    "ちゃん",
    "くん",
];
/// What precedes a name in English; the text is in lower case.
const BEFORE_ENGLISH: &[&str] =
    &["this is ", "my name is ", "mr. ", "mr ", "mrs. ", "mrs ", "ms. ", "ms ", "dr. ", "dr "];
/// Words in the place of a name that are none.
const NO_NAMES: &[&str] = &[
    "客",
    "皆",
    "父",
    "母",
    "兄",
    "姉",
    "奥",
    "孫",
    "神",
    "王",
    "嬢",
    "息子",
    "娘",
    "何",
    "各位",
    "叔父",
    "叔母",
    "伯父",
    "伯母",
    "祖父",
    "祖母",
    "殿",
    "連",
    "医者",
    "患者",
    "担当",
    "貴方",
    "看護師",
    "業者",
    "店員",
    "生徒",
    "疲れ",
    "苦労",
    "世話",
    "馳走",
    "得意",
    "旦那",
    "坊",
    "赤",
    "隣",
    "大家",
];
const NO_NAMES_ENGLISH: &[&str] =
    &["mr", "mrs", "ms", "dr", "a", "an", "the", "your", "my", "about", "for", "to", "it", "not"];
/// Longest name, in characters.
const NAME_MAX: usize = 8;

/// Names in a text, in order.
pub(super) fn find(text: &[char], language: &str) -> Vec<Range<usize>> {
    if language == "en" { english(text) } else { japanese(text) }
}

fn japanese(text: &[char]) -> Vec<Range<usize>> {
    let mut names = Vec::new();
    for end in 1..text.len() {
        if !BEHIND.iter().any(|title| starts(&text[end..], title)) {
            continue;
        }
        let run = |is: fn(char) -> bool| text[..end].iter().rev().take_while(|c| is(**c)).count();
        let length = run(is_kanji).max(run(is_katakana));
        let mut start = end - length;
        // 「明日山田様が」
        start += one_of(&text[start..end], RELATIVE_DAYS).unwrap_or(0);
        let word: String = text[start..end].iter().collect();
        if (1..=NAME_MAX).contains(&(end - start)) && !NO_NAMES.contains(&word.as_str()) {
            names.push(start..end);
        }
    }
    names
}

fn english(text: &[char]) -> Vec<Range<usize>> {
    let is_start = |at: usize| at == 0 || !text[at - 1].is_ascii_alphanumeric();
    let mut names: Vec<Range<usize>> = Vec::new();
    for at in (0..text.len()).filter(|at| is_start(*at)) {
        let Some(before) = BEFORE_ENGLISH.iter().find(|word| starts(&text[at..], word)) else {
            continue;
        };
        let start = at + before.chars().count();
        let first = word(&text[start..]);
        if first == 0 || names.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let name: String = text[start..start + first].iter().collect();
        if NO_NAMES_ENGLISH.contains(&name.as_str()) {
            continue;
        }
        // A second word is the surname where the sentence ends behind it.
        let second = match text.get(start + first) {
            Some(' ') => word(&text[start + first + 1..]),
            _ => 0,
        };
        let end = start + first + 1 + second;
        let is_surname = second > 0 && text.get(end).is_none_or(|c| matches!(c, ',' | '.'));
        names.push(start..if is_surname { end } else { start + first });
    }
    names
}

/// Length of the Latin word at the text's start.
fn word(text: &[char]) -> usize {
    text.iter().take_while(|c| c.is_ascii_alphabetic() || **c == '\'').count()
}

fn is_kanji(c: char) -> bool {
    matches!(c, '々' | 'ヶ' | '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}')
}

fn is_katakana(c: char) -> bool {
    matches!(c, '\u{30a1}'..='\u{30fa}' | 'ー')
}
