//! All limits of this crate, with their relations checked at compile time.

use std::time::Duration;

/// Longest message, in media time (S16).
pub const RECORDING_MAX: Duration = Duration::from_mins(1);
/// A call without any packet for this long is over.
pub const SILENT_LINE_MAX: Duration = Duration::from_secs(30);
/// Longest call, holds included: a caller who parks us is not kept for ever.
pub const CALL_MAX: Duration = Duration::from_mins(15);
/// Most key presses that one recording keeps.
pub const DIGITS_MAX: u32 = 256;
/// Longest wait for a packet that is missing before those behind it go on.
pub const REORDER_WAIT_MAX: Duration = Duration::from_millis(200);
/// Most packets that wait behind a missing one.
pub const REORDER_PACKETS_MAX: usize = 64;
/// Sequence numbers may jump ahead by less than this within a stream (RFC 3550 A.1).
pub const SEQUENCE_DROPOUT_MAX: u16 = 3_000;
/// Sequence numbers may fall back by at most this within a stream (RFC 3550 A.1).
pub const SEQUENCE_MISORDER_MAX: u16 = 100;
/// For this long the last packets of a stream are known after another one has replaced it.
pub const PREVIOUS_STREAM_MEMORY: Duration = Duration::from_secs(2);
/// Timestamps may run ahead of arrival by at most this; beyond it the sender has changed its base.
pub const TIMESTAMP_AHEAD_MAX: Duration = Duration::from_secs(5);
/// Longest RTP payload that we keep: 120 ms of Opus at 510 kbit/s fits, jumbo floods do not.
pub const PAYLOAD_BYTES_MAX: usize = 1_500;
/// Consecutive packets before a sender other than the announced one is believed.
pub const LATCH_PACKETS: u32 = 3;
/// The same for a sender whose address the caller's SDP did not name.
pub const LATCH_FOREIGN_PACKETS: u32 = 10;
/// A latched sender that was silent for this long may be followed to a new port or address.
pub const LATCH_SILENCE: Duration = Duration::from_secs(3);
/// A player that woke later than this goes on from now instead of bursting.
pub const PLAYER_BEHIND_MAX: Duration = Duration::from_millis(500);
/// Most that a crash may cost of a recording.
pub const COMMIT_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// A call that has gathered this much hands it on without waiting for the next commit.
pub const CHUNK_FLUSH_BYTES: usize = 256 * 1024;
/// Longest chunk that can be real; what claims to be longer is damage.
pub const CHUNK_BYTES_MAX: usize = 512 * 1024;
/// Most bytes that one journal write brings together.
pub const WRITE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most chunks that one journal write brings together (`IOV_MAX` is 1,024).
pub const WRITE_CHUNKS_MAX: usize = 1_024;
/// First pause after the disk failed; it doubles up to the longest.
pub const WRITE_RETRY_MIN: Duration = Duration::from_millis(50);
/// Longest pause between two tries to write.
pub const WRITE_RETRY_MAX: Duration = Duration::from_secs(2);
/// Longest greeting or announcement.
pub const SOUND_MAX: Duration = Duration::from_secs(30);
/// Longest window that one encoder pass hears.
pub const WINDOW_MAX: Duration = Duration::from_secs(30);

const _: () = assert!(REORDER_WAIT_MAX.as_millis() < COMMIT_INTERVAL_MAX.as_millis());
const _: () = assert!(COMMIT_INTERVAL_MAX.as_millis() < SILENT_LINE_MAX.as_millis());
const _: () = assert!(WINDOW_MAX.as_millis() <= RECORDING_MAX.as_millis());
// The jitter remembers which of the last 128 packets came.
const _: () = assert!((SEQUENCE_MISORDER_MAX as usize) < 128 && REORDER_PACKETS_MAX <= 128);
const _: () = assert!(CHUNK_FLUSH_BYTES + PAYLOAD_BYTES_MAX + 1_024 < CHUNK_BYTES_MAX);
const _: () = assert!(CHUNK_BYTES_MAX as u64 <= WRITE_BYTES_MAX);
const _: () = assert!(WRITE_RETRY_MIN.as_millis() <= WRITE_RETRY_MAX.as_millis());
const _: () = assert!(REORDER_PACKETS_MAX < SEQUENCE_DROPOUT_MAX as usize);
const _: () = assert!(REORDER_WAIT_MAX.as_millis() < PREVIOUS_STREAM_MEMORY.as_millis());
const _: () = assert!(LATCH_PACKETS <= LATCH_FOREIGN_PACKETS);
const _: () = assert!(LATCH_SILENCE.as_millis() < SILENT_LINE_MAX.as_millis());
const _: () = assert!(
    SOUND_MAX.as_millis() * 2 + RECORDING_MAX.as_millis() + SILENT_LINE_MAX.as_millis()
        < CALL_MAX.as_millis()
);
