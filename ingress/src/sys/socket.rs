//! What the kernel knows of a socket and no safe crate asks for.
//!
//! In: a socket. Out: how many datagrams it threw away because nobody read them in time; a receive
//! buffer of any size. Knows nothing of who the socket belongs to.
#![allow(unsafe_code, reason = "socket options that no safe crate at hand knows")]

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;

/// `SO_MEMINFO` (`asm-generic/socket.h`): the socket's memory and drop counts.
const SO_MEMINFO: libc::c_int = 55;
/// `SK_MEMINFO_DROPS` (`linux/sock_diag.h`): the place of the drops among them.
const DROPS_AT: usize = 8;
const COUNTS: usize = 9;

/// Datagrams that the kernel dropped at this socket since it was opened: the receive buffer was
/// full, or a checksum was wrong. The same number that `/proc/net/udp` shows and `SO_RXQ_OVFL`
/// attaches to datagrams, but it may be asked for at any time, also when nothing follows the
/// drop. Linux 4.12 or newer; wraps at 2³².
pub fn dropped(socket: &impl AsFd) -> io::Result<u32> {
    let mut counts = [0_u32; COUNTS];
    let mut bytes = std::mem::size_of_val(&counts) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as it is borrowed; `counts` has `bytes` writable
    // bytes, and the kernel writes at most that many and the length actually written.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            counts.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if (bytes as usize) < std::mem::size_of_val(&counts) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(counts[DROPS_AT])
}

/// Gives a socket a receive buffer, beyond `net.core.rmem_max` where the process may
/// (`CAP_NET_ADMIN`), else up to it.
pub fn set_receive_buffer(socket: &impl AsFd, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let set = |option| {
        // SAFETY: the descriptor is open as long as it is borrowed; the value is an int, as long
        // as said.
        let result = unsafe {
            libc::setsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const bytes).cast(),
                size_of_val(&bytes) as libc::socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    set(libc::SO_RCVBUFFORCE).or_else(|_| set(libc::SO_RCVBUF))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn every_datagram_that_finds_the_buffer_full_is_counted() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(4_096).unwrap();
        socket.set_nonblocking(true).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = socket.local_addr().unwrap();
        assert_eq!(dropped(&socket).unwrap(), 0);
        for _ in 0..100 {
            sender.send_to(&[7; 172], to).unwrap();
        }
        let mut read = 0;
        while socket.recv_from(&mut [0; 256]).is_ok() {
            read += 1;
        }
        assert!(read > 0 && read < 100, "{read}");
        assert_eq!(dropped(&socket).unwrap(), 100 - read);
    }
}
