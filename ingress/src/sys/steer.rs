//! Steering: datagrams for any port of a range come out of one socket.
//!
//! In: a range of UDP ports, a socket for each shard, ports that are in use. Out: the kernel hands
//! every datagram for a port in use to its shard's socket, by a small eBPF program at the socket
//! look-up (`BPF_PROG_TYPE_SK_LOOKUP`, Linux 5.9; needs `CAP_BPF` and `CAP_NET_ADMIN`). Reading
//! one socket costs half of what reading hundreds costs, since none is ever cold. The program is
//! attached to the network namespace for as long as a [`Steering`] lives and ends with the
//! process, however that ends. Datagrams for other addresses or ports it does not touch. Knows
//! nothing of RTP.
#![allow(unsafe_code, reason = "bpf(2) is a bare system call")]

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

mod program;

use self::program::{Instruction, program};

/// Commands of bpf(2) (`linux/bpf.h`).
mod command {
    pub(super) const MAP_CREATE: libc::c_int = 0;
    pub(super) const MAP_UPDATE_ELEM: libc::c_int = 2;
    pub(super) const PROG_LOAD: libc::c_int = 5;
    pub(super) const LINK_CREATE: libc::c_int = 28;
}

const MAP_TYPE_ARRAY: u32 = 2;
const MAP_TYPE_SOCKMAP: u32 = 15;
const PROG_TYPE_SK_LOOKUP: u32 = 30;
const ATTACH_SK_LOOKUP: u32 = 36;
/// What the kernel wants to hear before it lets a program use its helpers.
const LICENCE: &std::ffi::CStr = c"Dual MIT/GPL";

/// The ports that may be steered, and among how many shards they are dealt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first port; shard 0 has it and the one above, shard 1 the next two, and so on.
    pub first: u16,
    /// The last port.
    pub last: u16,
    /// How many shards there are.
    pub shards: u16,
}

/// The attached program and its maps.
#[derive(Debug)]
pub struct Steering {
    range: Range,
    /// Port (counted from the first) → [`Entry`].
    ports: OwnedFd,
    /// Shard, then shards + shard for IPv6 → socket.
    sockets: OwnedFd,
    _link: OwnedFd,
}

/// What the program reads of a port: the address family in use (0: none) and the local address as
/// on the wire.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    family: u32,
    address: [u8; 16],
}

const NO_ENTRY: Entry = Entry { family: 0, address: [0; 16] };

impl Entry {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let mut address = [0; 16];
                address[..4].copy_from_slice(&v4.octets());
                Self { family: libc::AF_INET as u32, address }
            }
            IpAddr::V6(v6) => Self { family: libc::AF_INET6 as u32, address: v6.octets() },
        }
    }
}

impl Steering {
    /// Attaches the program to this process's network namespace. Nothing is steered until shards
    /// have sockets and ports are opened.
    pub fn attach(range: Range) -> io::Result<Self> {
        let count = u32::from(range.last).saturating_sub(u32::from(range.first)) + 1;
        let ports = make_map(MAP_TYPE_ARRAY, size_of::<Entry>() as u32, count)?;
        let sockets = make_map(MAP_TYPE_SOCKMAP, 8, 2 * u32::from(range.shards))?;
        let code = program(range, ports.as_raw_fd(), sockets.as_raw_fd());
        let program = load(&code)?;
        let namespace = std::fs::File::open("/proc/self/ns/net")?;
        let mut attributes = Attributes::default();
        attributes.put_u32(0, program.as_raw_fd() as u32);
        attributes.put_u32(4, namespace.as_raw_fd() as u32);
        attributes.put_u32(8, ATTACH_SK_LOOKUP);
        let link = bpf_fd(command::LINK_CREATE, &mut attributes)?;
        Ok(Self { range, ports, sockets, _link: link })
    }

    /// Gives a shard its socket of this family; the socket must be bound.
    pub fn receive_by(&self, shard: u16, socket: &UdpSocket) -> io::Result<()> {
        let is_v6 = socket.local_addr()?.is_ipv6();
        let key = u32::from(shard) + u32::from(is_v6) * u32::from(self.range.shards);
        let value = u64::from(socket.as_fd().as_raw_fd() as u32);
        update(&self.sockets, key, &value)
    }

    /// From now on datagrams for this address and port come out of the shard's socket.
    pub fn open(&self, local: SocketAddr) -> io::Result<()> {
        update(&self.ports, self.key(local.port())?, &Entry::of(local.ip()))
    }

    /// From now on datagrams for this port go where they would go without us.
    pub fn close(&self, port: u16) -> io::Result<()> {
        update(&self.ports, self.key(port)?, &NO_ENTRY)
    }

    fn key(&self, port: u16) -> io::Result<u32> {
        let inside = (self.range.first..=self.range.last).contains(&port);
        let key = inside.then(|| u32::from(port - self.range.first));
        key.ok_or_else(|| io::Error::other(format!("port {port} lies outside the steered range")))
    }
}

/// `union bpf_attr`: zero where nothing was put.
#[repr(C, align(8))]
struct Attributes([u8; 144]);

impl Default for Attributes {
    fn default() -> Self {
        Self([0; 144])
    }
}

impl Attributes {
    fn put_u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn put_u64(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }

    fn put_address<T: ?Sized>(&mut self, at: usize, value: *const T) {
        self.put_u64(at, value.cast::<u8>().addr() as u64);
    }
}

fn make_map(kind: u32, value_bytes: u32, entries: u32) -> io::Result<OwnedFd> {
    let mut attributes = Attributes::default();
    for (at, value) in [(0, kind), (4, 4), (8, value_bytes), (12, entries)] {
        attributes.put_u32(at, value);
    }
    bpf_fd(command::MAP_CREATE, &mut attributes)
}

fn load(code: &[Instruction]) -> io::Result<OwnedFd> {
    let mut attributes = Attributes::default();
    attributes.put_u32(0, PROG_TYPE_SK_LOOKUP);
    attributes.put_u32(4, code.len() as u32);
    attributes.put_address(8, code);
    attributes.put_address(16, LICENCE.as_ptr());
    attributes.put_u32(68, ATTACH_SK_LOOKUP);
    bpf_fd(command::PROG_LOAD, &mut attributes)
}

fn update<T>(map: &OwnedFd, key: u32, value: &T) -> io::Result<()> {
    let mut attributes = Attributes::default();
    attributes.put_u32(0, map.as_raw_fd() as u32);
    attributes.put_address(8, &raw const key);
    attributes.put_address(16, value);
    bpf(command::MAP_UPDATE_ELEM, &mut attributes).map(|_| ())
}

fn bpf_fd(command: libc::c_int, attributes: &mut Attributes) -> io::Result<OwnedFd> {
    let fd = bpf(command, attributes)?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf(command: libc::c_int, attributes: &mut Attributes) -> io::Result<libc::c_int> {
    // SAFETY: the attributes are as long as said and zero where unused; what they point to (key,
    // value, code, licence) is borrowed by the caller, who outlives the call; the kernel only
    // reads through those pointers with the commands above, and a map's value is as long as the
    // map was made for (`Entry`, or the 8 octets of a socket's number).
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<Attributes>() as libc::c_uint,
        )
    };
    libc::c_int::try_from(result)
        .ok()
        .filter(|result| *result >= 0)
        .ok_or_else(io::Error::last_os_error)
}

#[cfg(test)]
#[path = "steer_tests.rs"]
mod tests;
