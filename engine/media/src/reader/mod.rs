//! Readers: threads that take batches from a desk and bring back what a model read in them.
//!
//! In: batches of windows. Out: their readings, or why there are none. The model stands in the
//! thread itself or in a process of its own (`process`, started as `apart` does, spoken to as `wire`
//! says): CTranslate2 is C++, and what crashes, hangs or runs out of memory there must not take
//! calls with it. A process that is lost is replaced; its batch goes back to the desk, which gives
//! it to the next reader.

mod apart;
mod process;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use engine_core::batcher::Batch;

pub use self::apart::{ReaderProgram, serve};
use self::process::Process;
use self::wire::Hello;
use crate::desk::Desk;
use crate::take::Job;
use crate::whisper::{Heard, ModelError, ModelFolder, Reading, Recognizer, RecognizerOptions};

/// How all readers are set up.
#[derive(Debug, Clone)]
pub(crate) struct ReaderOptions {
    /// `None`: the model stands in the reader's thread.
    pub(crate) program: Option<ReaderProgram>,
    pub(crate) patience: Patience,
}

/// How long a process may take before it counts as hung.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Whatever the batch.
    pub(crate) least: Duration,
    /// For each second of sound beyond that.
    pub(crate) per_second: u32,
}

/// How many processes were lost since the engine began.
pub(crate) type Losses = Arc<AtomicU64>;

/// One reader, before its thread begins.
pub(crate) struct Reader(Model);

enum Model {
    Here(Box<Recognizer>),
    Apart(Process),
}

impl Reader {
    /// A reader for each of these models, loaded; processes load side by side. Given up when
    /// `is_over`.
    pub(crate) fn load(
        folder: &Arc<ModelFolder>,
        recognizers: &[RecognizerOptions],
        options: &ReaderOptions,
        losses: &Losses,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Vec<Self>, ModelError> {
        let start = |recognizer: &RecognizerOptions| {
            let Some(program) = &options.program else {
                let recognizer = Recognizer::load(Arc::clone(folder), *recognizer)?;
                return Ok(Self(Model::Here(Box::new(recognizer))));
            };
            let hello = Hello::new(folder.path.clone(), *recognizer);
            let process =
                Process::start(program.clone(), hello, options.patience, Arc::clone(losses));
            Ok(Self(Model::Apart(process.map_err(|why| why.of(&folder.path))?)))
        };
        let mut readers =
            recognizers.iter().map(start).collect::<Result<Vec<Self>, ModelError>>()?;
        for reader in &mut readers {
            if let Model::Apart(process) = &mut reader.0 {
                process.loaded(is_over).map_err(|why| why.of(&folder.path))?;
            }
        }
        Ok(readers)
    }

    /// A reader's life: batch after batch, until the desk is closed.
    pub(crate) fn run(mut self, desk: &Desk) {
        while self.0.be_ready(desk)
            && let Some(batch) = desk.next_batch()
        {
            if !self.0.is_there() {
                // It ended while it waited: no fault of this batch.
                desk.give_back(batch);
                continue;
            }
            let readings = self.0.read(desk, &batch);
            if let Err(why) = &readings
                && !desk.is_closed()
            {
                tracing::error!(windows = batch.windows.len(), why, "A batch could not be read.");
            }
            desk.read(batch, readings);
        }
    }
}

impl Model {
    fn is_there(&mut self) -> bool {
        match self {
            Self::Here(_) => true,
            Self::Apart(process) => process.is_there(),
        }
    }

    /// Sees that there is a model to read with, however long that takes; `false`: the desk was
    /// closed meanwhile.
    fn be_ready(&mut self, desk: &Desk) -> bool {
        match self {
            Self::Here(_) => true,
            Self::Apart(process) => process.be_ready(desk),
        }
    }

    fn read(&mut self, desk: &Desk, batch: &Batch<Job>) -> Result<Vec<Reading>, String> {
        let windows: Vec<Heard<'_>> =
            batch.windows.iter().map(|window| heard(&window.payload)).collect();
        let frames = batch.windows.first().map_or(0, |window| window.payload.frames);
        match self {
            // A panic must not leave the batch, and so its callers, waiting for ever.
            Self::Here(recognizer) => {
                catch_unwind(AssertUnwindSafe(|| recognizer.read(&windows, frames, batch.manner)))
                    .map_err(|_| "the model's reader panicked".to_owned())?
                    .map_err(|why| why.to_string())
            }
            Self::Apart(process) => {
                process.read(&windows, (frames, batch.manner), batch.padded, &|| desk.is_closed())
            }
        }
    }
}

impl Patience {
    fn of(self, padded: Duration, windows: usize) -> Duration {
        let windows = u32::try_from(windows).unwrap_or(u32::MAX);
        self.least + padded.saturating_mul(windows).saturating_mul(self.per_second)
    }
}

fn heard(job: &Job) -> Heard<'_> {
    Heard { pcm: &job.window.pcm, language: job.how.language.known(), prompt: &job.how.prompt }
}
