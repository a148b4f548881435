//! Benches of ingress: a packet's way from the socket to the disk, stage by stage.
//!
//! Criterion measures the stages. What the kernel charges for receiving, and what a whole shard
//! costs, is printed after them (alone with the argument `receive`) as CPU nanoseconds per packet:
//! wall time would mostly be waiting.
#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up must end")]
#![allow(clippy::print_stdout, reason = "figures are what a bench is for")]
#![allow(missing_docs, reason = "criterion's macros make public items")]

#[path = "ingress/receive.rs"]
mod receive;

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use engine_core::call::{Call, CallPlan, Input, Output, SenderStart};
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::handoff::Acks;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::journal::JournalConfig;
use engine_core::packet::Packet;
use engine_core::recording::{ChunkWriter, Opened, Sealed};
use engine_core::text::LanguageChoice;
use engine_core::time::{Instant, RtpTicks, WallTime};
use ingress::journal::{AckDesk, DiskPlace, FilesOn, Inheritance, Keeper};
use ingress::rtp::slab::Slabs;
use ingress::rtp::wire;

/// The service's own allocator, so that it is the one measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    let (dir_path, files) = (dir.path().to_owned(), FilesOn::Ring);
    let disk = DiskPlace { dir: dir_path, shard: 0, files, faults: None };
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
    // As the service does (server/src/main.rs).
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if wanted.as_deref() != Some("receive") {
        stages();
        Criterion::default().configure_from_args().final_summary();
    }
    if wanted.as_deref().is_none_or(|name| name == "receive") {
        receive::compare();
    }
}
