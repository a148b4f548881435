//! All limits of this crate, with their relations checked at compile time.

use std::time::Duration;

use engine_core::limits::{COMMIT_INTERVAL_MAX, PAYLOAD_BYTES_MAX, REORDER_WAIT_MAX};

/// How long a shard lets datagrams gather before it reads them: batching wake-ups is what pays,
/// and a recorder does not hear 5 ms.
pub const TICK: Duration = Duration::from_millis(5);
/// Longest datagram that is read; a longer one is cut by the kernel and refused as oversize.
pub const DATAGRAM_BYTES_MAX: usize = 2_048;
/// Size of a receive slab. Small, because one long-held payload pins its whole slab.
pub const SLAB_BYTES: usize = 64 * 1_024;
/// Slabs that may wait for their last view; beyond it the oldest is let go and freed by its views.
pub const SLABS_RETIRED_MAX: usize = 512;
/// Most datagrams one drain takes, so that a flood cannot keep commands and timers waiting.
pub const DATAGRAMS_PER_TICK_MAX: usize = 8_192;
/// Most readiness events that are fetched at once.
pub const EVENTS_MAX: usize = 1_024;
/// Datagrams that are taken out of a steered socket in one system call: their buffers stay in the
/// second-level cache.
pub const STEERED_BATCH: usize = 64;
/// Buffers that the ring receives into: more than one entry of the kernel fills, few enough to
/// stay in the cache. When they run out, what waits stays in the sockets' own buffers.
pub const RING_BUFFERS: u16 = 1_024;
/// Results that the ring can hold.
pub const RING_COMPLETIONS: u32 = 4_096;
/// Requests that the ring takes at once.
pub const RING_SUBMISSIONS: u32 = 256;
/// Most commands taken between two looks at the sockets.
pub const COMMANDS_PER_TURN_MAX: usize = 256;
/// Longest time from a reserved port pair to the answer; SIP's timers are far shorter.
pub const RESERVATION_MAX: Duration = Duration::from_mins(5);
/// Port pairs tried before a reservation fails because others hold them.
pub const BIND_TRIES_MAX: usize = 64;
/// How often slow work is looked at: RTCP, events, counters, reservations.
pub const ROUNDS_EVERY: Duration = Duration::from_millis(250);
/// How often `Recording` events repeat.
pub const RECORDING_EVENT_EVERY: Duration = Duration::from_secs(1);
/// Average time between RTCP reports (RFC 3550 §6.2, minimum interval).
pub const RTCP_INTERVAL: Duration = Duration::from_secs(5);
/// Packets that a call is expected to send a second until it is heard.
pub const PACKETS_PER_CALL_SECOND: u64 = 50;
/// A shard that comes later than this to its work takes no new calls.
pub const TURN_LATE_MAX: Duration = Duration::from_secs(1);
/// How often each socket is asked for what the kernel dropped.
pub const DROPS_EVERY: Duration = Duration::from_secs(2);
/// So many calls are looked at together.
pub const ROUNDS_AT_ONCE: usize = 64;
/// So many calls are told together to hand their chunks to the journal: fewer keep nobody waiting,
/// more share a sync.
pub const FLUSH_AT_ONCE: usize = 256;
/// What we play may leave so much before its time: timers come up to a millisecond late.
pub const SEND_AHEAD: Duration = Duration::from_millis(1);
/// Niceness of a shard's thread that does not run in real time, where the service may have it
/// (`CAP_SYS_NICE`, `RLIMIT_NICE`).
pub const SHARD_NICENESS: i32 = -10;
/// A packet of ours that leaves later than this after its time counts as late.
pub const SENT_LATE: Duration = Duration::from_millis(2);
/// Most shards.
pub const SHARDS_MAX: u16 = 64;
/// Longest wait for acknowledgements and room for arrivals when nothing else wakes the shard.
pub const IDLE_WAKE: Duration = Duration::from_millis(50);
/// Sealed recordings in memory that wait for room in the arrivals queue; further ones stay on disk.
pub const ARRIVALS_WAITING_MAX: usize = 16;
/// Recordings that are read back at a time.
pub const READBACKS_MAX: usize = 4;
/// Threads of a shard that may wait for the disk, where files are not written by the ring.
pub const FILE_THREADS_MAX: usize = 4;
/// Wait before a read-back or a removal that failed is tried again.
pub const DISK_RETRY: Duration = Duration::from_secs(1);
/// Buffers of one vectored write: the kernel's `IOV_MAX`.
pub const WRITE_BUFFERS_MAX: usize = 1_024;
/// Waits for a chunk's write behind its flush, so that one sync covers all calls.
pub const COMMIT_GATHER: Duration = Duration::from_millis(20);
/// Time that a drain gives the disk after its limit has passed.
pub const DRAIN_GRACE: Duration = Duration::from_secs(5);
/// Longest wait for operations that the kernel still carries out when a shard ends.
pub const RING_REST_MAX: Duration = Duration::from_secs(1);
/// Longest capture file that is read.
pub const CAPTURE_BYTES_MAX: u64 = 1 << 30;
/// Most RTP streams that are told apart in one capture.
pub const CAPTURE_STREAMS_MAX: usize = 256;

const _: () = assert!(DATAGRAM_BYTES_MAX > PAYLOAD_BYTES_MAX + 12 + 15 * 4);
const _: () =
    assert!(RING_BUFFERS.is_power_of_two() && RING_BUFFERS as u32 * 2 <= RING_COMPLETIONS);
const _: () = assert!(SLAB_BYTES >= 16 * DATAGRAM_BYTES_MAX);
const _: () = assert!(TICK.as_millis() < REORDER_WAIT_MAX.as_millis());
const _: () = assert!(SEND_AHEAD.as_millis() < SENT_LATE.as_millis());
const _: () = assert!(ROUNDS_EVERY.as_millis() < RECORDING_EVENT_EVERY.as_millis());
const _: () = assert!(COMMIT_GATHER.as_millis() * 10 < COMMIT_INTERVAL_MAX.as_millis());
const _: () = assert!(READBACKS_MAX <= ARRIVALS_WAITING_MAX);
