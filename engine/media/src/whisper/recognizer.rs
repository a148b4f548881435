//! One loaded model: batches of windows to text through `ct2rs::sys::Whisper`.
//!
//! In: windows that share a context length, each with its language or none. Out: one [`Reading`]
//! for each. Every row is its own: a window is padded with the silence that its own loudness
//! implies, and only windows of one length share a batch, so company never changes a text.
//!
//! Several replicas in one `sys::Whisper` crash under MKL (they share packed weights by copying
//! their bytes), so a recognizer has exactly one; for more, load more recognizers.

use std::sync::Arc;

use ct2rs::sys::{ComputeType, Config, Device, StorageView, Whisper, WhisperOptions};
use engine_core::guards::Doubts;
use serde::Deserialize;

use super::folder::{ModelError, ModelFolder};
use crate::limits::WINDOW_TOKENS_MAX;
use crate::mel::LogMel;

/// Number format of the computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compute {
    /// As the model was stored, or the nearest that the processor has.
    Stored,
    /// 8-bit weights and activations: the fastest here.
    #[default]
    Int8,
    /// 8-bit products, the rest in 32-bit floats.
    Int8Float32,
    /// 32-bit floats throughout.
    Float32,
}

impl Compute {
    const fn ct2(self) -> ComputeType {
        match self {
            Self::Stored => ComputeType::DEFAULT,
            Self::Int8 => ComputeType::INT8,
            Self::Int8Float32 => ComputeType::INT8_FLOAT32,
            Self::Float32 => ComputeType::FLOAT32,
        }
    }
}

/// How a recognizer is set up.
#[derive(Debug, Clone, Copy)]
pub struct RecognizerOptions {
    /// Threads inside one batch.
    pub threads: usize,
    /// Number format.
    pub compute: Compute,
}

impl Default for RecognizerOptions {
    fn default() -> Self {
        Self { threads: 1, compute: Compute::default() }
    }
}

/// A batch that failed as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecognizerError {
    /// CTranslate2 refused it.
    #[error("CTranslate2 could not {action}: {why}")]
    Inference {
        /// What was tried.
        action: &'static str,
        /// What it said.
        why: String,
    },
}

/// One window to be read.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Mono samples at 16 kHz.
    pub pcm: &'a [f32],
    /// ISO 639-1 code; `None` to find out.
    pub language: Option<&'a str>,
}

/// What the model read in one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The text, or its parts where the model told their times; in order.
    pub parts: Vec<Part>,
    /// ISO 639-1 code of the language it was read in.
    pub language: String,
    /// Average log probability of its tokens.
    pub avg_logprob: f32,
    /// Probability that nobody spoke.
    pub no_speech_prob: f32,
    /// UTF-8 bytes over zlib bytes: high when the text repeats itself.
    pub compression_ratio: f32,
    /// Temperature it was read at; 0 is greedy.
    pub temperature: f32,
}

/// Text with its place in the window, in milliseconds from the window's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Start, where the model told it.
    pub start_ms: Option<u32>,
    /// End, likewise.
    pub end_ms: Option<u32>,
    /// The words.
    pub text: String,
}

impl Reading {
    /// What speaks against it.
    pub const fn doubts(&self) -> Doubts {
        Doubts {
            avg_logprob: self.avg_logprob,
            no_speech_prob: self.no_speech_prob,
            compression_ratio: self.compression_ratio,
        }
    }

    /// All of its text.
    pub fn text(&self) -> String {
        self.parts.iter().map(|part| part.text.as_str()).collect()
    }
}

/// One loaded model; runs one batch at a time.
pub struct Recognizer {
    folder: Arc<ModelFolder>,
    whisper: Whisper,
    mel: LogMel,
    features: Vec<f32>,
}

impl Recognizer {
    /// Loads the weights of a checked folder.
    pub fn load(folder: Arc<ModelFolder>, options: RecognizerOptions) -> Result<Self, ModelError> {
        let config = Config {
            device: Device::CPU,
            compute_type: options.compute.ct2(),
            num_threads_per_replica: options.threads.max(1),
            ..Config::default()
        };
        let wrong = |why: String| ModelError::Weights { path: folder.path.clone(), why };
        let whisper = Whisper::new(&folder.path, config).map_err(|why| wrong(why.to_string()))?;
        let mels = whisper.n_mels();
        if let Some(named) = folder.mels.filter(|named| *named != mels) {
            return Err(wrong(format!(
                "preprocessor_config.json names {named} mel rows, the weights have {mels}"
            )));
        }
        Ok(Self { mel: LogMel::new(mels), folder, whisper, features: Vec::new() })
    }

    /// The model's folder.
    pub const fn folder(&self) -> &Arc<ModelFolder> {
        &self.folder
    }

    /// Reads windows that all fit `frames` frames of context.
    pub fn read(
        &mut self,
        windows: &[Heard<'_>],
        frames: usize,
    ) -> Result<Vec<Reading>, RecognizerError> {
        if windows.is_empty() {
            return Ok(Vec::new());
        }
        let languages = self.languages(windows, frames)?;
        let rows: Vec<usize> = (0..windows.len()).collect();
        let mut readings = self.pass(windows, &rows, &languages, frames, 0.0)?;
        let temperatures = self.folder.card.temperatures.clone();
        for temperature in temperatures {
            let failed: Vec<usize> =
                rows.iter().copied().filter(|row| self.failed(&readings[*row])).collect();
            if failed.is_empty() {
                break;
            }
            let again = self.pass(windows, &failed, &languages, frames, temperature)?;
            for (row, reading) in failed.into_iter().zip(again) {
                if !self.failed(&reading) || reading.avg_logprob > readings[row].avg_logprob {
                    readings[row] = reading;
                }
            }
        }
        Ok(readings)
    }

    /// Whether a reading is to be tried again at a higher temperature.
    fn failed(&self, reading: &Reading) -> bool {
        self.folder.card.thresholds().wants_another_reading(reading.doubts())
    }

    /// The language of each window: given, or the likeliest.
    fn languages(
        &mut self,
        windows: &[Heard<'_>],
        frames: usize,
    ) -> Result<Vec<String>, RecognizerError> {
        let open: Vec<usize> =
            (0..windows.len()).filter(|row| windows[*row].language.is_none()).collect();
        let mut languages: Vec<String> =
            windows.iter().map(|window| window.language.unwrap_or("en").to_owned()).collect();
        if open.is_empty() || !self.whisper.is_multilingual() {
            return Ok(languages);
        }
        self.fill(windows, &open, frames);
        let view = view(&mut self.features, open.len(), self.mel.mels(), frames)?;
        let found = self.whisper.detect_language(&view).map_err(failed("detect the language"))?;
        for (row, likely) in open.into_iter().zip(found) {
            if let Some(best) = likely.first() {
                best.language.trim_matches(['<', '|', '>']).clone_into(&mut languages[row]);
            }
        }
        Ok(languages)
    }

    /// One decoding of some rows at one temperature.
    fn pass(
        &mut self,
        windows: &[Heard<'_>],
        rows: &[usize],
        languages: &[String],
        frames: usize,
        temperature: f32,
    ) -> Result<Vec<Reading>, RecognizerError> {
        self.fill(windows, rows, frames);
        let prompts: Vec<Vec<String>> =
            rows.iter().map(|row| self.prompt(&languages[*row])).collect();
        let options = options(frames, temperature);
        let view = view(&mut self.features, rows.len(), self.mel.mels(), frames)?;
        let results =
            self.whisper.generate(&view, &prompts, &options).map_err(failed("read a batch"))?;
        let readings = rows.iter().zip(results).map(|(row, result)| {
            let ids = result.sequences_ids.into_iter().next().unwrap_or_default();
            let score = result.scores.first().copied().unwrap_or(f32::NEG_INFINITY);
            let parts = self.parts(&ids);
            let text: String = parts.iter().map(|part| part.text.as_str()).collect();
            Reading {
                language: languages[*row].clone(),
                // CTranslate2 divides by the tokens without the end, the reference counts it.
                avg_logprob: score * ids.len() as f32 / (ids.len() + 1) as f32,
                no_speech_prob: result.no_speech_prob,
                compression_ratio: compression_ratio(&text),
                temperature,
                parts,
            }
        });
        Ok(readings.collect())
    }

    /// The pictures of some rows, one behind the other.
    fn fill(&mut self, windows: &[Heard<'_>], rows: &[usize], frames: usize) {
        let size = self.mel.mels() * frames;
        self.features.resize(rows.len() * size, 0.0);
        for (row, picture) in rows.iter().zip(self.features.chunks_exact_mut(size)) {
            self.mel.compute(windows[*row].pcm, frames, picture);
        }
    }

    fn prompt(&self, language: &str) -> Vec<String> {
        let mut prompt = vec!["<|startoftranscript|>".to_owned()];
        if self.whisper.is_multilingual() {
            prompt.push(format!("<|{language}|>"));
            prompt.push("<|transcribe|>".to_owned());
        }
        if !self.folder.card.timestamps {
            prompt.push("<|notimestamps|>".to_owned());
        }
        prompt
    }

    /// Splits tokens at timestamps; one part without times when there are none.
    fn parts(&self, ids: &[usize]) -> Vec<Part> {
        let first = self.folder.tokens.first_timestamp as usize;
        let mut parts = Vec::new();
        let mut start_ms = None;
        for run in ids.split_inclusive(|id| *id >= first) {
            let (words, mark) = match run.split_last() {
                Some((last, words)) if *last >= first => (words, Some(*last)),
                _ => (run, None),
            };
            let at_ms = mark.map(|id| ((id - first) * 20) as u32);
            let text = self.folder.text(words);
            if !text.trim().is_empty() {
                parts.push(Part { start_ms, end_ms: at_ms, text });
            }
            start_ms = at_ms;
        }
        parts
    }
}

impl std::fmt::Debug for Recognizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recognizer").field("folder", &self.folder.path).finish_non_exhaustive()
    }
}

fn options(frames: usize, temperature: f32) -> WhisperOptions {
    // Nobody says more than 14 tokens a second; a loop must not run to the model's end.
    let tokens = (32 + frames * 14 / 100).min(WINDOW_TOKENS_MAX);
    WhisperOptions {
        beam_size: 1,
        // CTranslate2 halves it.
        max_length: 2 * tokens,
        sampling_topk: usize::from(temperature == 0.0),
        sampling_temperature: if temperature == 0.0 { 1.0 } else { temperature },
        return_scores: true,
        return_no_speech_prob: true,
        ..WhisperOptions::default()
    }
}

fn failed<E: std::fmt::Display>(action: &'static str) -> impl FnOnce(E) -> RecognizerError {
    move |why| RecognizerError::Inference { action, why: why.to_string() }
}

/// A view whose shape is certain to fit its values: `StorageView::new` does not look, and a shape
/// too large would read behind them.
fn view(
    values: &mut [f32],
    rows: usize,
    mels: usize,
    frames: usize,
) -> Result<StorageView<'_>, RecognizerError> {
    assert_eq!(values.len(), rows * mels * frames, "a batch is rows × mels × frames");
    StorageView::new(&[rows, mels, frames], values, Device::CPU).map_err(failed("take a batch"))
}

/// The reference's measure of repetition.
fn compression_ratio(text: &str) -> f32 {
    if text.is_empty() {
        return 0.0;
    }
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(text.as_bytes(), 6);
    text.len() as f32 / packed.len() as f32
}
