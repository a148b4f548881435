//! Sound to the log-mel picture that Whisper reads.
//!
//! In: mono samples at 16 kHz. Out: `mels × frames` values, row by row, 100 frames a second, as
//! Whisper's reference computes them for sound followed by silence: Hann window of 400, hop 160,
//! Slaney's mel filters, log10 clamped to 8 below the loudest value, then `(x + 4) / 4`.
//! Buffers are made once; a frame allocates nothing.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::limits::SAMPLE_RATE_HZ;

/// Samples between two frames.
pub const HOP_SAMPLES: usize = 160;
/// Samples in one transform.
const FFT_SAMPLES: usize = 400;
const BINS: usize = FFT_SAMPLES / 2 + 1;
/// log10 of the smallest power that counts: what silence gives.
const SILENCE_LOG: f32 = -10.0;
/// Values lie at most this far below the loudest one.
const RANGE_LOG: f32 = 8.0;

/// The front end: filters, plan and scratch.
pub struct LogMel {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    filters: Vec<Filter>,
    input: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    power: Vec<f32>,
}

/// A triangle over a few bins.
struct Filter {
    first_bin: usize,
    weights: Vec<f32>,
}

impl LogMel {
    /// A front end with `mels` filters: 80, or 128 for large-v3.
    pub fn new(mels: usize) -> Self {
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(FFT_SAMPLES);
        let window = (0..FFT_SAMPLES)
            .map(|n| {
                let turn = std::f64::consts::TAU * n as f64 / FFT_SAMPLES as f64;
                (0.5 - 0.5 * turn.cos()) as f32
            })
            .collect();
        Self {
            window,
            filters: slaney_filters(mels),
            input: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            power: vec![0.0; BINS],
            fft,
        }
    }

    /// Rows of the picture.
    pub fn mels(&self) -> usize {
        self.filters.len()
    }

    /// Frames that `samples` samples fill.
    pub const fn frames(samples: usize) -> usize {
        samples.div_ceil(HOP_SAMPLES)
    }

    /// Fills `out` (`mels × frames` values) from `pcm`, which silence follows up to `frames`.
    ///
    /// # Panics
    /// When `out` is not `mels × frames` long.
    pub fn compute(&mut self, pcm: &[f32], frames: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.mels() * frames, "the picture is mels × frames");
        let mut loudest = SILENCE_LOG;
        for frame in 0..frames {
            if !self.load(pcm, frame) {
                for row in out.chunks_exact_mut(frames) {
                    row[frame] = SILENCE_LOG;
                }
                continue;
            }
            self.fft
                .process_with_scratch(&mut self.input, &mut self.spectrum, &mut self.scratch)
                .expect("the buffers are the plan's own");
            for (power, bin) in self.power.iter_mut().zip(&self.spectrum) {
                *power = bin.norm_sqr();
            }
            for (filter, row) in self.filters.iter().zip(out.chunks_exact_mut(frames)) {
                let value = filter.apply(&self.power).max(1e-10).log10();
                loudest = loudest.max(value);
                row[frame] = value;
            }
        }
        let floor = loudest - RANGE_LOG;
        for value in out {
            *value = (value.max(floor) + 4.0) / 4.0;
        }
    }

    /// Loads one windowed frame, centred on its hop; `false` when it holds nothing but the
    /// silence behind the sound. In front the sound is mirrored, as the reference does.
    fn load(&mut self, pcm: &[f32], frame: usize) -> bool {
        let start = (frame * HOP_SAMPLES) as isize - (FFT_SAMPLES / 2) as isize;
        if start >= pcm.len() as isize {
            return false;
        }
        if let Ok(first) = usize::try_from(start)
            && let Some(part) = pcm.get(first..first + FFT_SAMPLES)
        {
            for ((to, from), weight) in self.input.iter_mut().zip(part).zip(&self.window) {
                *to = from * weight;
            }
            return true;
        }
        for (n, to) in self.input.iter_mut().enumerate() {
            let at = (start + n as isize).unsigned_abs();
            *to = pcm.get(at).copied().unwrap_or(0.0) * self.window[n];
        }
        true
    }
}

impl std::fmt::Debug for LogMel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogMel").field("mels", &self.mels()).finish_non_exhaustive()
    }
}

impl Filter {
    fn apply(&self, power: &[f32]) -> f32 {
        let part = &power[self.first_bin..self.first_bin + self.weights.len()];
        part.iter().zip(&self.weights).map(|(p, w)| p * w).sum()
    }
}

/// Slaney's mel scale: linear below 1 kHz, logarithmic above.
fn mel_to_hz(mel: f64) -> f64 {
    const LINEAR_HZ_PER_MEL: f64 = 200.0 / 3.0;
    const LINEAR_MELS: f64 = 15.0;
    if mel < LINEAR_MELS {
        return mel * LINEAR_HZ_PER_MEL;
    }
    1_000.0 * ((mel - LINEAR_MELS) * 6.4_f64.ln() / 27.0).exp()
}

/// Triangles of equal area between neighbouring points of the mel scale up to 8 kHz.
fn slaney_filters(mels: usize) -> Vec<Filter> {
    let nyquist_hz = f64::from(SAMPLE_RATE_HZ) / 2.0;
    let highest_mel = 15.0 + 27.0 * (nyquist_hz / 1_000.0).ln() / 6.4_f64.ln();
    let points: Vec<f64> =
        (0..mels + 2).map(|n| mel_to_hz(highest_mel * n as f64 / (mels + 1) as f64)).collect();
    let bin_hz = f64::from(SAMPLE_RATE_HZ) / FFT_SAMPLES as f64;
    points
        .windows(3)
        .map(|edge| {
            let weight = |bin: usize| {
                let hz = bin as f64 * bin_hz;
                let rise = (hz - edge[0]) / (edge[1] - edge[0]);
                let fall = (edge[2] - hz) / (edge[2] - edge[1]);
                rise.min(fall).max(0.0) * 2.0 / (edge[2] - edge[0])
            };
            let first_bin = (0..BINS).find(|bin| weight(*bin) > 0.0).unwrap_or(0);
            let weights = (first_bin..BINS)
                .map(|bin| weight(bin) as f32)
                .take_while(|weight| *weight > 0.0)
                .collect();
            Filter { first_bin, weights }
        })
        .collect()
}
