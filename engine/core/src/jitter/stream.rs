//! Which stream is listened to: a sender that restarts or changes its SSRC (RFC 3550 A.1).
//!
//! In: packets that do not fit the stream. Out: the stream that takes over, what became of the
//! packets in doubt. Knows nothing of holes and waiting (that is the jitter itself).

use super::Jitter;
use crate::limits::{PREVIOUS_STREAM_MEMORY, REORDER_PACKETS_MAX, SEQUENCE_MISORDER_MAX};
use crate::packet::Packet;
use crate::time::Instant;

/// Where sequence numbers start: in their second cycle (see [`super::Seq`]).
pub(super) const FIRST_CYCLE: u64 = 1 << 16;

/// A packet that was taken and not released yet.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) seq: u64,
    pub(super) arrival: Instant,
    pub(super) packet: Packet,
}

/// The stream that is listened to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) ssrc: u32,
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) highest: u64,
    /// Bit n: packet `next - 1 - n` came.
    pub(super) came: u128,
}

/// The stream before this one: what it still had under way does not bring it back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Previous {
    ssrc: u32,
    highest: u16,
    timestamp: u32,
    until: Instant,
}

impl Previous {
    fn sent(self, held: &Held, clock_hz: u32) -> bool {
        let behind = self.highest.wrapping_sub(held.packet.sequence) <= SEQUENCE_MISORDER_MAX;
        // A sender may restart near its old sequence numbers, but hardly near its old time too.
        let apart = held.packet.timestamp.wrapping_sub(self.timestamp).cast_signed();
        let memory = PREVIOUS_STREAM_MEMORY.as_secs() as u32 * clock_hz;
        held.packet.ssrc == self.ssrc
            && held.arrival <= self.until
            && behind
            && apart.unsigned_abs() <= memory
    }
}

/// A packet that must wait until those before it have been released.
#[derive(Debug)]
pub(super) enum Parked {
    None,
    /// So far ahead that the ring has no room for it.
    Far(Box<Held>),
    /// The first two of a new stream.
    Restart(Box<Held>, Box<Held>),
}

impl Jitter {
    /// A packet that does not fit the stream. RFC 3550 A.1: two in a row are a new stream, one is
    /// an accident; unlike there, the first of the two is kept.
    pub(super) fn doubt(&mut self, held: Box<Held>) {
        let clock_hz = self.config.codec.clock_hz();
        if self.previous.is_some_and(|previous| previous.sent(&held, clock_hz)) {
            self.stats.late += 1;
            return;
        }
        if let Some(first) = self.suspect.take() {
            let step = held.packet.sequence.wrapping_sub(first.packet.sequence).cast_signed();
            let near = step != 0 && step.unsigned_abs() <= SEQUENCE_MISORDER_MAX;
            if first.packet.ssrc == held.packet.ssrc && near {
                assert!(
                    matches!(self.parked, Parked::None),
                    "poll is drained before the next input"
                );
                self.parked = Parked::Restart(first, held);
                return;
            }
            self.stats.stray += 1;
        }
        self.suspect = Some(held);
    }

    pub(super) fn drop_suspect(&mut self) {
        if self.suspect.take().is_some() {
            self.stats.stray += 1;
        }
    }

    pub(super) fn begin(&mut self, ssrc: u32, seq: u64) {
        self.stream = Some(Stream { ssrc, first: seq, next: seq, highest: seq, came: 0 });
        self.transit = None;
    }

    /// Lets a parked packet in, now that all before it are gone.
    pub(super) fn unpark(&mut self) -> bool {
        match std::mem::replace(&mut self.parked, Parked::None) {
            Parked::None => false,
            Parked::Far(held) => {
                self.give_up_before(held.seq + 1 - REORDER_PACKETS_MAX as u64);
                self.hold(*held);
                true
            }
            Parked::Restart(mut first, mut second) => {
                self.previous = self.stream.map(|stream| Previous {
                    ssrc: stream.ssrc,
                    highest: stream.highest as u16,
                    timestamp: self.timeline.timestamp(),
                    until: self.now + PREVIOUS_STREAM_MEMORY,
                });
                let step = second.packet.sequence.wrapping_sub(first.packet.sequence).cast_signed();
                if step < 0 {
                    std::mem::swap(&mut first, &mut second);
                }
                first.seq = FIRST_CYCLE + u64::from(first.packet.sequence);
                second.seq = first.seq + u64::from(step.unsigned_abs());
                self.timeline.rejoin();
                self.begin(first.packet.ssrc, first.seq);
                self.fit(*first);
                self.fit(*second);
                true
            }
        }
    }
}
