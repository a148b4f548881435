//! Receiving by the ring: [`Receive`] over multishot requests.
//!
//! In: sockets to watch. Out: datagrams in slabs. Each datagram is copied once, from the ring's
//! buffer into a slab, and the buffer goes back at once: 172 octets cost less to copy than a
//! reference count of their own costs to allocate, few buffers stay hot in the cache, and a
//! payload that is held long pins a slab, never the ring. Registered files would save nothing: a
//! multishot request looks its file up once in its life. Knows nothing of RTP.

use std::io;
use std::net::UdpSocket;
use std::rc::Rc;

use super::receive::{Datagram, Receive, Take, Token};
use super::slab::Slabs;
use crate::sys::ring::{Completion, RingError, UdpRing};

/// The ring of one shard.
#[derive(Debug)]
pub struct Multishot {
    ring: UdpRing,
    watched: Vec<Watched>,
    /// Tokens whose request has ended and must be armed again.
    ended: Vec<u64>,
    slabs: Slabs,
}

#[derive(Debug, Clone, Default)]
struct Watched {
    socket: Option<Rc<UdpSocket>>,
    /// Grows with each use of the token, so that what is left of the last use is told apart.
    uses: u32,
}

impl Multishot {
    /// A receiver without sockets, for the current thread.
    pub fn new() -> Result<Self, RingError> {
        Ok(Self {
            ring: UdpRing::new()?,
            watched: Vec::new(),
            ended: Vec::new(),
            slabs: Slabs::default(),
        })
    }

    fn key(token: Token, uses: u32) -> u64 {
        u64::from(uses) << 32 | token as u64
    }

    fn arm_again(&mut self) {
        for key in std::mem::take(&mut self.ended) {
            let token = (key & u64::from(u32::MAX)) as Token;
            let Some(watched) = self.watched.get(token) else { continue };
            let Some(socket) = &watched.socket else { continue };
            // One that cannot be armed now is tried again with the next look.
            if Self::key(token, watched.uses) == key && self.ring.receive(&**socket, key).is_err() {
                self.ended.push(key);
            }
        }
    }
}

impl Receive for Multishot {
    fn watch(&mut self, token: Token, socket: Rc<UdpSocket>) -> io::Result<()> {
        if self.watched.len() <= token {
            self.watched.resize(token + 1, Watched::default());
        }
        let watched = &mut self.watched[token];
        watched.uses = (watched.uses + 1) & USES_MASK;
        self.ring.receive(&*socket, Self::key(token, watched.uses))?;
        watched.socket = Some(socket);
        Ok(())
    }

    fn forget(&mut self, token: Token) {
        let Some(watched) = self.watched.get_mut(token) else { return };
        if watched.socket.take().is_some() {
            let key = Self::key(token, watched.uses);
            // The request's end comes with the others and is passed over.
            if let Err(error) = self.ring.cancel(key) {
                tracing::warn!(%error, "A socket's receiving could not be cancelled.");
            }
        }
    }

    fn drain(&mut self, datagrams_max: usize, take: &mut dyn Take) -> usize {
        let mut taken = 0;
        while taken < datagrams_max {
            self.arm_again();
            let entered = self.ring.enter();
            let before = taken;
            let Self { ring, watched, ended, slabs } = self;
            ring.reap(datagrams_max - taken, &mut |completion| match completion {
                Completion::Datagram { key, source, bytes } => {
                    let token = (key & u64::from(u32::MAX)) as Token;
                    let uses = watched.get(token).filter(|w| w.socket.is_some()).map(|w| w.uses);
                    if uses.is_some_and(|uses| Self::key(token, uses) == key) {
                        slabs.room()[..bytes.len()].copy_from_slice(bytes);
                        take.take(Datagram { token, source, bytes: slabs.take(bytes.len()) });
                        taken += 1;
                    }
                }
                Completion::Ended { key } => ended.push(key),
            });
            if taken == before || entered.is_err() {
                break;
            }
        }
        taken
    }

    fn slabs(&self) -> (u64, usize) {
        (self.slabs.made(), self.slabs.pinned())
    }
}

/// Keeps keys below the one that the ring uses itself.
const USES_MASK: u32 = 0x7fff_ffff;
