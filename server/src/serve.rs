//! `rusuden serve`: makes the queues, starts the parts, stops them in order.
//!
//! Start: control plane, engine, shards (which hand over what a crash left), REST, SIP last, so
//! that nobody is answered before everything behind the answer is there. Stop: the same backwards,
//! each part drained before the one that it feeds.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use control_plane::{ControlPlane, PlaneDeps};
use crossbeam::channel;
use crossbeam::queue::SegQueue;
use engine_core::handoff::LiveLane;
use engine_core::sound::SoundBank;
use engine_media::engine::{Engine, EngineConfig, EngineLines};
use engine_media::reader::ReaderProgram;
use engine_media::sounds::Sounds;
use ingress::rtp::{ShardDeps, Shards};
use ingress::sip::{self, LocalAddress, SipDeps, SipHandle, SipServer as _, Transport};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::cli::ServeArguments;
use crate::config::Config;
use crate::{embedded, log, metrics};

/// Chunks that wait for the engine to listen in; a full lane leaves them on disk.
const LIVE_CHUNKS_MAX: usize = 8_192;
/// Sealed recordings that wait for their row; beyond it they wait in the journal.
const ARRIVALS_MAX: usize = 1_024;
/// Recordings that wait for the engine.
const WORK_MAX: usize = 256;
/// Sound files that wait for the engine; one more gets 503.
const FILES_MAX: usize = 256;

/// The whole centre, running.
pub(crate) struct Centre {
    engine: Arc<Engine>,
    data_dir: PathBuf,
    plane: ControlPlane,
    shards: Arc<Shards>,
    sip: SipHandle,
    http: SocketAddr,
    close_http: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    metrics: Option<JoinHandle<()>>,
}

impl Centre {
    /// Starts everything.
    pub(crate) async fn start(config: Config) -> anyhow::Result<Self> {
        let data_dir = config.make_data_dir()?.to_owned();
        let live = Arc::new(LiveLane::new(LIVE_CHUNKS_MAX));
        let (arrivals_in, arrivals) = channel::bounded(ARRIVALS_MAX);
        let (work, work_out) = channel::bounded(WORK_MAX);
        let (files, files_out) = channel::bounded(FILES_MAX);
        let acks = Arc::new(SegQueue::new());
        let (notices_in, notices) = mpsc::unbounded_channel();

        let sounds: Arc<dyn SoundBank> = Arc::new(sounds()?);
        let deps = PlaneDeps {
            arrivals,
            acks: Arc::clone(&acks),
            work,
            files,
            sounds: Arc::clone(&sounds),
        };
        let plane = ControlPlane::open(config.control_plane.clone(), &data_dir, deps).await?;
        let lines = EngineLines {
            live: Arc::clone(&live),
            work: work_out,
            files: files_out,
            partials: Some(plane.partials()),
            hotwords: Some(plane.hotwords()),
            reader: Some(reader_program()),
        };
        let engine = Arc::new(Engine::start(&engine_config(&config, &data_dir)?, lines)?);
        let shards = Shards::start(
            config.rtp.clone(),
            ShardDeps {
                journal_dir: data_dir.join("journal"),
                arrivals: arrivals_in,
                acks,
                live,
                events: plane.events(),
                notices: notices_in,
            },
        )?;
        plane.run_background().await?;
        let (http, close_http, serving) = serve_http(&plane, config.control_plane.listen).await?;
        let deps = SipDeps {
            media: Arc::clone(&shards) as _,
            notices,
            directory: plane.directory(),
            sounds,
            events: plane.events(),
        };
        let sip = sip::serve(config.sip.clone(), deps).await?;
        let sources = metrics::Sources {
            shards: Arc::clone(&shards),
            sip: sip.counter_reader(),
            readers_lost: engine.loss_reader(),
        };
        let metrics = metrics::serve(&config.metrics, sources).await?;
        Ok(Self { engine, data_dir, plane, shards, sip, http, close_http, serving, metrics })
    }

    /// Where REST is reached.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where SIP is reached.
    pub(crate) fn sip(&self) -> &[LocalAddress] {
        self.sip.local_addresses()
    }

    /// The control plane.
    pub(crate) fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Puts the configured model into service while calls go on. `stop` ends it early.
    async fn reload(
        &self,
        config: &Config,
        stop: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Reloaded> {
        let settings = engine_config(config, &self.data_dir)?;
        let engine = Arc::clone(&self.engine);
        let mut replacing = tokio::task::spawn_blocking(move || engine.replace(&settings));
        tokio::select! {
            replaced = &mut replacing => {
                replaced??;
                Ok(Reloaded::Done)
            }
            stopped = stop => {
                self.engine.stop_replacing();
                // Whatever comes of it: it holds the engine until it has ended.
                let _ = replacing.await?;
                stopped.map(|()| Reloaded::Stopped)
            }
        }
    }

    /// Stops gently within `limit`: callers finish, recordings become messages, mails leave. What
    /// is not done by then waits on disk for the next start.
    pub(crate) async fn stop(self, limit: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        self.sip.stop(limit).await;
        let calls = self.sip.counters();
        if let Some(metrics) = self.metrics {
            metrics.abort();
        }
        let shards = self.shards;
        let stopped = Arc::clone(&shards);
        tokio::task::spawn_blocking(move || stopped.stop()).await?;
        for (shard, counters) in shards.counters().iter().enumerate() {
            info!(shard, ?counters, "A shard has stopped.");
        }
        drop(shards);
        // The sender is dropped only after a refused send; an ended server needs no word.
        let _ = self.close_http.send(());
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(5));
        if !self.plane.shutdown(left).await {
            warn!("Some work was not done in time; it goes on at the next start.");
        }
        self.serving.await?;
        // Nothing else holds the engine by now: this stops it.
        let engine = self.engine;
        tokio::task::spawn_blocking(move || drop(engine)).await?;
        info!(?calls, "Rusuden has stopped.");
        Ok(())
    }
}

/// How reading the configuration anew ended.
enum Reloaded {
    Done,
    /// The service is to stop.
    Stopped,
}

/// `[engine]`, with the embedded model laid out where no other is named.
fn engine_config(config: &Config, data_dir: &Path) -> anyhow::Result<EngineConfig> {
    let mut settings = config.engine.clone();
    if settings.model_dir.as_os_str().is_empty() {
        settings.model_dir = embedded::unpack_model(data_dir)?;
    }
    Ok(settings)
}

/// Ourselves, by a name that holds even after an upgrade replaced the file.
fn reader_program() -> ReaderProgram {
    ReaderProgram { program: "/proc/self/exe".into(), arguments: vec!["reader".into()] }
}

/// The bank with everything that we ship.
pub(crate) fn sounds() -> anyhow::Result<Sounds> {
    let mut sounds = Sounds::new();
    for (id, wav) in embedded::SOUNDS {
        sounds = sounds.with_default(*id, wav).context("a shipped sound cannot be read")?;
    }
    Ok(sounds)
}

async fn serve_http(
    plane: &ControlPlane,
    address: SocketAddr,
) -> anyhow::Result<(SocketAddr, oneshot::Sender<()>, JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("REST cannot listen on {address}; choose a free one with --http or [control_plane] listen")
    })?;
    let bound = listener.local_addr()?;
    let (close, closed) = oneshot::channel::<()>();
    let plane = plane.clone();
    let serving = tokio::spawn(async move {
        let shutdown = async move {
            // A dropped sender means the same: stop.
            let _ = closed.await;
        };
        if let Err(error) = plane.serve(listener, shutdown).await {
            error!(%error, "REST has ended.");
        }
    });
    Ok((bound, close, serving))
}

/// `rusuden serve`.
pub(crate) fn run(arguments: &ServeArguments) -> anyhow::Result<()> {
    let config = Config::read(arguments)?;
    log::start(config.log.as_deref().unwrap_or("info"));
    let limit = config.stop_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // From here on a SIGHUP is a wish and no end.
        let hangup = signal(SignalKind::hangup())?;
        let centre = Centre::start(config).await?;
        info!(http = %centre.http(), "Rusuden is ready.");
        if arguments.announce {
            announce(&centre);
        }
        serve_until_stop(&centre, arguments, hangup).await?;
        info!("Stopping: calls under way are finished first. A second signal ends at once.");
        tokio::select! {
            stopped = centre.stop(limit) => stopped,
            again = wait_for_stop() => {
                again?;
                warn!("Stopped at once; unfinished calls are recovered at the next start.");
                std::process::exit(1);
            }
        }
    })
}

/// One line of JSON with the addresses in use, for programs that start the service.
#[expect(clippy::print_stdout, reason = "--announce asks for this line")]
fn announce(centre: &Centre) {
    let of = |transport: Transport| -> Vec<String> {
        let chosen = centre.sip().iter().filter(|local| local.transport == transport);
        chosen.map(|local| local.address.to_string()).collect()
    };
    let line = serde_json::json!({
        "http": centre.http().to_string(),
        "sip_udp": of(Transport::Udp),
        "sip_tcp": of(Transport::Tcp),
    });
    println!("{line}");
}

/// Serves until a signal to stop; on SIGHUP the configuration is read anew.
async fn serve_until_stop(
    centre: &Centre,
    arguments: &ServeArguments,
    mut hangup: Signal,
) -> anyhow::Result<()> {
    let stop = wait_for_stop();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            stopped = &mut stop => return stopped,
            _ = hangup.recv() => {}
        }
        let reloaded = match Config::read(arguments) {
            Ok(config) => centre.reload(&config, &mut stop).await,
            Err(why) => Err(why),
        };
        match reloaded {
            Ok(Reloaded::Stopped) => return Ok(()),
            Ok(Reloaded::Done) => info!(
                "[engine] was read anew; its listeners and live, and all other sections, hold from \
                 the next start on."
            ),
            Err(why) => error!("[engine] stays as it was: {why:#}"),
        }
    }
}

async fn wait_for_stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
