//! One RTP packet as the cores see it: parsed, its payload a view into the receive buffer.

use bytes::Bytes;

/// An RTP packet (RFC 3550 §5.1). The shell parses it; wire numbers are widened by `jitter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// Marker bit: first packet of a talk spurt (RFC 3551 §4.1).
    pub marker: bool,
    /// Sequence number as it was on the wire.
    pub sequence: u16,
    /// Timestamp as it was on the wire, in the codec's clock.
    pub timestamp: u32,
    /// Who sent it.
    pub ssrc: u32,
    /// The payload without padding.
    pub payload: Bytes,
}
