//! A shard's thread: what it is made from, what it runs on, how it ends.
//!
//! In: a seed. Out: a running thread. Knows nothing of what the shard does there.

use std::io;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::ShardDeps;
use super::command::Command;
use super::config::RtpConfig;
use super::counters::Counters;
use super::line::World;
use super::multishot::Multishot;
use super::ports::Ports;
use super::probe::{ReceiveWay, Ways};
use super::receive::{Readiness, Receive};
use super::shard::Shard;
use super::steered::Steered;
use crate::journal::{AckDesk, DiskPlace, Faults, FilesOn, Inheritance, JournalDir, Keeper};
use crate::limits::{FILE_THREADS_MAX, SHARD_NICENESS};
use crate::sys::realtime::run_in_real_time;
use crate::sys::steer::Steering;

/// What all shards share.
pub(super) struct Common {
    pub(super) config: RtpConfig,
    pub(super) ways: Ways,
    /// What steers ports to shards, where that is the way.
    pub(super) steering: Option<Arc<Steering>>,
    pub(super) deps: ShardDeps,
    pub(super) faults: Option<Arc<dyn Faults>>,
    /// Locked until the last thread has ended.
    pub(super) _journal: JournalDir,
}

/// Everything a shard's thread is made from.
pub(super) struct Seed {
    pub(super) index: u16,
    pub(super) common: Arc<Common>,
    pub(super) inheritance: Inheritance,
    pub(super) acks: AckDesk,
    pub(super) counters: Arc<Counters>,
}

impl Seed {
    /// Starts the thread and waits until it receives.
    pub(super) fn start(
        self,
        queue: mpsc::UnboundedReceiver<Command>,
    ) -> io::Result<JoinHandle<()>> {
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("rtp-{}", self.index))
            .spawn(move || self.run(queue, &ready))?;
        started.recv().map_err(|_| io::Error::other("the thread ended at once"))??;
        Ok(thread)
    }

    fn run(
        self,
        queue: mpsc::UnboundedReceiver<Command>,
        ready: &std::sync::mpsc::SyncSender<io::Result<()>>,
    ) {
        let Common { config, ways, .. } = &*self.common;
        pin(self.index, &config.cpus);
        go_first(config);
        let index = self.index;
        let made = receiver(&self.common, index)
            .and_then(|receive| Ok((receive, Runner::new(ways.files)?)));
        let (receive, runner) = match made {
            Ok(made) => made,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        // Dropped only at rest: tokio-uring 0.5 frees the buffers of operations under way when its
        // runtime is dropped, be it by a panic, and a plain runtime waits for its threads. One
        // that does not come to rest is leaked.
        let runner = ManuallyDrop::new(runner);
        if runner.block_on(self.work(receive, queue, ready)) {
            drop(ManuallyDrop::into_inner(runner));
        } else {
            warn!(shard = index, "The disk hangs; the shard ends without it.");
        }
    }

    async fn work(
        self,
        receive: Box<dyn Receive>,
        queue: mpsc::UnboundedReceiver<Command>,
        ready: &std::sync::mpsc::SyncSender<io::Result<()>>,
    ) -> bool {
        let Common { config, ways, deps, faults, .. } = &*self.common;
        let disk = DiskPlace {
            dir: deps.journal_dir.clone(),
            shard: self.index,
            files: ways.files,
            faults: faults.clone(),
        };
        let keeper = Keeper::new(
            config.journal(),
            disk,
            self.inheritance,
            deps.arrivals.clone(),
            self.acks,
            Arc::clone(&self.counters),
        );
        let world = World {
            keeper,
            live: Arc::clone(&deps.live),
            events: Arc::clone(&deps.events),
            notices: deps.notices.clone(),
            counters: self.counters,
        };
        let ports = Ports::new(config, self.index);
        let shard = Shard::new(self.index, receive, ports, world, config.commit_interval());
        let _ = ready.send(Ok(()));
        shard.run(queue).await
    }
}

fn receiver(common: &Common, shard: u16) -> io::Result<Box<dyn Receive>> {
    let Common { config, ways, steering, .. } = common;
    Ok(match (steering, ways.receive) {
        (Some(steering), _) => {
            let steering = Arc::clone(steering);
            Box::new(Steered::new(steering, shard, config.shard_buffer_bytes)?)
        }
        (None, ReceiveWay::Multishot) => Box::new(Multishot::new().map_err(io::Error::other)?),
        (None, _) => Box::new(Readiness::new()?),
    })
}

/// What a shard's tasks run on.
enum Runner {
    Ring(tokio_uring::Runtime),
    Plain(tokio::runtime::Runtime, tokio::task::LocalSet),
}

impl Runner {
    fn new(files: FilesOn) -> io::Result<Self> {
        Ok(match files {
            FilesOn::Ring => Self::Ring(tokio_uring::Runtime::new(&tokio_uring::builder())?),
            FilesOn::Threads => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .max_blocking_threads(FILE_THREADS_MAX)
                    .thread_name("journal")
                    .build()?;
                Self::Plain(runtime, tokio::task::LocalSet::new())
            }
        })
    }

    fn block_on<F: Future>(&self, work: F) -> F::Output {
        match self {
            Self::Ring(ring) => ring.block_on(work),
            Self::Plain(runtime, tasks) => tasks.block_on(runtime, work),
        }
    }
}

/// Pins the current thread. A processor that is not there leaves the thread unpinned.
fn pin(shard: u16, cpus: &[usize]) {
    if cpus.is_empty() {
        return;
    }
    let cpu = cpus[usize::from(shard) % cpus.len()];
    let mut set = rustix::thread::CpuSet::new();
    if cpu < rustix::thread::CpuSet::MAX_CPU {
        set.set(cpu);
    }
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        warn!(shard, cpu, %error, "The shard could not be pinned to its processor.");
    }
}

/// Packets wait for nobody; whoever answers or computes may. Where neither is permitted, the
/// engine's own modesty (its threads are at niceness 10) has to do.
fn go_first(config: &RtpConfig) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = config.realtime && processors > usize::from(config.shards);
    if wanted && run_in_real_time().is_ok() {
        return;
    }
    if let Err(error) = rustix::process::setpriority_process(None, SHARD_NICENESS) {
        info!(%error, "A shard's thread has no priority over others; CAP_SYS_NICE gives it.");
    }
}
