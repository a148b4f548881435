//! What a shard may be told, from any thread.
//!
//! In: calls of [`MediaPlane`](crate::media::MediaPlane). Out: commands on the shard's queue, which
//! is bounded by the calls: each sends a handful.

use std::net::IpAddr;
use std::time::Duration;

use engine_core::call::CallPlan;
use engine_core::id::CallId;
use tokio::sync::oneshot;

use super::seats::Ticket;
use crate::media::{AdmissionError, RemoteChange, Reservation};

/// What a shard is asked to do.
pub(super) enum Command {
    Reserve {
        local: IpAddr,
        ticket: Ticket,
        answer: oneshot::Sender<Result<Reservation, (AdmissionError, Ticket)>>,
    },
    Answer(CallId, Box<CallPlan>),
    Connected(CallId),
    Remote(CallId, RemoteChange),
    HangUp(CallId),
    Drain {
        limit: Duration,
        done: oneshot::Sender<()>,
    },
    Quit,
}
