//! Where windows wait for the model and texts for their recordings.
//!
//! In: windows of many recordings, readings of batches. Out: the next batch, and each
//! recording's readings when all are there. Only windows of one context length share a batch;
//! the oldest window decides which length is next. Knows nothing of sound or of the model.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};

use engine_core::text::LanguageChoice;
use engine_core::work::WorkError;

use crate::listen::Window;
use crate::whisper::Reading;

/// One hearing of one recording; a recording that is heard anew gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Take(pub(crate) u64);

/// The language of a take: given, or found in its first window.
#[derive(Debug, Clone)]
pub(crate) enum TakeLanguage {
    Fixed(&'static str),
    Found(Arc<OnceLock<String>>),
}

impl TakeLanguage {
    pub(crate) fn new(choice: LanguageChoice) -> Self {
        match choice {
            LanguageChoice::Fixed(language) => Self::Fixed(language.code()),
            LanguageChoice::Detect => Self::Found(Arc::default()),
        }
    }

    pub(crate) fn known(&self) -> Option<&str> {
        match self {
            Self::Fixed(code) => Some(code),
            Self::Found(slot) => slot.get().map(String::as_str),
        }
    }
}

/// One window that waits to be read.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) take: Take,
    /// Its place among the take's windows.
    pub(crate) index: u32,
    pub(crate) window: Window,
    /// Context it is read with.
    pub(crate) frames: usize,
    pub(crate) language: TakeLanguage,
}

/// A window with what the model read in it.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) span: std::ops::Range<u64>,
    pub(crate) reading: Reading,
}

/// Called with all readings of a take, in order.
pub(crate) type Collected = Box<dyn FnOnce(Result<Vec<Read>, WorkError>) + Send>;

#[derive(Default)]
struct Text {
    reads: BTreeMap<u32, Read>,
    failed: Option<String>,
    /// How many windows there are in all and who waits for them, once the take was heard out.
    end: Option<(u32, Collected)>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    texts: HashMap<Take, Text>,
    next_take: u64,
    waiting: usize,
    stopping: bool,
}

/// The desk; shared by listeners and readers.
#[derive(Default)]
pub(crate) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock can panic")
    }

    /// Begins a take.
    pub(crate) fn open(&self) -> Take {
        let mut state = self.lock();
        let take = Take(state.next_take);
        state.next_take += 1;
        state.texts.insert(take, Text::default());
        take
    }

    /// Drops a take and all that waits for it to be read.
    pub(crate) fn forget(&self, take: Take) {
        let mut state = self.lock();
        state.texts.remove(&take);
        state.jobs.retain(|job| job.take != take);
    }

    /// Puts windows in line.
    pub(crate) fn submit(&self, jobs: impl IntoIterator<Item = Job>) {
        self.lock().jobs.extend(jobs);
        self.changed.notify_all();
    }

    /// A take was heard out: `collected` is called when its `windows` windows are read.
    pub(crate) fn finish(&self, take: Take, windows: u32, collected: Collected) {
        let mut state = self.lock();
        if state.stopping {
            drop(state);
            return collected(Err(WorkError::Stopping));
        }
        state.waiting += 1;
        state.texts.entry(take).or_default().end = Some((windows, collected));
        let done = state.take_if_whole(take);
        drop(state);
        call(done);
    }

    /// Windows in line.
    pub(crate) fn jobs(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Takes that were heard out and wait for their text.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Waits for the next batch; `None` when the desk is closed.
    pub(crate) fn next_batch(&self, batch_max: usize) -> Option<Vec<Job>> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            let batch = state.batch(batch_max);
            if !batch.is_empty() {
                return Some(batch);
            }
            state = self.changed.wait(state).expect("no holder of this lock can panic");
        }
    }

    /// Brings a batch's readings back, or why there are none.
    pub(crate) fn read(&self, batch: Vec<Job>, readings: Result<Vec<Reading>, String>) {
        let mut state = self.lock();
        let mut done = Vec::new();
        let takes: Vec<Take> = batch.iter().map(|job| job.take).collect();
        match readings {
            Ok(readings) => {
                for (job, reading) in batch.into_iter().zip(readings) {
                    if let TakeLanguage::Found(slot) = &job.language {
                        let _ = slot.set(reading.language.clone());
                    }
                    if let Some(text) = state.texts.get_mut(&job.take) {
                        text.reads.insert(job.index, Read { span: job.window.span, reading });
                    }
                }
            }
            Err(why) => {
                for take in &takes {
                    if let Some(text) = state.texts.get_mut(take) {
                        text.failed = Some(why.clone());
                    }
                    state.jobs.retain(|job| job.take != *take);
                }
            }
        }
        for take in takes {
            done.extend(state.take_if_whole(take));
        }
        drop(state);
        // A language that is known now may free windows that waited for it.
        self.changed.notify_all();
        call(done);
    }

    /// Closes the desk: whoever waits is told.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        state.jobs.clear();
        state.waiting = 0;
        let texts = std::mem::take(&mut state.texts);
        drop(state);
        self.changed.notify_all();
        for (_, collected) in texts.into_values().filter_map(|text| text.end) {
            collected(Err(WorkError::Stopping));
        }
    }
}

impl State {
    /// The oldest window that may be read, and others of its length.
    fn batch(&mut self, batch_max: usize) -> Vec<Job> {
        let ready = |job: &Job| job.index == 0 || job.language.known().is_some();
        let Some(frames) = self.jobs.iter().find(|job| ready(job)).map(|job| job.frames) else {
            return Vec::new();
        };
        let mut batch = Vec::new();
        let mut rest = VecDeque::with_capacity(self.jobs.len());
        for job in self.jobs.drain(..) {
            if batch.len() < batch_max && job.frames == frames && ready(&job) {
                batch.push(job);
            } else {
                rest.push_back(job);
            }
        }
        self.jobs = rest;
        batch
    }

    fn take_if_whole(&mut self, take: Take) -> Option<(Collected, Result<Vec<Read>, WorkError>)> {
        let text = self.texts.get(&take)?;
        let (windows, _) = text.end.as_ref()?;
        if text.failed.is_none() && text.reads.len() < *windows as usize {
            return None;
        }
        let text = self.texts.remove(&take)?;
        self.waiting = self.waiting.saturating_sub(1);
        let (_, collected) = text.end?;
        let result = match text.failed {
            Some(why) => Err(WorkError::Engine { why }),
            None => Ok(text.reads.into_values().collect()),
        };
        Some((collected, result))
    }
}

fn call(done: impl IntoIterator<Item = (Collected, Result<Vec<Read>, WorkError>)>) {
    for (collected, result) in done {
        collected(result);
    }
}
