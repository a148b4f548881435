//! Which ways the kernel allows: found out by trying, once, before anything starts.
//!
//! In: what the operator asked for. Out: the ways taken, with the reason and what to change. A
//! kernel's version promises little (seccomp, sysctl and limits take it back), so the ring is set
//! up and receives a real datagram. Knows nothing of calls.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::rc::Rc;

use tracing::{info, warn};

use super::config::{FilesBy, ReceiveBy, RtpConfig};
use super::multishot::Multishot;
use super::receive::Receive;
use crate::journal::FilesOn;
use crate::sys::ring::RingError;

/// How shards receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveWay {
    /// Multishot receive on a ring.
    Multishot,
    /// epoll and `recvfrom`.
    Epoll,
}

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// How shards receive.
    pub receive: ReceiveWay,
    /// How the journal's files are written.
    pub files: FilesOn,
}

/// Why a ring cannot be used, and what to change.
#[derive(Debug, thiserror::Error)]
#[error("{why}; {remedy}")]
pub struct Obstacle {
    why: String,
    remedy: &'static str,
}

/// Chooses the ways and says why. `Err` when the operator insists on a ring that cannot be had.
pub fn choose(config: &RtpConfig) -> Result<Ways, Obstacle> {
    choose_with(config, aside(receive_one), aside(file_ring))
}

fn choose_with(
    config: &RtpConfig,
    multishot: Result<(), Obstacle>,
    file_ring: Result<(), Obstacle>,
) -> Result<Ways, Obstacle> {
    let receive = match (config.receive, multishot) {
        (ReceiveBy::Epoll, _) => {
            info!("Receiving by epoll, as configured; io_uring would cost less per packet.");
            ReceiveWay::Epoll
        }
        (_, Ok(())) => {
            info!("Receiving by io_uring multishot: a datagram went through it.");
            ReceiveWay::Multishot
        }
        (ReceiveBy::Uring, Err(obstacle)) => return Err(obstacle),
        (ReceiveBy::Auto, Err(obstacle)) => {
            warn!(%obstacle, "Receiving by epoll, since io_uring multishot cannot be had.");
            ReceiveWay::Epoll
        }
    };
    let files = match (config.files, file_ring) {
        (FilesBy::Threads, _) => FilesOn::Threads,
        (_, Ok(())) => FilesOn::Ring,
        (FilesBy::Uring, Err(obstacle)) => return Err(obstacle),
        (FilesBy::Auto, Err(obstacle)) => {
            warn!(%obstacle, "The journal is written by threads, since io_uring cannot be had.");
            FilesOn::Threads
        }
    };
    Ok(Ways { receive, files })
}

/// Says when the kernel gives sockets less room than configured.
pub fn check_buffers(config: &RtpConfig) {
    let given = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| {
        let socket = socket2::SockRef::from(&socket);
        socket.set_recv_buffer_size(config.receive_buffer_bytes)?;
        socket.recv_buffer_size()
    });
    // The kernel doubles what is asked for, for its own bookkeeping.
    if let Ok(given) = given
        && given < 2 * config.receive_buffer_bytes
    {
        warn!(
            asked = config.receive_buffer_bytes,
            given = given / 2,
            "Sockets get a smaller receive buffer than configured; raise net.core.rmem_max."
        );
    }
}

/// Tries on a thread of its own: a ring belongs to who made it, and the kernel's tidying up after
/// it interrupts system calls of that thread.
fn aside(attempt: fn() -> Result<(), Obstacle>) -> Result<(), Obstacle> {
    let thread = std::thread::Builder::new()
        .name("rtp-probe".into())
        .spawn(attempt)
        .map_err(|error| explain("starting a thread", &error))?;
    thread.join().unwrap_or_else(|_| Err(explain("the probe", &io::Error::other("a panic"))))
}

/// Receives one datagram.
fn receive_one() -> Result<(), Obstacle> {
    let mut receive = Multishot::new().map_err(|error| match error {
        RingError::SetUp(error) => explain("io_uring_setup", &error),
        RingError::Buffers(error) => explain("the ring of provided buffers", &error),
    })?;
    let socket = |step| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| {
            socket.set_nonblocking(true)?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        });
        socket.map_err(|error| explain(step, &error))
    };
    let (ours, to) = socket("a socket to try with")?;
    let (other, _) = socket("a socket to try with")?;
    receive.watch(0, Rc::new(ours)).map_err(|error| explain("multishot receive", &error))?;
    let mut came = false;
    for _ in 0..TRIES {
        other.send_to(b"probe", to).map_err(|error| explain("sending to ourselves", &error))?;
        receive.drain(1, &mut |datagram| came = datagram.bytes[..] == b"probe"[..]);
        if came {
            return Ok(());
        }
    }
    Err(Obstacle {
        why: "multishot receive hands over nothing".into(),
        remedy: "use Linux 6.1 or newer, or set receive = \"epoll\"",
    })
}

/// Sets up what tokio-uring needs.
fn file_ring() -> Result<(), Obstacle> {
    match io_uring::IoUring::new(8) {
        Ok(_) => Ok(()),
        Err(error) => Err(explain("io_uring_setup for files", &error)),
    }
}

/// Puts what the system said together with what the machine forbids.
fn explain(step: &str, error: &io::Error) -> Obstacle {
    let setting = |name| std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).ok();
    let (disabled, release) = (setting("io_uring_disabled"), setting("osrelease"));
    let release = release.as_deref().map_or("(unknown)", str::trim);
    let remedy = remedy(error, disabled.as_deref().map(str::trim));
    Obstacle { why: format!("{step} failed on Linux {release}: {error}"), remedy }
}

fn remedy(error: &io::Error, disabled: Option<&str>) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => match disabled {
            Some("1") => {
                "kernel.io_uring_disabled is 1: set it to 0, or put the service's group into \
                 kernel.io_uring_group"
            }
            Some("2") => "kernel.io_uring_disabled is 2: set it to 0 (sysctl)",
            _ => {
                "a seccomp profile or LSM forbids io_uring: allow io_uring_setup, \
                  io_uring_enter and io_uring_register for this service"
            }
        },
        Some(libc::ENOSYS) => {
            "the kernel has no io_uring, or seccomp hides it: use Linux 6.1 or newer and allow \
             the io_uring calls"
        }
        Some(libc::EINVAL) => "the kernel does not know what we ask: use Linux 6.1 or newer",
        Some(libc::ENOMEM) => {
            "raise the locked-memory limit (LimitMEMLOCK=infinity, ulimit -l) or the memory limit"
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            "raise the limit of open files (LimitNOFILE, ulimit -n)"
        }
        _ => "set receive = \"epoll\" and files = \"threads\" under [rtp] to do without",
    }
}

/// Looks before the probe gives up; loopback needs one.
const TRIES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(receive: ReceiveBy, files: FilesBy) -> RtpConfig {
        RtpConfig { receive, files, ..RtpConfig::default() }
    }

    fn refused() -> Result<(), Obstacle> {
        Err(Obstacle { why: "no".into(), remedy: "change it" })
    }

    #[test]
    fn what_works_is_taken_and_what_does_not_falls_back() {
        let auto = config(ReceiveBy::Auto, FilesBy::Auto);
        let fast = Ways { receive: ReceiveWay::Multishot, files: FilesOn::Ring };
        let plain = Ways { receive: ReceiveWay::Epoll, files: FilesOn::Threads };
        assert_eq!(choose_with(&auto, Ok(()), Ok(())).unwrap(), fast);
        assert_eq!(choose_with(&auto, refused(), refused()).unwrap(), plain);
        let old = choose_with(&auto, refused(), Ok(())).unwrap();
        assert_eq!(old, Ways { receive: ReceiveWay::Epoll, files: FilesOn::Ring });
        let asked = config(ReceiveBy::Epoll, FilesBy::Threads);
        assert_eq!(choose_with(&asked, Ok(()), Ok(())).unwrap(), plain);
    }

    #[test]
    fn who_insists_on_a_ring_that_cannot_be_had_is_told_why() {
        let receive = config(ReceiveBy::Uring, FilesBy::Auto);
        assert_eq!(
            choose_with(&receive, refused(), Ok(())).unwrap_err().to_string(),
            "no; change it"
        );
        let files = config(ReceiveBy::Auto, FilesBy::Uring);
        assert!(choose_with(&files, Ok(()), refused()).is_err());
    }

    #[test]
    fn the_remedy_fits_what_the_machine_forbids() {
        let remedy = |code, disabled| remedy(&io::Error::from_raw_os_error(code), disabled);
        assert!(remedy(libc::EPERM, Some("2")).contains("io_uring_disabled is 2"));
        assert!(remedy(libc::EPERM, Some("1")).contains("io_uring_group"));
        assert!(remedy(libc::EPERM, Some("0")).contains("seccomp"));
        assert!(remedy(libc::EPERM, None).contains("seccomp"));
        assert!(remedy(libc::ENOSYS, None).contains("Linux 6.1"));
        assert!(remedy(libc::EINVAL, None).contains("Linux 6.1"));
        assert!(remedy(libc::ENOMEM, None).contains("LimitMEMLOCK"));
        assert!(remedy(libc::EMFILE, None).contains("LimitNOFILE"));
    }

    #[test]
    fn this_machine_is_judged_without_a_panic() {
        let ways = choose(&RtpConfig::default()).unwrap();
        let explained = explain("a step", &io::Error::from_raw_os_error(libc::EPERM));
        assert!(explained.to_string().contains("a step failed on Linux"), "{ways:?} {explained}");
    }
}
