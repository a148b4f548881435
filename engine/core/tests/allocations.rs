//! The way of a packet from latch to chunk allocates nothing once a call is under way.

#![allow(unsafe_code, reason = "counting allocations takes a global allocator of our own")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use engine_core::call::{Call, CallPlan, Input, Output, SenderStart};
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::packet::Packet;
use engine_core::recording::Opened;
use engine_core::text::LanguageChoice;
use engine_core::time::{Instant, WallTime};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed to the system's allocator unchanged; the counter is a plain cell
// of this thread that allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SOURCE: ([u8; 4], u16) = ([192, 0, 2, 1], 4_000);
const PACKETS_A_SECOND: u64 = 50;

fn call() -> Call {
    let plan = CallPlan {
        opened: Opened {
            recording: RecordingId::from_u128(1),
            mailbox: MailboxId::from_u128(2),
            caller: Caller::Withheld,
            codec: Codec::Pcmu,
            language: LanguageChoice::Detect,
            answered_at: WallTime::from_unix_millis(0),
        },
        payload_type: 0,
        digit_payload_type: None,
        greeting: None,
        beep: None,
        closing: None,
        recording_limit: Duration::from_mins(1),
        quiet_limit: Some(Duration::from_secs(10)),
        silent_line_limit: Duration::from_secs(30),
        sender: SenderStart { ssrc: 1, sequence: 1, timestamp: 1 },
        remote: Some(SocketAddr::from(SOURCE)),
    };
    Call::new(Instant::default(), WallTime::from_unix_millis(0), plan)
}

fn drain(call: &mut Call) -> usize {
    let mut chunks = 0;
    loop {
        match call.poll() {
            Output::Chunk(_) => chunks += 1,
            Output::Idle { .. } => return chunks,
            _ => {}
        }
    }
}

/// One second of packets, neighbours swapped now and then, and the commit at its end.
fn second(call: &mut Call, second: u64, payload: &Bytes) -> usize {
    for n in 0..PACKETS_A_SECOND {
        let swapped = match n % 10 {
            3 => n + 1,
            4 => n - 1,
            _ => n,
        };
        let number = second * PACKETS_A_SECOND + swapped;
        let packet = Packet {
            payload_type: 0,
            marker: false,
            sequence: number as u16,
            timestamp: number as u32 * 160,
            ssrc: 1,
            payload: payload.clone(),
        };
        let now = Instant::from_nanos((second * PACKETS_A_SECOND + n) * 20_000_000);
        call.handle(now, Input::Packet { source: SocketAddr::from(SOURCE), packet });
        drain(call);
    }
    let now = Instant::from_nanos((second + 1) * 1_000_000_000 - 1);
    call.handle(now, Input::Flush);
    drain(call)
}

#[test]
fn steady_state_allocates_only_the_chunk_buffer_of_each_commit() {
    let payload = Bytes::from_static(&[0x10; 160]);
    let mut call = call();
    let mut chunks = drain(&mut call);
    for n in 0..5 {
        chunks += second(&mut call, n, &payload);
    }
    assert_eq!(chunks, 6, "the opening and a chunk a second");
    let before = ALLOCATIONS.get();
    for n in 5..45 {
        assert_eq!(second(&mut call, n, &payload), 1);
    }
    // The buffer of the next chunk, and the counter that shares the last one.
    assert!(ALLOCATIONS.get() - before <= 40 * 2, "{} allocations", ALLOCATIONS.get() - before);
}
