//! Whether a step of sound is voiced: whether it repeats itself as vocal cords do.
//!
//! In: steps of mono samples at 16 kHz. Out: for each whether the last 32 ms have a pitch between
//! 60 and 400 Hz. Breath, wind and crackle have none; pure tones have one, too, and are told apart
//! elsewhere.

use std::collections::VecDeque;

use crate::limits::SAMPLE_RATE_HZ;

/// Samples that are averaged into one: a pitch needs no more than 4 kHz.
const EACH: usize = 4;
const RATE_HZ: usize = SAMPLE_RATE_HZ as usize / EACH;
/// Samples that are compared: 32 ms, two periods of a deep voice.
const WINDOW: usize = 32 * RATE_HZ / 1_000;
/// Distances that a period may have.
const LAG_MIN: usize = RATE_HZ / 400;
const LAG_MAX: usize = RATE_HZ / 60;
/// Correlation of a period with the next from which on it is a pitch.
const VOICED_MIN: f32 = 0.75;
/// A peak stands so far above the dip before it: low-passed noise falls off without a dip.
const DIP_MIN: f32 = 0.3;

/// Hears one recording.
#[derive(Debug)]
pub(crate) struct VoiceMeter {
    last: VecDeque<f32>,
}

impl VoiceMeter {
    pub(crate) fn new() -> Self {
        Self { last: std::iter::repeat_n(0.0, WINDOW + LAG_MAX).collect() }
    }

    /// Hears the next step.
    pub(crate) fn hear(&mut self, step: &[f32]) -> bool {
        for part in step.chunks_exact(EACH) {
            self.last.pop_front();
            self.last.push_back(part.iter().sum::<f32>() / EACH as f32);
        }
        let all = self.last.make_contiguous();
        let now = &all[LAG_MAX..];
        let power = |part: &[f32]| part.iter().map(|s| s * s).sum::<f32>();
        let here = power(now);
        if here < 1e-9 {
            return false;
        }
        let mut lowest = 1.0_f32;
        for lag in LAG_MIN / 2..=LAG_MAX {
            let before = &all[LAG_MAX - lag..][..WINDOW];
            let product: f32 = now.iter().zip(before).map(|(a, b)| a * b).sum();
            let likeness = product / (here * power(before)).sqrt().max(1e-9);
            lowest = lowest.min(likeness);
            if lag >= LAG_MIN && likeness >= VOICED_MIN && likeness - lowest >= DIP_MIN {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part of steps that are voiced, behind the first few.
    fn voiced(pcm: &[f32]) -> f32 {
        let mut meter = VoiceMeter::new();
        let steps: Vec<bool> = pcm.chunks_exact(256).map(|step| meter.hear(step)).collect();
        let behind = &steps[4..];
        behind.iter().filter(|voiced| **voiced).count() as f32 / behind.len() as f32
    }

    fn pulses(hz: f32) -> Vec<f32> {
        let period = (16_000.0 / hz) as usize;
        let mut state = 0.0;
        (0..16_000)
            .map(|n| {
                let pulse = if n % period == 0 { 1.0 } else { 0.0 };
                state = 0.9 * state + pulse;
                state
            })
            .collect()
    }

    #[test]
    fn deep_and_high_voices_are_voiced_and_noise_is_not() {
        for hz in [70.0, 120.0, 220.0, 380.0] {
            assert!(voiced(&pulses(hz)) > 0.95, "{hz} Hz");
        }
        let mut state = 1_u32;
        let noise: Vec<f32> = (0..160_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 16_777_216.0 - 0.5
            })
            .collect();
        assert!(voiced(&noise) < 0.02);
        let mut low = 0.0;
        let dull: Vec<f32> = noise
            .iter()
            .map(|sample| {
                low += 0.02 * (sample - low);
                low
            })
            .collect();
        assert!(voiced(&dull) < 0.1, "{}", voiced(&dull));
        assert!(voiced(&[0.0; 4_096]) < f32::EPSILON);
    }
}
