//! Where windows wait for the model and texts for their recordings.
//!
//! In: windows of many recordings and files, readings of batches. Out: the next batch, each
//! take's readings in order as they come, and all of them when all are there. Which windows run
//! together is decided by `engine_core::batcher`, which readings stand by `engine_core::guards`;
//! this is their shell: a lock, a clock, and the readers' waiting room.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use engine_core::batcher::{self, Batch, Batcher, BatcherConfig, Input, Lane, Output};
use engine_core::guards::Thresholds;
use engine_core::text::Language;
use engine_core::time::Instant;
use engine_core::work::WorkError;

use crate::limits::{FILE_WAIT, LIVE_WAIT, READ_ATTEMPTS, TAKE_WINDOWS_MAX, WINDOWS_MAX};
use crate::take::{Collected, How, Job, Read, Take, TakeLanguage, Text, Watch};
use crate::whisper::{Card, Reading};

struct State {
    batcher: Batcher<Job>,
    thresholds: Thresholds,
    texts: HashMap<Take, Text>,
    next_take: u64,
    waiting: usize,
    /// Readers that can take a batch.
    able: usize,
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
            edges: card.lengths(),
            windows_max: batch_max,
            padded_max: Duration::from_mins(8),
            in_flight_max: readers,
            waiting_max: WINDOWS_MAX,
            // Company gathers by itself while readers are busy; a lone caller need not wait.
            finished_wait: Duration::ZERO,
            rerun_wait: Duration::ZERO,
            live_wait: LIVE_WAIT,
            file_wait: FILE_WAIT,
        });
        let state = State {
            batcher,
            thresholds: card.thresholds(),
            texts: HashMap::new(),
            next_take: 0,
            waiting: 0,
            able: readers,
            stopping: false,
        };
        Self {
            state: Mutex::new(state),
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

    /// Begins a take, which `watch` is told of.
    pub(crate) fn open(&self, how: &How, watch: Option<Watch>) -> Take {
        let mut state = self.lock();
        let take = Take(state.next_take);
        state.next_take += 1;
        let text = Text::new(watch, how.lane == Lane::File);
        state.texts.insert(take, text);
        take
    }

    /// Drops a take and all that waits for it to be read.
    pub(crate) fn forget(&self, take: Take) {
        let forgotten = self.lock().forget(self.now(), take);
        // Whoever waited learns by this drop, outside of the lock.
        drop(forgotten);
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
        // A take that nobody wants any more is gone: its waiter learns by the drop.
        let Some(text) = state.texts.get_mut(&take) else { return };
        text.end = Some((windows, collected));
        let is_call = !text.is_file;
        state.waiting += usize::from(is_call);
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

    /// Calls that were heard out and wait for their text.
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

    /// Whether it is.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().stopping
    }

    /// Takes a batch back that nobody has begun to read.
    pub(crate) fn give_back(&self, batch: Batch<Job>) {
        let mut state = self.lock();
        state.batcher.handle(self.now(), Input::Done(batch.ticket));
        for window in batch.windows {
            if state.texts.contains_key(&window.payload.take) {
                state.give(self.now(), window.payload, window.lane);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A reader can take no batch for the time being.
    pub(crate) fn lose_reader(&self) {
        let mut state = self.lock();
        state.able = state.able.saturating_sub(1);
    }

    /// It can again.
    pub(crate) fn find_reader(&self) {
        self.lock().able += 1;
    }

    /// A reader tried to come back and could not. Where no other is left, nobody waits any longer:
    /// whoever wants a text asks again later, perhaps of another model.
    pub(crate) fn despair(&self, why: &str) {
        let mut state = self.lock();
        if state.able > 0 || state.stopping {
            return;
        }
        let takes: Vec<Take> = state.texts.keys().copied().collect();
        let mut done = Vec::new();
        for take in takes {
            done.extend(state.fail(self.now(), take, why));
        }
        drop(state);
        tell(done);
    }

    /// Brings a batch's readings back, or why there are none.
    pub(crate) fn read(&self, batch: Batch<Job>, readings: Result<Vec<Reading>, String>) {
        let mut state = self.lock();
        state.batcher.handle(self.now(), Input::Done(batch.ticket));
        let jobs = batch.windows.into_iter().map(|window| window.payload);
        let mut done = Vec::new();
        let mut forgotten = Vec::new();
        match readings {
            Ok(readings) => {
                for (job, reading) in jobs.zip(readings) {
                    let take = job.take;
                    if state.keep(self.now(), job, reading) {
                        done.extend(state.take_if_whole(take));
                    } else {
                        forgotten.extend(state.forget(self.now(), take));
                    }
                }
            }
            Err(why) => {
                for job in jobs {
                    done.extend(state.read_again(self.now(), job, &why));
                }
            }
        }
        drop(state);
        drop(forgotten);
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
    /// Puts a window in line, or behind those of its take that must be read first.
    fn offer(&mut self, now: Instant, job: Job) {
        let Some(text) = self.texts.get_mut(&job.take) else { return };
        let take = job.take;
        text.behind.push_back(job);
        self.advance(now, take);
    }

    /// Gives the batcher as many windows of a take as may be in line: one until its language is
    /// known.
    fn advance(&mut self, now: Instant, take: Take) {
        while let Some(text) = self.texts.get_mut(&take)
            && let Some(next) = text.behind.front()
        {
            let is_known = next.how.language.known().is_some();
            if text.in_line >= if is_known { TAKE_WINDOWS_MAX } else { 1 } {
                return;
            }
            let Some(job) = text.behind.pop_front() else { return };
            text.in_line += 1;
            let is_over = text.end.is_some();
            let lane = match job.how.lane {
                Lane::Live if is_over => Lane::Finished,
                lane => lane,
            };
            self.give(now, job, lane);
        }
    }

    fn give(&mut self, now: Instant, job: Job, lane: Lane) {
        let window = batcher::Window {
            recording: job.take.id(),
            number: job.index,
            length: Card::length(job.frames),
            language: job.how.language.known().and_then(Language::from_code),
            manner: job.how.manner(job.temperature),
            lane,
            alone: job.failures > 0,
            payload: job,
        };
        self.batcher.handle(now, Input::Window(window));
    }

    /// Keeps a reading, or has its window read again; windows that waited for it go on. `false`:
    /// nobody wants the take any more.
    fn keep(&mut self, now: Instant, mut job: Job, reading: Reading) -> bool {
        let take = job.take;
        let Some(text) = self.texts.get_mut(&take) else { return true };
        if let TakeLanguage::Found(slot) = &job.how.language {
            let _ = slot.set(reading.language.clone());
        }
        let best = match job.best.take() {
            Some(best) if !self.thresholds.prefers(reading.doubts(), best.doubts()) => best,
            _ => reading,
        };
        let next =
            self.thresholds.next_temperature(&job.how.ladder, job.temperature, best.doubts());
        if let Some(temperature) = next {
            // This row alone: its neighbours are not held up.
            job.temperature = temperature;
            job.best = Some(best);
            self.give(now, job, Lane::Rerun);
        } else {
            text.in_line -= 1;
            let read = Read { span: job.window.span, reading: best, words: job.how.words };
            text.reads.insert(job.index, read);
            if !text.tell_watch() {
                return false;
            }
        }
        self.advance(now, take);
        true
    }

    /// A window's batch failed: it is read alone, so that only what failed it fails again.
    fn read_again(&mut self, now: Instant, mut job: Job, why: &str) -> Option<Told> {
        job.failures += 1;
        if job.failures >= READ_ATTEMPTS {
            return self.fail(now, job.take, why);
        }
        let text = self.texts.get(&job.take)?;
        if text.failed.is_none() {
            // A file's windows stay behind callers'.
            let lane = if text.is_file { Lane::File } else { Lane::Rerun };
            self.give(now, job, lane);
        }
        None
    }

    fn forget(&mut self, now: Instant, take: Take) -> Option<Text> {
        self.batcher.handle(now, Input::Cancel(take.id()));
        let text = self.texts.remove(&take);
        if text.as_ref().is_some_and(|text| text.end.is_some() && !text.is_file) {
            self.waiting = self.waiting.saturating_sub(1);
        }
        text
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
        self.waiting = self.waiting.saturating_sub(usize::from(!text.is_file));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use engine_core::text::LanguageChoice;

    use super::*;
    use crate::listen::Window;

    /// What spoils every batch that it is in is read alone, and then given up; its neighbours are not.
    #[test]
    fn a_window_that_fails_its_batches_fails_alone() {
        let card = Card::default();
        let desk = Desk::new(&card, 1, 16);
        let how = Arc::new(How::call(LanguageChoice::Fixed(Language::Japanese), &card, Vec::new()));
        let (failed, read) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut poison = None;
        for number in 0..4 {
            let take = desk.open(&how, None);
            let window = Window { span: 0..16_000, pcm: vec![0.0; 16_000] };
            desk.submit([Job::new(take, &how, 0, window, &card)]);
            let counter = Arc::clone(if number == 2 { &failed } else { &read });
            poison = if number == 2 { Some(take) } else { poison };
            let collected = move |result: Result<Vec<Read>, WorkError>| {
                assert_eq!(result.is_err(), number == 2);
                counter.fetch_add(1, Ordering::Relaxed);
            };
            desk.finish(take, 1, Box::new(collected));
        }
        let mut sizes = Vec::new();
        while failed.load(Ordering::Relaxed) + read.load(Ordering::Relaxed) < 4 {
            let batch = desk.next_batch().unwrap();
            sizes.push(batch.windows.len());
            let is_spoilt = batch.windows.iter().any(|window| Some(window.payload.take) == poison);
            let reading = Reading {
                parts: Vec::new(),
                language: "ja".to_owned(),
                avg_logprob: 0.0,
                no_speech_prob: 0.0,
                compression_ratio: 0.0,
                temperature: engine_core::manner::Temperature::GREEDY,
            };
            let readings = vec![reading; batch.windows.len()];
            desk.read(batch, if is_spoilt { Err("a crash".to_owned()) } else { Ok(readings) });
        }
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 1, 1, 1, 1, 4]);
    }
}
