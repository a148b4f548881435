//! The MP3 that subscribers get: its length, its weight, its sound.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod signals;

use std::time::Duration;

use engine_media::files::read_sound;
use engine_media::limits::MP3_BYTES_MAX;
use engine_media::mp3::Mp3Encoder;
use signals::{message, noise};

fn mp3(pcm: &[f32]) -> bytes::Bytes {
    let mut encoder = Mp3Encoder::new().unwrap();
    for piece in pcm.chunks(1_111) {
        encoder.push(piece).unwrap();
    }
    encoder.finish().unwrap()
}

/// S03: the attached MP3 lasts as long as the recording.
#[test]
fn what_is_decoded_lasts_exactly_as_long_as_what_was_recorded() {
    for samples in [0, 1, 575, 576, 577, 16_000, 123_457] {
        let pcm = noise(8.0, 0.1, 1);
        let file = mp3(&pcm[..samples]);
        let back = read_sound(file, Duration::from_mins(1)).unwrap();
        assert_eq!(back.len(), samples);
    }
}

/// S04.
#[test]
fn sixty_seconds_weigh_at_most_250_kb() {
    let file = mp3(&noise(60.0, 0.3, 2));
    assert!(file.len() <= MP3_BYTES_MAX, "{} bytes", file.len());
    let back = read_sound(file, Duration::from_mins(1)).unwrap();
    assert_eq!(back.len(), 960_000);
}

#[test]
fn the_sound_stands_where_it_stood() {
    let pcm = message();
    let back = read_sound(mp3(&pcm), Duration::from_mins(1)).unwrap();
    let (mut product, mut a, mut b) = (0.0, 0.0, 0.0);
    for (x, y) in pcm.iter().zip(&back) {
        product += x * y;
        a += x * x;
        b += y * y;
    }
    let likeness = product / (a * b).sqrt();
    assert!(likeness > 0.95, "{likeness}");
}
