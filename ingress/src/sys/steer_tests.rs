//! Steering with real sockets. Who may not attach programs (no root) sees that instead: the
//! refusal must then be one of permission, for which the probe has a remedy. Ports lie below those
//! that the kernel gives to whoever asks for any.

use super::super::addressed::AddressedInbox;
use super::*;

/// Steering of some ports, unless this machine forbids it.
fn steering(first: u16, shards: u16) -> Option<Steering> {
    match Steering::attach(Range { first, last: first + 9, shards }) {
        Ok(steering) => Some(steering),
        Err(error) => {
            let known = [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EINVAL];
            assert!(error.raw_os_error().is_some_and(|code| known.contains(&code)), "{error}");
            None
        }
    }
}

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// What came: its port and first octet.
fn came(socket: &UdpSocket) -> Vec<(u16, u8)> {
    let mut inbox = AddressedInbox::new(64, 256);
    let _ = inbox.receive(socket, 64);
    inbox.datagrams().map(|datagram| (datagram.local_port, datagram.bytes[0])).collect()
}

#[test]
fn ports_in_use_come_out_of_their_shards_socket_and_others_do_not() {
    for (local, first) in [("127.0.0.1", 31_100), ("::1", 31_200)] {
        let Some(steering) = steering(first, 2) else { return };
        let local: IpAddr = local.parse().unwrap();
        let any = SocketAddr::new(local, 0).to_string();
        let shards = [socket(&any), socket(&any)];
        for (shard, socket) in shards.iter().enumerate() {
            crate::sys::addressed::tell_local_ports(socket).unwrap();
            steering.receive_by(shard as u16, socket).unwrap();
        }
        let own: Vec<_> = (first..first + 10)
            .map(|port| socket(&SocketAddr::new(local, port).to_string()))
            .collect();
        // Shard 0 has the ports 0, 1, 4, 5, …; the last two stay closed.
        for port in first..first + 8 {
            steering.open(SocketAddr::new(local, port)).unwrap();
        }
        steering.close(first + 1).unwrap();
        let sender = socket(&any);
        for n in 0..10_u8 {
            let to = SocketAddr::new(local, first + u16::from(n));
            sender.send_to(&[n], to).unwrap();
        }
        let want =
            |all: &[u8]| -> Vec<_> { all.iter().map(|n| (first + u16::from(*n), *n)).collect() };
        assert_eq!(came(&shards[0]), want(&[0, 4, 5]));
        assert_eq!(came(&shards[1]), want(&[2, 3, 6, 7]));
        for (n, own) in own.iter().enumerate() {
            let kept = own.recv(&mut [0; 16]).is_ok();
            assert_eq!(kept, [1, 8, 9].contains(&n), "port {n} of {local}");
        }
        drop(steering);
        sender.send_to(&[0], SocketAddr::new(local, first)).unwrap();
        assert!(own[0].recv(&mut [0; 16]).is_ok(), "what steered is gone");
    }
}

#[test]
fn the_same_port_of_another_address_is_not_touched() {
    let Some(steering) = steering(31_300, 1) else { return };
    let shard = socket("127.0.0.1:0");
    steering.receive_by(0, &shard).unwrap();
    steering.open("127.0.0.1:31300".parse().unwrap()).unwrap();
    let other = socket("127.0.0.2:31300");
    socket("127.0.0.1:0").send_to(b"x", "127.0.0.2:31300").unwrap();
    assert!(other.recv(&mut [0; 16]).is_ok());
    assert!(shard.recv(&mut [0; 16]).is_err());
}

#[test]
fn a_port_outside_the_range_is_an_error() {
    let Some(steering) = steering(31_400, 1) else { return };
    assert!(steering.open("127.0.0.1:31399".parse().unwrap()).is_err());
    assert!(steering.close(31_410).is_err());
    assert!(steering.close(31_409).is_ok());
}
