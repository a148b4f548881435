//! Sounds for tests: speech from files, and everything that is not speech.
#![allow(dead_code, reason = "each test file uses a part")]

use std::f32::consts::TAU;
use std::time::Duration;

use bytes::Bytes;
use engine_media::files::read_sound;
#[allow(unused_imports, reason = "likewise")]
pub(crate) use rusuden_tests::assert_said;

const RATE: f32 = 16_000.0;

fn file(bytes: &'static [u8]) -> Vec<f32> {
    read_sound(Bytes::from_static(bytes), Duration::from_mins(1)).unwrap()
}

/// Four sentences, 10.8 s.
pub(crate) fn message() -> Vec<f32> {
    file(include_bytes!("../data/message.flac"))
}

pub(crate) const MESSAGE: &str = "こんばんは。神戸保育園の平井と申します。\
家賃のお支払いについてのお知らせです。それでは、よろしくお願いいたします。";

/// One sentence, 2.8 s.
pub(crate) fn sorry() -> Vec<f32> {
    file(include_bytes!("../data/sorry.flac"))
}

pub(crate) const SORRY: &str = "お手数をおかけします。";

fn made(seconds: f32, value: impl FnMut(f32) -> f32) -> Vec<f32> {
    (0..(seconds * RATE) as usize).map(|n| n as f32 / RATE).map(value).collect()
}

pub(crate) fn silence(seconds: f32) -> Vec<f32> {
    made(seconds, |_| 0.0)
}

pub(crate) fn constant(seconds: f32, value: f32) -> Vec<f32> {
    made(seconds, |_| value)
}

pub(crate) fn hum(seconds: f32, level: f32) -> Vec<f32> {
    made(seconds, |t| level * ((TAU * 50.0 * t).sin() + 0.3 * (TAU * 100.0 * t).sin()))
}

/// White noise from a seed.
pub(crate) fn noise(seconds: f32, level: f32, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    made(seconds, |_| {
        let mut sum = 0.0;
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            sum += (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0;
        }
        level * sum * 0.87
    })
}

pub(crate) fn tone(seconds: f32, hz: &[f32], level: f32) -> Vec<f32> {
    made(seconds, |t| hz.iter().map(|hz| level * (TAU * hz * t).sin()).sum())
}

pub(crate) fn scaled(pcm: &[f32], gain: f32) -> Vec<f32> {
    pcm.iter().map(|sample| (sample * gain).clamp(-1.0, 1.0)).collect()
}

pub(crate) fn add(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| (a + b).clamp(-1.0, 1.0)).collect()
}

fn keyed(seconds: f32, period: f32, on: f32, hz: &[f32]) -> Vec<f32> {
    let carrier = tone(seconds, hz, 0.15);
    let gate = made(seconds, |t| if t % period < on { 1.0 } else { 0.0 });
    carrier.iter().zip(gate).map(|(a, b)| a * b).collect()
}

/// What a telephone line says by itself.
pub(crate) fn tones() -> Vec<(&'static str, Vec<f32>)> {
    let ring_back = made(10.0, |t| {
        let gate = if t % 3.0 < 1.0 { 0.2 } else { 0.0 };
        gate * (1.0 + 0.8 * (TAU * 16.0 * t).sin()) * 0.5 * (TAU * 400.0 * t).sin()
    });
    let dtmf: Vec<f32> = [(697.0, 1_209.0), (770.0, 1_336.0), (852.0, 1_477.0), (941.0, 1_336.0)]
        .iter()
        .cycle()
        .take(20)
        .flat_map(|(low, high)| [tone(0.12, &[*low, *high], 0.2), silence(0.08)].concat())
        .collect();
    let melody: Vec<f32> = [262.0, 330.0, 392.0, 523.0, 392.0, 330.0]
        .iter()
        .cycle()
        .take(24)
        .flat_map(|hz| {
            made(0.35, |t| {
                let note = (TAU * hz * t).sin() + 0.3 * (2.0 * TAU * hz * t).sin();
                0.2 * note * (-4.0 * t).exp()
            })
        })
        .collect();
    vec![
        ("dial tone", tone(10.0, &[400.0], 0.2)),
        ("ring-back of Japan", ring_back),
        ("ring-back of America", keyed(10.0, 6.0, 2.0, &[440.0, 480.0])),
        ("busy", keyed(10.0, 1.0, 0.5, &[400.0])),
        ("DTMF", dtmf),
        ("fax calling", keyed(10.0, 3.5, 0.5, &[1_100.0])),
        ("fax answering", tone(4.0, &[2_100.0], 0.3)),
        ("beep", tone(0.5, &[1_000.0], 0.3)),
        ("melody on hold", melody),
    ]
}
