//! RTP in, recordings out: shards of calls behind [`MediaPlane`].
//!
//! In: reservations, answers, hang-ups from SIP; RTP and RTCP from the network. Out: arrivals
//! (whole recordings, durable), live chunks, events, notices to SIP. Each shard is one thread with
//! its sockets, its ring for the journal's files and its calls; a call never leaves it.

mod admission;
mod command;
pub mod config;
pub mod counters;
pub mod histogram;
mod line;
pub mod metrics;
pub mod multishot;
mod ports;
pub mod probe;
pub mod receive;
pub mod rtcp;
mod seats;
mod shard;
pub mod slab;
pub mod steered;
mod sweep;
mod thread;
mod wakes;
pub mod wire;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use engine_core::call::CallPlan;
use engine_core::event::EventSink;
use engine_core::handoff::{Acks, ArrivalsIn, LiveLane};
use engine_core::id::CallId;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

pub use self::config::{ConfigError, RtpConfig};
pub use self::counters::CountersSnapshot;

use self::admission::{Bounds, Load};
use self::command::Command;
use self::counters::Counters;
use self::probe::Obstacle;
use self::seats::Seats;
use self::thread::{Common, Seed};
use crate::journal::{AckDesk, Faults, JournalDir, JournalError};
use crate::media::{AdmissionError, MediaNotice, MediaPlane, RemoteChange, Reserving};

/// Why the RTP side could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RtpError {
    /// A value of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The journal's folder.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The operator insists on a way to receive or to write that cannot be had.
    #[error("what [rtp] asks for cannot be had: {0}")]
    Way(#[from] Obstacle),
    /// A thread, a ring or a poller could not be made.
    #[error("shard {shard} cannot start: {source}")]
    Shard {
        /// Which.
        shard: u16,
        /// What the system said.
        source: io::Error,
    },
}

/// What shards are given by `server`.
pub struct ShardDeps {
    /// The journal's folder; made if it is not there.
    pub journal_dir: PathBuf,
    /// Sealed, durable recordings go here; a full queue makes them wait.
    pub arrivals: ArrivalsIn,
    /// Recordings whose row is committed come from here.
    pub acks: Acks,
    /// Chunks of recordings under way go here; a full lane leaves them on disk.
    pub live: Arc<LiveLane>,
    /// Steps of calls go here.
    pub events: Arc<dyn EventSink>,
    /// Calls that we end. Unbounded, holding at most one notice a call.
    pub notices: mpsc::UnboundedSender<MediaNotice>,
}

impl std::fmt::Debug for ShardDeps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardDeps").field("journal_dir", &self.journal_dir).finish_non_exhaustive()
    }
}

struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    counters: Arc<Counters>,
}

/// All shards of this process.
pub struct Shards {
    handles: Vec<Handle>,
    seats: Seats,
    bounds: Bounds,
    stopping: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Shards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shards").field("shards", &self.handles.len()).finish_non_exhaustive()
    }
}

impl Shards {
    /// Reads what earlier runs left in the journal, starts the threads, and offers the recovered
    /// recordings as arrivals.
    pub fn start(config: RtpConfig, deps: ShardDeps) -> Result<Arc<Self>, RtpError> {
        Self::start_with(config, deps, None)
    }

    /// Like [`Shards::start`], with faults in front of the journal's disk: for tests.
    pub fn start_with_faults(
        config: RtpConfig,
        deps: ShardDeps,
        faults: Arc<dyn Faults>,
    ) -> Result<Arc<Self>, RtpError> {
        Self::start_with(config, deps, Some(faults))
    }

    fn start_with(
        config: RtpConfig,
        deps: ShardDeps,
        faults: Option<Arc<dyn Faults>>,
    ) -> Result<Arc<Self>, RtpError> {
        config.check()?;
        raise_file_limit(config.calls_max);
        probe::check_buffers(&config);
        let ways = probe::choose(&config)?;
        let steering = probe::steering(&config, ways)?;
        let journal = JournalDir::open(&deps.journal_dir)?;
        let inheritances = journal.inherit(config.shards)?;
        let desks = AckDesk::for_shards(&deps.acks, config.shards);
        let mut started = Self {
            handles: Vec::new(),
            seats: Seats::new(config.calls_max),
            bounds: Bounds {
                packets_per_second_max: config.packets_per_second_max,
                sealed_waiting_max: config.sealed_waiting_max,
            },
            stopping: AtomicBool::new(false),
            threads: Mutex::default(),
        };
        let common = Arc::new(Common { config, ways, steering, deps, faults, _journal: journal });
        let mut threads = Vec::new();
        for (index, (inheritance, acks)) in (0..).zip(inheritances.into_iter().zip(desks)) {
            let counters = Arc::new(Counters::default());
            let (commands, queue) = mpsc::unbounded_channel();
            let seed = Seed {
                index,
                common: Arc::clone(&common),
                inheritance,
                acks,
                counters: Arc::clone(&counters),
            };
            let thread =
                seed.start(queue).map_err(|source| RtpError::Shard { shard: index, source })?;
            threads.push(thread);
            started.handles.push(Handle { commands, counters });
        }
        started.threads = Mutex::new(threads);
        info!(shards = common.config.shards, calls_max = common.config.calls_max, "RTP is ready.");
        Ok(Arc::new(started))
    }

    /// What each shard has counted.
    pub fn counters(&self) -> Vec<CountersSnapshot> {
        self.handles.iter().map(|shard| shard.counters.snapshot()).collect()
    }

    /// Seals calls where they stand, ends the threads and waits for them; a few milliseconds when
    /// drained before, at most the drain's grace when the disk hangs. Blocks.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for shard in &self.handles {
            // A shard that is gone needs no word.
            let _ = shard.commands.send(Command::Quit);
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("A shard ended in a panic; its calls are recovered at start.");
            }
        }
    }

    fn tell(&self, call: CallId, command: Command) {
        if let Some(shard) = self.handles.get(usize::from(call.shard)) {
            // A call that is gone ignores it, and so does a shard.
            let _ = shard.commands.send(command);
        }
    }

    fn load(&self) -> Load {
        let mut load = Load::default();
        for Handle { counters, .. } in &self.handles {
            load.calls += counters.calls.load(Ordering::Relaxed) as u64;
            load.packets_per_second += counters.packet_rate.load(Ordering::Relaxed);
            load.sealed_waiting += counters.sealed_waiting.load(Ordering::Relaxed);
            let late = counters.turn_late_micros.load(Ordering::Relaxed);
            load.turn_late_micros = load.turn_late_micros.max(late);
        }
        load
    }

    async fn reserve_seat(
        &self,
        local: IpAddr,
    ) -> Result<crate::media::Reservation, AdmissionError> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(AdmissionError::Stopping);
        }
        admission::judge(self.load(), self.bounds)?;
        let calls_max = self.seats.calls_max();
        let mut ticket = self.seats.take().ok_or(AdmissionError::Full { calls_max })?;
        let mut order: Vec<&Handle> = self.handles.iter().collect();
        order.sort_by_key(|shard| shard.counters.calls.load(Ordering::Relaxed));
        let mut refusal = AdmissionError::Stopping;
        for shard in order {
            let (answer, reply) = oneshot::channel();
            if shard.commands.send(Command::Reserve { local, ticket, answer }).is_err() {
                return Err(AdmissionError::Stopping);
            }
            match reply.await {
                Ok(Ok(reservation)) => return Ok(reservation),
                Ok(Err((error, back))) => (refusal, ticket) = (error, back),
                Err(_) => return Err(AdmissionError::Stopping),
            }
        }
        Err(refusal)
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        for shard in &self.handles {
            // A shard that is gone needs no word.
            let _ = shard.commands.send(Command::Quit);
        }
    }
}

impl MediaPlane for Shards {
    fn reserve(&self, local: IpAddr) -> Reserving<'_> {
        Box::pin(self.reserve_seat(local))
    }

    fn answer(&self, call: CallId, plan: CallPlan) {
        self.tell(call, Command::Answer(call, Box::new(plan)));
    }

    fn connected(&self, call: CallId) {
        self.tell(call, Command::Connected(call));
    }

    fn remote(&self, call: CallId, change: RemoteChange) {
        self.tell(call, Command::Remote(call, change));
    }

    fn hang_up(&self, call: CallId) {
        self.tell(call, Command::HangUp(call));
    }

    fn drain(&self, limit: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.stopping.store(true, Ordering::Release);
        let replies: Vec<_> = self
            .handles
            .iter()
            .filter_map(|shard| {
                let (done, reply) = oneshot::channel();
                shard.commands.send(Command::Drain { limit, done }).ok().map(|()| reply)
            })
            .collect();
        Box::pin(async move {
            for reply in replies {
                // A shard that ends meanwhile has drained.
                let _ = reply.await;
            }
        })
    }
}

/// A call takes two sockets; the usual soft limit of 1,024 files is for programs that use select.
fn raise_file_limit(calls_max: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let want = 2 * calls_max as u64 + 1_024;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= want) {
        return;
    }
    let current = Some(limit.maximum.map_or(want, |maximum| maximum.min(want)));
    let raised = setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum });
    if raised.is_err() || current < Some(want) {
        warn!(want, hard = ?limit.maximum, "Too few files may be open for calls_max calls.");
    }
}
