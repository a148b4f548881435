//! What the kernel charges the receiving thread, and what a whole shard costs.
//!
//! In: nothing; it makes its sockets and shards. Out: printed medians of CPU nanoseconds per
//! packet, ours beside the ways not taken. Knows nothing of criterion: wall time would mostly be
//! waiting.

use std::hint::black_box;
use std::net::{Ipv4Addr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use engine_core::event::{EventSink, MessageEvent};
use engine_core::handoff::{Acks, LiveLane};
use ingress::media::MediaPlane;
use ingress::rtp::config::{FilesBy, ReceiveBy};
use ingress::rtp::multishot::Multishot;
use ingress::rtp::receive::{Datagram, Readiness, Receive};
use ingress::rtp::steered::Steered;
use ingress::rtp::{RtpConfig, ShardDeps, Shards, wire};
use ingress::sys::mmsg::{self, Inbox, Outgoing};
use ingress::sys::steer::{Range, Steering};
use rusuden_benches::process::cpu_of_this_thread;
use socket2::SockAddr;

use super::{PERIOD, packet, plan};

/// Streams, unless `SOCKETS` says another number.
const SOCKETS: usize = 500;
const ROUNDS: u32 = 150;
const TIMES: usize = 5;
/// Datagrams of one `recvmmsg` and one `sendmmsg`.
const BATCH: usize = 64;
/// Bursts that the packets of a period come in.
const BURSTS: usize = 20;

/// A way to receive: takes sockets and how many datagrams will come; returns CPU time.
type Way = fn(Vec<UdpSocket>, usize) -> Duration;

/// How many sockets the streams come in on.
#[derive(Clone, Copy)]
enum Sockets {
    One,
    Each,
}

/// What is measured.
enum Case {
    /// The receiving thread alone, nothing done with the packets; with so many sockets.
    Bare(Way, Sockets),
    /// Shards with calls and a journal.
    Whole(ReceiveBy, FilesBy),
}

const CASES: [(&str, Case); 13] = [
    ("floor: recvmmsg, one socket for all", Case::Bare(one_socket, Sockets::One)),
    ("recvmmsg on every socket in turn", Case::Bare(each_recvmmsg, Sockets::Each)),
    ("ours: ports steered to one socket", Case::Bare(steered, Sockets::Each)),
    ("ours without steering: io_uring multishot", Case::Bare(multishot, Sockets::Each)),
    ("ours without io_uring: epoll + recvfrom", Case::Bare(readiness, Sockets::Each)),
    ("tokio, a task per socket", Case::Bare(tokio_tasks, Sockets::Each)),
    ("tokio-uring recv_from, a task per socket", Case::Bare(uring_recv_from, Sockets::Each)),
    ("whole ingest, steered + file ring", Case::Whole(ReceiveBy::Steered, FilesBy::Uring)),
    ("whole ingest, steered + file threads", Case::Whole(ReceiveBy::Steered, FilesBy::Threads)),
    ("whole ingest, multishot + file ring", Case::Whole(ReceiveBy::Uring, FilesBy::Uring)),
    ("whole ingest, multishot + file threads", Case::Whole(ReceiveBy::Uring, FilesBy::Threads)),
    ("whole ingest, epoll + file ring", Case::Whole(ReceiveBy::Epoll, FilesBy::Uring)),
    ("whole ingest, epoll + file threads", Case::Whole(ReceiveBy::Epoll, FilesBy::Threads)),
];

/// Measures all ways in turn, again and again, so that other work on the machine meets all alike.
pub(super) fn compare() {
    let wanted = std::env::var("CASES").ok();
    let streams = std::env::var("SOCKETS").ok().and_then(|text| text.parse().ok());
    let streams = streams.unwrap_or(SOCKETS);
    let chosen = |name: &str| {
        wanted.as_ref().is_none_or(|parts| parts.split(',').any(|part| name.contains(part)))
    };
    let seconds = PERIOD.as_secs_f64() * f64::from(ROUNDS) * (TIMES * CASES.len()) as f64;
    println!("{streams} streams, a packet of 172 octets every 20 ms each; about {seconds:.0} s");
    let mut nanos: Vec<Vec<u128>> = CASES.iter().map(|_| Vec::new()).collect();
    for _ in 0..TIMES {
        for ((name, case), nanos) in CASES.iter().zip(&mut nanos) {
            if chosen(name) {
                nanos.push(match case {
                    Case::Bare(way, sockets) => measure(*way, *sockets, streams),
                    Case::Whole(receive, files) => whole(*receive, *files, streams),
                });
            }
        }
    }
    let mut medians = nanos.iter_mut().map(|nanos| {
        nanos.sort_unstable();
        nanos.get(nanos.len() / 2).copied()
    });
    let medians: Vec<_> = medians.by_ref().collect();
    let floor = medians[0];
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    println!("CPU ns a packet, median of {TIMES} (least-most), against the floor; load {load}");
    for (((name, _), nanos), median) in CASES.iter().zip(&nanos).zip(&medians) {
        let (Some(least), Some(most), Some(median)) = (nanos.first(), nanos.last(), median) else {
            continue;
        };
        let ratio = floor.map_or(f64::NAN, |floor| *median as f64 / floor as f64);
        println!("{name:42} {median:6} ({least}-{most})  {ratio:.2}");
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Sends to all targets in turn, spread over each period.
fn send(from: &UdpSocket, targets: &[SockAddr], rounds: u32) {
    let mut encoded = wire::encode(&packet(0)).to_vec();
    let started = Clock::now();
    for round in 0..rounds {
        encoded[2..4].copy_from_slice(&(round as u16).to_be_bytes());
        encoded[4..8].copy_from_slice(&(round * 160).to_be_bytes());
        let (head, body) = encoded.split_at(wire::HEADER_BYTES);
        let together = targets.len().div_ceil(BURSTS);
        for (at, part) in targets.chunks(together).enumerate() {
            let part: Vec<_> = part.iter().map(|to| Outgoing { to, head, body }).collect();
            assert_eq!(mmsg::send(from, &part).unwrap(), part.len());
            let share = PERIOD.mul_f64((at * together) as f64 / targets.len() as f64);
            let moment = started + PERIOD * round + share;
            std::thread::sleep(moment.saturating_duration_since(Clock::now()));
        }
    }
}

fn measure(way: Way, sockets: Sockets, streams: usize) -> u128 {
    let count = if matches!(sockets, Sockets::One) { 1 } else { streams };
    let sockets: Vec<UdpSocket> = (0..count).map(|_| socket()).collect();
    let sender = socket();
    let addresses = sockets.iter().map(|socket| socket.local_addr().unwrap());
    let targets: Vec<SockAddr> =
        addresses.map(mmsg::target).collect::<Vec<_>>().into_iter().cycle().take(streams).collect();
    let packets = streams * ROUNDS as usize;
    let receiver = std::thread::spawn(move || way(sockets, packets));
    send(&sender, &targets, ROUNDS);
    // One round more, in case the kernel dropped some on a busy machine.
    while !receiver.is_finished() {
        send(&sender, &targets, 1);
    }
    receiver.join().unwrap().as_nanos() / packets as u128
}

fn readiness(sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    drained(Readiness::new().unwrap(), sockets, packets)
}

fn multishot(sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    drained(Multishot::new().unwrap(), sockets, packets)
}

fn steered(sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    let range = Range { first: 1_024, last: u16::MAX, shards: 1 };
    let steering = Arc::new(Steering::attach(range).unwrap());
    drained(Steered::new(steering, 0, 64 << 20).unwrap(), sockets, packets)
}

fn drained(mut receive: impl Receive, sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    for (token, socket) in sockets.into_iter().enumerate() {
        receive.watch(token, Rc::new(socket)).unwrap();
    }
    let before = cpu_of_this_thread();
    let mut taken = 0;
    while taken < packets {
        std::thread::sleep(Duration::from_millis(5));
        taken += receive.drain(8_192, &mut |datagram: Datagram| {
            black_box(datagram);
        });
    }
    cpu_of_this_thread().saturating_sub(before)
}

#[expect(clippy::needless_pass_by_value, reason = "every way takes its sockets")]
fn one_socket(sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    let mut inbox = Inbox::new(BATCH, 2_048);
    let before = cpu_of_this_thread();
    let mut taken = 0;
    while taken < packets {
        std::thread::sleep(Duration::from_millis(5));
        while let Ok(came) = inbox.receive(&sockets[0]) {
            taken += came;
        }
    }
    cpu_of_this_thread().saturating_sub(before)
}

/// Without asking which are ready: every socket is read once a period.
#[expect(clippy::needless_pass_by_value, reason = "every way takes its sockets")]
fn each_recvmmsg(sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    let mut inbox = Inbox::new(8, 2_048);
    let before = cpu_of_this_thread();
    let mut taken = 0;
    while taken < packets {
        std::thread::sleep(PERIOD);
        for socket in &sockets {
            taken += inbox.receive(socket).unwrap_or(0);
        }
    }
    cpu_of_this_thread().saturating_sub(before)
}

fn tokio_tasks(sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let before = cpu_of_this_thread();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (done, mut finished) = tokio::sync::mpsc::unbounded_channel();
        for socket in sockets {
            let done = done.clone();
            tokio::task::spawn_local(async move {
                let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
                let mut buffer = [0; 2_048];
                while socket.recv_from(&mut buffer).await.is_ok() && done.send(()).is_ok() {}
            });
        }
        for _ in 0..packets {
            finished.recv().await;
        }
    });
    cpu_of_this_thread().saturating_sub(before)
}

fn uring_recv_from(sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    let mut builder = tokio_uring::builder();
    builder.entries(4_096);
    let before = cpu_of_this_thread();
    let ring = tokio_uring::Runtime::new(&builder).unwrap();
    ring.block_on(async {
        let (done, mut finished) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = Vec::new();
        for socket in sockets {
            let done = done.clone();
            socket.set_nonblocking(false).unwrap();
            tasks.push(tokio_uring::spawn(async move {
                let socket = tokio_uring::net::UdpSocket::from_std(socket);
                let mut buffer = vec![0; 2_048];
                loop {
                    let (result, back) = socket.recv_from(buffer).await;
                    buffer = back;
                    if result.is_err() || done.send(()).is_err() {
                        break;
                    }
                }
            }));
        }
        for _ in 0..packets {
            finished.recv().await;
        }
        // Each ends with its next datagram: dropping the runtime while the kernel still
        // receives for it would let the kernel write into freed memory.
        drop(finished);
        for task in tasks {
            task.await.unwrap();
        }
    });
    cpu_of_this_thread().saturating_sub(before)
}

struct Nobody;

impl EventSink for Nobody {
    fn emit(&self, _: MessageEvent) {}
}

/// Real shards, real files: CPU time of the shard's thread and of whoever writes for it, over the
/// packets it took.
fn whole(receive: ReceiveBy, files: FilesBy, streams: usize) -> u128 {
    let dir = tempfile::tempdir_in(".").unwrap();
    let (arrivals, _taken) = crossbeam::channel::bounded(1_024);
    let (notices, _heard) = tokio::sync::mpsc::unbounded_channel();
    let deps = ShardDeps {
        journal_dir: dir.path().to_owned(),
        arrivals,
        acks: Acks::default(),
        live: Arc::new(LiveLane::new(1_024)),
        events: Arc::new(Nobody),
        notices,
    };
    let config = RtpConfig { receive, files, calls_max: streams, ..RtpConfig::default() };
    let shards = Shards::start(config, deps).unwrap();
    let sender = socket();
    let from = sender.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let targets: Vec<SockAddr> = (0..streams)
        .map(|number| {
            let local = Ipv4Addr::LOCALHOST.into();
            let reservation = runtime.block_on(shards.reserve(local)).unwrap();
            shards.answer(reservation.call, plan(number as u128, from));
            shards.connected(reservation.call);
            mmsg::target(reservation.local_rtp)
        })
        .collect();
    let before = (shard_cpu(), shards.counters()[0].packets);
    send(&sender, &targets, ROUNDS);
    let after = (shard_cpu(), shards.counters()[0].packets);
    shards.stop();
    (after.0 - before.0) / u128::from(after.1 - before.1)
}

/// Nanoseconds that the shard's thread, its ring's workers and its file threads have run, from the
/// kernel's scheduler statistics.
fn shard_cpu() -> u128 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .map(|task| task.unwrap().path())
        .filter(|task| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|name| {
                ["rtp-0", "iou-wrk", "journal"].iter().any(|part| name.starts_with(part))
            })
        })
        .filter_map(|task| std::fs::read_to_string(task.join("schedstat")).ok())
        .map(|text| text.split(' ').next().unwrap().parse::<u128>().unwrap())
        .sum()
}
