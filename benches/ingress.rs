//! Benches of ingress: a packet's way from the socket to the disk, stage by stage.
//!
//! Criterion measures the stages. What the kernel charges for receiving, and what a whole shard
//! costs, is printed first as CPU nanoseconds per packet: wall time would mostly be waiting.
#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up must end")]
#![allow(clippy::print_stdout, reason = "figures are what a bench is for")]
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use engine_core::call::{Call, CallPlan, Input, Output, SenderStart};
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::event::{EventSink, MessageEvent};
use engine_core::handoff::{Acks, LiveLane};
use engine_core::id::{MailboxId, RecordingId};
use engine_core::journal::JournalConfig;
use engine_core::packet::Packet;
use engine_core::recording::{ChunkWriter, Opened, Sealed};
use engine_core::text::LanguageChoice;
use engine_core::time::{Instant, RtpTicks, WallTime};
use ingress::journal::{AckDesk, DiskPlace, Inheritance, Keeper};
use ingress::media::MediaPlane;
use ingress::rtp::receive::{Readiness, Receive};
use ingress::rtp::slab::Slabs;
use ingress::rtp::{RtpConfig, ShardDeps, Shards, wire};

const SOCKETS: usize = 500;
const ROUNDS: u32 = 200;
const PERIOD: Duration = Duration::from_millis(20);

fn packet(number: u32) -> Packet {
    Packet {
        payload_type: 0,
        marker: number == 0,
        sequence: number as u16,
        timestamp: number.wrapping_mul(160),
        ssrc: 7,
        payload: Bytes::from_static(&[0x55; 160]),
    }
}

fn opened(recording: u128) -> Opened {
    Opened {
        recording: RecordingId::from_u128(recording),
        mailbox: MailboxId::from_u128(1),
        caller: Caller::Withheld,
        codec: Codec::Pcmu,
        language: LanguageChoice::Detect,
        answered_at: WallTime::from_unix_millis(1_700_000_000_000),
    }
}

fn plan(recording: u128, remote: SocketAddr) -> CallPlan {
    CallPlan {
        opened: opened(recording),
        payload_type: 0,
        digit_payload_type: Some(101),
        greeting: None,
        beep: None,
        closing: None,
        recording_limit: Duration::from_mins(1),
        quiet_limit: None,
        silent_line_limit: Duration::from_secs(30),
        sender: SenderStart { ssrc: 1, sequence: 0, timestamp: 0 },
        remote: Some(remote),
    }
}

/// One packet: into a slab, frozen, parsed.
fn unmarshal(criterion: &mut Criterion) {
    let encoded = wire::encode(&packet(1));
    let mut slabs = Slabs::default();
    criterion.bench_function("rtp_unmarshal", |bench| {
        bench.iter(|| {
            slabs.room()[..encoded.len()].copy_from_slice(&encoded);
            black_box(wire::parse(slabs.take(encoded.len())).unwrap())
        });
    });
}

/// One packet from slab to chunk, without sockets and disk; a commit after every 25 packets.
fn shard_path(criterion: &mut Criterion) {
    let source = "192.0.2.1:4000".parse().unwrap();
    let at = |number: u32| Instant::default() + PERIOD * number;
    let fresh = || {
        let mut call = Call::new(at(0), WallTime::default(), plan(1, source));
        call.handle(at(0), Input::Connected);
        while !matches!(call.poll(), Output::Idle { .. }) {}
        call
    };
    let encoded: Vec<Bytes> = (0..2_500).map(|number| wire::encode(&packet(number))).collect();
    let mut slabs = Slabs::default();
    let mut group = criterion.benchmark_group("shard_path");
    group.throughput(Throughput::Elements(encoded.len() as u64));
    group.bench_function("2500_packets", |bench| {
        bench.iter_batched(
            fresh,
            |mut call| {
                for (number, encoded) in (0..).zip(&encoded) {
                    slabs.room()[..encoded.len()].copy_from_slice(encoded);
                    let packet = wire::parse(slabs.take(encoded.len())).unwrap();
                    call.handle(at(number), Input::Packet { source, packet });
                    while !matches!(call.poll(), Output::Idle { .. }) {}
                    if number % 25 == 24 {
                        call.handle(at(number), Input::Flush);
                        while !matches!(black_box(call.poll()), Output::Idle { .. }) {}
                    }
                }
                call
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

const MEBIBYTE: usize = 1 << 20;
const CALLS: usize = 64;

/// Two chunks each of 64 calls, 1 MiB in all.
fn chunks(first: u128) -> Vec<(RecordingId, Bytes, bool)> {
    let mut all = Vec::new();
    for call in 0..CALLS as u128 {
        let opened = opened(first + call);
        let recording = opened.recording;
        let mut writer = ChunkWriter::new(recording, 9_000);
        writer.open(&opened);
        for last in [false, true] {
            for frame in 0..48 {
                writer.frame(RtpTicks(frame * 160), false, &[0x55; 160]);
            }
            if last {
                writer.seal(&Sealed {
                    recording,
                    reason: engine_core::recording::EndReason::HungUp,
                    ended_at: WallTime::default(),
                    frames: 96,
                    duration: RtpTicks(0),
                    call_ms: 0,
                    lost: 0,
                });
            }
            all.push((recording, writer.finish(9_000).unwrap(), last));
        }
    }
    all
}

/// Group commit of 1 MiB by the journal, and the floor: one write and one fdatasync.
fn journal(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let mut group = criterion.benchmark_group("journal_1MiB");
    group.sample_size(20).throughput(Throughput::Bytes(MEBIBYTE as u64));
    let ring = tokio_uring::Runtime::new(&tokio_uring::builder()).unwrap();
    let (arrivals, taken) = crossbeam::channel::unbounded();
    let acks = Acks::default();
    let mut desks = AckDesk::for_shards(&acks, 1);
    let counters = Arc::default();
    let config = JournalConfig {
        segment_bytes_max: 64 << 20,
        commit_interval: Duration::from_millis(1),
        backlog_bytes_max: 64 << 20,
    };
    let disk = DiskPlace { dir: dir.path().to_owned(), shard: 0, faults: None };
    let origin = Clock::now();
    let now = || Instant::from_nanos(origin.elapsed().as_nanos() as u64);
    let mut keeper = ring.block_on(async {
        let desk = desks.remove(0);
        Keeper::new(config, disk, Inheritance::default(), arrivals, desk, Arc::clone(&counters))
    });
    let mut first = 0;
    group.bench_function("append_and_group_commit", |bench| {
        bench.iter_batched(
            || {
                first += CALLS as u128;
                chunks(first)
            },
            |chunks| {
                ring.block_on(async {
                    for (recording, chunk, last) in chunks {
                        keeper.append(now(), recording, chunk, last);
                    }
                    let mut durable = 0;
                    while durable < CALLS {
                        let until = keeper.until(now()).unwrap_or(now());
                        let wake = origin + until.since(Instant::default());
                        tokio::select! {
                            () = keeper.wake() => {}
                            () = tokio::time::sleep_until(wake.into()) => {}
                        }
                        keeper.turn(now());
                        durable += keeper.take_durable().len();
                        taken.try_iter().for_each(|arrival| acks.push(arrival.opened.recording));
                    }
                });
            },
            BatchSize::PerIteration,
        );
    });
    let mut plain = File::create(dir.path().join("plain")).unwrap();
    let bytes = vec![0x55; MEBIBYTE];
    group.bench_function("floor_write_and_fdatasync", |bench| {
        bench.iter(|| {
            plain.write_all(&bytes).unwrap();
            plain.sync_data().unwrap();
        });
    });
    group.finish();
    // Removals may still be under way (see `Keeper::is_disk_busy`).
    std::mem::forget(ring);
}

criterion_group!(stages, unmarshal, shard_path, journal);

fn main() {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if wanted.as_deref().is_none_or(|name| name == "receive") {
        receive::compare();
    }
    if wanted.as_deref() != Some("receive") {
        stages();
        Criterion::default().configure_from_args().final_summary();
    }
}

/// What the kernel charges the receiving thread, and what a whole shard costs.
mod receive {
    use super::{
        Acks, Arc, Clock, Duration, EventSink, Ipv4Addr, LiveLane, MediaPlane, MessageEvent,
        PERIOD, Path, ROUNDS, Rc, Readiness, Receive, RtpConfig, SOCKETS, ShardDeps, Shards,
        SocketAddr, UdpSocket, black_box, packet, plan, wire,
    };

    /// A way to receive: takes sockets and how many datagrams will come; returns CPU time.
    type Way = fn(Vec<UdpSocket>, usize) -> Duration;

    pub(super) fn compare() {
        let ways: [(&str, Way, usize); 4] = [
            ("epoll + recvfrom, read every 5 ms (ours)", readiness, SOCKETS),
            ("tokio, a task per socket", tokio_tasks, SOCKETS),
            ("tokio-uring recv_from, a task per socket", uring_recv_from, SOCKETS),
            ("one socket for all, recv_from in a loop every 5 ms (floor)", one_socket, 1),
        ];
        println!("{SOCKETS} sockets, a packet of 172 bytes every 20 ms each; medians of 5");
        for (name, way, count) in ways {
            let mut nanos: Vec<u128> = (0..5).map(|_| measure(way, count)).collect();
            nanos.sort_unstable();
            println!("receive {name}: {} ns CPU per packet", nanos[2]);
        }
        let mut nanos: Vec<u128> = (0..3).map(|_| whole_shard()).collect();
        nanos.sort_unstable();
        println!("whole shard, sockets to fdatasync: {} ns CPU per packet", nanos[1]);
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
}
