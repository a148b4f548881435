//! UDP datagrams out of a capture file, in order of the file.
//!
//! In: pcap or pcapng bytes. Out: datagrams with addresses and capture time. Fragments, TCP and
//! anything damaged are passed over: a capture is what somebody managed to catch.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use engine_core::time::Instant;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

use super::CaptureError;

/// Room for the longest block; larger blocks end the reading.
const READER_BYTES: usize = 1 << 20;

/// One UDP datagram.
#[derive(Debug)]
pub(super) struct Datagram<'a> {
    /// When it was captured, from the Unix epoch.
    pub(super) at: Instant,
    /// Who sent it.
    pub(super) source: SocketAddr,
    /// To whom.
    pub(super) target: SocketAddr,
    /// Its payload, as far as it was captured.
    pub(super) payload: &'a [u8],
}

/// How an interface's packets are to be read.
#[derive(Clone, Copy)]
struct Interface {
    linktype: Linktype,
    /// Ticks of its clock in a second.
    resolution: u64,
    offset_seconds: u64,
}

/// Hands every UDP datagram of the file to `take`.
pub(super) fn datagrams(
    file: &[u8],
    take: &mut dyn FnMut(Datagram<'_>),
) -> Result<(), CaptureError> {
    let unreadable = |why: String| CaptureError::Unreadable { why };
    let mut reader =
        create_reader(READER_BYTES, file).map_err(|error| unreadable(error.to_string()))?;
    let mut interfaces: Vec<Interface> = Vec::new();
    loop {
        match reader.next() {
            Ok((consumed, block)) => {
                if let Some((interface, at, data)) = packet(&block, &mut interfaces) {
                    for_datagram(interface.linktype, at, data, take);
                }
                reader.consume(consumed);
            }
            Err(PcapError::Incomplete(_)) => {
                if reader.refill().is_err() || reader.reader_exhausted() {
                    return Ok(());
                }
            }
            // The end, or damage: what came before it counts.
            Err(_) => return Ok(()),
        }
    }
}

/// The packet in a block, if it has one. Notes interfaces on the way.
fn packet<'a>(
    block: &'a PcapBlockOwned<'_>,
    interfaces: &mut Vec<Interface>,
) -> Option<(Interface, Instant, &'a [u8])> {
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            let resolution =
                if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
            interfaces.clear();
            interfaces.push(Interface { linktype: header.network, resolution, offset_seconds: 0 });
            None
        }
        PcapBlockOwned::Legacy(packet) => {
            let interface = *interfaces.first()?;
            let seconds = u64::from(packet.ts_sec);
            let at = instant(seconds, u64::from(packet.ts_usec), interface.resolution);
            Some((interface, at, packet.data))
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            None
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
            interfaces.push(Interface {
                linktype: description.linktype,
                resolution: description.ts_resolution().filter(|&r| r > 0).unwrap_or(1_000_000),
                offset_seconds: u64::try_from(description.if_tsoffset).unwrap_or(0),
            });
            None
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let interface = *interfaces.get(packet.if_id as usize)?;
            let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            let seconds = (ticks / interface.resolution).saturating_add(interface.offset_seconds);
            let at = instant(seconds, ticks % interface.resolution, interface.resolution);
            let data = packet.data.get(..packet.caplen as usize).unwrap_or(packet.data);
            Some((interface, at, data))
        }
        PcapBlockOwned::NG(_) => None,
    }
}

fn instant(seconds: u64, fraction: u64, resolution: u64) -> Instant {
    let nanos = u128::from(fraction) * 1_000_000_000 / u128::from(resolution);
    let span = Duration::from_secs(seconds) + Duration::from_nanos(nanos as u64);
    Instant::default() + span
}

fn for_datagram(linktype: Linktype, at: Instant, data: &[u8], take: &mut dyn FnMut(Datagram<'_>)) {
    let Some(ip) = network_packet(linktype, data) else { return };
    let Some((source, target, udp)) = udp_of(ip) else { return };
    let Some(header) = udp.first_chunk::<8>() else { return };
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    // The frame may carry padding behind the datagram.
    let end = usize::from(port(4)).clamp(8, udp.len());
    take(Datagram {
        at,
        source: SocketAddr::new(source, port(0)),
        target: SocketAddr::new(target, port(2)),
        payload: &udp[8..end],
    });
}

/// Takes the link layer off.
fn network_packet(linktype: Linktype, data: &[u8]) -> Option<&[u8]> {
    match linktype {
        Linktype::ETHERNET => {
            let mut at = 12;
            // IEEE 802.1Q and 802.1ad tags, at most two.
            while at <= 16 && matches!(data.get(at..at + 2)?, [0x81, 0x00] | [0x88, 0xa8]) {
                at += 4;
            }
            data.get(at + 2..)
        }
        Linktype::LINUX_SLL => data.get(16..),
        Linktype(276) => data.get(20..),
        Linktype::NULL | Linktype::LOOP => data.get(4..),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 | Linktype(12 | 14) => Some(data),
        _ => None,
    }
}

/// Addresses and UDP part of an IP packet; `None` for anything else, and for fragments.
fn udp_of(ip: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    const UDP: u8 = 17;
    match ip.first()? >> 4 {
        4 => {
            let header = ip.first_chunk::<20>()?;
            let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
            if header[9] != UDP || fragment != 0 {
                return None;
            }
            let address = |at: usize| {
                IpAddr::from(Ipv4Addr::new(
                    header[at],
                    header[at + 1],
                    header[at + 2],
                    header[at + 3],
                ))
            };
            Some((address(12), address(16), ip.get(usize::from(header[0] & 0x0f) * 4..)?))
        }
        6 => {
            let header = ip.first_chunk::<40>()?;
            if header[6] != UDP {
                return None;
            }
            let address = |at: usize| {
                let octets: [u8; 16] = header[at..at + 16].try_into().ok()?;
                Some(IpAddr::from(Ipv6Addr::from(octets)))
            };
            Some((address(8)?, address(24)?, &ip[40..]))
        }
        _ => None,
    }
}
