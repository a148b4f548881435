//! Tests of the ring over real loopback sockets.

use std::net::UdpSocket;

use super::*;

fn bound(address: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

type Seen = (Vec<(u64, SocketAddr, Vec<u8>)>, Vec<u64>);

/// Everything that comes until nothing more does.
fn all(ring: &mut UdpRing) -> Seen {
    let (mut datagrams, mut ended) = (Vec::new(), Vec::new());
    loop {
        ring.enter().unwrap();
        let reaped = ring.reap(usize::MAX, &mut |completion| match completion {
            Completion::Datagram { key, source, bytes } => {
                datagrams.push((key, source, bytes.to_vec()));
            }
            Completion::Ended { key } => ended.push(key),
        });
        if reaped == 0 {
            return (datagrams, ended);
        }
    }
}

#[test]
fn datagrams_come_with_their_key_source_and_bytes_in_both_families() {
    let mut ring = UdpRing::new().unwrap();
    for (key, local) in [(1, "127.0.0.1:0"), (2, "[::1]:0")] {
        let (socket, to) = bound(local);
        let (sender, from) = bound(local);
        ring.receive(&socket, key).unwrap();
        sender.send_to(b"one", to).unwrap();
        sender.send_to(b"", to).unwrap();
        // Kernels may end the request with an empty datagram; it is handed over all the same.
        let (datagrams, _) = all(&mut ring);
        assert_eq!(datagrams, [(key, from, b"one".to_vec()), (key, from, Vec::new())]);
    }
}

#[test]
fn the_longest_datagram_is_whole_and_a_longer_one_is_cut() {
    let mut ring = UdpRing::new().unwrap();
    let (socket, to) = bound("127.0.0.1:0");
    let (sender, _) = bound("127.0.0.1:0");
    ring.receive(&socket, 1).unwrap();
    for len in [DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_MAX + 1, 60_000] {
        sender.send_to(&vec![3; len], to).unwrap();
        let (datagrams, _) = all(&mut ring);
        assert_eq!(datagrams[0].2, vec![3; DATAGRAM_BYTES_MAX], "{len}");
    }
}

#[test]
fn buffers_are_used_again_and_again() {
    let mut ring = UdpRing::new().unwrap();
    let (socket, to) = bound("127.0.0.1:0");
    let (sender, _) = bound("127.0.0.1:0");
    ring.receive(&socket, 1).unwrap();
    for number in 0..u32::from(RING_BUFFERS) * 70 {
        sender.send_to(&number.to_le_bytes(), to).unwrap();
        if number % 20 == 19 {
            let (datagrams, ended) = all(&mut ring);
            let got: Vec<_> = datagrams.into_iter().map(|(_, _, bytes)| bytes).collect();
            let want: Vec<_> = (number - 19..=number).map(|n| n.to_le_bytes().to_vec()).collect();
            assert_eq!(got, want);
            assert_eq!(ended, []);
        }
    }
}

#[test]
fn without_buffers_a_request_ends_and_what_waits_comes_when_armed_again() {
    let mut ring = UdpRing::new().unwrap();
    let sockets: Vec<_> = (0..8).map(|_| bound("127.0.0.1:0")).collect();
    let (sender, _) = bound("127.0.0.1:0");
    for (key, (socket, to)) in (0..).zip(&sockets) {
        socket2::SockRef::from(socket).set_recv_buffer_size(1 << 20).unwrap();
        ring.receive(socket, key).unwrap();
        for number in 0..RING_BUFFERS / 4 {
            sender.send_to(&number.to_le_bytes(), to).unwrap();
        }
    }
    // Nothing is reaped between the entries, so the buffers run out.
    for _ in 0..200 {
        ring.enter().unwrap();
    }
    let mut count = 0;
    let mut rounds = 0;
    while count < 8 * usize::from(RING_BUFFERS / 4) {
        let mut ended = Vec::new();
        ring.enter().unwrap();
        ring.reap(usize::MAX, &mut |completion| match completion {
            Completion::Datagram { .. } => count += 1,
            Completion::Ended { key } => ended.push(key),
        });
        for key in ended {
            ring.receive(&sockets[key as usize].0, key).unwrap();
        }
        rounds += 1;
        assert!(rounds < 1_000, "{count} datagrams came");
    }
}

#[test]
fn a_cancelled_socket_tells_its_end_and_its_port_is_free_at_once() {
    let mut ring = UdpRing::new().unwrap();
    let (socket, to) = bound("127.0.0.1:0");
    ring.receive(&socket, 9).unwrap();
    ring.cancel(9).unwrap();
    drop(socket);
    let again = UdpSocket::bind(to).unwrap();
    let (sender, _) = bound("127.0.0.1:0");
    sender.send_to(b"late", again.local_addr().unwrap()).unwrap();
    let (datagrams, ended) = all(&mut ring);
    assert_eq!((datagrams.len(), ended), (0, vec![9]));
}

#[test]
fn a_ring_may_be_dropped_while_datagrams_come() {
    for _ in 0..20 {
        let mut ring = UdpRing::new().unwrap();
        let sockets: Vec<_> = (0..50).map(|_| bound("127.0.0.1:0")).collect();
        let (sender, _) = bound("127.0.0.1:0");
        for (key, (socket, to)) in (0..).zip(&sockets) {
            ring.receive(socket, key).unwrap();
            sender.send_to(b"x", to).unwrap();
        }
        assert!(ring.close(), "the kernel lets go of everything");
    }
}

#[test]
fn addresses_that_are_none_are_refused() {
    assert_eq!(address(&[]), None);
    assert_eq!(address(&[0; 28]), None);
    let mut short = vec![0; 27];
    short[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
    assert_eq!(address(&short), None);
}
