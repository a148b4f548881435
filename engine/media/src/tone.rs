//! Tells tones from voices: ring-back, busy, DTMF, fax.
//!
//! In: steps of 256 samples at 16 kHz. Out: whether the step is nothing but one or two steady
//! tones. A voice has many harmonics and never stands still for long.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

const FFT_SAMPLES: usize = 512;
const STEP_SAMPLES: usize = 256;
const BINS: usize = FFT_SAMPLES / 2 + 1;
/// Bins on each side that a windowed tone spills into.
const SPILL_BINS: usize = 2;
/// Part of the power that two tones must hold.
const TONE_PART_MIN: f32 = 0.92;
/// Bins that the strongest tone may move between two steps.
const DRIFT_BINS_MAX: usize = 1;

/// Looks at steps in a row.
pub(crate) struct ToneMeter {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    /// The last two steps.
    recent: [f32; FFT_SAMPLES],
    input: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    power: [f32; BINS],
    last_peak: usize,
}

impl ToneMeter {
    pub(crate) fn new() -> Self {
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(FFT_SAMPLES);
        let window = (0..FFT_SAMPLES)
            .map(|n| {
                let turn = std::f32::consts::TAU * n as f32 / FFT_SAMPLES as f32;
                0.5 - 0.5 * turn.cos()
            })
            .collect();
        Self {
            window,
            recent: [0.0; FFT_SAMPLES],
            input: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            power: [0.0; BINS],
            last_peak: 0,
            fft,
        }
    }

    /// Whether the last two steps are one or two tones that stand still.
    pub(crate) fn hear(&mut self, step: &[f32; STEP_SAMPLES]) -> bool {
        self.recent.copy_within(STEP_SAMPLES.., 0);
        self.recent[STEP_SAMPLES..].copy_from_slice(step);
        for ((to, from), weight) in self.input.iter_mut().zip(&self.recent).zip(&self.window) {
            *to = from * weight;
        }
        self.fft
            .process_with_scratch(&mut self.input, &mut self.spectrum, &mut self.scratch)
            .expect("the buffers are the plan's own");
        for (power, bin) in self.power.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr();
        }
        let total: f32 = self.power.iter().sum();
        let (first, first_power) = self.take_peak();
        let (_, second_power) = self.take_peak();
        let steady = first.abs_diff(self.last_peak) <= DRIFT_BINS_MAX;
        self.last_peak = first;
        steady && total > 1e-6 && first_power + second_power > TONE_PART_MIN * total
    }

    /// Finds the strongest bin and takes it out with its neighbours; its place and their power.
    fn take_peak(&mut self) -> (usize, f32) {
        let peak =
            (0..BINS).max_by(|a, b| self.power[*a].total_cmp(&self.power[*b])).unwrap_or_default();
        let near = peak.saturating_sub(SPILL_BINS)..(peak + SPILL_BINS + 1).min(BINS);
        let sum = self.power[near.clone()].iter().sum();
        self.power[near].fill(0.0);
        (peak, sum)
    }
}
