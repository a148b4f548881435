//! Captures of RTP streams (pcap files) for SIPp to play and for `rusuden transcribe` to read.

use std::io::Write as _;
use std::path::Path;

/// One RTP packet to be.
#[derive(Debug, Clone)]
pub struct RtpPayload {
    /// RTP payload type.
    pub payload_type: u8,
    /// Clock ticks that it covers.
    pub ticks: u32,
    /// Payload.
    pub octets: Vec<u8>,
}

/// Writes a classic pcap file (Ethernet, IPv4, UDP 127.0.0.1:30000 → 30002) with one packet every
/// 20 ms.
pub fn write_pcap(path: &Path, payloads: &[RtpPayload]) {
    let mut out = Vec::new();
    out.extend_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    out.extend_from_slice(&[2, 0, 4, 0]);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&65_535_u32.to_le_bytes());
    out.extend_from_slice(&1_u32.to_le_bytes());
    let mut timestamp = 160_u32;
    for (index, payload) in payloads.iter().enumerate() {
        let frame = ethernet(&rtp(payload, index as u16, timestamp));
        let micros = index as u64 * 20_000;
        out.extend_from_slice(&((1_700_000_000 + micros / 1_000_000) as u32).to_le_bytes());
        out.extend_from_slice(&((micros % 1_000_000) as u32).to_le_bytes());
        out.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        out.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        out.extend_from_slice(&frame);
        timestamp = timestamp.wrapping_add(payload.ticks);
    }
    std::fs::File::create(path).unwrap().write_all(&out).unwrap();
}

/// An RTP packet (RFC 3550 §5.1).
pub fn rtp(payload: &RtpPayload, sequence: u16, timestamp: u32) -> Vec<u8> {
    let mut packet = vec![0x80, payload.payload_type & 0x7f];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&0x1234_5678_u32.to_be_bytes());
    packet.extend_from_slice(&payload.octets);
    packet
}

fn ethernet(udp_payload: &[u8]) -> Vec<u8> {
    let udp_bytes = (udp_payload.len() + 8) as u16;
    let ip_bytes = udp_bytes + 20;
    let mut frame = vec![0; 12];
    frame.extend_from_slice(&[0x08, 0x00]);
    let mut ip = vec![0x45, 0];
    ip.extend_from_slice(&ip_bytes.to_be_bytes());
    ip.extend_from_slice(&[0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend_from_slice(&ip);
    frame.extend_from_slice(&30_000_u16.to_be_bytes());
    frame.extend_from_slice(&30_002_u16.to_be_bytes());
    frame.extend_from_slice(&udp_bytes.to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(udp_payload);
    frame
}
