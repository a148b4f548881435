//! Receiving by steering: [`Receive`] over two sockets, whatever the number of calls.
//!
//! In: sockets to watch, whose ports the kernel steers to the shard's own. Out: datagrams in
//! slabs. The calls' sockets hold their ports and send; they are never read. Each datagram is
//! copied once, from the inbox into a slab, so that the inbox stays in the cache. Knows nothing of
//! RTP.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

use super::receive::{Datagram, Receive, Take, Token};
use super::slab::Slabs;
use crate::limits::{DATAGRAM_BYTES_MAX, STEERED_BATCH};
use crate::sys::addressed::{Addressed, AddressedInbox, tell_local_ports};
use crate::sys::{socket, steer::Steering};

/// The two sockets of one shard.
#[derive(Debug)]
pub struct Steered {
    steering: Arc<Steering>,
    sockets: Vec<UdpSocket>,
    inbox: AddressedInbox,
    /// Port → token, or [`NOBODY`]. Four octets each: looked up for every datagram.
    tokens: Box<[u32]>,
    /// Token → port.
    ports: Vec<Option<u16>>,
    slabs: Slabs,
}

impl Steered {
    /// A receiver for a shard, whose sockets hold up to `buffer_bytes` that nobody has read yet.
    pub fn new(steering: Arc<Steering>, shard: u16, buffer_bytes: usize) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for local in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
            let socket = match UdpSocket::bind(SocketAddr::new(local, 0)) {
                Ok(socket) => socket,
                // A machine without IPv6 has no calls over it.
                Err(_) if local.is_ipv6() => continue,
                Err(error) => return Err(error),
            };
            socket.set_nonblocking(true)?;
            socket::set_receive_buffer(&socket, buffer_bytes)?;
            tell_local_ports(&socket)?;
            steering.receive_by(shard, &socket)?;
            sockets.push(socket);
        }
        Ok(Self {
            steering,
            sockets,
            inbox: AddressedInbox::new(STEERED_BATCH, DATAGRAM_BYTES_MAX),
            tokens: vec![NOBODY; usize::from(u16::MAX) + 1].into_boxed_slice(),
            ports: Vec::new(),
            slabs: Slabs::default(),
        })
    }
}

impl Receive for Steered {
    fn watch(&mut self, token: Token, socket: Rc<UdpSocket>) -> io::Result<()> {
        let local = socket.local_addr()?;
        self.steering.open(local)?;
        if self.ports.len() <= token {
            self.ports.resize(token + 1, None);
        }
        self.ports[token] = Some(local.port());
        let narrow = u32::try_from(token).expect("there are fewer sockets than 2³²");
        self.tokens[usize::from(local.port())] = narrow;
        Ok(())
    }

    fn forget(&mut self, token: Token) {
        let Some(port) = self.ports.get_mut(token).and_then(Option::take) else { return };
        self.tokens[usize::from(port)] = NOBODY;
        if let Err(error) = self.steering.close(port) {
            tracing::warn!(port, %error, "A port could not be taken out of the steering.");
        }
    }

    fn drain(&mut self, datagrams_max: usize, take: &mut dyn Take) -> usize {
        let Self { sockets, inbox, tokens, slabs, .. } = self;
        let (mut taken, mut looked) = (0, 0);
        for socket in sockets {
            while looked < datagrams_max {
                // Any error means "nothing to read here now".
                let Ok(came) = inbox.receive(socket, datagrams_max - looked) else { break };
                looked += came;
                let token_of = |datagram: &Addressed<'_>| {
                    let token = tokens[usize::from(datagram.local_port)];
                    // What was on its way when its call ended is nobody's.
                    (token != NOBODY).then_some(token as Token)
                };
                for token in inbox.datagrams().filter_map(|datagram| token_of(&datagram)) {
                    take.expect(token);
                }
                for token in inbox.datagrams().filter_map(|datagram| token_of(&datagram)) {
                    take.expect_further(token);
                }
                for datagram in inbox.datagrams() {
                    let Some(token) = token_of(&datagram) else { continue };
                    slabs.room()[..datagram.bytes.len()].copy_from_slice(datagram.bytes);
                    let bytes = slabs.take(datagram.bytes.len());
                    take.take(Datagram { token, source: datagram.source, bytes });
                    taken += 1;
                }
                if came < inbox.len_max() {
                    break;
                }
            }
        }
        taken
    }

    fn slabs(&self) -> (u64, usize) {
        (self.slabs.made(), self.slabs.pinned())
    }

    fn dropped(&self) -> u64 {
        let each = self.sockets.iter().filter_map(|socket| socket::dropped(socket).ok());
        each.map(u64::from).sum()
    }
}

/// A port that no call has.
const NOBODY: u32 = u32::MAX;
