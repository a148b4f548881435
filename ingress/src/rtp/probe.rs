//! Which ways the kernel allows: found out by trying, once, before anything starts.
//!
//! In: what the operator asked for. Out: the ways taken, with the reason and what to change. A
//! kernel's version promises little (seccomp, sysctl and limits take it back), so the ring is set
//! up and receives a real datagram. Knows nothing of calls.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use tracing::{info, warn};

use super::config::{FilesBy, ReceiveBy, RtpConfig};
use super::multishot::Multishot;
use super::receive::{Datagram, Receive};
use super::steered::Steered;
use crate::journal::FilesOn;
use crate::sys::ring::RingError;
use crate::sys::steer::{Range, Steering};

/// How shards receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveWay {
    /// All ports out of one socket.
    Steered,
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

/// Why a way cannot be gone, and what to change.
#[derive(Debug, thiserror::Error)]
#[error("{why}; {remedy}")]
pub struct Obstacle {
    why: String,
    remedy: &'static str,
}

/// Chooses the ways and says why. `Err` when the operator insists on one that cannot be had.
pub fn choose(config: &RtpConfig) -> Result<Ways, Obstacle> {
    choose_with(config, steer_one, || aside(receive_one), || aside(file_ring))
}

/// Attaches the steering of all ports, where that is the way.
pub(super) fn steering(config: &RtpConfig, ways: Ways) -> Result<Option<Arc<Steering>>, Obstacle> {
    if ways.receive != ReceiveWay::Steered {
        return Ok(None);
    }
    let range = Range { first: config.port_first, last: config.port_last, shards: config.shards };
    let steering = Steering::attach(range).map_err(|error| cannot_steer("attaching", &error))?;
    Ok(Some(Arc::new(steering)))
}

/// Whether a way can be gone.
type Tried = Result<(), Obstacle>;

/// Tries only the ways that may be taken.
fn choose_with(
    config: &RtpConfig,
    steered: impl FnOnce() -> Tried,
    multishot: impl FnOnce() -> Tried,
    file_ring: impl FnOnce() -> Tried,
) -> Result<Ways, Obstacle> {
    let receive = choose_receiving(config.receive, steered, multishot)?;
    let files = match config.files {
        FilesBy::Threads => FilesOn::Threads,
        FilesBy::Uring => file_ring().map(|()| FilesOn::Ring)?,
        FilesBy::Auto => match file_ring() {
            Ok(()) => FilesOn::Ring,
            Err(obstacle) => {
                warn!(%obstacle, "The journal is written by threads, since io_uring cannot be had.");
                FilesOn::Threads
            }
        },
    };
    Ok(Ways { receive, files })
}

fn choose_receiving(
    asked: ReceiveBy,
    steered: impl FnOnce() -> Tried,
    multishot: impl FnOnce() -> Tried,
) -> Result<ReceiveWay, Obstacle> {
    match asked {
        ReceiveBy::Epoll => {
            info!("Receiving by epoll, as configured; steering would cost less per packet.");
            return Ok(ReceiveWay::Epoll);
        }
        ReceiveBy::Auto | ReceiveBy::Steered => match steered() {
            Ok(()) => {
                info!("Receiving all ports out of one socket a shard: a datagram was steered.");
                return Ok(ReceiveWay::Steered);
            }
            Err(obstacle) if asked == ReceiveBy::Steered => return Err(obstacle),
            Err(obstacle) => {
                info!(%obstacle, "Ports cannot be steered to one socket, which would cost least.");
            }
        },
        ReceiveBy::Uring => {}
    }
    match multishot() {
        Ok(()) => {
            info!("Receiving by io_uring multishot: a datagram went through it.");
            Ok(ReceiveWay::Multishot)
        }
        Err(obstacle) if asked == ReceiveBy::Uring => Err(obstacle),
        Err(obstacle) => {
            warn!(%obstacle, "Receiving by epoll, since io_uring multishot cannot be had.");
            Ok(ReceiveWay::Epoll)
        }
    }
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

/// Receives one datagram by multishot.
fn receive_one() -> Result<(), Obstacle> {
    let mut receive = Multishot::new().map_err(|error| match error {
        RingError::SetUp(error) => explain("io_uring_setup", &error),
        RingError::Buffers(error) => explain("the ring of provided buffers", &error),
    })?;
    let came = hands_over(&mut receive).map_err(|error| explain("multishot receive", &error))?;
    let silent = Obstacle {
        why: "multishot receive hands over nothing".into(),
        remedy: "use Linux 6.1 or newer, or set receive = \"epoll\"",
    };
    came.then_some(()).ok_or(silent)
}

/// Receives one datagram that was steered.
fn steer_one() -> Result<(), Obstacle> {
    let attempt = || {
        let range = Range { first: 1_024, last: u16::MAX, shards: 1 };
        let steering = Arc::new(Steering::attach(range)?);
        hands_over(&mut Steered::new(steering, 0, PROBE_BUFFER_BYTES)?)
    };
    let came = attempt().map_err(|error| cannot_steer("the eBPF program", &error))?;
    let silent = Obstacle {
        why: "a steered datagram does not arrive".into(),
        remedy: "see whether another program at the socket look-up takes the RTP ports \
                 (bpftool net show), or set receive = \"uring\"",
    };
    came.then_some(()).ok_or(silent)
}

/// Whether a datagram to a watched socket comes out of a receiver.
fn hands_over(receive: &mut dyn Receive) -> io::Result<bool> {
    let socket = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        Ok::<_, io::Error>(socket)
    };
    let (ours, other) = (socket()?, socket()?);
    let to = ours.local_addr()?;
    receive.watch(0, Rc::new(ours))?;
    let mut came = false;
    for _ in 0..TRIES {
        other.send_to(b"probe", to)?;
        receive.drain(1, &mut |datagram: Datagram| came = datagram.bytes[..] == b"probe"[..]);
        if came {
            break;
        }
    }
    Ok(came)
}

fn cannot_steer(step: &str, error: &io::Error) -> Obstacle {
    let remedy = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "give the service CAP_BPF and CAP_NET_ADMIN (AmbientCapabilities=, setcap), and allow \
             bpf(2) where a seccomp profile forbids it"
        }
        Some(libc::ENOMEM) => "raise the locked-memory limit (LimitMEMLOCK=infinity, ulimit -l)",
        _ => "use Linux 5.9 or newer with BPF, or set receive = \"uring\"",
    };
    Obstacle { why: format!("{step} at the socket look-up failed: {error}"), remedy }
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

/// Receive buffer of a probe.
const PROBE_BUFFER_BYTES: usize = 64 << 10;
/// Looks before the probe gives up; loopback needs one.
const TRIES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(receive: ReceiveBy, files: FilesBy) -> RtpConfig {
        RtpConfig { receive, files, ..RtpConfig::default() }
    }

    const ALLOWED: fn() -> Tried = || Ok(());

    fn refused() -> Tried {
        Err(Obstacle { why: "no".into(), remedy: "change it" })
    }

    #[test]
    fn what_works_is_taken_and_what_does_not_falls_back() {
        let auto = config(ReceiveBy::Auto, FilesBy::Auto);
        let best = Ways { receive: ReceiveWay::Steered, files: FilesOn::Ring };
        let ring = Ways { receive: ReceiveWay::Multishot, files: FilesOn::Ring };
        let plain = Ways { receive: ReceiveWay::Epoll, files: FilesOn::Threads };
        assert_eq!(choose_with(&auto, ALLOWED, ALLOWED, ALLOWED).unwrap(), best);
        assert_eq!(choose_with(&auto, refused, ALLOWED, ALLOWED).unwrap(), ring);
        assert_eq!(choose_with(&auto, refused, refused, refused).unwrap(), plain);
        let old = choose_with(&auto, refused, refused, ALLOWED).unwrap();
        assert_eq!(old, Ways { receive: ReceiveWay::Epoll, files: FilesOn::Ring });
        let asked = config(ReceiveBy::Epoll, FilesBy::Threads);
        assert_eq!(choose_with(&asked, ALLOWED, ALLOWED, ALLOWED).unwrap(), plain);
        let asked = config(ReceiveBy::Uring, FilesBy::Auto);
        assert_eq!(choose_with(&asked, ALLOWED, ALLOWED, ALLOWED).unwrap(), ring);
    }

    #[test]
    fn who_insists_on_what_cannot_be_had_is_told_why() {
        let steered = config(ReceiveBy::Steered, FilesBy::Auto);
        let error = choose_with(&steered, refused, ALLOWED, ALLOWED).unwrap_err();
        assert_eq!(error.to_string(), "no; change it");
        let receive = config(ReceiveBy::Uring, FilesBy::Auto);
        assert!(choose_with(&receive, ALLOWED, refused, ALLOWED).is_err());
        let files = config(ReceiveBy::Auto, FilesBy::Uring);
        assert!(choose_with(&files, ALLOWED, ALLOWED, refused).is_err());
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
        let forbidden = cannot_steer("a step", &io::Error::from_raw_os_error(libc::EPERM));
        assert!(forbidden.to_string().contains("CAP_BPF"));
    }

    #[test]
    fn this_machine_is_judged_without_a_panic() {
        let ways = choose(&RtpConfig::default()).unwrap();
        let explained = explain("a step", &io::Error::from_raw_os_error(libc::EPERM));
        assert!(explained.to_string().contains("a step failed on Linux"), "{ways:?} {explained}");
    }
}
