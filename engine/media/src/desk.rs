//! Where windows wait for the model and texts for their recordings.
//!
//! In: windows of many recordings, readings of batches. Out: the next batch, and each
//! recording's readings when all are there. Which windows run together is decided by
//! `engine_core::batcher`; this is its shell: a lock, a clock, and the readers' waiting room.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use engine_core::batcher::{self, Batch, Batcher, BatcherConfig, Input, Lane, Output};
use engine_core::id::RecordingId;
use engine_core::text::{Language, LanguageChoice};
use engine_core::time::Instant;
use engine_core::work::WorkError;

use crate::limits::{LIVE_WAIT, SAMPLE_RATE_HZ, WINDOW_SAMPLES_MAX, WINDOWS_MAX};
use crate::listen::Window;
use crate::mel::HOP_SAMPLES;
use crate::whisper::{Card, Reading};

/// One hearing of one recording; a recording that is heard anew gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Take(pub(crate) u64);

/// The language of a take: given, or found in its first window.
#[derive(Debug, Clone)]
pub(crate) enum TakeLanguage {
    Fixed(&'static str),
    Found(Arc<OnceLock<String>>),
}

impl Take {
    /// The batcher knows takes, not recordings: one that is heard anew is another to it.
    fn id(self) -> RecordingId {
        RecordingId::from_u128(u128::from(self.0))
    }
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
    /// Whether somebody waits for it already.
    pub(crate) lane: Lane,
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
    /// Windows that wait for the first one to tell the language.
    held: Vec<Job>,
    failed: Option<String>,
    /// How many windows there are in all and who waits for them, once the take was heard out.
    end: Option<(u32, Collected)>,
}

struct State {
    batcher: Batcher<Job>,
    texts: HashMap<Take, Text>,
    next_take: u64,
    waiting: usize,
    stopping: bool,
}

/// What a take's waiter is to be told.
type Told = (Collected, Result<Vec<Read>, WorkError>);

/// The desk; shared by listeners and readers.
pub(crate) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
    origin: std::time::Instant,
}

impl Desk {
    /// A desk for so many readers of this model.
    pub(crate) fn new(card: &Card, readers: usize, batch_max: usize) -> Self {
        let batcher = Batcher::new(BatcherConfig {
            edges: lengths(card),
            windows_max: batch_max,
            padded_max: Duration::from_mins(8),
            in_flight_max: readers,
            waiting_max: WINDOWS_MAX,
            // Company gathers by itself while readers are busy; a lone caller need not wait.
            finished_wait: Duration::ZERO,
            rerun_wait: Duration::ZERO,
            live_wait: LIVE_WAIT,
        });
        let texts = HashMap::new();
        Self {
            state: Mutex::new(State { batcher, texts, next_take: 0, waiting: 0, stopping: false }),
            changed: Condvar::new(),
            origin: std::time::Instant::now(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock can panic")
    }

    fn now(&self) -> Instant {
        let nanos = u64::try_from(self.origin.elapsed().as_nanos());
        Instant::from_nanos(nanos.unwrap_or(u64::MAX))
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
        state.batcher.handle(self.now(), Input::Cancel(take.id()));
    }

    /// Puts windows in line.
    pub(crate) fn submit(&self, jobs: impl IntoIterator<Item = Job>) {
        let mut state = self.lock();
        for job in jobs {
            state.offer(self.now(), job);
        }
        drop(state);
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
        state.batcher.handle(self.now(), Input::Finished(take.id()));
        let done = state.take_if_whole(take);
        drop(state);
        self.changed.notify_all();
        tell(done);
    }

    /// Windows in line.
    pub(crate) fn windows(&self) -> usize {
        self.lock().batcher.waiting()
    }

    /// Takes that were heard out and wait for their text.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Waits for the next batch; `None` when the desk is closed.
    pub(crate) fn next_batch(&self) -> Option<Batch<Job>> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            let now = self.now();
            state.batcher.handle(now, Input::Tick);
            state = match state.batcher.poll() {
                Output::Run(batch) => return Some(batch),
                Output::Refused(window) => {
                    let done = state.fail(now, window.payload.take, "too many windows wait");
                    drop(state);
                    tell(done);
                    self.lock()
                }
                Output::Idle { until: Some(until) } => {
                    let waited = self.changed.wait_timeout(state, until.since(now));
                    waited.expect("no holder of this lock can panic").0
                }
                Output::Idle { until: None } => {
                    self.changed.wait(state).expect("no holder of this lock can panic")
                }
            };
        }
    }

    /// Brings a batch's readings back, or why there are none.
    pub(crate) fn read(&self, batch: Batch<Job>, readings: Result<Vec<Reading>, String>) {
        let mut state = self.lock();
        state.batcher.handle(self.now(), Input::Done(batch.ticket));
        let jobs = batch.windows.into_iter().map(|window| window.payload);
        let mut done = Vec::new();
        match readings {
            Ok(readings) => {
                for (job, reading) in jobs.zip(readings) {
                    let take = job.take;
                    state.keep(self.now(), job, reading);
                    done.extend(state.take_if_whole(take));
                }
            }
            Err(why) => {
                for job in jobs {
                    done.extend(state.fail(self.now(), job.take, &why));
                }
            }
        }
        drop(state);
        self.changed.notify_all();
        tell(done);
    }

    /// Closes the desk: whoever waits is told.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
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
    /// Gives a window to the batcher, or holds it until its take's language is known.
    fn offer(&mut self, now: Instant, job: Job) {
        let Some(text) = self.texts.get_mut(&job.take) else { return };
        if job.index > 0 && job.language.known().is_none() {
            text.held.push(job);
            return;
        }
        let lane = if text.end.is_some() { Lane::Finished } else { job.lane };
        let window = batcher::Window {
            recording: job.take.id(),
            number: job.index,
            length: length(job.frames),
            language: job.language.known().and_then(Language::from_code),
            lane,
            payload: job,
        };
        self.batcher.handle(now, Input::Window(window));
    }

    /// Keeps a reading; if it told the take's language, windows that waited for it go on.
    fn keep(&mut self, now: Instant, job: Job, reading: Reading) {
        let Some(text) = self.texts.get_mut(&job.take) else { return };
        if let TakeLanguage::Found(slot) = &job.language {
            let _ = slot.set(reading.language.clone());
        }
        let held = std::mem::take(&mut text.held);
        text.reads.insert(job.index, Read { span: job.window.span, reading });
        for job in held {
            self.offer(now, job);
        }
    }

    /// A take cannot be read; its waiter is told now or when it comes.
    fn fail(&mut self, now: Instant, take: Take, why: &str) -> Option<Told> {
        self.batcher.handle(now, Input::Cancel(take.id()));
        self.texts.get_mut(&take)?.failed = Some(why.to_owned());
        self.take_if_whole(take)
    }

    fn take_if_whole(&mut self, take: Take) -> Option<Told> {
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

fn tell(done: impl IntoIterator<Item = Told>) {
    for (collected, result) in done {
        collected(result);
    }
}

/// The time that a context of so many frames lasts.
fn length(frames: usize) -> Duration {
    Duration::from_micros((frames * HOP_SAMPLES * 1_000_000 / SAMPLE_RATE_HZ as usize) as u64)
}

/// Every context length that windows of this model can have.
fn lengths(card: &Card) -> Vec<Duration> {
    let step = card.context_step_ms as usize * SAMPLE_RATE_HZ as usize / 1_000;
    let samples = (0..=WINDOW_SAMPLES_MAX).step_by(step);
    let mut lengths: Vec<Duration> = samples.map(|count| length(card.frames(count))).collect();
    lengths.push(length(card.frames(WINDOW_SAMPLES_MAX)));
    lengths.dedup();
    lengths
}
