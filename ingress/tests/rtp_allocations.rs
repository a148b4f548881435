//! The steady-state receive path allocates nothing per packet: counted over real sockets, the
//! real shard and the real call core.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

mod rtp_bed;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine_core::packet::Packet;
use ingress::media::MediaPlane;
use ingress::rtp::wire;
use rtp_bed::{Bed, Call, Phone, pace};

struct Counting;

static COUNTED: AtomicU64 = AtomicU64::new(0);
static COUNTING: AtomicBool = AtomicBool::new(false);

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNTED.fetch_add(u64::from(COUNTING.load(Ordering::Relaxed)), Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNTED.fetch_add(u64::from(COUNTING.load(Ordering::Relaxed)), Ordering::Relaxed);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CALLS: usize = 20;
const PACKETS: u64 = 50_000;
/// 5 ms of µ-law in a packet.
const TICKS: u32 = 40;

/// Sends one packet on each call.
fn round(phones: &[Phone], calls: &[Call], wires: &mut [Vec<u8>], number: u32) {
    for ((phone, call), wire) in phones.iter().zip(calls).zip(wires) {
        wire[2..4].copy_from_slice(&(number as u16).to_be_bytes());
        wire[4..8].copy_from_slice(&(number * TICKS).to_be_bytes());
        phone.rtp.send_to(wire, call.to).unwrap();
    }
}

#[test]
fn fifty_thousand_packets_allocate_nothing_between_commits() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |config| config.commit_interval_ms = 1_000);
    let phones: Vec<Phone> = (0..CALLS).map(|_| Phone::new()).collect();
    let calls: Vec<Call> = phones.iter().map(|phone| bed.call(phone, |_| ())).collect();
    let payload = vec![0x55; TICKS as usize].into();
    let (payload_type, marker, sequence, timestamp, ssrc) = (0, false, 0, 0, 7);
    let first = Packet { payload_type, marker, sequence, timestamp, ssrc, payload };
    let mut wires: Vec<Vec<u8>> = calls.iter().map(|_| wire::encode(&first).to_vec()).collect();

    let mut number = 0;
    let (mut packets, mut allocations, mut windows) = (0, 0, 0);
    let started = Instant::now();
    while packets < PACKETS {
        assert!(started.elapsed() < Duration::from_mins(5), "only {packets} packets were clean");
        // A window begins right behind a commit and ends well before the next; one that a commit
        // falls into on a slow machine is not counted.
        let commits = bed.count().commits;
        while bed.count().commits == commits {
            round(&phones, &calls, &mut wires, number);
            number += 1;
            pace(started + Duration::from_micros(3_500) * number);
        }
        // The last chunks of the burst are let go.
        for _ in 0..20 {
            round(&phones, &calls, &mut wires, number);
            number += 1;
            pace(started + Duration::from_micros(3_500) * number);
        }
        let window = Instant::now();
        let before = (bed.shards.counters()[0].packets, bed.shards.counters()[0].commits);
        COUNTED.store(0, Ordering::SeqCst);
        COUNTING.store(true, Ordering::SeqCst);
        while window.elapsed() < Duration::from_millis(550) {
            round(&phones, &calls, &mut wires, number);
            number += 1;
            pace(started + Duration::from_micros(3_500) * number);
        }
        COUNTING.store(false, Ordering::SeqCst);
        let counted = COUNTED.load(Ordering::SeqCst);
        let after = (bed.shards.counters()[0].packets, bed.shards.counters()[0].commits);
        if after.1 == before.1 && window.elapsed() < Duration::from_millis(700) {
            packets += after.0 - before.0;
            allocations += counted;
            windows += 1;
        }
    }
    let each = allocations as f64 / packets as f64;
    let slabs = bed.count().slabs_made;
    #[allow(clippy::print_stdout, reason = "the figure is what the test is for")]
    {
        println!(
            "{allocations} allocations, {packets} packets, {windows} windows: {each:.5} each; {slabs} slabs"
        );
    }
    assert!(each < 0.02, "{each} allocations a packet");
    let count = bed.count();
    assert_eq!((count.lost, count.malformed, count.hijacks), (0, 0, 0));
    for call in &calls {
        bed.shards.hang_up(call.id);
    }
    for _ in &calls {
        assert!(bed.arrival().sealed.frames > 2_500);
    }
}
