//! What a call has seen, as its shell and RTCP want it told.
//!
//! In: counts of the jitter, the latch, the player and the recorder. Out: [`CallStats`]. Knows
//! nothing of how RTCP is coded.

use super::Call;

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
    /// Packets of another stream that did not last.
    pub stray: u32,
    /// Packets that were too long to be kept.
    pub oversized: u32,
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

impl Call {
    /// What it has seen so far.
    pub fn stats(&self) -> CallStats {
        let taken = self.jitter.stats();
        let sent = self.player.sent();
        CallStats {
            ssrc: taken.ssrc,
            packets: taken.packets,
            octets: taken.octets,
            lost: taken.lost,
            duplicated: taken.duplicated,
            reordered: taken.reordered,
            late: taken.late,
            stray: taken.stray,
            oversized: taken.oversized,
            hijacks: self.latch.hijacks(),
            highest_sequence: taken.highest_sequence,
            jitter: taken.jitter,
            sent_packets: sent.packets,
            sent_octets: sent.octets,
            sent_timestamp: sent.timestamp,
            recorded_ms: self.recorder.duration_ms(),
        }
    }
}
