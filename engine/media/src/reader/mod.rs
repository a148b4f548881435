//! Readers: threads that take batches from a desk and bring back what a model read in them.
//!
//! In: batches of windows. Out: their readings, or why there are none. The model stands in the
//! thread itself or in a process of its own (`apart`, spoken to as `wire` says): CTranslate2 is
//! C++, and what crashes, hangs or runs out of memory there must not take calls with it. A process
//! that is lost is replaced; its batch goes back to the desk, which gives it to the next reader.

mod apart;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine_core::batcher::Batch;

use self::apart::{Apart, ApartError};
pub use self::apart::{ReaderProgram, serve};
use self::wire::Hello;
use crate::desk::Desk;
use crate::limits::{READER_AGAIN_AFTER, READER_AGAIN_AFTER_MAX, READER_POLL};
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
pub(crate) struct Reader {
    model: Model,
    patience: Patience,
    losses: Losses,
}

enum Model {
    Here(Box<Recognizer>),
    Apart(Process),
}

/// A process, and all that is needed to start it anew.
struct Process {
    program: ReaderProgram,
    hello: Hello,
    running: Option<Apart>,
}

impl Reader {
    /// A reader for each of these models, loaded; processes load side by side.
    pub(crate) fn load(
        folder: &Arc<ModelFolder>,
        recognizers: &[RecognizerOptions],
        options: &ReaderOptions,
        losses: &Losses,
    ) -> Result<Vec<Self>, ModelError> {
        let mut readers = Vec::with_capacity(recognizers.len());
        for recognizer in recognizers {
            let model = match &options.program {
                None => Model::Here(Box::new(Recognizer::load(Arc::clone(folder), *recognizer)?)),
                Some(program) => {
                    let hello = Hello::new(folder.path.clone(), *recognizer);
                    let mut process = Process { program: program.clone(), hello, running: None };
                    process.start().map_err(|why| weights(&folder.path, &why))?;
                    Model::Apart(process)
                }
            };
            let (patience, losses) = (options.patience, Arc::clone(losses));
            readers.push(Self { model, patience, losses });
        }
        for reader in &mut readers {
            let limit = reader.patience.least;
            if let Model::Apart(Process { running: Some(apart), .. }) = &mut reader.model {
                apart.loaded(limit, &|| false).map_err(|why| weights(&folder.path, &why))?;
            }
        }
        Ok(readers)
    }

    /// A reader's life: batch after batch, until the desk is closed.
    pub(crate) fn run(mut self, desk: &Desk) {
        while self.model.be_ready(desk, self.patience)
            && let Some(batch) = desk.next_batch()
        {
            let readings = self.read(desk, &batch);
            if let Err(why) = &readings
                && !desk.is_closed()
            {
                tracing::error!(windows = batch.windows.len(), why, "A batch could not be read.");
            }
            desk.read(batch, readings);
        }
    }

    fn read(&mut self, desk: &Desk, batch: &Batch<Job>) -> Result<Vec<Reading>, String> {
        let windows: Vec<Heard<'_>> =
            batch.windows.iter().map(|window| heard(&window.payload)).collect();
        let frames = batch.windows.first().map_or(0, |window| window.payload.frames);
        match &mut self.model {
            // A panic must not leave the batch, and so its callers, waiting for ever.
            Model::Here(recognizer) => {
                catch_unwind(AssertUnwindSafe(|| recognizer.read(&windows, frames, batch.manner)))
                    .map_err(|_| "the model's reader panicked".to_owned())?
                    .map_err(|why| why.to_string())
            }
            Model::Apart(process) => {
                let limit = self.patience.of(batch.padded, windows.len());
                let apart = process.running.as_mut().ok_or("the reader has no process")?;
                let over = || desk.is_closed();
                let readings = apart.read(&windows, frames, batch.manner, limit, &over);
                if matches!(readings, Err(ApartError::Lost(_))) && !over() {
                    process.running = None;
                    self.losses.fetch_add(1, Ordering::Relaxed);
                }
                readings.map_err(|why| why.to_string())
            }
        }
    }
}

impl Model {
    /// Sees that there is a model to read with, however long that takes; `false`: the desk was
    /// closed meanwhile.
    fn be_ready(&mut self, desk: &Desk, patience: Patience) -> bool {
        let Self::Apart(process) = self else { return true };
        let mut pause = READER_AGAIN_AFTER;
        while process.running.is_none() {
            let over = || desk.is_closed();
            let started = process.start().and_then(|()| match &mut process.running {
                Some(apart) => apart.loaded(patience.least, &over),
                None => Ok(()),
            });
            if let Err(why) = started {
                process.running = None;
                tracing::error!(%why, "A reader cannot be started anew; it is tried again.");
                let until = Instant::now() + pause;
                while Instant::now() < until && !over() {
                    std::thread::sleep(READER_POLL);
                }
                pause = (pause * 2).min(READER_AGAIN_AFTER_MAX);
            }
            if over() {
                return false;
            }
        }
        true
    }
}

impl Process {
    fn start(&mut self) -> Result<(), ApartError> {
        self.running = Some(Apart::start(&self.program, &self.hello)?);
        Ok(())
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

fn weights(path: &Path, why: &ApartError) -> ModelError {
    ModelError::Weights { path: path.to_owned(), why: why.to_string() }
}
