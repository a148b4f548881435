//! Reading sockets: the one place that would change for another way of receiving.
//!
//! In: sockets to watch. Out: datagrams with their source, in slabs. [`Readiness`] runs anywhere:
//! it asks the kernel once per tick which sockets have something (level-triggered epoll) and reads
//! each with one `recvfrom`. Where the kernel allows it, [`Steered`](super::steered::Steered) or
//! [`Multishot`](super::multishot::Multishot) takes its place behind [`Receive`]. Every source is seen, so third parties are counted rather
//! than filtered. Knows nothing of RTP.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use bytes::BytesMut;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::slab::Slabs;
use crate::limits::EVENTS_MAX;

/// Names a watched socket; small numbers, used again after [`Receive::forget`].
pub type Token = usize;

/// One datagram.
#[derive(Debug)]
pub struct Datagram {
    /// Which socket it came in on.
    pub token: Token,
    /// Who sent it.
    pub source: SocketAddr,
    /// Its bytes; a datagram of `DATAGRAM_BYTES_MAX` bytes may have been longer.
    pub bytes: BytesMut,
}

/// Who takes what is received. Closures do.
pub trait Take {
    /// A datagram of this socket is among the next: what it needs may be fetched into the cache.
    fn expect(&self, _token: Token) {}

    /// The same once more, when what [`Take::expect`] asked for has come: what that points to may
    /// be fetched now.
    fn expect_further(&self, _token: Token) {}

    /// Takes a datagram.
    fn take(&mut self, datagram: Datagram);
}

impl<F: FnMut(Datagram)> Take for F {
    fn take(&mut self, datagram: Datagram) {
        self(datagram);
    }
}

/// A way to read many UDP sockets from one thread.
pub trait Receive {
    /// Watches a non-blocking socket.
    fn watch(&mut self, token: Token, socket: Rc<UdpSocket>) -> io::Result<()>;

    /// Stops watching.
    fn forget(&mut self, token: Token);

    /// Hands over what has arrived, at most `datagrams_max`, without waiting. Returns how many.
    fn drain(&mut self, datagrams_max: usize, take: &mut dyn Take) -> usize;

    /// Slabs made so far and slabs that are pinned by views.
    fn slabs(&self) -> (u64, usize);

    /// Datagrams that the kernel dropped so far at sockets of the receiver's own, not at those that
    /// it watches.
    fn dropped(&self) -> u64 {
        0
    }
}

/// Level-triggered epoll and one `recvfrom` per datagram.
pub struct Readiness {
    epoll: OwnedFd,
    sockets: Vec<Option<Rc<UdpSocket>>>,
    events: Vec<epoll::Event>,
    slabs: Slabs,
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness").field("slabs", &self.slabs).finish_non_exhaustive()
    }
}

impl Readiness {
    /// A receiver without sockets.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            sockets: Vec::new(),
            events: Vec::with_capacity(EVENTS_MAX),
            slabs: Slabs::default(),
        })
    }

    fn read(&mut self, token: Token, take: &mut dyn Take) -> bool {
        let Some(Some(socket)) = self.sockets.get(token) else { return false };
        // Any error means "nothing to read here now": an ICMP error that the socket reports was
        // consumed by reading it, and a broken socket is closed with its call.
        let Ok((len, source)) = socket.recv_from(self.slabs.room()) else { return false };
        take.take(Datagram { token, source, bytes: self.slabs.take(len) });
        true
    }
}

impl Receive for Readiness {
    fn watch(&mut self, token: Token, socket: Rc<UdpSocket>) -> io::Result<()> {
        epoll::add(
            &self.epoll,
            &*socket,
            epoll::EventData::new_u64(token as u64),
            epoll::EventFlags::IN,
        )?;
        if self.sockets.len() <= token {
            self.sockets.resize(token + 1, None);
        }
        self.sockets[token] = Some(socket);
        Ok(())
    }

    fn forget(&mut self, token: Token) {
        if let Some(socket) = self.sockets.get_mut(token).and_then(Option::take) {
            // Closing the socket would do the same; a failure leaves nothing to repair.
            let _ = epoll::delete(&self.epoll, &*socket);
        }
    }

    fn drain(&mut self, datagrams_max: usize, take: &mut dyn Take) -> usize {
        let mut taken = 0;
        let mut events = std::mem::take(&mut self.events);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        while taken < datagrams_max {
            events.clear();
            let ready = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&now));
            if !ready.is_ok_and(|count| count > 0) {
                break;
            }
            let before = taken;
            for event in &events {
                let token = event.data.u64() as usize;
                taken += usize::from(self.read(token, take));
            }
            if taken == before {
                break;
            }
        }
        self.events = events;
        taken
    }

    fn slabs(&self) -> (u64, usize) {
        (self.slabs.made(), self.slabs.pinned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rtp::multishot::Multishot;
    use crate::rtp::steered::Steered;
    use crate::sys::steer::{Range, Steering};

    fn socket() -> (Rc<UdpSocket>, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        (Rc::new(socket), address)
    }

    /// Every way to receive keeps the same promises.
    fn each_way(test: impl Fn(&mut dyn Receive)) {
        test(&mut Readiness::new().unwrap());
        test(&mut Multishot::new().unwrap());
        // Who may not attach programs has seen the refusal in the tests of `sys::steer`.
        let range = Range { first: 1_024, last: u16::MAX, shards: 1 };
        if let Ok(steering) = Steering::attach(range) {
            test(&mut Steered::new(Arc::new(steering), 0, 64 << 20).unwrap());
        }
    }

    #[test]
    fn every_datagram_of_every_socket_is_handed_over_once() {
        each_way(|receive| {
            let (one, to_one) = socket();
            let (two, to_two) = socket();
            receive.watch(0, one).unwrap();
            receive.watch(5, two).unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            for number in 0..20_u8 {
                let to = if number % 2 == 0 { to_one } else { to_two };
                sender.send_to(&[number], to).unwrap();
            }
            let mut got = Vec::new();
            let taken = receive.drain(100, &mut |d: Datagram| {
                got.push((d.token, d.bytes[0], d.source));
            });
            assert_eq!(taken, 20);
            got.sort_unstable();
            let from = sender.local_addr().unwrap();
            let want: Vec<_> = (0..20).step_by(2).map(|n| (0, n, from)).collect();
            assert_eq!(got[..10], want);
            assert_eq!(receive.drain(100, &mut |_: Datagram| ()), 0);
        });
    }

    #[test]
    fn a_forgotten_socket_is_not_read_and_its_token_serves_the_next() {
        each_way(|receive| {
            let (one, to_one) = socket();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            receive.watch(3, one).unwrap();
            sender.send_to(&[1], to_one).unwrap();
            receive.forget(3);
            sender.send_to(&[2], to_one).unwrap();
            assert_eq!(receive.drain(100, &mut |_: Datagram| ()), 0);
            let (two, to_two) = socket();
            receive.watch(3, two).unwrap();
            sender.send_to(&[3], to_two).unwrap();
            let mut got = Vec::new();
            receive.drain(100, &mut |datagram: Datagram| {
                got.push((datagram.token, datagram.bytes[0]));
            });
            assert_eq!(got, [(3, 3)]);
        });
    }

    #[test]
    fn an_empty_datagram_does_not_end_receiving() {
        each_way(|receive| {
            let (one, to_one) = socket();
            receive.watch(0, one).unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            for round in 0..3 {
                for len in [0, 2, 0, 0, 1] {
                    sender.send_to(&vec![0; len], to_one).unwrap();
                }
                let mut got = Vec::new();
                receive.drain(100, &mut |datagram: Datagram| got.push(datagram.bytes.len()));
                assert_eq!(got, [0, 2, 0, 0, 1], "{round}");
            }
        });
    }

    #[test]
    fn a_drain_takes_no_more_than_it_may_and_the_next_goes_on() {
        each_way(|receive| {
            let (one, to_one) = socket();
            receive.watch(0, one).unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            for number in 0..30_u8 {
                sender.send_to(&[number], to_one).unwrap();
            }
            let mut got = Vec::new();
            for want in [7, 7, 16, 0] {
                let max = if want == 7 { 7 } else { 100 };
                assert_eq!(
                    receive.drain(max, &mut |datagram: Datagram| got.push(datagram.bytes[0])),
                    want
                );
            }
            assert_eq!(got, (0..30).collect::<Vec<_>>());
        });
    }

    #[test]
    fn thousands_of_sockets_lose_nothing_over_many_rounds() {
        each_way(|receive| {
            let sockets: Vec<_> = (0..2_000).map(|_| socket()).collect();
            for (token, (socket, _)) in sockets.iter().enumerate() {
                receive.watch(token, Rc::clone(socket)).unwrap();
            }
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            for round in 0..5_u8 {
                for (_, to) in &sockets {
                    sender.send_to(&[round], *to).unwrap();
                    sender.send_to(&[round], *to).unwrap();
                }
                let mut counts = vec![0; sockets.len()];
                receive.drain(usize::MAX, &mut |datagram: Datagram| {
                    assert_eq!(datagram.bytes[0], round);
                    counts[datagram.token] += 1;
                });
                assert!(counts.iter().all(|count| *count == 2));
            }
        });
    }
}
