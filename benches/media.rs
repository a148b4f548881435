//! Benches of engine/media: what one message costs on its way from payload to text and MP3.
//!
//! Every figure is for 10 s of sound unless its name says otherwise, on one thread.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine_core::codec::Codec;
use engine_core::manner::Manner;
use engine_core::recording::Frame;
use engine_core::time::RtpTicks;
use engine_media::codec::{FrameDecoder, encode_frames};
use engine_media::files::read_sound;
use engine_media::listen::Cutter;
use engine_media::mel::LogMel;
use engine_media::mp3::Mp3Encoder;
use engine_media::resample::{Resampler, resample_all};
use engine_media::speech::{SpeechDetector, WindowPlan};
use engine_media::whisper::{Heard, ModelFolder, Recognizer, RecognizerOptions};
use mel_spec::mel::{log_mel_spectrogram, norm_mel};
use mel_spec::stft::Spectrogram;
use ndarray::{Array2, s};

const SAMPLES: usize = 160_000;
const FRAMES: usize = 1_000;

/// 10 s of speech at 16 kHz.
fn speech() -> Vec<f32> {
    let file = Bytes::from_static(include_bytes!("../engine/media/tests/data/message.flac"));
    let mut pcm = read_sound(file, Duration::from_mins(1)).expect("the file is in the repository");
    pcm.truncate(SAMPLES);
    pcm
}

fn frames(codec: Codec) -> Vec<Frame> {
    let payloads = encode_frames(&speech(), codec).expect("speech can be coded");
    let ticks = |n: u64| RtpTicks(n * u64::from(codec.ticks_per_20ms()));
    let frame = |(payload, n)| Frame { ticks: ticks(n), after_silence: n == 0, payload };
    payloads.into_iter().zip(0_u64..).map(frame).collect()
}

fn codecs(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for codec in Codec::ALL {
        let frames = frames(codec);
        let mut out = Vec::with_capacity(SAMPLES);
        group.throughput(Throughput::Elements(frames.len() as u64));
        group.bench_function(codec.name(), |b| {
            b.iter_batched_ref(
                || FrameDecoder::new(codec).expect("the decoder is linked in"),
                |decoder| {
                    out.clear();
                    for frame in &frames {
                        decoder.frame(frame, &mut out);
                    }
                    black_box(out.len())
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn resampling(c: &mut Criterion) {
    let mut group = c.benchmark_group("resample");
    for from in [8_000, 48_000] {
        let pcm = resample_all(&speech(), 16_000, from).expect("usual rates");
        let mut resampler = Resampler::new(from, 16_000).expect("usual rates");
        let mut out = Vec::with_capacity(SAMPLES + 1);
        group.bench_function(format!("{from} to 16000"), |b| {
            b.iter(|| {
                out.clear();
                for packet in pcm.chunks(from as usize / 50) {
                    resampler.push(packet, &mut out);
                }
                resampler.finish(&mut out);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

fn listening(c: &mut Criterion) {
    let pcm = speech();
    let plan = WindowPlan::from_millis(1_000, 7_000, 0);
    c.bench_function("speech detection", |b| {
        b.iter_batched_ref(
            || (SpeechDetector::new(plan), Vec::new()),
            |(detector, windows)| {
                detector.push(&pcm, windows);
                windows.len()
            },
            BatchSize::LargeInput,
        );
    });
    c.bench_function("mp3", |b| {
        b.iter(|| {
            let mut encoder = Mp3Encoder::new().expect("LAME is linked in");
            encoder.push(&pcm).expect("LAME takes sound");
            encoder.finish().expect("LAME ends")
        });
    });
}

/// ct2rs's own front end, as `generate_mel_spectrogram` of its `whisper.rs` (0.10) has it.
fn ct2rs_mel(pcm: &[f32], filters: &Array2<f64>) -> Array2<f32> {
    let mut spectrogram = Spectrogram::new(400, 160);
    let mut picture = Array2::zeros((80, 3_000));
    for (at, hop) in pcm.chunks(160).enumerate() {
        if let Some(frame) = spectrogram.add(hop) {
            let mel = norm_mel(&log_mel_spectrogram(&frame, filters)).mapv(|value| value as f32);
            picture.slice_mut(s![.., at]).assign(&mel.slice(s![.., 0]));
        }
    }
    picture
}

fn mel(c: &mut Criterion) {
    let pcm = speech();
    let mut group = c.benchmark_group("log-mel");
    let mut front = LogMel::new(80);
    let mut out = vec![0.0; 80 * FRAMES];
    group.bench_function("ours", |b| {
        b.iter(|| {
            front.compute(&pcm, FRAMES, &mut out);
            black_box(out[0])
        });
    });
    let filters = mel_spec::mel::mel(16_000.0, 400, 80, None, None, false, true);
    group.bench_function("ct2rs", |b| b.iter(|| ct2rs_mel(&pcm, &filters)));
    group.finish();
}

fn whisper(c: &mut Criterion) {
    let model = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/default");
    let folder = Arc::new(ModelFolder::open(&model).expect("the model is in the repository"));
    let options = RecognizerOptions::default();
    let mut model = Recognizer::load(Arc::clone(&folder), options).expect("the model loads");
    let mut windows = Vec::new();
    let mut cutter = Cutter::new(WindowPlan::from_millis(1_000, 7_000, 0));
    cutter.push(&speech(), &mut windows);
    cutter.finish(&mut windows);
    let window = windows.into_iter().next().expect("somebody speaks");
    let heard = Heard { pcm: &window.pcm, language: Some("ja"), prompt: &[] };
    let frames = folder.card.frames(window.pcm.len());
    let mut group = c.benchmark_group("whisper, a window of 3.5 s");
    group.sample_size(20);
    for batch in [1, 4, 8, 16] {
        group.throughput(Throughput::Elements(batch as u64));
        let windows = vec![heard; batch];
        group.bench_with_input(BenchmarkId::new("batch", batch), &windows, |b, windows| {
            b.iter(|| model.read(windows, frames, Manner::default()).expect("the model reads"));
        });
    }
    group.finish();
}

criterion_group!(benches, codecs, resampling, listening, mel, whisper);
criterion_main!(benches);
