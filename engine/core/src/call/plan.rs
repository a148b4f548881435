//! How a call is to be led: decided by the shell before the answer, never changed after it.
//!
//! In: what SDP and the mailbox say, sounds, limits, random starts. Out: [`CallPlan`]. Knows
//! nothing of how the call goes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::recording::Opened;
use crate::sound::Frames;

/// How a call is to be led.
#[derive(Debug, Clone)]
pub struct CallPlan {
    /// Goes into the recording's first chunk.
    pub opened: Opened,
    /// RTP payload type of `opened.codec` in what the caller sends and we send.
    pub payload_type: u8,
    /// RTP payload type of telephone-event (RFC 4733), if negotiated.
    pub digit_payload_type: Option<u8>,
    /// Said first; `None` for silence.
    pub greeting: Option<Arc<Frames>>,
    /// Sounded before recording; `None` for no beep.
    pub beep: Option<Arc<Frames>>,
    /// Said when the message is full, before hanging up.
    pub closing: Option<Arc<Frames>>,
    /// Longest message in media time.
    pub recording_limit: Duration,
    /// Recording ends after this much quiet.
    pub quiet_limit: Option<Duration>,
    /// The end after this long without any packet.
    pub silent_line_limit: Duration,
    /// Our SSRC and first sequence number and timestamp, from the shell's chance.
    pub sender: SenderStart,
    /// Where the caller wants its sound, from its SDP; `None` until it says so.
    pub remote: Option<SocketAddr>,
}

/// Random starts of our own RTP stream (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderStart {
    /// Our SSRC.
    pub ssrc: u32,
    /// First sequence number.
    pub sequence: u16,
    /// First timestamp.
    pub timestamp: u32,
}
