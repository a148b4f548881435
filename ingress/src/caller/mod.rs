//! A test caller: places a real SIP call with real RTP pacing and says what it saw.
//!
//! In: a SIP URI, encoded sound, when to talk. Out: a [`CallReport`]: statuses, packets sent and
//! heard, loss in both directions, who hung up. `rusuden call` and `rusuden demo` are made of it.
//! Knows nothing of the server that it calls; codecs are somebody else's, it sends payloads.

mod media;
mod signalling;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine_core::codec::Codec;

pub use media::{Heard, HeardPacket, ReceptionReport};
pub use signalling::place_call;

/// When the caller starts to talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// This long after the answer.
    After(Duration),
    /// When nothing was heard for `quiet` after something was: the greeting and the beep are over.
    AfterGreeting {
        /// How long it must be quiet. Half a second is more than the pauses of a stream that is
        /// sent packet by packet.
        quiet: Duration,
        /// Talk at the latest then, even if nothing was heard.
        at_most: Duration,
    },
}

/// What happens during a call, as it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A response to the INVITE.
    Status(u16),
    /// The other side answered.
    Answered,
    /// We talk: `sent` of `of` packets. Told about once a second.
    Talking {
        /// Packets sent.
        sent: u64,
        /// Packets to send.
        of: u64,
    },
    /// The call is over.
    Ended(EndedBy),
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// We sent BYE.
    Us,
    /// The other side sent BYE.
    Them,
    /// It was refused.
    Refused,
    /// Nobody answered in time and we sent CANCEL.
    Cancelled,
}

/// How to tell the caller's owner about progress. Must not block.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// A call to place.
#[derive(Clone)]
pub struct CallOptions {
    /// Whom to call: `sip:05012345678@192.0.2.1:5060`, with `;transport=tcp` over TCP.
    pub target: String,
    /// Who calls: a SIP URI, as it goes into From.
    pub from: String,
    /// Our own address, of the target's family.
    pub local: IpAddr,
    /// How `payloads` are coded.
    pub codec: Codec,
    /// What to say: RTP payloads, usually 20 ms each; their length sets the pace.
    pub payloads: Vec<Bytes>,
    /// Further headers of the INVITE, such as Diversion.
    pub headers: Vec<(String, String)>,
    /// When to talk.
    pub talk: Talk,
    /// How long to stay on the line after talking, in case the other side hangs up first.
    pub stay: Duration,
    /// CANCEL after this long without an answer.
    pub ring_limit: Duration,
    /// BYE after this long, whatever happens.
    pub limit: Duration,
    /// Told what happens.
    pub on_progress: Option<OnProgress>,
}

impl CallOptions {
    /// A call that talks after the greeting and stays two seconds.
    pub fn new(
        target: impl Into<String>,
        local: IpAddr,
        codec: Codec,
        payloads: Vec<Bytes>,
    ) -> Self {
        Self {
            target: target.into(),
            from: format!("sip:caller@{}", host(local)),
            local,
            codec,
            payloads,
            headers: Vec::new(),
            talk: Talk::AfterGreeting {
                quiet: Duration::from_millis(500),
                at_most: Duration::from_secs(30),
            },
            stay: Duration::from_secs(2),
            ring_limit: Duration::from_secs(30),
            limit: Duration::from_mins(3),
            on_progress: None,
        }
    }

    fn tell(&self, progress: Progress) {
        if let Some(on_progress) = &self.on_progress {
            on_progress(progress);
        }
    }
}

/// An address as it stands in a URI.
pub(crate) fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// What the caller saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallReport {
    /// Statuses of the INVITE's responses, in order.
    pub statuses: Vec<u16>,
    /// From INVITE to 200.
    pub answered_after: Option<Duration>,
    /// From INVITE to the end.
    pub lasted: Duration,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Latest that a packet left behind its time: how well the pace was kept.
    pub pace_error_max: Duration,
    /// What came back.
    pub heard: Heard,
    /// RTCP reception reports on what we sent, in order.
    pub reports: Vec<ReceptionReport>,
    /// Who ended it.
    pub ended_by: EndedBy,
}

impl CallReport {
    /// The INVITE's last status, 0 when there was none.
    pub fn status(&self) -> u16 {
        self.statuses.last().copied().unwrap_or(0)
    }
}

/// Why no call could be placed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The target or From is no SIP URI.
    #[error("{uri:?} is no SIP URI; write sip:number@host:port")]
    Uri {
        /// What was given.
        uri: String,
    },
    /// No socket.
    #[error("no socket on {local}: {source}; use an address of this machine")]
    Socket {
        /// Where.
        local: IpAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The call failed below SIP.
    #[error("the call failed: {why}")]
    Signalling {
        /// What the stack said.
        why: String,
    },
    /// Answered with an SDP that we cannot talk to.
    #[error("the answer's SDP cannot be used: {source}")]
    Answer {
        /// Why.
        source: crate::sip::sdp::SdpError,
    },
    /// Nobody answered, not even with a refusal.
    #[error("{target} does not answer SIP; check address, port and transport")]
    NoResponse {
        /// Who.
        target: String,
    },
}
