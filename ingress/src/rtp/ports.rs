//! RTP port pairs and their sockets.
//!
//! In: a shard's part of the range, a local address. Out: bound pairs (RTP even, RTCP odd above,
//! RFC 3550 §11) and, later, the pair back. The order is shuffled at start so that ports cannot be
//! guessed, and a freed pair goes to the end, so that late packets of a call do not reach the next.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use rand::seq::SliceRandom;
use socket2::{Domain, Protocol, Socket, Type};

use super::config::RtpConfig;
use crate::limits::BIND_TRIES_MAX;
use crate::media::AdmissionError;

/// Expedited forwarding (RFC 3246) in the IP header's traffic class: voice goes first.
const TRAFFIC_CLASS: u32 = 0xb8;

/// The free pairs of one shard.
#[derive(Debug)]
pub(super) struct Ports {
    free: VecDeque<u16>,
    receive_buffer_bytes: usize,
}

/// Two bound sockets.
#[derive(Debug)]
pub(super) struct Pair {
    /// The RTP port.
    pub(super) port: u16,
    /// Bound to it.
    pub(super) rtp: UdpSocket,
    /// Bound to the port above.
    pub(super) rtcp: UdpSocket,
}

impl Ports {
    /// The pairs of shard `shard`: every `shards`-th one of the range.
    pub(super) fn new(config: &RtpConfig, shard: u16) -> Self {
        let step = 2 * usize::from(config.shards);
        let first = config.port_first + 2 * shard;
        let mut ports: Vec<u16> = (first..config.port_last).step_by(step).collect();
        ports.shuffle(&mut rand::rng());
        Self { free: ports.into(), receive_buffer_bytes: config.receive_buffer_bytes }
    }

    /// Binds a free pair on `local`. Pairs that another program holds are passed over.
    pub(super) fn open(&mut self, local: IpAddr) -> Result<Pair, AdmissionError> {
        for _ in 0..BIND_TRIES_MAX.min(self.free.len()) {
            let Some(port) = self.free.pop_front() else { break };
            match self.bind_pair(local, port) {
                Ok(pair) => return Ok(pair),
                Err(error) => {
                    self.free.push_back(port);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        return Err(AdmissionError::Socket { why: error.to_string() });
                    }
                }
            }
        }
        Err(AdmissionError::NoPort)
    }

    /// Takes a pair back; its sockets must be closed.
    pub(super) fn close(&mut self, port: u16) {
        self.free.push_back(port);
    }

    fn bind_pair(&self, local: IpAddr, port: u16) -> io::Result<Pair> {
        Ok(Pair {
            port,
            rtp: bind(SocketAddr::new(local, port), Some(self.receive_buffer_bytes))?,
            rtcp: bind(SocketAddr::new(local, port + 1), None)?,
        })
    }
}

fn bind(address: SocketAddr, receive_buffer_bytes: Option<usize>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if let Some(bytes) = receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    // A network that forbids the traffic class still carries the call.
    let _ = match address {
        SocketAddr::V4(_) => socket.set_tos_v4(TRAFFIC_CLASS),
        SocketAddr::V6(_) => {
            socket.set_only_v6(true).and_then(|()| socket.set_tclass_v6(TRAFFIC_CLASS))
        }
    };
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn config(shards: u16) -> RtpConfig {
        RtpConfig { shards, port_first: 31_000, port_last: 31_019, ..RtpConfig::default() }
    }

    #[test]
    fn shards_share_the_range_without_overlap() {
        let mut all: Vec<u16> =
            (0..3).flat_map(|shard| Ports::new(&config(3), shard).free).collect();
        all.sort_unstable();
        assert_eq!(all, (31_000..31_020).step_by(2).collect::<Vec<_>>());
    }

    #[test]
    fn a_freed_pair_is_used_last() {
        let mut ports = Ports::new(&config(1), 0);
        let pair = ports.open(Ipv4Addr::LOCALHOST.into()).unwrap();
        let port = pair.port;
        drop(pair);
        ports.close(port);
        assert_eq!(ports.free.back(), Some(&port));
    }

    #[test]
    fn a_pair_in_use_is_passed_over_and_an_empty_range_is_refused() {
        let mut ports = Ports::new(&config(1), 0);
        let taken = ports.free[0];
        let _other = UdpSocket::bind((Ipv4Addr::LOCALHOST, taken + 1)).unwrap();
        let mut pairs = Vec::new();
        let refusal = loop {
            match ports.open(Ipv4Addr::LOCALHOST.into()) {
                Ok(pair) => pairs.push(pair),
                Err(error) => break error,
            }
        };
        assert_eq!(refusal, AdmissionError::NoPort);
        assert!(pairs.iter().all(|pair| pair.port != taken));
    }
}
