//! Sockets: UDP with room for bursts, TCP with a limit on connections.
//!
//! In: addresses from the configuration. Out: bound sockets with their actual addresses, and TCP
//! connections of trusted peers, handed to rsipstack. Knows nothing of what flows through them.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use rsipstack::sip::Transport;
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transport::tcp::TcpConnection;
use rsipstack::transport::udp::{UdpConnection, UdpInner};
use rsipstack::transport::{SipAddr, SipConnection};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::counters::{Counters, count};
use super::datagram::Datagrams;
use super::server::Shared;

/// A UDP socket on `address`. IPv6 sockets take IPv6 only: each family has its own.
pub(crate) fn udp(address: SocketAddr, receive_buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The system may grant less (net.core.rmem_max); what it grants is enough to start.
    if let Err(error) = socket.set_recv_buffer_size(receive_buffer_bytes) {
        warn!(%error, receive_buffer_bytes, "The SIP receive buffer could not be enlarged.");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Wraps a UDP socket for rsipstack.
pub(crate) async fn udp_connection(
    socket: UdpSocket,
    counters: Arc<Counters>,
    cancel: CancellationToken,
) -> io::Result<SipConnection> {
    let address = socket.local_addr()?;
    let inner = UdpInner {
        conn: Arc::new(Datagrams::new(tokio::net::UdpSocket::from_std(socket)?, counters)),
        addr: SipAddr {
            r#type: Some(Transport::Udp),
            addr: SipConnection::resolve_bind_address(address).into(),
        },
    };
    Ok(SipConnection::Udp(UdpConnection::attach(inner, None, Some(cancel)).await))
}

/// A TCP listener on `address`.
pub(crate) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(512)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections of trusted peers until cancelled. Others are closed before anything is read,
/// so that they take no trunk's place.
pub(crate) async fn accept(
    listener: TcpListener,
    endpoint: EndpointInnerRef,
    shared: Arc<Shared>,
    cancel: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, as a rule: go on when there is one again.
                warn!(%error, "A TCP connection could not be accepted.");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        if !shared.is_trusted(Some(peer)) {
            count(&shared.counters.connections_closed);
            debug!(%peer, "Closed a TCP connection of an unknown peer.");
            continue;
        }
        let connections_max = shared.config.tcp_connections_max;
        if endpoint.transport_layer.connections_count() >= connections_max {
            count(&shared.counters.connections_closed);
            debug!(%peer, connections_max, "Closed a TCP connection: as many as allowed are open.");
            continue;
        }
        let Ok(local) = stream.local_addr() else { continue };
        let local = SipAddr { r#type: Some(Transport::Tcp), addr: local.into() };
        if let Ok(connection) =
            TcpConnection::from_stream(stream, local, Some(cancel.child_token()))
        {
            endpoint.transport_layer.add_connection(SipConnection::Tcp(connection));
        }
    }
}

/// Our address as `peer` reaches it: `bound`, or what the system's routes choose when that is
/// unspecified. Nothing is sent.
pub(crate) fn local_ip(bound: IpAddr, peer: SocketAddr) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    let any: SocketAddr =
        if peer.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let chosen = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(peer)?;
        socket.local_addr()
    });
    chosen.map_or(bound, |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_address_faces_the_peer() {
        let peer: SocketAddr = "127.0.0.1:9".parse().unwrap();
        assert!(local_ip("0.0.0.0".parse().unwrap(), peer).is_loopback());
        let bound: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(local_ip(bound, peer), bound);
    }
}
