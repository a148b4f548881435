//! The control plane as a whole: opens what it keeps, starts its workers, answers readiness, and
//! stops without losing anything. `server` wires it to the other parts through `engine-core`
//! types; it never sees them.

mod deps;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine_core::directory::Directory;
use engine_core::event::{EventSink, PartialSink};
use engine_core::handoff::{Acks, ArrivalsOut, FilesIn, WorkIn};
use engine_core::hotwords::Hotwords;
use engine_core::sound::{SoundBank, SoundId};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock;
use crate::config::PlaneConfig;
use crate::copies::Copies;
use crate::directory::StoreDirectory;
use crate::events::EventHub;
use crate::hotwords::HotwordBook;
use crate::intake::{Intake, IntakeThread};
use crate::jobs::Jobs;
use crate::keys::Keys;
use crate::limits::{EXPORTS_MAX, FILE_FORMS_KIB_MAX, READINESS_KEPT, REQUESTS_DRAIN_MAX};
use crate::notify::{Outbox, Wakes, forget_old};
use crate::objects::{Object, Objects};
use crate::outbox::Channel;
use crate::pepper::Pepper;
use crate::readiness::Readiness;
use crate::rest;
use crate::sealing::open_sealed;
use crate::sessions::Sessions;
use crate::store::SharedStore;
use crate::vault::Vault;
use crate::ways::Ways;
use crate::worker;

pub use self::deps::{PlaneDeps, PlaneError};

/// The control plane. Clones share one.
#[derive(Clone)]
pub struct ControlPlane {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlane").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

pub(crate) struct Shared {
    pub(crate) config: PlaneConfig,
    pub(crate) store: SharedStore,
    pub(crate) objects: Objects,
    pub(crate) vault: Vault,
    pub(crate) edge: rest::Edge,
    pub(crate) copies: Copies,
    pub(crate) keys: Keys,
    pub(crate) pepper: Pepper,
    pub(crate) sessions: Sessions,
    pub(crate) sounds: Arc<dyn SoundBank>,
    pub(crate) events: Arc<EventHub>,
    pub(crate) hotwords: Arc<HotwordBook>,
    /// One change of a greeting at a time.
    pub(crate) greetings: Mutex<()>,
    /// Places of exports.
    pub(crate) exports: Arc<Semaphore>,
    /// Where files go that somebody asks about.
    pub(crate) files: FilesIn,
    /// Room for their forms, in KiB.
    pub(crate) file_room: Arc<Semaphore>,
    /// Names this process in event ids.
    pub(crate) process: String,
    /// Ends streams that would otherwise never end.
    pub(crate) closing: CancellationToken,
    /// Wakes the job worker, for requests that leave jobs.
    pub(crate) jobs_wake: Arc<Notify>,
    /// Wakes the outbox, for whatever puts a notice.
    pub(crate) outbox_wake: Wakes,
    /// How notices leave.
    pub(crate) ways: Arc<Ways>,
    arrivals: ArrivalsOut,
    acks: Acks,
    work: WorkIn,
    engine_up: Arc<AtomicBool>,
    background: Mutex<Option<Background>>,
    last_look: Mutex<Option<(Instant, bool)>>,
}

struct Background {
    intake: IntakeThread,
    drain_jobs: CancellationToken,
    drain_outbox: CancellationToken,
    jobs: JoinHandle<()>,
    outbox: Vec<JoinHandle<()>>,
    /// Ends what serves the outbox, once it is drained.
    stop_ways: CancellationToken,
    ways: Vec<JoinHandle<()>>,
}

impl ControlPlane {
    /// Opens the data folder: brings the tables up to date and puts own greetings into the bank.
    pub async fn open(
        config: PlaneConfig,
        data_dir: &Path,
        deps: PlaneDeps,
    ) -> Result<Self, PlaneError> {
        config.check()?;
        let vault = Vault::new(data_dir, &config.vault);
        let (store, objects) = open_sealed(data_dir, &vault).await?;
        let pepper = Pepper::open(data_dir)?;
        let events = Arc::new(EventHub::new());
        let ways = Ways::open(&config, data_dir, store.clone(), objects.clone(), events.clone())?;
        let shared = Shared {
            keys: Keys::new(store.clone()),
            pepper,
            sessions: Sessions::new(store.clone()),
            sounds: deps.sounds,
            events,
            hotwords: Arc::default(),
            greetings: Mutex::new(()),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            files: deps.files,
            file_room: Arc::new(Semaphore::new(FILE_FORMS_KIB_MAX)),
            process: format!("{:x}", clock::now().as_unix_millis()),
            closing: CancellationToken::new(),
            jobs_wake: Arc::new(Notify::new()),
            outbox_wake: Wakes::default(),
            ways: Arc::new(ways),
            arrivals: deps.arrivals,
            acks: deps.acks,
            work: deps.work,
            engine_up: Arc::new(AtomicBool::new(true)),
            background: Mutex::new(None),
            last_look: Mutex::new(None),
            config,
            store,
            objects,
            vault,
            edge: rest::Edge::default(),
            copies: Copies::new(data_dir),
        };
        let plane = Self { shared: Arc::new(shared) };
        plane.load_greetings().await?;
        Ok(plane)
    }

    /// Finds mailboxes by number, for calls.
    pub fn directory(&self) -> Arc<dyn Directory> {
        Arc::new(StoreDirectory {
            store: self.shared.store.clone(),
            pepper: self.shared.pepper.clone(),
            hotwords: self.shared.hotwords.clone(),
        })
    }

    /// Takes events of calls, for watchers.
    pub fn events(&self) -> Arc<dyn EventSink> {
        self.shared.events.clone()
    }

    /// Takes what is read of calls under way, for watchers.
    pub fn partials(&self) -> Arc<dyn PartialSink> {
        self.shared.events.clone()
    }

    /// Knows mailboxes' hotwords, for the engine.
    pub fn hotwords(&self) -> Arc<dyn Hotwords> {
        self.shared.hotwords.clone()
    }

    /// Makes, lists and revokes API keys.
    pub fn keys(&self) -> Keys {
        self.shared.keys.clone()
    }

    /// Signs subscribers' devices in.
    pub fn sessions(&self) -> Sessions {
        self.shared.sessions.clone()
    }

    /// The REST API with its documentation.
    pub fn router(&self) -> axum::Router {
        rest::router(self.clone())
    }

    /// Serves REST until `shutdown`, then lets open requests end for some seconds.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), PlaneError> {
        let closing = self.shared.closing.clone();
        let stop = async move {
            shutdown.await;
            closing.cancel();
        };
        let closing = self.shared.closing.clone();
        let late = async move {
            closing.cancelled().await;
            tokio::time::sleep(REQUESTS_DRAIN_MAX).await;
        };
        // Limits count by the address of whoever connects.
        let service = self.router().into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(listener, service).with_graceful_shutdown(stop);
        tokio::select! {
            served = serving => served?,
            () = late => warn!("Some requests did not end in time and were cut."),
        }
        Ok(())
    }

    /// Starts intake, job worker and outbox, once; needs a Tokio runtime. Leases of a process
    /// that died are taken back: only one service may run on a data folder.
    pub async fn run_background(&self) -> Result<(), PlaneError> {
        let shared = &self.shared;
        let mut background = shared.background.lock().await;
        if background.is_some() {
            return Ok(());
        }
        let reclaimed = shared.store.reclaim(clock::now()).await?;
        if reclaimed > 0 {
            info!(reclaimed, "Work that a stopped service had begun is begun again.");
        }
        let intake = Intake {
            arrivals: shared.arrivals.clone(),
            acks: shared.acks.clone(),
            store: shared.store.clone(),
            objects: shared.objects.clone(),
            events: shared.events.clone(),
            jobs: shared.jobs_wake.clone(),
        };
        let (drain_jobs, drain_outbox) = (CancellationToken::new(), CancellationToken::new());
        let stop_ways = CancellationToken::new();
        *background = Some(Background {
            ways: self.start_ways(&stop_ways),
            stop_ways,
            intake: IntakeThread::start(intake, Handle::current())?,
            jobs: tokio::spawn(worker::run(self.job_worker(), drain_jobs.clone())),
            outbox: self.start_outbox(&drain_outbox),
            drain_jobs,
            drain_outbox,
        });
        Ok(())
    }

    /// Stops the workers in order, each once nothing is due for it, and closes the store. What is
    /// not done after `limit` is left in the rows for the next start; false says so.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        self.shared.closing.cancel();
        let background = self.shared.background.lock().await.take();
        let mut drained = true;
        if let Some(background) = background {
            drained &= background.intake.finish(deadline).await;
            background.drain_jobs.cancel();
            drained &= finish(background.jobs, deadline).await;
            background.drain_outbox.cancel();
            for outbox in background.outbox {
                drained &= finish(outbox, deadline).await;
            }
            background.stop_ways.cancel();
            for way in background.ways {
                drained &= finish(way, deadline).await;
            }
        }
        self.shared.store.close().await;
        drained
    }

    /// Whether the service can take calls and messages now.
    pub async fn readiness(&self) -> Readiness {
        let background = self.shared.background.lock().await;
        let workers = background.as_ref().is_some_and(|background| {
            let mut workers = background.outbox.iter().chain([&background.jobs]);
            !background.intake.is_finished() && !workers.any(JoinHandle::is_finished)
        });
        drop(background);
        let engine = self.shared.engine_up.load(Ordering::Relaxed);
        Readiness { store: self.is_store_writable().await, workers, engine }
    }

    /// Looks at most once a second, so that asking costs the disk little.
    async fn is_store_writable(&self) -> bool {
        let mut last = self.shared.last_look.lock().await;
        if let Some((at, writable)) = *last
            && at.elapsed() < READINESS_KEPT
        {
            return writable;
        }
        let writable = match self.shared.store.check_writable().await {
            Ok(()) => true,
            Err(why) => {
                warn!(%why, "The store cannot be written.");
                false
            }
        };
        *last = Some((Instant::now(), writable));
        writable
    }

    fn job_worker(&self) -> Jobs {
        let shared = &self.shared;
        Jobs {
            store: shared.store.clone(),
            objects: shared.objects.clone(),
            vault: shared.vault.clone(),
            copies: shared.copies.clone(),
            work: shared.work.clone(),
            sounds: shared.sounds.clone(),
            events: shared.events.clone(),
            hotwords: shared.hotwords.clone(),
            wake: shared.jobs_wake.clone(),
            outbox: shared.outbox_wake.clone(),
            engine_up: shared.engine_up.clone(),
            under_way_max: shared.config.transcriptions_max,
        }
    }

    fn start_ways(&self, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        let shared = &self.shared;
        let centre = shared.ways.sms.start(shared.store.clone(), stop.clone());
        let forgetting = tokio::spawn(forget_old(shared.store.clone(), stop.clone()));
        centre.into_iter().chain([forgetting]).collect()
    }

    fn start_outbox(&self, drain: &CancellationToken) -> Vec<JoinHandle<()>> {
        let start = |channel| {
            let outbox = Outbox::new(channel, self.shared.ways.clone(), &self.shared.outbox_wake);
            tokio::spawn(worker::run(outbox, drain.clone()))
        };
        Channel::ALL.into_iter().map(start).collect()
    }

    async fn load_greetings(&self) -> Result<(), PlaneError> {
        for mailbox in self.shared.store.own_greetings().await? {
            let Some(wav) = self.shared.objects.get(Object::Greeting(mailbox)).await? else {
                warn!(%mailbox, "A greeting's sound is missing; callers hear none.");
                continue;
            };
            if let Err(why) = self.shared.sounds.put(SoundId::OwnGreeting(mailbox), &wav) {
                warn!(%mailbox, %why, "A greeting cannot be played; callers hear none.");
            }
        }
        Ok(())
    }
}

/// Waits for a worker until the deadline, then ends it: its leases run out.
async fn finish(mut worker: JoinHandle<()>, deadline: Instant) -> bool {
    if let Ok(ended) = tokio::time::timeout_at(deadline, &mut worker).await {
        return ended.is_ok();
    }
    worker.abort();
    false
}
