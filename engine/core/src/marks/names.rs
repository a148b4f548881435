//! Names of people, found by what stands beside them: a title, or what one says before or after
//! one's own name. What is called so without being a name (お客様) is known by list.

use std::ops::Range;

use super::{RELATIVE_DAYS, numerals, one_of, starts};

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
/// What makes a word of the title before it.
const NO_TITLES: &[&str] = &[
    "様子",
    "様式",
    "様々",
    "様相",
    "様態",
    "と言いますか",
    "といいますか",
    "と言いますと",
    "といいますと",
];
/// What precedes a name in English; in lower case.
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
    "弟",
    "妹",
    "奥",
    "孫",
    "神",
    "王",
    "嬢",
    "子",
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
    "担当",
    "貴方",
    "看護師",
    "生徒",
    "主人",
    "本人",
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
    "同",
    "仕",
    "模",
    "多",
    "異",
    "左",
    "有",
    "一",
    "上",
    "神",
    "王",
    "陰",
    "愁傷",
    "院長",
    "校長",
    "園長",
    "担任",
    "主治医",
    "先方",
    "相手",
    "上司",
    "部下",
    "姫",
];
/// Ends of words that name what somebody is, not who.
const NO_NAMES_END: &[char] = &['者', '名', '員', '社', '店', '長', '医'];
const ENGLISH_TITLES: &[&str] = &["Mr", "Mrs", "Ms", "Dr"];
/// Longest name, in characters.
const NAME_MAX: usize = 8;

/// Names in a text, in order.
pub(super) fn find(text: &str, language: &str) -> Vec<Range<usize>> {
    let text: Vec<char> = text.chars().collect();
    if language == "en" { english(&text) } else { japanese(&text) }
}

fn japanese(text: &[char]) -> Vec<Range<usize>> {
    let mut names = Vec::new();
    for end in 1..text.len() {
        let behind = &text[end..];
        let is_title = BEHIND.iter().any(|title| starts(behind, title))
            && !NO_TITLES.iter().any(|word| starts(behind, word));
        if !is_title {
            continue;
        }
        let run = |is: fn(char) -> bool| {
            text[..end].iter().rev().take(NAME_MAX + 3).take_while(|c| is(**c)).count()
        };
        let length = run(is_kanji).max(run(is_katakana));
        let mut start = end - length;
        // 「明日山田様が」
        start += one_of(&text[start..end], RELATIVE_DAYS).unwrap_or(0);
        if is_name(&text[start..end]) {
            names.push(start..end);
        }
    }
    names
}

fn is_name(name: &[char]) -> bool {
    let word: String = name.iter().collect();
    (1..=NAME_MAX).contains(&name.len())
        && !NO_NAMES.contains(&word.as_str())
        && !name.last().is_some_and(|last| NO_NAMES_END.contains(last))
        // 「三名様」; yet 「三木様」「一条様」.
        && numerals::numeral(name).is_none_or(|number| number.length != name.len())
}

fn english(text: &[char]) -> Vec<Range<usize>> {
    let lower: Vec<char> = text.iter().map(char::to_ascii_lowercase).collect();
    let is_start = |at: usize| at == 0 || !text[at - 1].is_ascii_alphanumeric();
    let mut names: Vec<Range<usize>> = Vec::new();
    for at in (0..text.len()).filter(|at| is_start(*at)) {
        let Some(before) = BEFORE_ENGLISH.iter().find(|word| starts(&lower[at..], word)) else {
            continue;
        };
        let start = at + before.chars().count();
        let first = capitalised(&text[start..]);
        if first == 0 || names.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let name: String = text[start..start + first].iter().collect();
        if ENGLISH_TITLES.contains(&name.as_str()) {
            continue;
        }
        let second = match text.get(start + first) {
            Some(' ') => capitalised(&text[start + first + 1..]),
            _ => 0,
        };
        let end = start + first + if second > 0 { 1 + second } else { 0 };
        names.push(start..end);
    }
    names
}

/// Length of the Latin word with a capital at the text's start.
fn capitalised(text: &[char]) -> usize {
    if !text.first().is_some_and(char::is_ascii_uppercase) {
        return 0;
    }
    text.iter().take_while(|c| c.is_ascii_alphabetic() || **c == '\'').count()
}

fn is_kanji(c: char) -> bool {
    matches!(c, '々' | 'ヶ' | '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}')
}

fn is_katakana(c: char) -> bool {
    matches!(c, '\u{30a1}'..='\u{30fa}' | 'ー')
}
