//! RTP on the wire: a datagram becomes a [`Packet`] whose payload views it, a packet a header.
//!
//! In: datagrams as they came, hostile ones included. Out: packets, or why it is none. Header
//! extensions and contributing sources mean nothing to a recorder: they are cut away before the
//! `rtp` crate parses, since it allocates for both and panics on an extension element that is
//! longer than its block. Knows nothing of calls.

use bytes::{Buf, Bytes, BytesMut};
use engine_core::limits::PAYLOAD_BYTES_MAX;
use engine_core::packet::Packet;
use rtp::packet::Packet as RtpPacket;
use webrtc_util::marshal::{Marshal, Unmarshal};

use crate::limits::DATAGRAM_BYTES_MAX;

/// Bytes of an RTP header without contributing sources and extensions (RFC 3550 §5.1).
pub const HEADER_BYTES: usize = 12;

/// Why a datagram is no RTP packet that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Too short for what its header says.
    #[error("the datagram is cut off: {bytes} bytes")]
    Short {
        /// Its length.
        bytes: usize,
    },
    /// Not RTP version 2.
    #[error("the datagram says RTP version {version}, only 2 is known")]
    Version {
        /// What it says.
        version: u8,
    },
    /// RTCP on the RTP port; multiplexing (RFC 5761) is not negotiated.
    #[error("the datagram is RTCP (packet type {packet_type}) on the RTP port")]
    Rtcp {
        /// Its packet type.
        packet_type: u8,
    },
    /// The padding count is zero or longer than the payload.
    #[error("the padding is longer than the payload")]
    Padding,
    /// Longer than any speech packet.
    #[error("the payload is longer than {PAYLOAD_BYTES_MAX} bytes")]
    Oversize,
}

/// Reads a datagram as RTP. The payload views the datagram's memory.
pub fn parse(mut datagram: BytesMut) -> Result<Packet, WireError> {
    let bytes = datagram.len();
    let short = WireError::Short { bytes };
    if bytes < HEADER_BYTES {
        return Err(short);
    }
    if bytes >= DATAGRAM_BYTES_MAX {
        return Err(WireError::Oversize);
    }
    let version = datagram[0] >> 6;
    if version != 2 {
        return Err(WireError::Version { version });
    }
    // RFC 5761 §4: packet types 192–223 in the second octet are RTCP.
    if (192..=223).contains(&datagram[1]) {
        return Err(WireError::Rtcp { packet_type: datagram[1] });
    }
    cut_optional_parts(&mut datagram).ok_or(short)?;
    let padded = datagram[0] & 0x20 != 0;
    if padded && datagram.last() == Some(&0) {
        return Err(WireError::Padding);
    }
    let packet = RtpPacket::unmarshal(&mut datagram.freeze()).map_err(|_| WireError::Padding)?;
    if packet.payload.len() > PAYLOAD_BYTES_MAX {
        return Err(WireError::Oversize);
    }
    Ok(Packet {
        payload_type: packet.header.payload_type,
        marker: packet.header.marker,
        sequence: packet.header.sequence_number,
        timestamp: packet.header.timestamp,
        ssrc: packet.header.ssrc,
        payload: packet.payload,
    })
}

/// Moves the fixed header up to the payload, over contributing sources and header extension.
fn cut_optional_parts(datagram: &mut BytesMut) -> Option<()> {
    let mut optional = usize::from(datagram[0] & 0x0f) * 4;
    if datagram[0] & 0x10 != 0 {
        // RFC 3550 §5.3.1: profile, length in words, then the words.
        let at = HEADER_BYTES + optional;
        let words = datagram.get(at + 2..at + 4)?;
        optional += 4 + usize::from(u16::from_be_bytes([words[0], words[1]])) * 4;
    }
    if HEADER_BYTES + optional > datagram.len() {
        return None;
    }
    if optional > 0 {
        datagram.copy_within(0..HEADER_BYTES, optional);
        datagram.advance(optional);
    }
    datagram[0] &= 0xe0;
    Some(())
}

/// The header of a packet that we send; its payload follows on the wire as it is.
pub fn header(packet: &Packet) -> [u8; HEADER_BYTES] {
    let header = rtp::header::Header {
        version: 2,
        marker: packet.marker,
        payload_type: packet.payload_type & 0x7f,
        sequence_number: packet.sequence,
        timestamp: packet.timestamp,
        ssrc: packet.ssrc,
        ..Default::default()
    };
    let mut bytes = [0; HEADER_BYTES];
    header.marshal_to(&mut bytes).expect("a header without optional parts is 12 bytes");
    bytes
}

/// The whole packet in one buffer, for test callers and captures.
pub fn encode(packet: &Packet) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEADER_BYTES + packet.payload.len());
    bytes.extend_from_slice(&header(packet));
    bytes.extend_from_slice(&packet.payload);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Packet {
        Packet {
            payload_type: 8,
            marker: true,
            sequence: 0xfffe,
            timestamp: 0x1234_5678,
            ssrc: 0xdead_beef,
            payload: Bytes::from_static(&[7; 160]),
        }
    }

    fn bytes_of(packet: &Packet) -> BytesMut {
        BytesMut::from(encode(packet).as_ref())
    }

    #[test]
    fn a_packet_reads_back_what_was_written() {
        assert_eq!(parse(bytes_of(&packet())), Ok(packet()));
    }

    #[test]
    fn the_payload_views_the_datagram() {
        let datagram = bytes_of(&packet());
        let at = datagram.as_ptr() as usize + HEADER_BYTES;
        assert_eq!(parse(datagram).unwrap().payload.as_ptr() as usize, at);
    }

    #[test]
    fn contributing_sources_and_extensions_are_cut_away() {
        let mut datagram = bytes_of(&packet()).split_to(HEADER_BYTES);
        datagram[0] |= 0x10 | 2;
        datagram.extend_from_slice(&[9; 8]); // two sources
        datagram.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x1f, 1, 2, 3]); // element overruns block
        datagram.extend_from_slice(&[7; 160]);
        assert_eq!(parse(datagram), Ok(packet()));
    }

    #[test]
    fn an_extension_longer_than_the_datagram_is_short() {
        let mut datagram = bytes_of(&packet());
        datagram[0] |= 0x10;
        datagram[14..16].copy_from_slice(&40_u16.to_be_bytes());
        assert_eq!(parse(datagram), Err(WireError::Short { bytes: 172 }));
        let mut datagram = bytes_of(&packet()).split_to(HEADER_BYTES);
        datagram[0] |= 0x10;
        assert_eq!(parse(datagram), Err(WireError::Short { bytes: 12 }));
    }

    #[test]
    fn padding_is_taken_off_and_checked() {
        let padded = |count: u8| {
            let mut datagram = bytes_of(&packet());
            datagram[0] |= 0x20;
            datagram.extend_from_slice(&[0, 0, 0, count]);
            parse(datagram)
        };
        assert_eq!(padded(4), Ok(packet()));
        assert_eq!(padded(164).map(|p| p.payload.len()), Ok(0));
        assert_eq!(padded(165), Err(WireError::Padding));
        assert_eq!(padded(0), Err(WireError::Padding));
    }

    #[test]
    fn the_longest_payload_is_taken_and_one_more_is_not() {
        let of = |len| {
            let payload = Bytes::from(vec![1; len]);
            parse(bytes_of(&Packet { payload, ..packet() })).map(|p| p.payload.len())
        };
        assert_eq!(of(PAYLOAD_BYTES_MAX), Ok(PAYLOAD_BYTES_MAX));
        assert_eq!(of(PAYLOAD_BYTES_MAX + 1), Err(WireError::Oversize));
        assert_eq!(of(DATAGRAM_BYTES_MAX), Err(WireError::Oversize));
    }

    #[test]
    fn other_protocols_are_refused() {
        assert_eq!(parse(BytesMut::new()), Err(WireError::Short { bytes: 0 }));
        assert_eq!(parse(BytesMut::from(&[0x80; 11][..])), Err(WireError::Short { bytes: 11 }));
        assert_eq!(parse(BytesMut::from(&[0x40; 12][..])), Err(WireError::Version { version: 1 }));
        let mut report = BytesMut::from(&[0x80; 28][..]);
        report[1] = 201;
        assert_eq!(parse(report), Err(WireError::Rtcp { packet_type: 201 }));
    }
}
