//! The front end against the reference's own figures.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use base64_values::floats;
use engine_media::mel::LogMel;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    mels: usize,
    frames: usize,
    pcm: String,
    mel: String,
}

#[test]
fn log_mel_equals_the_reference() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/mel.json")).unwrap();
    for case in cases {
        let mut out = vec![0.0; case.mels * case.frames];
        LogMel::new(case.mels).compute(&floats(&case.pcm), case.frames, &mut out);
        let worst =
            out.iter().zip(floats(&case.mel)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{} with {} mels: off by {worst}", case.name, case.mels);
    }
}

#[test]
fn silence_is_the_floor_and_does_not_depend_on_length() {
    let mut front = LogMel::new(80);
    let mut out = vec![0.0; 80 * 50];
    front.compute(&[], 50, &mut out);
    assert!(out.iter().all(|value| (value + 1.5).abs() < 1e-6));
    front.compute(&vec![0.0; 8_000], 50, &mut out);
    assert!(out.iter().all(|value| (value + 1.5).abs() < 1e-6));
}

#[test]
fn longer_padding_changes_nothing_in_front_of_it() {
    let pcm: Vec<f32> = (0..9_000).map(|n| (n as f32 * 0.05).sin() * 0.3).collect();
    let mut front = LogMel::new(80);
    let (mut short, mut long) = (vec![0.0; 80 * 60], vec![0.0; 80 * 100]);
    front.compute(&pcm, 60, &mut short);
    front.compute(&pcm, 100, &mut long);
    for (a, b) in short.chunks(60).zip(long.chunks(100)) {
        assert_eq!(a, &b[..60]);
    }
}

/// Little-endian floats in base64, as `data/make_mel.py` writes them.
mod base64_values {
    pub(crate) fn floats(text: &str) -> Vec<f32> {
        let mut bytes = Vec::with_capacity(text.len());
        let (mut bits, mut count) = (0_u32, 0);
        for byte in text.bytes().take_while(|byte| *byte != b'=') {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                _ => 63,
            };
            bits = bits << 6 | u32::from(value);
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count & 0xff) as u8);
            }
        }
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }
}
