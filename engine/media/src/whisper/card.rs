//! A model's card for Rusuden: `rusuden.json` in its folder, optional.
//!
//! In: the file. Out: how short a context the model takes, where windows are to be cut, what it
//! may be asked for. Weights without a card are treated as Whisper was trained: always 30 s.

use std::path::Path;
use std::time::Duration;

use engine_core::guards::Thresholds;
use engine_core::manner::Temperature;
use serde::Deserialize;

use super::folder::{ModelError, read_json};
use crate::limits::{SAMPLE_RATE_HZ, SAMPLES_PER_MS, WINDOW_SAMPLES_MAX};
use crate::mel::HOP_SAMPLES;

/// Name of the card in a model's folder.
pub const CARD_FILE: &str = "rusuden.json";
const WINDOW_MS_MAX: u32 = (WINDOW_SAMPLES_MAX / SAMPLES_PER_MS) as u32;
const WINDOW_MS_MIN: u32 = 500;

/// What a model needs to be well served.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Card {
    /// Name in transcripts; the folder's name when empty.
    pub name: String,
    /// Shorter sound is followed by silence up to this length.
    pub context_min_ms: u32,
    /// Lengths are rounded up to a multiple of this, so that windows of like length share a
    /// batch and a window reads the same alone as in company.
    pub context_step_ms: u32,
    /// A pause ends a window that is at least this long.
    pub window_min_ms: u32,
    /// A window is cut at its quietest point when it reaches this length.
    pub window_max_ms: u32,
    /// Windows are read together, up to `window_max_ms`, across pauses of at most this: a model that
    /// hears 30 s whatever was said is asked less often. 0: never.
    pub join_pause_ms: u32,
    /// Whether the model tells where its words stand.
    pub timestamps: bool,
    /// Whether the model was trained with text before the transcript (`<|startofprev|>`); prompts
    /// and hotwords are left out otherwise.
    pub prompts: bool,
    /// A text that compresses better than this repeats itself.
    pub compression_ratio_max: f32,
    /// A text less likely than this on average is tried again.
    pub logprob_min: f32,
    /// A window whose no-speech probability exceeds this has no words, unless its text is likely.
    pub no_speech_max: f32,
    /// Temperatures tried after greedy decoding failed, in order.
    pub temperatures: Vec<f32>,
}

impl Default for Card {
    fn default() -> Self {
        Self {
            name: String::new(),
            context_min_ms: WINDOW_MS_MAX,
            context_step_ms: 500,
            window_min_ms: 15_000,
            window_max_ms: WINDOW_MS_MAX,
            join_pause_ms: 5_000,
            timestamps: true,
            prompts: true,
            compression_ratio_max: 2.4,
            logprob_min: -1.0,
            no_speech_max: 0.6,
            temperatures: vec![0.4, 0.8],
        }
    }
}

impl Card {
    /// Reads the card of a folder; the default where there is none.
    pub(super) fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(CARD_FILE);
        let mut card: Self = if path.exists() { read_json(&path)? } else { Self::default() };
        if card.name.is_empty() {
            let name = folder.file_name().unwrap_or(folder.as_os_str());
            card.name = name.to_string_lossy().into_owned();
        }
        card.check().map_err(|why| ModelError::Card { path, why })?;
        Ok(card)
    }

    fn check(&self) -> Result<(), String> {
        if self.context_step_ms == 0 || !self.context_step_ms.is_multiple_of(20) {
            return Err("context_step_ms must be a multiple of 20".to_owned());
        }
        if self.context_min_ms > WINDOW_MS_MAX {
            return Err(format!("context_min_ms may be at most {WINDOW_MS_MAX}"));
        }
        if !(WINDOW_MS_MIN..=WINDOW_MS_MAX).contains(&self.window_max_ms) {
            return Err(format!("window_max_ms must be {WINDOW_MS_MIN} to {WINDOW_MS_MAX}"));
        }
        if self.window_min_ms > self.window_max_ms {
            return Err("window_min_ms may not exceed window_max_ms".to_owned());
        }
        if self.join_pause_ms > WINDOW_MS_MAX {
            return Err(format!("join_pause_ms may be at most {WINDOW_MS_MAX}"));
        }
        if let Some(wrong) = self.temperatures.iter().find(|t| Temperature::new(**t).is_none()) {
            return Err(format!("temperatures are 0 to 1, {wrong} is not"));
        }
        Ok(())
    }

    /// The temperatures that are tried, one after the other: greedy decoding first.
    pub fn ladder(&self) -> Vec<Temperature> {
        let warmer = self.temperatures.iter().copied().filter_map(Temperature::new);
        std::iter::once(Temperature::GREEDY).chain(warmer).collect()
    }

    /// What the guards believe of this model.
    pub fn thresholds(&self) -> Thresholds {
        Thresholds {
            no_speech_max: self.no_speech_max,
            logprob_min: self.logprob_min,
            compression_ratio_max: self.compression_ratio_max,
            ..Thresholds::default()
        }
    }

    /// The time that a context of so many frames lasts.
    pub fn length(frames: usize) -> Duration {
        Duration::from_micros((frames * HOP_SAMPLES * 1_000_000 / SAMPLE_RATE_HZ as usize) as u64)
    }

    /// Every context length that windows of this model can have.
    pub fn lengths(&self) -> Vec<Duration> {
        let step = self.context_step_ms as usize * SAMPLES_PER_MS;
        let samples = (0..=WINDOW_SAMPLES_MAX).step_by(step).chain([WINDOW_SAMPLES_MAX]);
        let mut lengths: Vec<_> = samples.map(|count| Self::length(self.frames(count))).collect();
        lengths.dedup();
        lengths
    }

    /// Frames of context that `samples` samples are read with.
    pub fn frames(&self, samples: usize) -> usize {
        let step = self.context_step_ms as usize * SAMPLES_PER_MS;
        let least = self.context_min_ms as usize * SAMPLES_PER_MS;
        let samples = samples.next_multiple_of(step).max(least).min(WINDOW_SAMPLES_MAX);
        (samples / HOP_SAMPLES).max(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_without_a_card_are_given_30_s() {
        let folder = tempfile::tempdir().unwrap();
        let card = Card::read(folder.path()).unwrap();
        assert_eq!(card.frames(1_600), 3_000);
        assert_eq!(card.frames(WINDOW_SAMPLES_MAX), 3_000);
    }

    #[test]
    fn lengths_are_rounded_up_to_steps() {
        let card = Card { context_min_ms: 1_000, context_step_ms: 500, ..Card::default() };
        assert_eq!(card.frames(0), 100);
        assert_eq!(card.frames(16_000), 100);
        assert_eq!(card.frames(16_001), 150);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CARD_FILE), r#"{"context_min": 5}"#).unwrap();
        let why = Card::read(folder.path()).unwrap_err().to_string();
        assert!(why.contains("context_min") && why.contains(CARD_FILE), "{why}");
    }

    #[test]
    fn a_window_longer_than_the_model_hears_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CARD_FILE), r#"{"window_max_ms": 30001}"#).unwrap();
        assert!(Card::read(folder.path()).unwrap_err().to_string().contains("30000"));
        std::fs::write(folder.path().join(CARD_FILE), r#"{"window_max_ms": 30000}"#).unwrap();
        assert!(Card::read(folder.path()).is_ok());
    }
}
