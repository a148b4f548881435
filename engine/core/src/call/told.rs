//! What a call may be told and what it wants done.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::packet::Packet;
use crate::recording::{EndReason, Sealed};
use crate::time::Instant;

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
    /// Append to the journal. The last chunk of a call holds its `Sealed` entry: when
    /// [`Call::is_sealed`](super::Call::is_sealed) is true, this was it.
    Chunk(Bytes),
    /// Nothing more will be recorded; its last chunk went out before this.
    Sealed(Sealed),
    /// Send BYE: the call is over from our side. Comes after `Sealed`.
    HangUp(EndReason),
    /// Nothing to do until then, or until the next input; `None`: the call is over and its state
    /// may be dropped.
    Idle {
        /// When to wake.
        until: Option<Instant>,
    },
}
