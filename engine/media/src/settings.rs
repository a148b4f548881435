//! How the engine is set up: `[engine]` of the configuration, checked.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::limits::{BATCH_MAX, BEAM_MAX};
use crate::reader::Patience;
use crate::whisper::{Compute, ModelError, Processor, RecognizerOptions};

/// An hour: whoever waits longer for a process does not want it watched.
const HUNG_MS_MAX: u64 = 3_600_000;

/// More calls than that are not answered by one service.
const LIVE_MAX: usize = 100_000;

/// How the engine is set up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Folder of a Whisper model in CTranslate2's format. `rusuden` reads an empty one as the
    /// model that it carries.
    pub model_dir: PathBuf,
    /// Models loaded on the CPU, each reading one batch at a time; 0 for one a core, or for none
    /// where `gpus` are named.
    pub readers: usize,
    /// CUDA devices with a model each, beside the CPU's. The CTranslate2 of the default build finds
    /// CUDA 12 by itself (libcublas.so.12).
    pub gpus: Vec<GpuConfig>,
    /// Threads inside one batch; more than one shortens a lone call's wait and costs throughput.
    pub threads: usize,
    /// Threads that decode and listen; 0 for one a core.
    pub listeners: usize,
    /// Windows in one batch at most.
    pub batch_max: usize,
    /// Number format of the model's computation.
    pub compute: Compute,
    /// Texts that the model follows at once: 1 is the fastest, 5 is what OpenAI's reference uses.
    pub beam: usize,
    /// Whether each model stands in a process of its own, where a crash, a hang or a lack of memory
    /// costs a batch and not the calls. Needs a program to run ([`super::engine::EngineLines`]).
    pub isolate: bool,
    /// Milliseconds after which a process that answers nothing is killed and replaced, whatever
    /// its batch.
    pub hung_after_ms: u64,
    /// Seconds that it is given beyond that for each second of sound in its batch: 16 windows of
    /// 7 s get six minutes.
    pub hung_per_second: u32,
    /// Whether to listen while callers speak; otherwise all work begins at hang-up.
    pub live: bool,
    /// Calls that are listened to at once, each in a little under 1 MB; the oldest makes room for a
    /// new one and is read after its end.
    pub live_max: usize,
}

/// A CUDA device with a model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuConfig {
    /// Its number, from 0.
    pub device: u16,
    /// Number format there: `float16` unless told otherwise.
    #[serde(default = "float16")]
    pub compute: Compute,
}

const fn float16() -> Compute {
    Compute::Float16
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            model_dir: PathBuf::new(),
            readers: 0,
            gpus: Vec::new(),
            threads: 1,
            listeners: 0,
            batch_max: 16,
            compute: Compute::default(),
            beam: 1,
            isolate: true,
            hung_after_ms: 30_000,
            hung_per_second: 3,
            live: true,
            live_max: 4_096,
        }
    }
}

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A setting is out of range.
    #[error("engine.{key} is {value}; it must be {range}")]
    Setting {
        /// Which.
        key: &'static str,
        /// What it is.
        value: usize,
        /// What it may be.
        range: String,
    },
    /// The machine gave no thread.
    #[error("the engine cannot start a thread: {0}")]
    Thread(String),
}

impl EngineConfig {
    /// Checks all values.
    pub fn check(&self) -> Result<(), EngineError> {
        let wrong = |key, value, most: usize| EngineError::Setting {
            key,
            value,
            range: format!("1 to {most}"),
        };
        if !(1..=BATCH_MAX).contains(&self.batch_max) {
            return Err(wrong("batch_max", self.batch_max, BATCH_MAX));
        }
        if !(1..=BEAM_MAX).contains(&self.beam) {
            return Err(wrong("beam", self.beam, BEAM_MAX));
        }
        if !(1..=LIVE_MAX).contains(&self.live_max) {
            return Err(wrong("live_max", self.live_max, LIVE_MAX));
        }
        if !(1..=HUNG_MS_MAX).contains(&self.hung_after_ms) {
            let value = usize::try_from(self.hung_after_ms).unwrap_or(usize::MAX);
            return Err(wrong("hung_after_ms", value, HUNG_MS_MAX as usize));
        }
        for (key, value) in
            [("threads", self.threads), ("readers", self.readers), ("listeners", self.listeners)]
        {
            if value > 256 || (key == "threads" && value == 0) {
                return Err(wrong(key, value, 256));
            }
        }
        Ok(())
    }
    /// Every model that is to be loaded; `cores` where the CPU's are not counted.
    pub(crate) fn recognizers(&self, cores: usize) -> Vec<RecognizerOptions> {
        let Self { threads, compute, beam, .. } = *self;
        let on_cpu = match self.readers {
            0 if self.gpus.is_empty() => cores,
            count => count,
        };
        let cpu = RecognizerOptions { processor: Processor::Cpu, threads, compute, beam };
        let on_gpu = |gpu: &GpuConfig| {
            let GpuConfig { device, compute } = *gpu;
            RecognizerOptions { processor: Processor::Cuda(device), threads, compute, beam }
        };
        self.gpus.iter().map(on_gpu).chain(std::iter::repeat_n(cpu, on_cpu)).collect()
    }

    /// When a process counts as hung.
    pub(crate) const fn patience(&self) -> Patience {
        let least = Duration::from_millis(self.hung_after_ms);
        Patience { least, per_second: self.hung_per_second }
    }
}
