//! Many datagrams in one system call, each with who sent it and which port it was sent to.
//!
//! In: a socket that other ports are steered to. Out: datagrams, borrowed until the next look.
//! Allocates when it is made and never again. Knows nothing of RTP.
#![allow(unsafe_code, reason = "no safe crate offers recvmmsg with addresses and control data")]

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::mmsg::DATAGRAMS_MAX;

/// Room for the control messages that may be asked for, IPv6's being the longer: a port and a time.
const CONTROL_BYTES: usize = 96;

/// One datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addressed<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// Which port it was sent to.
    pub local_port: u16,
    /// Its bytes, cut at the room there was.
    pub bytes: &'a [u8],
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_BYTES]);

/// Room for datagrams.
pub struct AddressedInbox {
    headers: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
    names: Vec<libc::sockaddr_storage>,
    controls: Vec<Control>,
    bytes: Vec<u8>,
    bytes_each: usize,
    came: usize,
}

impl std::fmt::Debug for AddressedInbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressedInbox").field("came", &self.came).finish_non_exhaustive()
    }
}

/// Makes a socket tell which port each datagram was sent to.
pub fn tell_local_ports(socket: &impl AsFd) -> io::Result<()> {
    let is_v6 = socket2::SockRef::from(&socket.as_fd()).local_addr()?.is_ipv6();
    let (level, option) = if is_v6 {
        (libc::SOL_IPV6, libc::IPV6_RECVORIGDSTADDR)
    } else {
        (libc::SOL_IP, libc::IP_RECVORIGDSTADDR)
    };
    switch_on(socket, level, option)
}

/// Makes a socket tell when the kernel took each datagram in; see [`AddressedInbox::arrivals`].
pub fn tell_arrivals(socket: &impl AsFd) -> io::Result<()> {
    switch_on(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)
}

fn switch_on(socket: &impl AsFd, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open as long as it is borrowed; the value is an int, as long as
    // said.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl AddressedInbox {
    /// Room for `datagrams` of `bytes_each`; what is longer is cut.
    pub fn new(datagrams: usize, bytes_each: usize) -> Self {
        let datagrams = datagrams.clamp(1, DATAGRAMS_MAX);
        let bytes_each = bytes_each.max(1);
        // SAFETY: integers and raw pointers only, for which zero is valid.
        let (header, part, name): (libc::mmsghdr, libc::iovec, libc::sockaddr_storage) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        Self {
            headers: vec![header; datagrams],
            parts: vec![part; datagrams],
            names: vec![name; datagrams],
            controls: vec![Control([0; CONTROL_BYTES]); datagrams],
            bytes: vec![0; datagrams * bytes_each],
            bytes_each,
            came: 0,
        }
    }

    /// Takes what has come, at most `datagrams_max`, without waiting. Returns how many; what was
    /// there before is gone.
    pub fn receive(&mut self, socket: &impl AsFd, datagrams_max: usize) -> io::Result<usize> {
        self.came = 0;
        let room_for = datagrams_max.min(self.headers.len());
        // Addresses are taken anew for each call, so that nothing else need keep them valid.
        let rooms = self.bytes.chunks_exact_mut(self.bytes_each);
        let names = self.names.iter_mut().zip(&mut self.controls);
        let each = self.headers[..room_for].iter_mut().zip(&mut self.parts).zip(rooms.zip(names));
        for ((header, part), (room, (name, control))) in each {
            *part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            let header = &mut header.msg_hdr;
            header.msg_name = std::ptr::from_mut(name).cast();
            header.msg_namelen = size_of_val(name) as libc::socklen_t;
            header.msg_iov = part;
            header.msg_iovlen = 1;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES as _;
        }
        // SAFETY: `headers` has at least as many entries as said; each points to a name, a control buffer
        // and a part of its own, all borrowed mutably just now, with their lengths.
        let came = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                room_for as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        self.came = usize::try_from(came).map_err(|_| io::Error::last_os_error())?;
        Ok(self.came)
    }

    /// Most datagrams of one look.
    pub fn len_max(&self) -> usize {
        self.headers.len()
    }

    /// The datagrams that came with the last [`AddressedInbox::receive`], in order. One without
    /// an address is passed over; the kernel sends none such.
    pub fn datagrams(&self) -> impl Iterator<Item = Addressed<'_>> {
        let rooms = self.bytes.chunks_exact(self.bytes_each);
        let came = self.headers[..self.came].iter().zip(&self.names);
        came.zip(rooms).filter_map(|((header, name), room)| {
            let bytes = &room[..(header.msg_len as usize).min(room.len())];
            let local_port = find_control(&header.msg_hdr, local_port)?;
            Some(Addressed { source: address(name)?, local_port, bytes })
        })
    }

    /// When the kernel took them in, in the same order, by the civil clock.
    pub fn arrivals(&self) -> impl Iterator<Item = Option<SystemTime>> {
        let came = self.headers[..self.came].iter();
        came.map(|header| find_control(&header.msg_hdr, arrival))
    }
}

fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let at = std::ptr::from_ref(name);
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure the kernel wrote; a storage is large and
            // aligned enough for each.
            let v4 = unsafe { &*at.cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*at.cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// The first control message that `read` makes something of.
fn find_control<T>(header: &libc::msghdr, read: fn(&libc::cmsghdr) -> Option<T>) -> Option<T> {
    // SAFETY: the kernel has filled `msg_control` and set `msg_controllen`; the macros stay within.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while let Some(control) = at.as_ref() {
            if let Some(found) = read(control) {
                return Some(found);
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
    None
}

/// The port of the original destination.
fn local_port(control: &libc::cmsghdr) -> Option<u16> {
    // SAFETY: an address's structure follows a header of that type.
    unsafe {
        let data = libc::CMSG_DATA(control);
        match (control.cmsg_level, control.cmsg_type) {
            (libc::SOL_IP, libc::IP_ORIGDSTADDR) => {
                let to = data.cast::<libc::sockaddr_in>().read_unaligned();
                Some(u16::from_be(to.sin_port))
            }
            (libc::SOL_IPV6, libc::IPV6_ORIGDSTADDR) => {
                let to = data.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(u16::from_be(to.sin6_port))
            }
            _ => None,
        }
    }
}

/// The kernel's time stamp.
fn arrival(control: &libc::cmsghdr) -> Option<SystemTime> {
    if (control.cmsg_level, control.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return None;
    }
    // SAFETY: a time follows a header of that type.
    let time = unsafe { libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned() };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    Some(UNIX_EPOCH + Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn each_datagram_says_who_sent_it_and_where_to() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let receiver = UdpSocket::bind(local).unwrap();
            tell_local_ports(&receiver).unwrap();
            let to = receiver.local_addr().unwrap();
            let senders = [UdpSocket::bind(local).unwrap(), UdpSocket::bind(local).unwrap()];
            let mut inbox = AddressedInbox::new(16, 4);
            for round in 0..3_u8 {
                for n in 0..20_u8 {
                    senders[usize::from(n % 2)].send_to(&[round, n, 7, 7, 7], to).unwrap();
                }
                let mut seen = 0;
                for want in [16, 4] {
                    assert_eq!(inbox.receive(&receiver, 100).unwrap(), want);
                    for datagram in inbox.datagrams() {
                        let from = senders[usize::from(seen % 2)].local_addr().unwrap();
                        assert_eq!((datagram.source, datagram.local_port), (from, to.port()));
                        assert_eq!(datagram.bytes, [round, seen, 7, 7], "cut at the room");
                        seen += 1;
                    }
                }
                assert_eq!(seen, 20);
                assert!(inbox.receive(&receiver, 100).is_err());
                assert_eq!(inbox.datagrams().count(), 0);
            }
        }
    }

    #[test]
    fn the_kernel_says_when_each_came() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        tell_local_ports(&receiver).unwrap();
        tell_arrivals(&receiver).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut inbox = AddressedInbox::new(4, 4);
        // The kernel begins a little after it was asked to; until then it tells when it was read.
        let stamped = (0..100).any(|_| {
            let before = SystemTime::now();
            sender.send_to(&[1], receiver.local_addr().unwrap()).unwrap();
            let after = SystemTime::now();
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(inbox.receive(&receiver, 4).unwrap(), 1);
            assert_eq!(inbox.datagrams().count(), 1);
            let came = inbox.arrivals().next().unwrap().unwrap();
            came >= before && came <= after
        });
        assert!(stamped);
    }
}
