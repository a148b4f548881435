//! One shard's journal at work: the core decides, the ring (or threads) writes.
//!
//! In: chunks, acknowledgements. Out: arrivals (whole, durable recordings), recordings that the
//! disk refused. Disk work runs in tasks of the shard's runtime; results come back as inputs of the
//! core. What cannot be handed on waits here or on disk. Knows nothing of packets.

mod acks;
mod disk;
mod files;
mod recovery;

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant as Clock;

use bytes::Bytes;
use crossbeam::channel::TrySendError;
use engine_core::handoff::{Arrival, ArrivalsIn};
use engine_core::id::RecordingId;
use engine_core::journal::{Extent, Input, Journal, JournalConfig, Output};
use engine_core::recording::{Entry, chunks};
use engine_core::time::Instant;
use tokio::sync::Notify;
use tracing::{error, warn};

pub use self::acks::AckDesk;
pub use self::disk::{DiskOp, DiskPlace, Faults, Verdict};
pub use self::files::FilesOn;
pub use self::recovery::Inheritance;
pub(crate) use self::recovery::JournalDir;
pub use self::recovery::JournalError;

use self::disk::Disk;
use crate::limits::{ARRIVALS_WAITING_MAX, DISK_RETRY, IDLE_WAKE, READBACKS_MAX};
use crate::rtp::counters::{Counters, add, set};

/// What a finished disk task reports.
enum Done {
    Input(Input),
    ReadBack(RecordingId, Vec<Extent>, io::Result<Bytes>),
    Removed(u64, io::Result<()>),
}

/// Work for the one task that writes; in order, so that a sync covers the writes before it.
enum Job {
    Write { ticket: u64, segment: u64, offset: u64, chunks: Vec<Bytes> },
    Sync { ticket: u64, segment: u64 },
}

/// Results of disk tasks, waiting for the shard.
#[derive(Default)]
struct Completions {
    done: RefCell<VecDeque<Done>>,
    /// Tasks and jobs that have not finished.
    under_way: Cell<usize>,
    wake: Notify,
}

impl Completions {
    fn begin(&self) {
        self.under_way.set(self.under_way.get() + 1);
    }

    fn push(&self, done: Done) {
        self.under_way.set(self.under_way.get() - 1);
        self.done.borrow_mut().push_back(done);
        self.wake.notify_one();
    }
}

/// Recordings that are read back, waiting for their turn or for another try.
struct ReadBack {
    recording: RecordingId,
    extents: Vec<Extent>,
    not_before: Instant,
}

/// Drives one journal core. Lives on a `tokio_uring` runtime, or on any local one if its files are
/// written by threads.
pub struct Keeper {
    core: Journal,
    disk: Rc<Disk>,
    jobs: tokio::sync::mpsc::UnboundedSender<Job>,
    completions: Rc<Completions>,
    readbacks: VecDeque<ReadBack>,
    reading: usize,
    removals: VecDeque<(u64, Instant)>,
    waiting: VecDeque<Arrival>,
    arrivals: ArrivalsIn,
    acks: AckDesk,
    /// Appended to, not yet durable as a whole.
    under_way: HashSet<RecordingId>,
    refused: Vec<RecordingId>,
    durable: Vec<Arrival>,
    counters: Arc<Counters>,
    until: Option<Instant>,
}

impl Keeper {
    /// A keeper on the current runtime. `acks` also brings other shards' acknowledgements; the core
    /// knows its own.
    pub fn new(
        config: JournalConfig,
        disk: DiskPlace,
        inheritance: Inheritance,
        arrivals: ArrivalsIn,
        acks: AckDesk,
        counters: Arc<Counters>,
    ) -> Self {
        let mut core = Journal::new(config, inheritance.first_segment);
        core.adopt(inheritance.segments);
        let disk = Rc::new(Disk::new(disk, inheritance.paths));
        let completions = Rc::new(Completions::default());
        let (jobs, queue) = tokio::sync::mpsc::unbounded_channel();
        tokio::task::spawn_local(write_in_order(
            Rc::clone(&disk),
            queue,
            Rc::clone(&completions),
            Arc::clone(&counters),
        ));
        // What an earlier run left is told like what this one seals.
        let durable = inheritance.arrivals.iter().map(without_sound).collect();
        Self {
            core,
            disk,
            jobs,
            completions,
            readbacks: VecDeque::new(),
            reading: 0,
            removals: VecDeque::new(),
            waiting: inheritance.arrivals.into(),
            arrivals,
            acks,
            under_way: HashSet::new(),
            refused: Vec::new(),
            durable,
            counters,
            until: Some(Instant::default()),
        }
    }

    /// Appends a chunk; `last` when the recording ends with it. Drained by [`Keeper::turn`].
    pub fn append(&mut self, now: Instant, recording: RecordingId, chunk: Bytes, last: bool) {
        self.under_way.insert(recording);
        self.core.handle(now, Input::Append { recording, chunk, last });
        self.until = Some(now);
    }

    /// Resolves when a disk task has finished.
    pub fn wake(&self) -> impl Future<Output = ()> + use<> {
        let completions = Rc::clone(&self.completions);
        async move { completions.wake.notified().await }
    }

    /// When [`Keeper::turn`] wants to be called again; `None` when everything is settled.
    pub fn until(&self, now: Instant) -> Option<Instant> {
        let settled = self.core.is_settled()
            && self.waiting.is_empty()
            && self.readbacks.is_empty()
            && self.removals.is_empty();
        let idle = (!settled).then(|| now + IDLE_WAKE);
        [idle, self.until].into_iter().flatten().min()
    }

    /// Takes results and acknowledgements, lets the core decide, acts on it.
    pub fn turn(&mut self, now: Instant) {
        while let Some(recording) = self.acks.pop() {
            self.core.handle(now, Input::Acknowledged(recording));
        }
        loop {
            let done = self.completions.done.borrow_mut().pop_front();
            let Some(done) = done else { break };
            self.take(now, done);
        }
        self.core.handle(now, Input::Tick);
        self.until = loop {
            match self.core.poll() {
                Output::Idle { until } => break until,
                output => self.act(now, output),
            }
        };
        self.counters.congested.store(self.core.is_congested(), Ordering::Relaxed);
        set(&self.counters.backlog_bytes, self.core.backlog_bytes());
        self.offer();
        self.read_back(now);
        self.remove(now);
        let waiting = self.waiting.len() + self.readbacks.len() + self.reading;
        set(&self.counters.sealed_waiting, waiting as u64);
    }

    /// Recordings that the disk refused since the last call: their calls end.
    pub fn take_refused(&mut self) -> Vec<RecordingId> {
        std::mem::take(&mut self.refused)
    }

    /// Recordings that became durable and were read back since the last call, without sound.
    pub fn take_durable(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.durable)
    }

    /// Whether every recording given here is durable as a whole.
    pub fn is_durable(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether every recording given here is durable, read back and taken by who turns it into
    /// text.
    pub fn is_handed_over(&self) -> bool {
        self.is_durable()
            && self.reading == 0
            && self.readbacks.is_empty()
            && self.waiting.is_empty()
    }

    /// Whether the ring works for this keeper now. While it does, the runtime must not be dropped:
    /// tokio-uring 0.5 then frees the buffers of operations that the kernel still carries out.
    pub fn is_disk_busy(&self) -> bool {
        self.completions.under_way.get() > 0
    }

    fn take(&mut self, now: Instant, done: Done) {
        match done {
            Done::Input(input) => {
                self.core.handle(now, input);
            }
            Done::ReadBack(recording, extents, result) => {
                self.reading -= 1;
                match result.and_then(arrival) {
                    Ok(arrival) => {
                        self.durable.push(without_sound(&arrival));
                        self.waiting.push_back(arrival);
                    }
                    Err(error) => {
                        // The bytes are on disk; the next start offers them if this run cannot.
                        add(&self.counters.disk_errors, 1);
                        error!(%recording, %error, "A durable recording could not be read back.");
                        let not_before = now + DISK_RETRY;
                        self.readbacks.push_back(ReadBack { recording, extents, not_before });
                    }
                }
            }
            Done::Removed(segment, Err(error)) => {
                add(&self.counters.disk_errors, 1);
                warn!(segment, %error, "A journal segment could not be removed; trying again.");
                self.removals.push_back((segment, now + DISK_RETRY));
            }
            Done::Removed(_, Ok(())) => {}
        }
    }

    fn act(&mut self, now: Instant, output: Output) {
        match output {
            Output::Write { ticket, segment, offset, chunks } => {
                self.job(Job::Write { ticket, segment, offset, chunks });
            }
            Output::Sync { ticket, segment } => self.job(Job::Sync { ticket, segment }),
            Output::Durable { recording, extents } => {
                self.under_way.remove(&recording);
                self.readbacks.push_back(ReadBack { recording, extents, not_before: now });
            }
            Output::Refused(recording) => {
                // Its seal is still to come and to become durable.
                add(&self.counters.disk_refusals, 1);
                self.refused.push(recording);
            }
            Output::Remove { segment } => self.removals.push_back((segment, now)),
            Output::Idle { .. } => {}
        }
    }

    fn job(&mut self, job: Job) {
        self.completions.begin();
        // The task lives as long as the ring, which outlives the keeper.
        self.jobs.send(job).unwrap_or_else(|_| error!("The journal's writing task is gone."));
    }

    /// A full queue keeps the arrivals here; they are offered again.
    fn offer(&mut self) {
        while let Some(arrival) = self.waiting.pop_front() {
            match self.arrivals.try_send(arrival) {
                Ok(()) => {}
                Err(TrySendError::Full(arrival) | TrySendError::Disconnected(arrival)) => {
                    self.waiting.push_front(arrival);
                    break;
                }
            }
        }
    }

    fn read_back(&mut self, now: Instant) {
        while self.reading < READBACKS_MAX
            && self.reading + self.waiting.len() < ARRIVALS_WAITING_MAX
        {
            let due = self.readbacks.iter().position(|readback| readback.not_before <= now);
            let Some(readback) = due.and_then(|at| self.readbacks.remove(at)) else { break };
            self.reading += 1;
            self.completions.begin();
            let (disk, completions) = (Rc::clone(&self.disk), Rc::clone(&self.completions));
            tokio::task::spawn_local(async move {
                let result = disk.read(&readback.extents).await;
                completions.push(Done::ReadBack(readback.recording, readback.extents, result));
            });
        }
    }

    fn remove(&mut self, now: Instant) {
        while self.removals.front().is_some_and(|(_, not_before)| *not_before <= now) {
            let Some((segment, _)) = self.removals.pop_front() else { break };
            self.completions.begin();
            let (disk, completions) = (Rc::clone(&self.disk), Rc::clone(&self.completions));
            tokio::task::spawn_local(async move {
                completions.push(Done::Removed(segment, disk.remove(segment).await));
            });
        }
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

async fn write_in_order(
    disk: Rc<Disk>,
    mut jobs: tokio::sync::mpsc::UnboundedReceiver<Job>,
    completions: Rc<Completions>,
    counters: Arc<Counters>,
) {
    while let Some(job) = jobs.recv().await {
        let input = match job {
            Job::Write { ticket, segment, offset, chunks } => {
                match disk.write(segment, offset, chunks).await {
                    Ok(()) => Input::Written(ticket),
                    Err(error) => {
                        add(&counters.disk_errors, 1);
                        warn!(segment, %error, "A journal write failed; it is tried elsewhere.");
                        Input::WriteFailed(ticket)
                    }
                }
            }
            Job::Sync { ticket, segment } => {
                let started = Clock::now();
                let result = disk.sync(segment).await;
                let took = started.elapsed();
                counters.commit_times.note(took);
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                if micros > counters.commit_micros_max.load(Ordering::Relaxed) {
                    set(&counters.commit_micros_max, micros);
                }
                match result {
                    Ok(()) => {
                        add(&counters.commits, 1);
                        Input::Synced(ticket)
                    }
                    Err(error) => {
                        add(&counters.disk_errors, 1);
                        warn!(segment, %error, "A journal sync failed; what it held is rewritten.");
                        Input::SyncFailed(ticket)
                    }
                }
            }
        };
        completions.push(Done::Input(input));
    }
}

fn without_sound(arrival: &Arrival) -> Arrival {
    let (opened, sealed) = (arrival.opened.clone(), arrival.sealed.clone());
    Arrival { opened, sealed, sound: Bytes::new() }
}

/// Reads the first and the last entry of a recording file.
fn arrival(sound: Bytes) -> io::Result<Arrival> {
    let damaged = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut opened = None;
    let mut sealed = None;
    for chunk in chunks(sound.clone()) {
        let chunk = chunk.map_err(|error| damaged(&error.to_string()))?;
        // Frames are skipped by their headers; the sound itself is not touched.
        for entry in chunk.entries() {
            match entry.map_err(|error| damaged(&error.to_string()))? {
                Entry::Opened(entry) => opened = Some(entry),
                Entry::Sealed(entry) => sealed = Some(entry),
                Entry::Frame(_) | Entry::Digit { .. } => {}
            }
        }
    }
    let opened = opened.ok_or_else(|| damaged("it has no opening entry"))?;
    let sealed = sealed.ok_or_else(|| damaged("it has no seal"))?;
    Ok(Arrival { opened, sealed, sound })
}
