//! Many datagrams in one system call: `sendmmsg` and `recvmmsg` on one socket.
//!
//! In: datagrams to send, or room for those that come. Out: how many went or came. The load kit
//! sends with it, and its receiving half is the floor that other ways are measured against. Knows
//! nothing of RTP.
#![allow(unsafe_code, reason = "no safe crate offers sendmmsg and recvmmsg")]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use socket2::SockAddr;

/// Most datagrams of one call: the kernel's `UIO_MAXIOV`.
pub const DATAGRAMS_MAX: usize = 1_024;

/// A datagram to send, in two parts that follow each other on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Where to; see [`target`].
    pub to: &'a SockAddr,
    /// Its first part.
    pub head: &'a [u8],
    /// What follows.
    pub body: &'a [u8],
}

/// An address as the kernel takes it.
pub fn target(address: SocketAddr) -> SockAddr {
    address.into()
}

fn no_header() -> libc::mmsghdr {
    // SAFETY: all of an `mmsghdr` are integers and raw pointers, for which zero is valid.
    unsafe { std::mem::zeroed() }
}

const fn part(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// Sends all of `datagrams`, at most [`DATAGRAMS_MAX`] of them. Returns how many the kernel took
/// before one failed; the failure itself is told if it was the first.
pub fn send(socket: &impl AsFd, datagrams: &[Outgoing<'_>]) -> io::Result<usize> {
    let datagrams = &datagrams[..datagrams.len().min(DATAGRAMS_MAX)];
    let mut parts: Vec<[libc::iovec; 2]> =
        datagrams.iter().map(|datagram| [part(datagram.head), part(datagram.body)]).collect();
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(datagrams.len());
    for (datagram, parts) in datagrams.iter().zip(&mut parts) {
        let mut header = no_header();
        header.msg_hdr.msg_name = datagram.to.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = datagram.to.len();
        header.msg_hdr.msg_iov = parts.as_mut_ptr();
        header.msg_hdr.msg_iovlen = parts.len();
        headers.push(header);
    }
    // SAFETY: `headers` has as many entries as said; addresses and parts they point to outlive the
    // call (`parts` was not moved since), and sending only reads through them.
    let sent = unsafe {
        let fd = socket.as_fd().as_raw_fd();
        libc::sendmmsg(fd, headers.as_mut_ptr(), headers.len() as libc::c_uint, 0)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Room for datagrams.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    bytes_each: usize,
    lengths: Vec<usize>,
}

impl Inbox {
    /// Room for `datagrams` of `bytes_each`; what is longer is cut.
    pub fn new(datagrams: usize, bytes_each: usize) -> Self {
        let datagrams = datagrams.clamp(1, DATAGRAMS_MAX);
        let bytes_each = bytes_each.max(1);
        Self { bytes: vec![0; datagrams * bytes_each], bytes_each, lengths: Vec::new() }
    }

    /// Takes what has come, without waiting. Returns how many; what was there before is gone.
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.lengths.clear();
        let mut parts: Vec<libc::iovec> = self
            .bytes
            .chunks_exact_mut(self.bytes_each)
            .map(|room| libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .map(|part| {
                let mut header = no_header();
                header.msg_hdr.msg_iov = part;
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        // SAFETY: `headers` has as many entries as said, each points to one part, and each part to
        // room of its own within `bytes`, which is borrowed mutably for the call.
        let came = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let came = usize::try_from(came).map_err(|_| io::Error::last_os_error())?;
        self.lengths.extend(headers[..came].iter().map(|header| header.msg_len as usize));
        Ok(came)
    }

    /// The datagrams that came with the last [`Inbox::receive`].
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.bytes_each).zip(&self.lengths).map(|(room, len)| &room[..*len])
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_is_sent_in_one_call_comes_in_one_call() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let (sender, receiver) =
                (UdpSocket::bind(local).unwrap(), UdpSocket::bind(local).unwrap());
            let to = target(receiver.local_addr().unwrap());
            let bodies: Vec<Vec<u8>> = (0..30_u8).map(|n| vec![n; usize::from(n)]).collect();
            let datagrams: Vec<_> =
                bodies.iter().map(|body| Outgoing { to: &to, head: b"head", body }).collect();
            assert_eq!(send(&sender, &datagrams).unwrap(), 30);
            let mut inbox = Inbox::new(64, 20);
            assert_eq!(inbox.receive(&receiver).unwrap(), 30);
            for (datagram, body) in inbox.datagrams().zip(&bodies) {
                let want = [b"head", &body[..]].concat();
                assert_eq!(datagram, &want[..want.len().min(20)]);
            }
            let empty = inbox.receive(&receiver).unwrap_err();
            assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
            assert_eq!(inbox.datagrams().count(), 0);
        }
    }

    #[test]
    fn nothing_and_too_much_are_no_harm() {
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = target(sender.local_addr().unwrap());
        assert_eq!(send(&sender, &[]).unwrap(), 0);
        let many = vec![Outgoing { to: &to, head: b"", body: b"" }; DATAGRAMS_MAX + 1];
        assert_eq!(send(&sender, &many).unwrap(), DATAGRAMS_MAX);
        let nowhere = target("127.0.0.1:0".parse().unwrap());
        assert!(send(&sender, &[Outgoing { to: &nowhere, head: b"", body: b"x" }]).is_err());
    }
}
