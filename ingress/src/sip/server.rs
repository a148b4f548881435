//! The server: listens, admits, routes requests to calls, stops.
//!
//! In: a configuration, and the parts of the house that calls need. Out: a handle with the actual
//! addresses, the counters, and a graceful stop. One rsipstack endpoint runs per listen address,
//! so that what leaves has the family and port that it came to.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use engine_core::directory::Directory;
use engine_core::event::EventSink;
use engine_core::sound::SoundBank;
use rsipstack::EndpointBuilder;
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::transaction::Endpoint;
use rsipstack::transaction::endpoint::EndpointOption;
use rsipstack::transport::{SipConnection, TransportLayer};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::calls::{Calls, Command};
use super::config::{ConfigError, SipConfig};
use super::counters::{Counters, SipCounters};
use super::gate::{Gate, Rate};
use super::limits::{GOODBYE_WAIT_MAX, REFUSED_AWAITED_MAX};
use super::refusal::Refusal;
use super::{listen, request};
use crate::media::{MediaNotice, MediaPlane};

/// What calls need from the rest of the house.
pub struct SipDeps {
    /// Where calls are heard and recorded.
    pub media: Arc<dyn MediaPlane>,
    /// What media tells us.
    pub notices: mpsc::UnboundedReceiver<MediaNotice>,
    /// Whose number it is.
    pub directory: Arc<dyn Directory>,
    /// What callers hear.
    pub sounds: Arc<dyn SoundBank>,
    /// Who watches.
    pub events: Arc<dyn EventSink>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SipError {
    /// The configuration makes no sense.
    #[error("sip: {0}")]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error(
        "sip: cannot listen on {transport} {address}: {source}; choose a free address or port 0"
    )]
    Listen {
        /// UDP or TCP.
        transport: Transport,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// rsipstack refused to start.
    #[error("sip: the SIP stack did not start: {why}")]
    Stack {
        /// What it said.
        why: String,
    },
}

/// A SIP transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// Where the server can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalAddress {
    /// How.
    pub transport: Transport,
    /// Where, with the actual port.
    pub address: SocketAddr,
}

/// A stop under way.
pub type Stopping<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A running SIP server, whatever stack it is made of.
pub trait SipServer: Send + Sync {
    /// Where it listens, in the order of the configuration, UDP first.
    fn local_addresses(&self) -> &[LocalAddress];

    /// What became of the calls so far.
    fn counters(&self) -> SipCounters;

    /// New calls get 503 from now on. Calls that are up go on until they end or `limit` is over
    /// (the media plane is drained); then they get BYE and the sockets close.
    fn stop(&self, limit: Duration) -> Stopping<'_>;
}

/// What every part of the SIP side knows.
pub(crate) struct Shared {
    pub(crate) config: SipConfig,
    pub(crate) media: Arc<dyn MediaPlane>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) sounds: Arc<dyn SoundBank>,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) calls: Arc<Calls>,
    /// Refused INVITEs whose ACK is waited for.
    pub(crate) refused: Arc<Semaphore>,
    rate: Rate,
    stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether anything that `source` begins is looked at.
    pub(crate) fn is_trusted(&self, source: Option<SocketAddr>) -> bool {
        source.is_some_and(|source| self.config.trust(source.ip()).is_some())
    }

    /// Why a new call of a trusted peer cannot even be looked at.
    pub(crate) fn refuse_new_call(&self) -> Option<Refusal> {
        let retry_after = self.config.retry_after_seconds;
        if self.is_stopping() {
            return Some(Refusal::busy("stopping", retry_after));
        }
        if self.calls.is_full() {
            return Some(Refusal::busy("full", retry_after));
        }
        (!self.rate.take(Instant::now())).then(|| Refusal::busy("rate", retry_after))
    }
}

/// One listen address with its endpoint.
pub(crate) struct Site {
    pub(crate) shared: Arc<Shared>,
    pub(crate) dialogs: DialogLayer,
    pub(crate) bound: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) cancel: CancellationToken,
}

impl Site {
    /// Our address towards `peer`.
    pub(crate) fn local_ip(&self, peer: SocketAddr) -> IpAddr {
        listen::local_ip(self.bound.ip(), peer)
    }

    /// Where a peer sends requests within a call.
    pub(crate) fn contact(&self, peer: SocketAddr) -> String {
        let address = SocketAddr::new(self.local_ip(peer), self.bound.port());
        match self.transport {
            Transport::Udp => format!("sip:{address}"),
            Transport::Tcp => format!("sip:{address};transport=tcp"),
        }
    }
}

/// The running server on rsipstack.
pub struct SipHandle {
    shared: Arc<Shared>,
    addresses: Vec<LocalAddress>,
    cancel: CancellationToken,
}

impl std::fmt::Debug for SipHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SipHandle").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl SipHandle {
    /// Reads the counters from anywhere, without keeping the server.
    pub fn counter_reader(&self) -> impl Fn() -> SipCounters + Clone + Send + Sync + use<> {
        let counters = Arc::clone(&self.shared.counters);
        move || counters.read()
    }
}

impl Drop for SipHandle {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl SipServer for SipHandle {
    fn local_addresses(&self) -> &[LocalAddress] {
        &self.addresses
    }

    fn counters(&self) -> SipCounters {
        self.shared.counters.read()
    }

    fn stop(&self, limit: Duration) -> Stopping<'_> {
        Box::pin(async move {
            self.shared.stopping.store(true, Ordering::Relaxed);
            self.shared.media.drain(limit).await;
            for call in self.shared.calls.all() {
                // A call whose queue is full is told by the end of its sockets.
                let _ = call.try_send(Command::HangUp);
            }
            if tokio::time::timeout(GOODBYE_WAIT_MAX, self.shared.calls.all_gone()).await.is_err() {
                info!("Some callers did not answer our BYE before the stop.");
            }
            self.cancel.cancel();
        })
    }
}

/// Starts the SIP side: binds every address, then answers calls until stopped or dropped.
pub async fn serve(config: SipConfig, deps: SipDeps) -> Result<SipHandle, SipError> {
    config.check()?;
    let counters = Arc::new(Counters::default());
    let shared = Arc::new(Shared {
        media: deps.media,
        directory: deps.directory,
        sounds: deps.sounds,
        events: deps.events,
        calls: Calls::new(config.calls_max, Arc::clone(&counters)),
        refused: Arc::new(Semaphore::new(REFUSED_AWAITED_MAX)),
        rate: Rate::new(config.invites_per_second),
        stopping: AtomicBool::new(false),
        counters,
        config,
    });
    let cancel = CancellationToken::new();
    // Stops what is already running when a later address fails.
    let guard = cancel.clone().drop_guard();
    let mut addresses = Vec::new();
    for &address in &shared.config.udp {
        addresses.push(serve_udp(&shared, address, &cancel).await?);
    }
    for &address in &shared.config.tcp {
        addresses.push(serve_tcp(&shared, address, &cancel)?);
    }
    tokio::spawn(follow_media(deps.notices, Arc::clone(&shared.calls), cancel.clone()));
    for LocalAddress { transport, address } in &addresses {
        info!(%transport, %address, "SIP is listening.");
    }
    Ok(SipHandle { shared, addresses, cancel: guard.disarm() })
}

async fn serve_udp(
    shared: &Arc<Shared>,
    address: SocketAddr,
    cancel: &CancellationToken,
) -> Result<LocalAddress, SipError> {
    let transport = Transport::Udp;
    let failed = |source| SipError::Listen { transport, address, source };
    let socket = listen::udp(address, shared.config.receive_buffer_bytes).map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    let counters = Arc::clone(&shared.counters);
    let connection =
        listen::udp_connection(socket, counters, cancel.clone()).await.map_err(failed)?;
    start(shared, Some(connection), bound, transport, cancel)?;
    Ok(LocalAddress { transport, address: bound })
}

fn serve_tcp(
    shared: &Arc<Shared>,
    address: SocketAddr,
    cancel: &CancellationToken,
) -> Result<LocalAddress, SipError> {
    let transport = Transport::Tcp;
    let failed = |source| SipError::Listen { transport, address, source };
    let listener = listen::tcp(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let site = start(shared, None, bound, transport, cancel)?;
    let endpoint = Arc::clone(&site.dialogs.endpoint);
    tokio::spawn(listen::accept(listener, endpoint, Arc::clone(shared), cancel.clone()));
    Ok(LocalAddress { transport, address: bound })
}

/// Starts an endpoint and the loop that takes its requests.
fn start(
    shared: &Arc<Shared>,
    connection: Option<SipConnection>,
    bound: SocketAddr,
    transport: Transport,
    cancel: &CancellationToken,
) -> Result<Arc<Site>, SipError> {
    let layer = TransportLayer::new(cancel.child_token());
    if let Some(connection) = connection {
        layer.add_transport(connection);
    }
    let known = Arc::new(OnceLock::new());
    let t1 = shared.config.t1();
    let endpoint: Endpoint = EndpointBuilder::new()
        .with_cancel_token(cancel.child_token())
        .with_transport_layer(layer)
        .with_user_agent(&shared.config.user_agent)
        .with_option(EndpointOption {
            t1,
            t2: t1 * 8,
            t4: t1 * 10,
            t1x64: t1 * 64,
            ..EndpointOption::default()
        })
        .with_transport_inspector(Box::new(Gate::new(Arc::clone(shared), Arc::clone(&known))))
        .build();
    let known_once = known.set(Arc::downgrade(&endpoint.inner));
    debug_assert!(known_once.is_ok(), "set here only");
    let transactions = endpoint
        .incoming_transactions()
        .map_err(|error| SipError::Stack { why: error.to_string() })?;
    let site = Arc::new(Site {
        shared: Arc::clone(shared),
        dialogs: DialogLayer::new(Arc::clone(&endpoint.inner)),
        bound,
        transport,
        cancel: cancel.clone(),
    });
    tokio::spawn(async move { endpoint.serve().await });
    tokio::spawn(request::serve(Arc::clone(&site), transactions));
    Ok(site)
}

/// Brings what media says to the call's task.
async fn follow_media(
    mut notices: mpsc::UnboundedReceiver<MediaNotice>,
    calls: Arc<Calls>,
    cancel: CancellationToken,
) {
    loop {
        let notice = tokio::select! {
            () = cancel.cancelled() => return,
            notice = notices.recv() => notice,
        };
        let Some(MediaNotice::HangUp { call, reason }) = notice else {
            if !cancel.is_cancelled() {
                warn!("Media has gone; calls can no longer be ended by it.");
            }
            return;
        };
        info!(%call, reason = reason.name(), "Media ends the call.");
        if let Some(commands) = calls.by_media(call)
            && let Err(mpsc::error::TrySendError::Full(command)) =
                commands.try_send(Command::HangUp)
        {
            tokio::spawn(async move { commands.send(command).await });
        }
    }
}
