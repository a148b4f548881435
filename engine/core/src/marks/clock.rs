//! Times of day, in Japanese (午後3時半) and in English (3:30 pm). What leaves the half of the day open
//! has no value.

use super::numerals::numeral;
use super::{Found, MarkKind, one_of, starts, whole};

/// What begins like a time of day and is a word.
const NO_TIMES: &[&str] = &["時間", "時的", "時停止", "時保留", "時不在", "時預", "時帰国"];

/// 「午後3時半」「15時30分」 "3:30 pm" "3 pm".
pub(super) fn time(text: &[char]) -> Option<Found> {
    let morning = one_of(text, &["午前"]);
    let afternoon = one_of(text, &["午後"]);
    let from = morning.or(afternoon).unwrap_or(0);
    let hour = whole(&text[from..]).filter(|hour| hour.value <= 24)?;
    let behind = from + hour.length;
    let (end, minute, half) = if text.get(behind) == Some(&'時') {
        if NO_TIMES.iter().any(|word| starts(&text[behind..], word)) {
            return None;
        }
        let (more, minute) = japanese_minute(&text[behind + 1..]);
        let half = morning.map(|_| Half::Morning).or(afternoon.map(|_| Half::Afternoon));
        (behind + 1 + more, minute, half)
    } else {
        let (more, minute, half) = english_clock(&text[behind..])?;
        (behind + more, minute, half)
    };
    let hour = match (half, hour.value) {
        (Some(Half::Morning), 12) => Some(0),
        (Some(Half::Afternoon), hour @ 0..12) => Some(hour + 12),
        // 「3時」 may be either.
        (None, 1..=12) => None,
        (_, hour) => Some(hour),
    };
    Some((end, MarkKind::Time, hour.map(|hour| format!("{hour:02}:{minute:02}"))))
}

/// Which half of the day.
#[derive(Debug, Clone, Copy)]
enum Half {
    Morning,
    Afternoon,
}

/// What follows 時: characters, minute.
fn japanese_minute(text: &[char]) -> (usize, u64) {
    if text.first() == Some(&'半') {
        return (1, 30);
    }
    match numeral(text).filter(|more| more.value < 60) {
        Some(more) if text.get(more.length) == Some(&'分') => (more.length + 1, more.value),
        _ => (0, 0),
    }
}

/// What follows the hour in English: characters, minute, half of the day. `None`: it is no hour.
fn english_clock(text: &[char]) -> Option<(usize, u64, Option<Half>)> {
    let (mut at, mut minute) = (0, 0);
    if text.first() == Some(&':') {
        let more = numeral(&text[1..]).filter(|n| n.length == 2 && n.value < 60)?;
        (minute, at) = (more.value, 3);
    }
    let gap = usize::from(text.get(at) == Some(&' '));
    let Some(length) = one_of(&text[at + gap..], &["am", "pm", "a.m.", "p.m.", "o'clock"]) else {
        return (at > 0).then_some((at, minute, None));
    };
    let half = match text[at + gap] {
        'a' => Some(Half::Morning),
        'p' => Some(Half::Afternoon),
        _ => None,
    };
    Some((at + gap + length, minute, half))
}
