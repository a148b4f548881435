//! UDP through one `io_uring`: multishot `recvmsg` into a ring of provided buffers.
//!
//! In: sockets to receive from, under a key. Out: datagrams as borrowed bytes with their source,
//! and the news that a socket's receiving has ended. One request a socket stays armed; the kernel
//! picks a buffer for each datagram; nothing happens until [`UdpRing::enter`], which runs all that
//! has gathered in one system call (`DEFER_TASKRUN`). Knows nothing of RTP, ticks or calls.
//!
//! Why this is sound: the kernel writes only into buffers that lie in the buffer ring. A buffer
//! leaves it with its completion, is lent out as `&[u8]` for the length of one closure, and is put
//! back afterwards; `&mut self` keeps those steps apart. Memory outlives every request: `drop`
//! cancels all and reaps until none is left, and leaks the memory if the kernel does not comply.
#![allow(unsafe_code, reason = "the one module that drives the ring")]

use std::io;
use std::mem::ManuallyDrop;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, CancelBuilder, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::memory::Pages;
use crate::limits::{DATAGRAM_BYTES_MAX, RING_BUFFERS, RING_COMPLETIONS, RING_SUBMISSIONS};

/// Room that the kernel fills before the datagram: its own header and the source's address.
const PREFIX_BYTES: usize = 16 + NAME_BYTES;
/// A `sockaddr_in6`, the longer of the two.
const NAME_BYTES: usize = 28;
/// A buffer; a multiple of a cache line that is no power of two, so that neighbours' first lines
/// do not compete for the same cache set.
const BUFFER_BYTES: usize = (PREFIX_BYTES + DATAGRAM_BYTES_MAX).next_multiple_of(64);
/// The only buffer group of the ring.
const GROUP: u16 = 0;
/// Key of cancellations, whose own results nobody needs.
const NOBODY: u64 = u64::MAX;
/// `IORING_ENTER_GETEVENTS`: run what has gathered.
const GET_EVENTS: u32 = 1;
/// Looks at the ring when it is closed, before its memory is given up for lost.
const CLOSING_LOOKS: usize = 1_000;

/// What came out of the ring.
#[derive(Debug)]
pub enum Completion<'a> {
    /// A datagram.
    Datagram {
        /// The key given to [`UdpRing::receive`].
        key: u64,
        /// Who sent it.
        source: SocketAddr,
        /// Its bytes; cut at `DATAGRAM_BYTES_MAX`.
        bytes: &'a [u8],
    },
    /// The request is over: out of buffers, cancelled, or failed. To go on, arm it again.
    Ended {
        /// The key given to [`UdpRing::receive`].
        key: u64,
    },
}

/// The step of setting up that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// `io_uring_setup` with the flags we need.
    #[error("io_uring_setup: {0}")]
    SetUp(#[source] io::Error),
    /// The ring of provided buffers.
    #[error("registering the buffer ring: {0}")]
    Buffers(#[source] io::Error),
}

/// The ring, its buffers and its requests. Belongs to the thread that made it.
pub struct UdpRing {
    /// Dropped by hand, before the memory that it writes into.
    ring: ManuallyDrop<IoUring>,
    shared: ManuallyDrop<Shared>,
    /// Free-running count of buffers ever put into the ring.
    tail: u16,
    /// Requests that the kernel has.
    armed: usize,
}

/// What the kernel reads and writes.
struct Shared {
    /// `RING_BUFFERS` entries of 16 bytes.
    entries: Pages,
    buffers: Pages,
    /// Says how much room the source's address gets.
    header: Box<libc::msghdr>,
}

impl std::fmt::Debug for UdpRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UdpRing").field("armed", &self.armed).finish_non_exhaustive()
    }
}

impl UdpRing {
    /// A ring for the current thread. Linux 6.1 or newer.
    pub fn new() -> Result<Self, RingError> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_cqsize(RING_COMPLETIONS)
            .build(RING_SUBMISSIONS)
            .map_err(RingError::SetUp)?;
        // SAFETY: all of a `msghdr` are integers and raw pointers, for which zero is valid.
        let mut header: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        header.msg_namelen = NAME_BYTES as libc::socklen_t;
        let entry_bytes = std::mem::size_of::<BufRingEntry>();
        let shared = Shared {
            entries: Pages::zeroed(usize::from(RING_BUFFERS) * entry_bytes),
            buffers: Pages::zeroed(usize::from(RING_BUFFERS) * BUFFER_BYTES),
            header,
        };
        let address = shared.entries.start() as u64;
        // SAFETY: `entries` holds RING_BUFFERS entries, page-aligned, and is freed only after the
        // ring has no request left (see `drop`).
        unsafe { ring.submitter().register_buf_ring(address, RING_BUFFERS, GROUP) }
            .map_err(RingError::Buffers)?;
        let mut made = Self {
            ring: ManuallyDrop::new(ring),
            shared: ManuallyDrop::new(shared),
            tail: 0,
            armed: 0,
        };
        for buffer in 0..RING_BUFFERS {
            made.put_back(buffer);
        }
        made.publish();
        Ok(made)
    }

    /// Receives from `socket` until cancelled; what comes is told under `key`. The ring keeps the
    /// socket open until the request has ended.
    pub fn receive(&mut self, socket: &impl AsFd, key: u64) -> io::Result<()> {
        assert!(key != NOBODY, "the key is ours");
        let fd = Fd(socket.as_fd().as_raw_fd());
        let header: *const libc::msghdr = &raw const *self.shared.header;
        let entry = opcode::RecvMsgMulti::new(fd, header, GROUP).build().user_data(key);
        self.push(&entry)?;
        self.armed += 1;
        // Now, while the descriptor is surely open.
        self.ring.submit()?;
        Ok(())
    }

    /// Ends the request under `key`. Its end has happened and will be told when this returns.
    pub fn cancel(&mut self, key: u64) -> io::Result<()> {
        self.push(&opcode::AsyncCancel::new(key).build().user_data(NOBODY))?;
        self.enter()
    }

    /// Hands over what is queued and runs what has gathered, without waiting. On kernels from
    /// 6.13 on, one entry runs about twenty sockets' work: enter until nothing comes.
    pub fn enter(&mut self) -> io::Result<()> {
        let queued = self.ring.submission().len() as u32;
        // SAFETY: no argument is passed; the entries queued were built by this module, and what
        // they point to outlives them.
        let entered =
            unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, GET_EVENTS, None) };
        match entered {
            // The completion queue is full: reaping makes room.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result.map(drop),
        }
    }

    /// Tells what has come, at most `completions_max`; then the buffers go back. Returns how many.
    pub fn reap(&mut self, completions_max: usize, tell: &mut dyn FnMut(Completion<'_>)) -> usize {
        let mut reaped = 0;
        while reaped < completions_max {
            let Some(entry) = self.ring.completion().next() else { break };
            reaped += 1;
            self.tell(&entry, tell);
        }
        self.publish();
        reaped
    }

    fn tell(&mut self, entry: &cqueue::Entry, tell: &mut dyn FnMut(Completion<'_>)) {
        let key = entry.user_data();
        if key == NOBODY {
            return;
        }
        if let Some(buffer) = cqueue::buffer_select(entry.flags()) {
            if let Ok(len) = usize::try_from(entry.result())
                && buffer < RING_BUFFERS
            {
                let at = usize::from(buffer) * BUFFER_BYTES;
                // SAFETY: the completion took this buffer out of the ring, so the kernel does not
                // write to it until it is put back below; the slice ends before that.
                let bytes = unsafe { self.shared.buffers.slice(at, len.min(BUFFER_BYTES)) };
                if let Some((source, bytes)) = read(bytes) {
                    tell(Completion::Datagram { key, source, bytes });
                }
            }
            self.put_back(buffer);
        }
        if !cqueue::more(entry.flags()) {
            self.armed = self.armed.saturating_sub(1);
            tell(Completion::Ended { key });
        }
    }

    /// Writes a buffer behind the ring's end; the kernel sees it after [`UdpRing::publish`].
    #[expect(clippy::cast_ptr_alignment, reason = "pages are aligned, and 16 divides each offset")]
    fn put_back(&mut self, buffer: u16) {
        assert!(buffer < RING_BUFFERS, "the kernel hands out only what it was given");
        let slot = usize::from(self.tail % RING_BUFFERS) * std::mem::size_of::<BufRingEntry>();
        let place = self.shared.buffers.place(usize::from(buffer) * BUFFER_BYTES);
        // SAFETY: the slot lies inside `entries` (checked by `place`) and is aligned, as 16 divides
        // both the page and the offset. Between tail and head the kernel does not read it: each
        // of RING_BUFFERS buffers is in the ring at most once, so the slot is free. The setters
        // leave the tail, which lies in the first entry's unused bytes, alone.
        let entry = unsafe { &mut *self.shared.entries.place(slot).cast::<BufRingEntry>() };
        entry.set_addr(place as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel the buffers put back since the last time.
    fn publish(&mut self) {
        // SAFETY: `entries` starts with an initialised entry, so its tail field can be asked for;
        // it is two bytes, aligned, written by us alone and read by the kernel with acquire.
        let tail = unsafe {
            let tail = BufRingEntry::tail(self.shared.entries.start().cast());
            AtomicU16::from_ptr(tail.cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        if self.ring.submission().is_full() {
            self.ring.submit()?;
        }
        // SAFETY: what the entry points to (the header) lives until the ring has no request left.
        unsafe { self.ring.submission().push(entry) }
            .map_err(|_| io::Error::other("the submission queue stays full"))
    }

    /// Cancels everything and reaps the ends. Whether the kernel has let go of all memory.
    fn close(&mut self) -> bool {
        for _ in 0..CLOSING_LOOKS {
            if self.armed == 0 {
                return true;
            }
            // Nothing to cancel is an answer as good as any: the ends are still to be reaped.
            let _ = self.ring.submitter().register_sync_cancel(None, CancelBuilder::any());
            if self.enter().is_err() {
                return false;
            }
            self.reap(usize::MAX, &mut |_| ());
        }
        false
    }
}

impl Drop for UdpRing {
    fn drop(&mut self) {
        let closed = self.close();
        // SAFETY: neither is used again; the ring goes first, so the buffers outlive it. If the
        // kernel still holds requests, the buffers are leaked: a write into them harms nobody.
        unsafe {
            ManuallyDrop::drop(&mut self.ring);
            if closed {
                ManuallyDrop::drop(&mut self.shared);
            }
        }
    }
}

/// Source and bytes of a datagram: `io_uring_recvmsg_out` (the address's length first), the room
/// for the address, the bytes.
fn read(buffer: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let name_bytes = u32::from_ne_bytes(buffer.get(..4)?.try_into().ok()?) as usize;
    let name = buffer.get(PREFIX_BYTES - NAME_BYTES..PREFIX_BYTES)?;
    let bytes = &buffer[PREFIX_BYTES..];
    let source = address(&name[..name_bytes.min(NAME_BYTES)])?;
    Some((source, &bytes[..bytes.len().min(DATAGRAM_BYTES_MAX)]))
}

/// Reads a `sockaddr_in` or `sockaddr_in6`.
fn address(name: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(name.get(0..2)?.try_into().ok()?));
    let port = u16::from_be_bytes(name.get(2..4)?.try_into().ok()?);
    if family == libc::AF_INET {
        let octets: [u8; 4] = name.get(4..8)?.try_into().ok()?;
        return Some((Ipv4Addr::from(octets), port).into());
    }
    if family != libc::AF_INET6 {
        return None;
    }
    let flow = u32::from_be_bytes(name.get(4..8)?.try_into().ok()?);
    let octets: [u8; 16] = name.get(8..24)?.try_into().ok()?;
    let scope = u32::from_ne_bytes(name.get(24..28)?.try_into().ok()?);
    Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope).into())
}

const _: () = assert!(std::mem::size_of::<BufRingEntry>() == 16);
const _: () = assert!(RING_BUFFERS.is_power_of_two());

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
