//! Payload to samples: lengths, loss, silence, limits.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod recordings;
mod signals;

use bytes::Bytes;
use engine_core::codec::Codec;
use engine_core::recording::Frame;
use engine_core::time::RtpTicks;
use engine_media::codec::FrameDecoder;
use proptest::prelude::*;
use recordings::frames;
use signals::{message, silence, tone};

fn decode(codec: Codec, frames: &[Frame], duration: RtpTicks) -> Vec<f32> {
    let mut decoder = FrameDecoder::new(codec).unwrap();
    let mut out = Vec::new();
    for frame in frames {
        decoder.frame(frame, &mut out);
    }
    decoder.finish(duration, &mut out);
    out
}

fn ticks(codec: Codec, packets: usize) -> RtpTicks {
    RtpTicks(packets as u64 * u64::from(codec.ticks_per_20ms()))
}

fn power(pcm: &[f32]) -> f32 {
    pcm.iter().map(|s| s * s).sum::<f32>() / pcm.len() as f32
}

/// Correlation at the best shift of up to 15 ms: codecs delay.
fn likeness(a: &[f32], b: &[f32]) -> f32 {
    let at = |shift: usize| {
        let (a, b) = (&a[..a.len() - 240], &b[shift..]);
        let product: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
        product / (power(a) * power(&b[..a.len()])).sqrt() / a.len() as f32
    };
    (0..240).map(at).fold(-1.0, f32::max)
}

#[test]
fn every_codec_gives_back_what_was_said() {
    let said = message();
    for codec in Codec::ALL {
        let frames = frames(&said, codec);
        let heard = decode(codec, &frames, ticks(codec, frames.len()));
        let rate = FrameDecoder::rate_of(codec) as usize;
        assert_eq!(heard.len(), frames.len() * rate / 50, "{codec:?}");
        let said = engine_media::resample::resample_all(&said, 16_000, rate as u32).unwrap();
        let alike = likeness(&said[..rate * 4], &heard[..rate * 4 + 240]);
        assert!(alike > 0.9, "{codec:?}: {alike}");
    }
}

#[test]
fn a_lost_packet_is_covered_and_keeps_its_time() {
    for codec in Codec::ALL {
        let all = frames(&tone(1.0, &[200.0, 400.0], 0.3), codec);
        let mut lossy = all.clone();
        lossy.remove(25);
        let end = ticks(codec, all.len());
        let heard = decode(codec, &lossy, end);
        let whole = decode(codec, &all, end);
        assert_eq!(heard.len(), whole.len(), "{codec:?}");
        let packet = heard.len() / 50;
        let gap = &heard[25 * packet..26 * packet];
        assert!(power(gap) > 0.1 * power(&whole[25 * packet..26 * packet]), "{codec:?}");
    }
}

#[test]
fn opus_repairs_a_loss_from_the_next_packet() {
    // Sound that cannot be guessed from what was before: silence, then speech in the lost packet.
    let mut encoder =
        opus::Encoder::new(16_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    encoder.set_inband_fec(true).unwrap();
    encoder.set_packet_loss_perc(30).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(32_000)).unwrap();
    encoder.set_signal(opus::Signal::Voice).unwrap();
    let all: Vec<Frame> = message()
        .chunks_exact(320)
        .zip(0_u64..)
        .map(|(part, n)| Frame {
            ticks: RtpTicks(n * 960),
            after_silence: n == 0,
            payload: encoder.encode_vec_float(part, 400).unwrap().into(),
        })
        .collect();
    let end = ticks(Codec::Opus, all.len());
    let whole = decode(Codec::Opus, &all, end);
    let (mut repaired, mut guessed, mut count) = (0.0, 0.0, 0);
    for lost in (60..all.len() - 60).step_by(7) {
        let span = lost * 320..(lost + 1) * 320;
        if power(&whole[span.clone()]) < 1e-3 {
            continue;
        }
        let mut with = all.clone();
        with.remove(lost);
        // Two lost in a row: the first of them can only be guessed.
        let mut without = all.clone();
        without.drain(lost..lost + 2);
        let error = |heard: &[f32]| {
            let pairs = heard[span.clone()].iter().zip(&whole[span.clone()]);
            pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / 320.0 / power(&whole[span.clone()])
        };
        repaired += error(&decode(Codec::Opus, &with, end));
        guessed += error(&decode(Codec::Opus, &without, end));
        count += 1;
    }
    assert!(count > 20);
    assert!(repaired < 0.7 * guessed, "repaired {repaired}, guessed {guessed}, of {count}");
}

#[test]
fn stereo_opus_is_heard_in_mono() {
    let mut encoder =
        opus::Encoder::new(48_000, opus::Channels::Stereo, opus::Application::Audio).unwrap();
    let frames: Vec<Frame> = (0..50_u64)
        .map(|n| {
            let pcm: Vec<f32> = (0..960)
                .flat_map(|k| {
                    let t = (n * 960 + k) as f32 / 48_000.0;
                    let value = 0.3 * (std::f32::consts::TAU * 440.0 * t).sin();
                    [value, value]
                })
                .collect();
            let payload = encoder.encode_vec_float(&pcm, 1_000).unwrap().into();
            Frame { ticks: RtpTicks(n * 960), after_silence: n == 0, payload }
        })
        .collect();
    let heard = decode(Codec::Opus, &frames, ticks(Codec::Opus, 50));
    assert_eq!(heard.len(), 16_000);
    assert!((power(&heard[8_000..]) - 0.045).abs() < 0.01);
}

#[test]
fn silence_on_the_line_is_silent() {
    for codec in Codec::ALL {
        let mut parts = frames(&tone(1.0, &[300.0], 0.3), codec);
        let back = ticks(codec, 100);
        parts[25..].iter_mut().for_each(|frame| frame.ticks.0 += back.0);
        parts[25].after_silence = true;
        let heard = decode(codec, &parts, ticks(codec, 150));
        let rate = FrameDecoder::rate_of(codec) as usize;
        assert_eq!(heard.len(), 3 * rate);
        assert!(heard[rate / 2..rate * 5 / 2].iter().all(|s| *s == 0.0), "{codec:?}");
    }
}

#[test]
fn the_message_ends_at_its_last_sample() {
    for codec in Codec::ALL {
        let parts = frames(&silence(1.0), codec);
        let rate = u64::from(FrameDecoder::rate_of(codec));
        let clock = u64::from(codec.clock_hz());
        for ms in [985, 990, 1_000, 1_015] {
            let heard = decode(codec, &parts, RtpTicks(ms * clock / 1_000));
            assert_eq!(heard.len() as u64, ms * rate / 1_000, "{codec:?} {ms} ms");
        }
    }
}

#[test]
fn sixty_seconds_are_kept_and_not_one_sample_more() {
    for codec in Codec::ALL {
        let mut parts = frames(&tone(0.1, &[300.0], 0.3), codec);
        let limit = u64::from(codec.clock_hz()) * 60;
        // The last packet begins before the limit and ends behind it.
        parts[4].ticks = RtpTicks(limit - u64::from(codec.ticks_per_20ms()) / 2);
        let heard = decode(codec, &parts, RtpTicks(limit));
        assert_eq!(heard.len() as u64, u64::from(FrameDecoder::rate_of(codec)) * 60, "{codec:?}");
        parts[4].ticks = RtpTicks(limit + 1);
        let heard = decode(codec, &parts, RtpTicks(limit + 500));
        assert_eq!(heard.len() as u64, u64::from(FrameDecoder::rate_of(codec)) * 60, "{codec:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_payload_and_no_time_breaks_a_decoder(
        codec in 0..4_u8,
        parts in prop::collection::vec(
            (0..200_000_u64, any::<bool>(), prop::collection::vec(any::<u8>(), 0..300)), 0..20),
        end in 0..3_000_000_u64,
    ) {
        let codec = Codec::from_code(codec).unwrap();
        let mut at = 0;
        let parts: Vec<Frame> = parts
            .into_iter()
            .map(|(step, after_silence, payload)| {
                at += step;
                Frame { ticks: RtpTicks(at), after_silence, payload: Bytes::from(payload) }
            })
            .collect();
        let heard = decode(codec, &parts, RtpTicks(end));
        let rate = u64::from(FrameDecoder::rate_of(codec));
        prop_assert!(heard.len() as u64 <= 60 * rate);
        prop_assert!(heard.iter().all(|sample| sample.abs() <= 1.01));
    }
}
