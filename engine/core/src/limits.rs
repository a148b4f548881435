//! All limits of this crate, with their relations checked at compile time.

use std::time::Duration;

/// Longest message, in media time (S16).
pub const RECORDING_MAX: Duration = Duration::from_secs(60);
/// A call without any packet for this long is over.
pub const SILENT_LINE_MAX: Duration = Duration::from_secs(30);
/// Longest wait for a packet that is missing before those behind it go on.
pub const REORDER_WAIT_MAX: Duration = Duration::from_millis(200);
/// Most packets that wait behind a missing one.
pub const REORDER_PACKETS_MAX: usize = 64;
/// Longest RTP payload that we keep: 120 ms of Opus at 510 kbit/s fits, jumbo floods do not.
pub const PAYLOAD_BYTES_MAX: usize = 1_500;
/// Most that a crash may cost of a recording.
pub const COMMIT_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Longest greeting or announcement.
pub const SOUND_MAX: Duration = Duration::from_secs(30);
/// Longest window that one encoder pass hears.
pub const WINDOW_MAX: Duration = Duration::from_secs(30);

const _: () = assert!(REORDER_WAIT_MAX.as_millis() < COMMIT_INTERVAL_MAX.as_millis());
const _: () = assert!(COMMIT_INTERVAL_MAX.as_millis() < SILENT_LINE_MAX.as_millis());
const _: () = assert!(WINDOW_MAX.as_millis() <= RECORDING_MAX.as_millis());
