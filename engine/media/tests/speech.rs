//! What counts as speech, and where it is cut.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod signals;

use std::ops::Range;

use engine_media::listen::{Cutter, Window};
use engine_media::speech::{SpeechDetector, WindowPlan};
use signals::{add, constant, hum, message, noise, scaled, silence, tone, tones};

fn plan() -> WindowPlan {
    WindowPlan::from_millis(1_000, 7_000, 0)
}

fn windows(pcm: &[f32]) -> Vec<Range<u64>> {
    let mut detector = SpeechDetector::new(plan());
    let mut windows = Vec::new();
    for piece in pcm.chunks(1_234) {
        detector.push(piece, &mut windows);
    }
    detector.finish(pcm.len() as u64, &mut windows);
    windows
}

fn spoken_ms(pcm: &[f32]) -> u64 {
    windows(pcm).iter().map(|window| (window.end - window.start) / 16).sum()
}

/// What is handed to a model whose windows are cut like this.
fn cut(plan: WindowPlan, pcm: &[f32]) -> Vec<Window> {
    let (mut cutter, mut windows) = (Cutter::new(plan), Vec::new());
    for piece in pcm.chunks(1_234) {
        cutter.push(piece, &mut windows);
    }
    cutter.finish(&mut windows);
    windows
}

/// 30 s are charged for a window whatever is in it, so that a message is not to be cut into many.
#[test]
fn a_model_that_hears_30_s_is_asked_once_for_a_message_with_pauses() {
    let pcm = [message(), silence(2.0), message(), silence(20.0), message()].concat();
    let short = cut(plan(), &pcm);
    let long = cut(WindowPlan::from_millis(15_000, 30_000, 5_000), &pcm);
    assert_eq!(long.len(), 2, "one before the 20 s, one behind them");
    assert!(short.len() > long.len());
    let ends =
        |windows: &[Window]| (windows[0].span.start, windows.last().map(|window| window.span.end));
    assert_eq!(ends(&long), ends(&short));
    for window in long.iter().chain(&short) {
        assert_eq!(window.pcm.len() as u64, window.span.end - window.span.start);
    }
    let first = &short[0];
    assert_eq!(long[0].pcm[..first.pcm.len()], first.pcm[..], "the same sound");
}

#[test]
fn silence_noise_hum_and_offset_are_no_speech() {
    assert_eq!(windows(&silence(10.0)), []);
    for level in [0.001, 0.01, 0.1, 0.3] {
        assert_eq!(windows(&noise(10.0, level, 1)), [], "noise at {level}");
    }
    assert_eq!(windows(&hum(10.0, 0.2)), []);
    assert_eq!(windows(&constant(10.0, 0.3)), []);
}

#[test]
fn tones_of_the_telephone_are_no_speech() {
    for (name, pcm) in tones() {
        assert_eq!(windows(&pcm), [], "{name}");
    }
}

#[test]
fn speech_is_found_at_any_usual_level() {
    let whole = spoken_ms(&message());
    assert!((7_000..10_900).contains(&whole), "{whole} ms");
    for gain in [2.0, 0.3, 0.1, 0.03, 0.01] {
        let found = spoken_ms(&scaled(&message(), gain));
        assert!(found.abs_diff(whole) < 700, "gain {gain}: {found} of {whole} ms");
    }
}

#[test]
fn offset_hum_and_noise_do_not_hide_speech() {
    let whole = spoken_ms(&message());
    let seconds = message().len() as f32 / 16_000.0;
    for (name, other) in [
        ("offset", constant(seconds, 0.2)),
        ("hum", hum(seconds, 0.05)),
        ("noise", noise(seconds, 0.01, 3)),
    ] {
        let found = spoken_ms(&add(&message(), &other));
        assert!(found.abs_diff(whole) < 1_500, "{name}: {found} of {whole} ms");
    }
}

#[test]
fn windows_are_cut_at_pauses_in_order_and_within_the_sound() {
    let pcm = message();
    let windows = windows(&pcm);
    // Four sentences, of which the first is too short for a window of its own.
    assert_eq!(windows.len(), 3, "{windows:?}");
    let mut last = 0;
    for window in &windows {
        assert!(window.start >= last && window.end > window.start, "{windows:?}");
        last = window.end;
        // The edges are quiet.
        for edge in [window.start, window.end - 160] {
            let part = &pcm[edge as usize..edge as usize + 160];
            let power = part.iter().map(|s| s * s).sum::<f32>() / 160.0;
            assert!(power < 1e-4, "{edge}: {power}");
        }
    }
    assert!(last <= pcm.len() as u64);
}

#[test]
fn speech_without_a_pause_is_cut_at_the_longest_window() {
    let pcm = message();
    let babble: Vec<f32> = windows(&pcm)
        .iter()
        .flat_map(|window| {
            let (from, to) = (window.start as usize + 5_600, window.end as usize - 4_800);
            pcm[from.min(to)..to].to_vec()
        })
        .collect();
    let babble = [&babble[..], &babble, &babble].concat();
    let windows = windows(&babble);
    assert!(!windows.is_empty());
    for window in &windows {
        assert!(window.end - window.start <= 7_000 * 16, "{windows:?}");
    }
    let covered: u64 = windows.iter().map(|window| window.end - window.start).sum();
    assert!(covered * 10 >= babble.len() as u64 * 9, "{covered} of {}", babble.len());
}

#[test]
fn pieces_of_any_size_give_the_same_windows() {
    let pcm = message();
    let whole = windows(&pcm);
    let mut detector = SpeechDetector::new(plan());
    let mut found = Vec::new();
    detector.push(&pcm, &mut found);
    detector.finish(pcm.len() as u64, &mut found);
    assert_eq!(found, whole);
}

#[test]
fn a_tone_before_the_words_does_not_hide_them() {
    let pcm = [tone(1.0, &[400.0], 0.2), silence(0.5), message()].concat();
    let whole = spoken_ms(&message());
    assert!(spoken_ms(&pcm).abs_diff(whole) < 1_500);
}
