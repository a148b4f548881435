//! One call on its shard: greeting → beep → recording → closing, and who may still talk.
//!
//! In: the answer, packets, holds, the caller's BYE, flushes, time. Out: packets to send, chunks
//! for the journal, when to hang up, when the recording is sealed. Knows nothing of sockets, SIP
//! messages or files.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::packet::Packet;
use crate::recording::{EndReason, Opened, Sealed};
use crate::sound::Frames;
use crate::time::{Instant, WallTime};

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

/// What a call may be told.
#[derive(Debug, Clone)]
pub enum Input {
    /// The caller has our answer (ACK): the greeting may start.
    Connected,
    /// A packet came from `source`.
    Packet {
        /// Its sender, as the socket saw it.
        source: SocketAddr,
        /// The packet.
        packet: Packet,
    },
    /// The caller's SDP changed (re-INVITE, UPDATE): new address, hold or resume.
    Remote {
        /// Where it wants our sound.
        address: Option<SocketAddr>,
        /// Whether it will send (sendrecv, sendonly). On hold it does not, and the silent-line
        /// limit rests.
        sends: bool,
        /// Whether it wants to receive (sendrecv, recvonly).
        receives: bool,
    },
    /// The caller hung up.
    HungUp,
    /// The shell ends the call (stop, full disk): seal what is there.
    Stop(EndReason),
    /// Group commit: put what waits into a chunk.
    Flush,
    /// Nothing but time has passed.
    Tick,
}

/// What a call wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send one RTP packet. Its header fields are complete.
    Transmit {
        /// Where to.
        to: SocketAddr,
        /// The packet; `payload` is shared with every call that hears the same sound.
        packet: Packet,
    },
    /// From now on only this sender is listened to.
    Latched(SocketAddr),
    /// The caller is being recorded from now on.
    RecordingStarted,
    /// Append to the journal. The last chunk of a call holds its `Sealed` entry.
    Chunk(Bytes),
    /// Send BYE: the call is over from our side.
    HangUp(EndReason),
    /// Nothing more will be recorded; its last chunk went out before this.
    Sealed(Sealed),
    /// Nothing to do until then, or until the next input; `None`: the call is over and its state
    /// may be dropped.
    Idle {
        /// When to wake.
        until: Option<Instant>,
    },
}

/// What a call has seen, for RTCP receiver reports (RFC 3550 §6.4.1), counters and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallStats {
    /// SSRC of the sender that is listened to.
    pub ssrc: Option<u32>,
    /// Packets taken.
    pub packets: u64,
    /// Payload octets taken.
    pub octets: u64,
    /// Packets that never came.
    pub lost: u32,
    /// Packets that came twice.
    pub duplicated: u32,
    /// Packets that came out of order and were put right.
    pub reordered: u32,
    /// Packets that came too late to be used.
    pub late: u32,
    /// Packets refused because another sender had been latched.
    pub hijacks: u32,
    /// Highest sequence number, extended by its cycles.
    pub highest_sequence: u32,
    /// Interarrival jitter in RTP ticks (RFC 3550 §6.4.1).
    pub jitter: u32,
    /// Packets we sent.
    pub sent_packets: u32,
    /// Payload octets we sent.
    pub sent_octets: u32,
    /// RTP timestamp of the last packet we sent.
    pub sent_timestamp: u32,
    /// Media recorded so far, in milliseconds.
    pub recorded_ms: u64,
}

/// The call core.
#[derive(Debug)]
pub struct Call {
    // (implementation to come)
    _plan: CallPlan,
}

impl Call {
    /// A call that was answered at `now`. `wall` is civil time at the same moment; the core
    /// derives `ended_at` from it.
    pub fn new(_now: Instant, _wall: WallTime, plan: CallPlan) -> Self {
        Self { _plan: plan }
    }

    /// Tells the call something. Drain [`Call::poll`] to `Idle` afterwards.
    pub fn handle(&mut self, _now: Instant, _input: Input) {}

    /// The next thing to do.
    pub fn poll(&mut self) -> Output {
        Output::Idle { until: None }
    }

    /// What it has seen so far.
    pub fn stats(&self) -> CallStats {
        CallStats::default()
    }
}
