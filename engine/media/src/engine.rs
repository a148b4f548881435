//! The engine: recordings of many calls at once, to text and MP3.
//!
//! In: chunks of recordings under way (the live lane), sealed recordings as work, sound files.
//! Out: each work's result, once; what is read of a call while its caller speaks. One thread
//! listens and spreads decoding over a rayon pool, two take in files; the others each hold one
//! loaded model and read batches of windows. Memory is bounded: live recordings are a luxury that
//! may be dropped, because sealed ones can be read again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam::channel;
use engine_core::event::PartialSink;
use engine_core::file_work::{FileText, FileTold, FileWorkError, Wishes};
use engine_core::handoff::{FilesOut, LiveLane, WorkOut};
use serde::Deserialize;

use crate::clerk::Clerk;
use crate::desk::Desk;
use crate::limits::{BATCH_MAX, BEAM_MAX, FILE_CLERKS};
use crate::listener::Listener;
use crate::speech::WindowPlan;
use crate::take::Job;
use crate::whisper::{
    Card, Compute, Heard, ModelError, ModelFolder, Recognizer, RecognizerOptions,
};

/// How the engine is set up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Folder of a Whisper model in CTranslate2's format. `rusuden` reads an empty one as the
    /// model that it carries.
    pub model_dir: PathBuf,
    /// Models loaded, each reading one batch at a time; 0 for one a core.
    pub readers: usize,
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
    /// Whether to listen while callers speak; otherwise all work begins at hang-up.
    pub live: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            model_dir: PathBuf::new(),
            readers: 0,
            threads: 1,
            listeners: 0,
            batch_max: 16,
            compute: Compute::default(),
            beam: 1,
            live: true,
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

/// What connects the engine with the other parts.
pub struct EngineLines {
    /// Chunks of recordings under way.
    pub live: Arc<LiveLane>,
    /// Sealed recordings.
    pub work: WorkOut,
    /// Sound files that somebody asks about.
    pub files: FilesOut,
    /// Where it is told what is read of a call while its caller speaks.
    pub partials: Option<Arc<dyn PartialSink>>,
}

impl EngineLines {
    /// Lines of calls alone: no files come, nobody watches.
    pub fn of_calls(live: Arc<LiveLane>, work: WorkOut) -> Self {
        Self { live, work, files: channel::never(), partials: None }
    }
}

impl std::fmt::Debug for EngineLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineLines").finish_non_exhaustive()
    }
}

/// The running engine.
pub struct Engine {
    desk: Arc<Desk>,
    folder: Arc<ModelFolder>,
    clerk: Arc<Clerk>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Loads the model and starts. Takes from its lines what comes, until [`Engine::stop`].
    pub fn start(config: &EngineConfig, lines: EngineLines) -> Result<Self, EngineError> {
        config.check()?;
        let EngineLines { live, work, files, partials } = lines;
        let folder = Arc::new(ModelFolder::open(&config.model_dir)?);
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let or_cores = |count| if count == 0 { cores } else { count };
        let readers = or_cores(config.readers);
        let EngineConfig { threads, compute, beam, .. } = *config;
        let options = RecognizerOptions { threads, compute, beam };
        let models = (0..readers)
            .map(|_| Recognizer::load(Arc::clone(&folder), options))
            .collect::<Result<Vec<_>, _>>()?;
        let desk = Arc::new(Desk::new(&folder.card, readers, config.batch_max));
        let stopping = Arc::new(AtomicBool::new(false));
        let listener = Listener::new(
            Arc::clone(&desk),
            Arc::clone(&folder),
            Arc::clone(&stopping),
            or_cores(config.listeners),
            config.live,
            partials,
        )
        .map_err(|why| EngineError::Thread(why.to_string()))?;
        let clerk = Arc::new(Clerk::new(Arc::clone(&desk), Arc::clone(&folder)));
        let mut engine = Self { desk, folder, clerk, stopping, threads: Vec::new() };
        engine.spawn("listen".to_owned(), move || listener.run(&live, &work))?;
        for number in 0..FILE_CLERKS {
            let (clerk, files) = (Arc::clone(&engine.clerk), files.clone());
            let stopping = Arc::clone(&engine.stopping);
            engine.spawn(format!("files-{number}"), move || clerk.run(&files, &stopping))?;
        }
        for (number, model) in models.into_iter().enumerate() {
            let desk = Arc::clone(&engine.desk);
            engine.spawn(format!("read-{number}"), move || read(&desk, model))?;
        }
        tracing::info!(model = %engine.folder.card.name, readers, "The engine is running.");
        Ok(engine)
    }

    fn spawn(
        &mut self,
        name: String,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), EngineError> {
        let thread = thread::Builder::new().name(name).spawn(body);
        self.threads.push(thread.map_err(|why| EngineError::Thread(why.to_string()))?);
        Ok(())
    }

    /// The model's card.
    pub fn card(&self) -> &Card {
        &self.folder.card
    }

    /// Whether the model knows a language by its ISO 639-1 code.
    pub fn knows_language(&self, code: &str) -> bool {
        self.folder.knows_language(code)
    }

    /// Reads a whole sound (mono, 16 kHz) and waits for its text. Shares batches with calls.
    pub fn transcribe(&self, pcm_16k: &[f32], wishes: &Wishes) -> Result<FileText, FileWorkError> {
        let (done, result) = channel::bounded(1);
        let told = move |told| {
            if let FileTold::Done(result) = told {
                // The receiver waits below.
                let _ = done.send(result);
            }
            true
        };
        self.clerk.read(pcm_16k, wishes, Box::new(told));
        result.recv().unwrap_or(Err(FileWorkError::Stopping))
    }

    /// Stops: work that is not done gets the error `Stopping` of its kind; returns when all threads
    /// ended.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.desk.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("An engine thread had died.");
            }
        }
        // Work that the listener handed over while the desk closed.
        self.desk.stop();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.halt();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("model", &self.folder.path).finish_non_exhaustive()
    }
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
        for (key, value) in
            [("threads", self.threads), ("readers", self.readers), ("listeners", self.listeners)]
        {
            if value > 256 || (key == "threads" && value == 0) {
                return Err(wrong(key, value, 256));
            }
        }
        Ok(())
    }
}

/// Where this model wants windows to be cut.
pub(crate) fn plan_of(card: &Card) -> WindowPlan {
    WindowPlan::from_millis(card.window_min_ms, card.window_max_ms)
}

/// A reader's life: batch after batch.
fn read(desk: &Desk, mut model: Recognizer) {
    while let Some(batch) = desk.next_batch() {
        let windows: Vec<Heard<'_>> =
            batch.windows.iter().map(|window| heard(&window.payload)).collect();
        let frames = batch.windows.first().map_or(0, |window| window.payload.frames);
        // A panic must not leave the batch, and so its callers, waiting for ever.
        let readings =
            catch_unwind(AssertUnwindSafe(|| model.read(&windows, frames, batch.manner)))
                .map_err(|_| "the model's reader panicked".to_owned())
                .and_then(|readings| readings.map_err(|why| why.to_string()));
        if let Err(why) = &readings {
            tracing::error!(windows = batch.windows.len(), why, "A batch could not be read.");
        }
        desk.read(batch, readings);
    }
}

fn heard(job: &Job) -> Heard<'_> {
    Heard { pcm: &job.window.pcm, language: job.how.language.known(), prompt: &job.how.prompt }
}
