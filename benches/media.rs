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
use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

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
    let plan = WindowPlan::from_millis(1_000, 7_000);
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

/// The front end as one would write it first: plan and buffers for every frame, dense filters.
fn naive_mel(pcm: &[f32], filters: &[Vec<f32>]) -> Vec<f32> {
    let mut out = Vec::new();
    for frame in 0..FRAMES {
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(400);
        let mut input: Vec<f32> = (0..400)
            .map(|n| {
                let at = (frame * 160 + n).wrapping_sub(200);
                let turn = std::f32::consts::TAU * n as f32 / 400.0;
                pcm.get(at).copied().unwrap_or(0.0) * (0.5 - 0.5 * turn.cos())
            })
            .collect();
        let mut spectrum = fft.make_output_vec();
        fft.process(&mut input, &mut spectrum).expect("the buffers are the plan's own");
        let power: Vec<f32> = spectrum.iter().map(Complex::norm_sqr).collect();
        out.extend(filters.iter().map(|filter| {
            let sum: f32 = filter.iter().zip(&power).map(|(w, p)| w * p).sum();
            sum.max(1e-10).log10()
        }));
    }
    out
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
    let filters = vec![vec![0.01; 201]; 80];
    group.bench_function("naive", |b| b.iter(|| naive_mel(&pcm, &filters)));
    group.finish();
}

fn whisper(c: &mut Criterion) {
    let model = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/default");
    let folder = Arc::new(ModelFolder::open(&model).expect("the model is in the repository"));
    let options = RecognizerOptions::default();
    let mut model = Recognizer::load(Arc::clone(&folder), options).expect("the model loads");
    let mut windows = Vec::new();
    let mut cutter = Cutter::new(WindowPlan::from_millis(1_000, 7_000));
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
