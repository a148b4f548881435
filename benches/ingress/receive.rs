//! What the kernel charges the receiving thread, and what a whole shard costs.
//!
//! In: nothing; it makes its sockets and shards. Out: printed medians of CPU nanoseconds per
//! packet, ours beside the ways not taken. Knows nothing of criterion: wall time would mostly be
//! waiting.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use engine_core::event::{EventSink, MessageEvent};
use engine_core::handoff::{Acks, LiveLane};
use ingress::media::MediaPlane;
use ingress::rtp::receive::{Readiness, Receive};
use ingress::rtp::{RtpConfig, ShardDeps, Shards, wire};

use super::{PERIOD, packet, plan};

const SOCKETS: usize = 500;
const ROUNDS: u32 = 150;
const TIMES: usize = 3;

/// A way to receive: takes sockets and how many datagrams will come; returns CPU time.
type Way = fn(Vec<UdpSocket>, usize) -> Duration;

pub(super) fn compare() {
    let ways: [(&str, Way, usize); 4] = [
        ("epoll + recvfrom, read every 5 ms (ours)", readiness, SOCKETS),
        ("tokio, a task per socket", tokio_tasks, SOCKETS),
        ("tokio-uring recv_from, a task per socket", uring_recv_from, SOCKETS),
        ("one socket for all, recv_from in a loop every 5 ms (floor)", one_socket, 1),
    ];
    let seconds = PERIOD.as_secs_f64() * f64::from(ROUNDS) * (TIMES * (ways.len() + 1)) as f64;
    println!("{SOCKETS} sockets, a packet of 172 bytes every 20 ms each; about {seconds:.0} s");
    for (name, way, count) in ways {
        report(name, (0..TIMES).map(|_| measure(way, count)).collect());
    }
    report("a whole shard, sockets to fdatasync", (0..TIMES).map(|_| whole_shard()).collect());
}

fn report(name: &str, mut nanos: Vec<u128>) {
    nanos.sort_unstable();
    let (least, median, most) = (nanos[0], nanos[TIMES / 2], nanos[TIMES - 1]);
    println!("receive {name}: {median} ns CPU per packet ({least}–{most}, {TIMES} times)");
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Sends to all targets in turn, spread over each period.
fn send(from: &UdpSocket, targets: &[SocketAddr], rounds: u32) {
    let mut encoded = wire::encode(&packet(0)).to_vec();
    let started = Clock::now();
    for round in 0..rounds {
        encoded[2..4].copy_from_slice(&(round as u16).to_be_bytes());
        encoded[4..8].copy_from_slice(&(round * 160).to_be_bytes());
        for (at, target) in targets.iter().enumerate() {
            from.send_to(&encoded, target).unwrap();
            if at % 25 == 24 {
                let part = PERIOD.mul_f64(at as f64 / targets.len() as f64);
                let moment = started + PERIOD * round + part;
                std::thread::sleep(moment.saturating_duration_since(Clock::now()));
            }
        }
    }
}

fn measure(way: Way, count: usize) -> u128 {
    let sockets: Vec<UdpSocket> = (0..count).map(|_| socket()).collect();
    let sender = socket();
    let addresses = sockets.iter().map(|socket| socket.local_addr().unwrap());
    let targets: Vec<SocketAddr> =
        addresses.collect::<Vec<_>>().into_iter().cycle().take(SOCKETS).collect();
    let packets = SOCKETS * ROUNDS as usize;
    let receiver = std::thread::spawn(move || way(sockets, packets));
    send(&sender, &targets, ROUNDS);
    // One round more, in case the kernel dropped some on a busy machine.
    while !receiver.is_finished() {
        send(&sender, &targets, 1);
    }
    receiver.join().unwrap().as_nanos() / packets as u128
}

fn readiness(sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    let mut receive = Readiness::new().unwrap();
    for (token, socket) in sockets.into_iter().enumerate() {
        receive.watch(token, Rc::new(socket)).unwrap();
    }
    let before = cpu_time();
    let mut taken = 0;
    while taken < packets {
        std::thread::sleep(Duration::from_millis(5));
        taken += receive.drain(8_192, &mut |datagram| {
            black_box(datagram);
        });
    }
    cpu_time().saturating_sub(before)
}

fn one_socket(sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    let socket = sockets.into_iter().next().unwrap();
    let mut buffer = [0; 2_048];
    let before = cpu_time();
    let mut taken = 0;
    while taken < packets {
        std::thread::sleep(Duration::from_millis(5));
        while socket.recv_from(&mut buffer).is_ok() {
            taken += 1;
        }
    }
    cpu_time().saturating_sub(before)
}

fn tokio_tasks(sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let before = cpu_time();
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
    cpu_time().saturating_sub(before)
}

fn uring_recv_from(sockets: Vec<UdpSocket>, packets: usize) -> Duration {
    let mut builder = tokio_uring::builder();
    builder.entries(4_096);
    let before = cpu_time();
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
    cpu_time().saturating_sub(before)
}

struct Nobody;

impl EventSink for Nobody {
    fn emit(&self, _: MessageEvent) {}
}

/// Real shards, real files: CPU time of the shard's thread over the packets it took.
fn whole_shard() -> u128 {
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
    let shards = Shards::start(RtpConfig::default(), deps).unwrap();
    let sender = socket();
    let from = sender.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let targets: Vec<SocketAddr> = (0..SOCKETS)
        .map(|number| {
            let local = Ipv4Addr::LOCALHOST.into();
            let reservation = runtime.block_on(shards.reserve(local)).unwrap();
            shards.answer(reservation.call, plan(number as u128, from));
            shards.connected(reservation.call);
            reservation.local_rtp
        })
        .collect();
    let before = (shard_cpu(), shards.counters()[0].packets);
    send(&sender, &targets, ROUNDS);
    let after = (shard_cpu(), shards.counters()[0].packets);
    shards.stop();
    (after.0 - before.0) / u128::from(after.1 - before.1)
}

/// Nanoseconds that the shard's thread has run, from the kernel's scheduler statistics.
fn shard_cpu() -> u128 {
    let named = |task: &Path| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "rtp-0")
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let task = tasks.map(|task| task.unwrap().path()).find(|task| named(task)).unwrap();
    let statistics = std::fs::read_to_string(task.join("schedstat")).unwrap();
    statistics.split(' ').next().unwrap().parse().unwrap()
}
