//! Covers short losses in G.711 and G.722: the last pitch period is repeated and faded out.
//!
//! In: what was decoded. Out: samples for a hole. The idea is that of G.711 Appendix I in its
//! plainest form; Opus brings its own concealment.

use crate::limits::CONCEAL_MAX;

/// Remembers the last 40 ms and stretches them over holes.
#[derive(Debug)]
pub(super) struct Concealer {
    /// The last samples, oldest first; shorter than `history_max` at the start.
    history: Vec<f32>,
    history_max: usize,
    rate_hz: usize,
}

impl Concealer {
    pub(super) fn new(rate_hz: u32) -> Self {
        let rate_hz = rate_hz as usize;
        let history_max = rate_hz / 25;
        Self { history: Vec::with_capacity(2 * history_max), history_max, rate_hz }
    }

    /// Takes note of decoded sound.
    pub(super) fn heard(&mut self, samples: &[f32]) {
        let keep = &samples[samples.len().saturating_sub(self.history_max)..];
        let over = (self.history.len() + keep.len()).saturating_sub(self.history_max);
        self.history.drain(..over.min(self.history.len()));
        self.history.extend_from_slice(keep);
    }

    /// Silence was meant: nothing of what came before may sound on.
    pub(super) fn forget(&mut self) {
        self.history.clear();
    }

    /// Fills a hole of `count` samples: repetition that fades to nothing within `CONCEAL_MAX`,
    /// then silence.
    pub(super) fn fill(&mut self, count: usize, out: &mut Vec<f32>) {
        let fade = self.rate_hz * CONCEAL_MAX.as_millis() as usize / 1_000;
        let covered = if self.history.len() < self.history_max { 0 } else { count.min(fade) };
        if covered > 0 {
            let period = self.pitch_period();
            let cycle = &self.history[self.history.len() - period..];
            out.extend((0..covered).map(|n| {
                let gain = 1.0 - n as f32 / fade as f32;
                cycle[n % period] * gain
            }));
        }
        out.resize(out.len() + count - covered, 0.0);
        self.forget();
    }

    /// The lag between 2.5 and 16 ms at which the last 16 ms look most like what came before.
    fn pitch_period(&self) -> usize {
        let longest = self.rate_hz * 16 / 1_000;
        let shortest = self.rate_hz * 5 / 2_000;
        let recent = &self.history[self.history.len() - longest..];
        let likeness = |lag: usize| {
            let start = self.history.len() - longest - lag;
            let before = &self.history[start..start + longest];
            let (mut product, mut energy) = (0.0_f32, 1e-9_f32);
            for (a, b) in recent.iter().zip(before) {
                product += a * b;
                energy += b * b;
            }
            product / energy.sqrt()
        };
        (shortest..=longest).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b))).unwrap_or(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(count: usize) -> Vec<f32> {
        (0..count).map(|n| (n as f32 * std::f32::consts::TAU / 80.0).sin()).collect()
    }

    #[test]
    fn a_short_hole_goes_on_with_the_pitch_and_fades() {
        let mut concealer = Concealer::new(8_000);
        concealer.heard(&tone(800));
        let mut out = Vec::new();
        concealer.fill(160, &mut out);
        let expected = &tone(960)[800..];
        let error: f32 = out.iter().zip(expected).take(40).map(|(a, b)| (a - b).abs()).sum();
        assert!(error / 40.0 < 0.1, "mean error {}", error / 40.0);
        assert!(out[159].abs() < 0.75);
    }

    #[test]
    fn a_hole_is_silent_from_60_ms_on() {
        let mut concealer = Concealer::new(8_000);
        concealer.heard(&tone(800));
        let mut out = Vec::new();
        concealer.fill(481, &mut out);
        assert_eq!(out.len(), 481);
        assert!(out[..480].iter().any(|s| *s != 0.0));
        assert!(out[480].abs() < f32::EPSILON);
    }

    #[test]
    fn nothing_sounds_on_after_silence() {
        let mut concealer = Concealer::new(8_000);
        concealer.heard(&tone(800));
        concealer.forget();
        let mut out = Vec::new();
        concealer.fill(80, &mut out);
        assert!(out.iter().all(|s| *s == 0.0));
    }
}
