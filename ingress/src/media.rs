//! What SIP asks of the RTP side, and what the RTP side tells SIP: the only things `sip` and
//! `rtp` know of each other.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use engine_core::call::CallPlan;
use engine_core::id::CallId;
use engine_core::recording::EndReason;

/// Why a call cannot be taken; the caller gets 503 with Retry-After.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// As many calls as configured are up.
    #[error("all {calls_max} calls are in use")]
    Full {
        /// The configured limit.
        calls_max: usize,
    },
    /// Every RTP port of the range is in use.
    #[error("no RTP port is free in the configured range")]
    NoPort,
    /// The disk cannot follow.
    #[error("the journal's disk is behind")]
    DiskBehind,
    /// As many packets come as configured.
    #[error("as many packets come as configured ({packets_per_second_max} a second)")]
    TooManyPackets {
        /// The configured limit.
        packets_per_second_max: u64,
    },
    /// Recordings are not taken as fast as they come.
    #[error("{waiting} recordings wait for their text")]
    EngineBehind {
        /// How many wait.
        waiting: u64,
    },
    /// The processor is too slow for the calls that are up.
    #[error("a shard came {late_ms} ms late to its work")]
    Overloaded {
        /// How late.
        late_ms: u64,
    },
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
    /// A socket could not be opened.
    #[error("no RTP socket could be opened: {why}")]
    Socket {
        /// What the system said.
        why: String,
    },
}

/// A place for one call: its ports are open, nothing is recorded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// The call.
    pub call: CallId,
    /// Where we receive RTP; RTCP is one port above.
    pub local_rtp: SocketAddr,
}

/// What a reservation is answered with.
pub type Reserving<'a> =
    Pin<Box<dyn Future<Output = Result<Reservation, AdmissionError>> + Send + 'a>>;

/// The RTP side as SIP sees it. All calls but `reserve` return at once and cannot fail: a call
/// that is gone ignores them.
pub trait MediaPlane: Send + Sync + 'static {
    /// Opens a port pair on the shard with the most room, on this local address.
    fn reserve(&self, local: IpAddr) -> Reserving<'_>;

    /// The call is answered with 200: from now on it is recorded as an answered call, and a crash
    /// turns it into a message. Call before the 200 leaves.
    fn answer(&self, call: CallId, plan: CallPlan);

    /// The ACK came: the greeting may start.
    fn connected(&self, call: CallId);

    /// The caller's SDP changed.
    fn remote(&self, call: CallId, change: RemoteChange);

    /// The caller hung up, or the call was never answered: seal what is there, free the ports.
    fn hang_up(&self, call: CallId);

    /// No new calls from now on; resolves when all calls are sealed and durable, or after `limit`
    /// (then they are sealed where they stand).
    fn drain(&self, limit: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// New media address or direction after re-INVITE or UPDATE, or a first offer that is on hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteChange {
    /// Where the caller wants our sound.
    pub address: Option<SocketAddr>,
    /// Whether it will send.
    pub sends: bool,
    /// Whether it wants to receive.
    pub receives: bool,
}

/// What the RTP side tells SIP, through a channel that `server` makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaNotice {
    /// We end the call: send BYE. The recording is sealed.
    HangUp {
        /// Which.
        call: CallId,
        /// Why.
        reason: EndReason,
    },
}
