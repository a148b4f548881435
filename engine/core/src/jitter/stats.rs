//! What a jitter has seen, and the interarrival jitter among it.
//!
//! In: packets as they were taken. Out: [`JitterStats`]. Knows nothing of the order in which they
//! go on.

use super::Jitter;
use super::stream::Held;

/// What a jitter has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JitterStats {
    /// SSRC of the stream.
    pub ssrc: Option<u32>,
    /// Packets taken.
    pub packets: u64,
    /// Payload octets taken.
    pub octets: u64,
    /// Packets that never came.
    pub lost: u32,
    /// Packets that came after those behind them had gone on.
    pub late: u32,
    /// Packets that came twice.
    pub duplicated: u32,
    /// Packets that came out of order and were put right.
    pub reordered: u32,
    /// Packets of another stream that did not last.
    pub stray: u32,
    /// Packets with more than [`crate::limits::PAYLOAD_BYTES_MAX`].
    pub oversized: u32,
    /// Highest sequence number, extended by its cycles (RFC 3550 §6.4.1).
    pub highest_sequence: u32,
    /// Interarrival jitter in RTP ticks (RFC 3550 §6.4.1).
    pub jitter: u32,
}

impl Jitter {
    /// RFC 3550 A.8, the integer form.
    pub(super) fn observe(&mut self, held: &Held) {
        if held.packet.payload_type != self.config.payload_type {
            return;
        }
        let hz = u64::from(self.config.codec.clock_hz());
        let nanos = held.arrival.as_nanos();
        let arrival =
            (nanos / 1_000_000_000 * hz).wrapping_add(nanos % 1_000_000_000 * hz / 1_000_000_000);
        let transit = (arrival as u32).wrapping_sub(held.packet.timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let change = u64::from(transit.wrapping_sub(last).cast_signed().unsigned_abs());
            self.sixteenths = self.sixteenths + change - ((self.sixteenths + 8) >> 4);
        }
    }
}
