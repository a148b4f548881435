//! Sound files of every kind that people send.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod signals;

use std::time::Duration;

use bytes::Bytes;
use engine_media::files::{FileError, read_sound};
use engine_media::mp3::Mp3Encoder;
use engine_media::sounds::wav;
use signals::{message, sorry, tone};

const MINUTE: Duration = Duration::from_mins(1);

fn likeness(a: &[f32], b: &[f32]) -> f32 {
    let (mut product, mut x, mut y) = (0.0, 0.0, 0.0);
    for (p, q) in a.iter().zip(b) {
        product += p * q;
        x += p * p;
        y += q * q;
    }
    product / (x * y).sqrt()
}

#[test]
fn every_format_gives_the_same_sound_of_the_same_length() {
    let said = sorry();
    let mut mp3 = Mp3Encoder::new().unwrap();
    mp3.push(&said).unwrap();
    let files = [
        ("wav", wav(&said)),
        ("mp3", mp3.finish().unwrap()),
        ("opus", Bytes::from_static(include_bytes!("data/sorry.opus"))),
        ("vorbis", Bytes::from_static(include_bytes!("data/sorry.ogg"))),
    ];
    for (name, file) in files {
        let heard = read_sound(file, MINUTE).unwrap();
        assert!(heard.len().abs_diff(said.len()) <= 3, "{name}: {} of {}", heard.len(), said.len());
        let alike = likeness(&said, &heard);
        assert!(alike > 0.9, "{name}: {alike}");
    }
}

#[test]
fn a_wav_of_any_rate_and_many_channels_becomes_mono_at_16_khz() {
    for (rate, channels) in [(8_000_u32, 1_u16), (44_100, 2), (48_000, 2), (22_050, 1)] {
        let mut file = wav(&[]).to_vec();
        file[22..24].copy_from_slice(&channels.to_le_bytes());
        file[24..28].copy_from_slice(&rate.to_le_bytes());
        let bytes_per_second = rate * 2 * u32::from(channels);
        file[28..32].copy_from_slice(&bytes_per_second.to_le_bytes());
        file[32..34].copy_from_slice(&(2 * channels).to_le_bytes());
        file[40..44].copy_from_slice(&bytes_per_second.to_le_bytes());
        let size = 36 + bytes_per_second;
        file[4..8].copy_from_slice(&size.to_le_bytes());
        for n in 0..rate {
            let t = n as f32 / rate as f32;
            let value = (0.5 * (std::f32::consts::TAU * 440.0 * t).sin() * 32_767.0) as i16;
            for _ in 0..channels {
                file.extend_from_slice(&value.to_le_bytes());
            }
        }
        let heard = read_sound(file.into(), MINUTE).unwrap();
        assert_eq!(heard.len(), 16_000, "{rate} Hz");
        let alike = likeness(&tone(1.0, &[440.0], 0.5)[800..15_000], &heard[800..15_000]);
        assert!(alike > 0.99, "{rate} Hz: {alike}");
    }
}

#[test]
fn the_limit_is_kept_to_the_sample() {
    let file = wav(&message()[..16_000]);
    assert!(read_sound(file.clone(), Duration::from_secs(1)).is_ok());
    let file = wav(&message()[..16_001]);
    let max = Duration::from_secs(1);
    assert_eq!(read_sound(file, max), Err(FileError::TooLong { max }));
}

#[test]
fn what_is_no_sound_is_refused_with_a_remedy() {
    for file in [&b""[..], b"hello", &[0; 4_096], b"RIFF\0\0\0\0WAVE", b"OggS", b"%PDF-1.7"] {
        let why = read_sound(Bytes::copy_from_slice(file), MINUTE).unwrap_err();
        assert!(matches!(why, FileError::Unreadable { .. }), "{why}");
        assert!(why.to_string().contains("give WAV"), "{why}");
    }
}

#[test]
fn damaged_files_never_panic() {
    let files: [&[u8]; 3] = [
        include_bytes!("data/sorry.flac"),
        include_bytes!("data/sorry.opus"),
        include_bytes!("data/sorry.ogg"),
    ];
    let mut state = 1_u32;
    for file in files {
        for _ in 0..40 {
            let mut file = file.to_vec();
            for _ in 0..8 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = state as usize % file.len();
                file[at] ^= (state >> 24) as u8;
            }
            if let Ok(heard) = read_sound(file.into(), MINUTE) {
                assert!(heard.len() <= 960_000);
            }
        }
    }
}
