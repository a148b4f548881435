//! One loaded model: batches of windows to text through `ct2rs::sys::Whisper`.
//!
//! In: windows that share a context length and a manner, each with its language or none. Out: one
//! [`Reading`] for each; whether it may stand or the window is read again is decided by
//! `engine_core::guards`. Every row is its own: a window is padded with the silence that its own
//! loudness implies, and only windows of one length share a batch, so that company never changes
//! what is read greedily. (Above temperature 0 tokens are drawn by CTranslate2's own dice.)
//!
//! Several replicas in one `sys::Whisper` crash under MKL (they share packed weights by copying
//! their bytes), so a recognizer has exactly one; for more, load more recognizers.

use std::sync::Arc;

use ct2rs::sys::{
    ComputeType, Config, Device, StorageView, Whisper, WhisperOptions, get_device_count,
};
use engine_core::manner::{Manner, Task, Temperature};
use serde::{Deserialize, Serialize};

use super::align::{pieces, token_times};
use super::folder::{ModelError, ModelFolder};
use super::reading::{Part, Reading, compression_ratio};
use crate::limits::{SAMPLE_RATE_HZ, WINDOW_TOKENS_MAX};
use crate::mel::{HOP_SAMPLES, LogMel};

/// Number format of the computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// 16-bit floats: for CUDA.
    Float16,
    /// 8-bit products, the rest in 16-bit floats: for CUDA.
    Int8Float16,
}

impl Compute {
    const fn ct2(self) -> ComputeType {
        match self {
            Self::Stored => ComputeType::DEFAULT,
            Self::Int8 => ComputeType::INT8,
            Self::Int8Float32 => ComputeType::INT8_FLOAT32,
            Self::Float32 => ComputeType::FLOAT32,
            Self::Float16 => ComputeType::FLOAT16,
            Self::Int8Float16 => ComputeType::INT8_FLOAT16,
        }
    }
}

/// Where the computation is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Processor {
    /// The machine's own.
    #[default]
    Cpu,
    /// The CUDA device with this number, from 0.
    Cuda(u16),
}

impl Processor {
    /// Device and index as CTranslate2 takes them; or why it is not there.
    fn ct2(self) -> Result<(Device, i32), String> {
        let Self::Cuda(number) = self else { return Ok((Device::CPU, 0)) };
        let there = get_device_count(Device::CUDA);
        if i32::from(number) < there {
            return Ok((Device::CUDA, i32::from(number)));
        }
        Err(format!(
            "CTranslate2 finds {there} CUDA devices and cannot use number {number}: see that the \
             driver and CUDA's libraries are installed, or compute on the CPU"
        ))
    }
}

/// How a recognizer is set up.
#[derive(Debug, Clone, Copy)]
pub struct RecognizerOptions {
    /// Where to compute.
    pub processor: Processor,
    /// Threads inside one batch, on the CPU.
    pub threads: usize,
    /// Number format.
    pub compute: Compute,
    /// Texts that are followed at once when reading greedily; 1 takes the likeliest token.
    pub beam: usize,
}

impl Default for RecognizerOptions {
    fn default() -> Self {
        let (processor, compute) = (Processor::default(), Compute::default());
        Self { processor, threads: 1, compute, beam: 1 }
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
    /// Tokens before the transcript ([`ModelFolder::prompt`]), as many in every row of a batch.
    pub prompt: &'a [String],
}

/// Width of the reference's median filter over attention, in frames.
const MEDIAN_FRAMES: i64 = 7;

/// One loaded model; runs one batch at a time.
pub struct Recognizer {
    folder: Arc<ModelFolder>,
    whisper: Whisper,
    mel: LogMel,
    features: Vec<f32>,
    beam: usize,
}

impl Recognizer {
    /// Loads the weights of a checked folder.
    pub fn load(folder: Arc<ModelFolder>, options: RecognizerOptions) -> Result<Self, ModelError> {
        let wrong = |why: String| ModelError::Weights { path: folder.path.clone(), why };
        let (device, index) = options.processor.ct2().map_err(wrong)?;
        let config = Config {
            device,
            device_indices: vec![index],
            compute_type: options.compute.ct2(),
            num_threads_per_replica: options.threads.max(1),
            ..Config::default()
        };
        let whisper = Whisper::new(&folder.path, config).map_err(|why| wrong(why.to_string()))?;
        let mels = whisper.n_mels();
        if let Some(named) = folder.mels.filter(|named| *named != mels) {
            return Err(wrong(format!(
                "preprocessor_config.json names {named} mel rows, the weights have {mels}"
            )));
        }
        let (mel, beam) = (LogMel::new(mels), options.beam.max(1));
        let mut recognizer = Self { mel, folder, whisper, features: Vec::new(), beam };
        recognizer.warm_up().map_err(|why| recognizer.wrong(why.to_string()))?;
        Ok(recognizer)
    }

    /// The model's folder.
    pub const fn folder(&self) -> &Arc<ModelFolder> {
        &self.folder
    }

    /// Reads a second of silence, so that the first caller does not wait for what a model does
    /// only once, and a model that cannot compute is found out at its loading.
    fn warm_up(&mut self) -> Result<(), RecognizerError> {
        let second = vec![0.0; SAMPLE_RATE_HZ as usize];
        let silence = Heard { pcm: &second, language: Some("en"), prompt: &[] };
        let frames = self.folder.card.frames(silence.pcm.len());
        self.read(&[silence], frames, Manner::default()).map(drop)
    }

    fn wrong(&self, why: String) -> ModelError {
        ModelError::Weights { path: self.folder.path.clone(), why }
    }

    /// Reads windows that all fit `frames` frames of context, once.
    ///
    /// # Panics
    /// When a window's prompt is not `manner.prompt_tokens` long.
    pub fn read(
        &mut self,
        windows: &[Heard<'_>],
        frames: usize,
        manner: Manner,
    ) -> Result<Vec<Reading>, RecognizerError> {
        if windows.is_empty() {
            return Ok(Vec::new());
        }
        let prompt_tokens = usize::from(manner.prompt_tokens);
        let is_even = windows.iter().all(|window| window.prompt.len() == prompt_tokens);
        assert!(is_even, "the prompts of a batch are of one length");
        let languages = self.languages(windows, frames)?;
        let mut readings = self.pass(windows, &languages, frames, manner)?;
        if manner.words && self.folder.aligns() {
            for (window, reading) in windows.iter().zip(&mut readings) {
                self.align(window, reading, frames, manner.task)?;
            }
        }
        Ok(readings)
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

    /// One decoding of all rows.
    fn pass(
        &mut self,
        windows: &[Heard<'_>],
        languages: &[String],
        frames: usize,
        manner: Manner,
    ) -> Result<Vec<Reading>, RecognizerError> {
        let rows: Vec<usize> = (0..windows.len()).collect();
        self.fill(windows, &rows, frames);
        let prompt = |(window, language): (&Heard<'_>, &String)| {
            let start = self.start(language, manner.task);
            let marks = (!self.folder.card.timestamps).then(|| "<|notimestamps|>".to_owned());
            window.prompt.iter().cloned().chain(start).chain(marks).collect()
        };
        let prompts: Vec<Vec<String>> = windows.iter().zip(languages).map(prompt).collect();
        let options = options(frames, manner, self.beam);
        let view = view(&mut self.features, rows.len(), self.mel.mels(), frames)?;
        let results =
            self.whisper.generate(&view, &prompts, &options).map_err(failed("read a batch"))?;
        let readings = languages.iter().zip(results).map(|(language, result)| {
            let ids = result.sequences_ids.into_iter().next().unwrap_or_default();
            let score = result.scores.first().copied().unwrap_or(f32::NEG_INFINITY);
            let parts = self.parts(&ids);
            let text: String = parts.iter().map(|part| part.text.as_str()).collect();
            Reading {
                language: language.clone(),
                // CTranslate2 divides by the tokens without the end, the reference counts it.
                avg_logprob: score * ids.len() as f32 / (ids.len() + 1) as f32,
                no_speech_prob: result.no_speech_prob,
                compression_ratio: compression_ratio(&text),
                temperature: manner.temperature,
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

    /// The start of a transcript.
    fn start(&self, language: &str, task: Task) -> Vec<String> {
        let mut start = vec!["<|startoftranscript|>".to_owned()];
        if self.whisper.is_multilingual() {
            start.push(format!("<|{language}|>"));
            start.push(format!("<|{}|>", task.name()));
        }
        start
    }

    /// Finds where in its window each piece of a reading was spoken. A row by itself: in a batch
    /// CTranslate2 would normalise its attention over the tokens of its neighbours, too.
    fn align(
        &mut self,
        window: &Heard<'_>,
        reading: &mut Reading,
        frames: usize,
        task: Task,
    ) -> Result<(), RecognizerError> {
        let tokens: Vec<usize> =
            reading.parts.iter().flat_map(|part| &part.tokens).map(|id| *id as usize).collect();
        let heard = (window.pcm.len() / HOP_SAMPLES).min(frames);
        if tokens.is_empty() || heard < 2 {
            return Ok(());
        }
        let start = self.folder.start_ids(&self.start(&reading.language, task));
        self.fill(std::slice::from_ref(window), &[0], frames);
        let view = view(&mut self.features, 1, self.mel.mels(), frames)?;
        let aligned = self
            .whisper
            .align(&view, &start, std::slice::from_ref(&tokens), &[heard], MEDIAN_FRAMES)
            .map_err(failed("align words"))?;
        let Some(aligned) = aligned.into_iter().next() else { return Ok(()) };
        let steps = aligned.alignments.iter().map(|step| (step.token_x, step.frame_x));
        let times = token_times(steps, tokens.len());
        let mut from = 0;
        for part in &mut reading.parts {
            let to = from + part.tokens.len();
            let probabilities = aligned.text_token_probs.get(from..to).unwrap_or_default();
            part.pieces = pieces(&part.tokens, &times[from..=to], probabilities, |ids| {
                self.folder.decode(ids)
            });
            from = to;
        }
        Ok(())
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
                let tokens = self.folder.words(words);
                parts.push(Part { start_ms, end_ms: at_ms, text, tokens, pieces: Vec::new() });
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

fn options(frames: usize, manner: Manner, beam: usize) -> WhisperOptions {
    // Nobody says more than 14 tokens a second; a loop must not run to the model's end.
    let tokens = (32 + frames * 14 / 100).min(WINDOW_TOKENS_MAX);
    let is_greedy = manner.temperature == Temperature::GREEDY;
    WhisperOptions {
        beam_size: if is_greedy { beam } else { 1 },
        // CTranslate2 halves it, and takes the prompt off.
        max_length: tokens + tokens.max(usize::from(manner.prompt_tokens)),
        sampling_topk: usize::from(is_greedy),
        sampling_temperature: if is_greedy { 1.0 } else { manner.temperature.degrees() },
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
