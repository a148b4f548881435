//! What the cores cost: a packet, a chunk, a recovery, a hand-off, a window.
//!
//! `cargo bench -p rusuden-benches --bench core`. Figures are in `benches/README.md`.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use engine_core::batcher::{self, Batcher, BatcherConfig, Lane, Window};
use engine_core::call::{self, Call, CallPlan, SenderStart};
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::handoff::LiveLane;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::jitter::{self, Jitter, JitterConfig};
use engine_core::journal::recover;
use engine_core::loudness::Loudness;
use engine_core::manner::Manner;
use engine_core::packet::Packet;
use engine_core::recording::{Chunk, ChunkWriter, Opened};
use engine_core::text::{Language, LanguageChoice};
use engine_core::time::{Instant, RtpTicks, WallTime};

const SOURCE: ([u8; 4], u16) = ([192, 0, 2, 1], 4_000);
const FRAME: [u8; 160] = [0x10; 160];
const FRAMES_A_SECOND: u64 = 50;

fn opened(id: u128) -> Opened {
    Opened {
        recording: RecordingId::from_u128(id),
        mailbox: MailboxId::from_u128(1),
        caller: Caller::Withheld,
        codec: Codec::Pcmu,
        language: LanguageChoice::Detect,
        answered_at: WallTime::from_unix_millis(0),
    }
}

fn at(packet: u64) -> Instant {
    Instant::from_nanos(packet * 20_000_000)
}

fn packet(number: u64, payload: &Bytes) -> Packet {
    Packet {
        payload_type: 0,
        marker: false,
        sequence: number as u16,
        timestamp: (number as u32).wrapping_mul(160),
        ssrc: 1,
        payload: payload.clone(),
    }
}

fn jitter(c: &mut Criterion) {
    let payload = Bytes::from_static(&FRAME);
    let mut group = c.benchmark_group("jitter");
    group.throughput(Throughput::Elements(1));
    for (name, swaps) in [("in_order", false), ("every_tenth_swapped", true)] {
        let mut jitter = Jitter::new(JitterConfig { codec: Codec::Pcmu, payload_type: 0 });
        let mut number = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                let sent = match number % 10 {
                    3 if swaps => number + 1,
                    4 if swaps => number - 1,
                    _ => number,
                };
                jitter.handle(at(number), jitter::Input::Packet(packet(sent, &payload)));
                while let jitter::Output::Packet(released) = jitter.poll() {
                    black_box(released);
                }
                number += 1;
            });
        });
    }
    group.finish();
}

fn drain(call: &mut Call) {
    loop {
        match call.poll() {
            call::Output::Idle { .. } => return,
            output => drop(black_box(output)),
        }
    }
}

fn recording_call(quiet_limit: Option<Duration>) -> Call {
    let mut call = Call::new(
        Instant::default(),
        WallTime::from_unix_millis(0),
        CallPlan {
            opened: opened(1),
            payload_type: 0,
            digit_payload_type: Some(101),
            greeting: None,
            beep: None,
            closing: None,
            recording_limit: Duration::from_mins(1),
            quiet_limit,
            silent_line_limit: Duration::from_secs(30),
            sender: SenderStart { ssrc: 1, sequence: 1, timestamp: 1 },
            remote: Some(SocketAddr::from(SOURCE)),
        },
    );
    drain(&mut call);
    call
}

fn call(c: &mut Criterion) {
    let payload = Bytes::from_static(&FRAME);
    let mut group = c.benchmark_group("call");
    // Latch, jitter, recorder, chunk and checksum of 59 s, a commit a second.
    let seconds = 59;
    group.throughput(Throughput::Elements(seconds * FRAMES_A_SECOND));
    for (name, quiet) in [("packet", None), ("packet_with_quiet_limit", Some(60))] {
        let quiet = quiet.map(Duration::from_secs);
        group.bench_function(name, |b| {
            b.iter_batched(
                || recording_call(quiet),
                |mut call| {
                    for number in 0..seconds * FRAMES_A_SECOND {
                        let source = SocketAddr::from(SOURCE);
                        let packet = packet(number, &payload);
                        call.handle(at(number), call::Input::Packet { source, packet });
                        drain(&mut call);
                        if number % FRAMES_A_SECOND == FRAMES_A_SECOND - 1 {
                            call.handle(at(number), call::Input::Flush);
                            drain(&mut call);
                        }
                    }
                    call
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    let mut group = c.benchmark_group("loudness");
    group.throughput(Throughput::Elements(1));
    for codec in [Codec::Pcmu, Codec::G722] {
        let mut loudness = Loudness::new(codec);
        group.bench_function(codec.name(), |b| b.iter(|| loudness.is_loud(black_box(&FRAME))));
    }
    group.finish();
}

/// One second of a call.
fn second(writer: &mut ChunkWriter, second: u64) -> Bytes {
    for frame in 0..FRAMES_A_SECOND {
        writer.frame(RtpTicks((second * FRAMES_A_SECOND + frame) * 160), false, &FRAME);
    }
    writer.finish(8_432).expect("frames wait")
}

fn chunks(c: &mut Criterion) {
    let mut group = c.benchmark_group("chunk");
    group.throughput(Throughput::Elements(FRAMES_A_SECOND));
    let mut writer = ChunkWriter::new(RecordingId::from_u128(1), 8_432);
    group.bench_function("write_frame", |b| b.iter(|| second(&mut writer, 0)));
    let chunk = second(&mut writer, 0);
    group.throughput(Throughput::Bytes(chunk.len() as u64));
    group.bench_function("check", |b| b.iter(|| Chunk::take(&mut chunk.clone())));
    group.finish();

    // 200 calls of 60 s, their chunks interleaved as a shard writes them.
    let mut writers: Vec<_> =
        (1..=200).map(|id| ChunkWriter::new(RecordingId::from_u128(id), 8_432)).collect();
    let mut segment = Vec::new();
    for (writer, id) in writers.iter_mut().zip(1..) {
        writer.open(&opened(id));
        segment.extend(writer.finish(8_432).expect("the opening waits"));
    }
    for time in 0..60 {
        for writer in &mut writers {
            segment.extend_from_slice(&second(writer, time));
        }
    }
    let segments = [(0, Bytes::from(segment))];
    let mut group = c.benchmark_group("recover");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(segments[0].1.len() as u64));
    group.bench_function("200_calls_of_60_s", |b| b.iter(|| recover(black_box(&segments))));
    group.finish();
}

const BURST: u64 = 10_000;

/// Moves chunks from one thread to another.
fn burst(put: impl Fn(Bytes) -> bool + Sync, take: impl Fn() -> bool) {
    let chunk = Bytes::from(vec![0; 8_432]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..BURST {
                while !put(chunk.clone()) {
                    std::thread::yield_now();
                }
            }
        });
        let mut taken = 0;
        while taken < BURST {
            if take() {
                taken += 1;
            } else {
                std::thread::yield_now();
            }
        }
    });
}

fn handoff(c: &mut Criterion) {
    const ROOM: usize = 1_024;
    let chunk = Bytes::from(vec![0; 8_432]);
    let lane = LiveLane::new(ROOM);
    let queue = crossbeam::queue::ArrayQueue::<Bytes>::new(ROOM);
    let (to, from) = crossbeam::channel::bounded::<Bytes>(ROOM);
    let (std_to, std_from) = mpsc::sync_channel::<Bytes>(ROOM);
    let mut group = c.benchmark_group("handoff_one_thread");
    group.throughput(Throughput::Elements(1));
    group.bench_function("live_lane", |b| {
        b.iter(|| {
            lane.offer(chunk.clone());
            lane.take()
        });
    });
    group.bench_function("crossbeam_channel", |b| {
        b.iter(|| (to.try_send(chunk.clone()).is_ok(), from.try_recv().ok()));
    });
    group.bench_function("std_mpsc", |b| {
        b.iter(|| (std_to.try_send(chunk.clone()).is_ok(), std_from.try_recv().ok()));
    });
    group.finish();
    let mut group = c.benchmark_group("handoff_two_threads");
    group.sample_size(20);
    group.throughput(Throughput::Elements(BURST));
    // The lane drops when it is full, so its queue is measured where nothing may be dropped.
    group.bench_function("array_queue", |b| {
        b.iter(|| burst(|chunk| queue.push(chunk).is_ok(), || queue.pop().is_some()));
    });
    group.bench_function("crossbeam_channel", |b| {
        b.iter(|| burst(|chunk| to.try_send(chunk).is_ok(), || from.try_recv().is_ok()));
    });
    group.bench_function("std_mpsc", |b| {
        b.iter(|| burst(|chunk| std_to.try_send(chunk).is_ok(), || std_from.try_recv().is_ok()));
    });
    group.finish();
}

fn batches(c: &mut Criterion) {
    let mut group = c.benchmark_group("batcher");
    let windows = 1_000;
    group.throughput(Throughput::Elements(windows));
    group.bench_function("window", |b| {
        b.iter(|| {
            let mut batcher = Batcher::new(BatcherConfig::default());
            for number in 0..windows {
                let window = Window {
                    recording: RecordingId::from_u128(u128::from(number)),
                    number: 0,
                    length: Duration::from_millis(number * 7_919 % 30_000),
                    language: Some(Language::Japanese),
                    manner: Manner::default(),
                    lane: Lane::Live,
                    alone: false,
                    payload: (),
                };
                batcher.handle(at(number), batcher::Input::Window(window));
                while let batcher::Output::Run(batch) = batcher.poll() {
                    batcher.handle(at(number), batcher::Input::Done(batch.ticket));
                }
            }
            batcher
        });
    });
    group.finish();
}

criterion_group!(core, jitter, call, chunks, handoff, batches);
criterion_main!(core);
