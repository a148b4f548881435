//! SIP: answers calls for mailboxes and refuses everything else as RFC 3261 says.
//!
//! In: INVITEs from trunks. Out: calls on the [`MediaPlane`], events, counters. The stack
//! underneath is `rsipstack`, which nothing outside this module and `caller` sees; what it leaves
//! open (admission, malformed requests, session timers, forwarding headers) is closed here:
//!
//! * `gate` refuses statelessly before anything is allocated for a request,
//! * `forwarding`, `caller_id`, `number`, `sdp`, `session_timer`, `screen` are pure rules,
//! * `invitation` reads an INVITE, `invite` takes the call, `call` leads it to its end,
//!   `request` serves everything else.
//!
//! UDP messages above 8 192 octets are dropped and counted: rsipstack reads no more. RFC 3261
//! §18.1.1 sends anything above 1 300 octets over TCP anyway, which takes 65 535.

pub mod address;
mod body;
mod call;
pub mod caller_id;
mod calls;
mod config;
pub(crate) mod counters;
mod datagram;
pub mod forwarding;
mod gate;
mod invitation;
mod invite;
mod limits;
pub(crate) mod listen;
pub mod number;
mod refusal;
mod request;
mod screen;
pub mod sdp;
mod server;
mod session_timer;

pub use config::{ConfigError, Network, OtherPeers, SipConfig, TrunkConfig};
pub use counters::SipCounters;
pub use server::{
    LocalAddress, SipDeps, SipError, SipHandle, SipServer, Stopping, Transport, serve,
};

#[cfg(doc)]
use crate::media::MediaPlane;

/// What the server's log filter must contain: below `warn`, rsipstack logs whole messages, with
/// the callers' numbers in them.
pub const LOG_DIRECTIVES: &str = "rsipstack=warn";
