//! All limits of this crate, with their relations checked at compile time.

use std::time::Duration;

/// Arrivals that share one transaction.
pub const ARRIVALS_PER_TRANSACTION_MAX: usize = 64;
/// Connections that read the store at once.
pub const READERS_MAX: u32 = 8;
/// How long a statement waits for another process that holds the database.
pub const DATABASE_BUSY_MAX: Duration = Duration::from_secs(10);

/// Data keys at hand: about 100 bytes each.
pub const DATA_KEYS_CACHED: usize = 65_536;
/// Data keys that are wrapped anew in one transaction.
pub const KEYS_PER_TRANSACTION_MAX: i64 = 1_000;
/// Rows of an older version that are sealed in one transaction.
pub const ROWS_SEALED_AT_ONCE: i64 = 100;
/// Master keys at once.
pub const MASTER_KEYS_MAX: usize = 16;

/// How long a job or a delivery belongs to who leased it.
pub const LEASE: Duration = Duration::from_mins(2);
/// How often a worker renews the lease of what it still works on.
pub const LEASE_RENEWAL: Duration = Duration::from_secs(30);
/// Longest sleep of a worker between two looks at the rows.
pub const WORKER_SLEEP_MAX: Duration = Duration::from_secs(5);
/// Rest of a job that found the engine's queue full.
pub const ENGINE_FULL_REST: Duration = Duration::from_millis(200);
/// Attempts at one recording before its message is kept without text: about two hours of an
/// engine that fails.
pub const TRANSCRIBE_ATTEMPTS_MAX: u32 = 14;

/// Attempts at one delivery: more than fit into [`DELIVERY_AGE_MAX`] with the rests below, so
/// that only a clock gone wrong meets it.
pub const DELIVERY_ATTEMPTS_MAX: u32 = 120;
/// Deliveries under way at once.
pub const DELIVERIES_MAX: usize = 8;
/// Longest age of a delivery that is still tried.
pub const DELIVERY_AGE_MAX: Duration = Duration::from_hours(72);
/// First rest after a failed attempt.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Longest rest between two attempts.
pub const BACKOFF_MAX: Duration = Duration::from_hours(1);
/// How long a mail server may be silent.
pub const SMTP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one delivery may take in all.
pub const DELIVERY_MAX: Duration = Duration::from_secs(90);
/// Connections to the mail server.
pub const SMTP_CONNECTIONS_MAX: u32 = 4;

/// Largest JSON body.
pub const JSON_BYTES_MAX: usize = 64 * 1_024;
/// Largest greeting upload: 30 s of 48 kHz 24-bit stereo WAV fits.
pub const GREETING_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// Mail addresses of one mailbox.
pub const ADDRESSES_MAX: usize = 10;
/// Longest mail address (RFC 5321 §4.5.3.1.3: a path has at most 256 octets with its brackets).
pub const ADDRESS_BYTES_MAX: usize = 254;
/// Items of a page when the client does not say.
pub const PAGE_DEFAULT: u32 = 50;
/// Most items of a page.
pub const PAGE_MAX: u32 = 200;
/// Shortest quiet that may end a recording; less would cut people who think.
pub const QUIET_LIMIT_S_MIN: u32 = 2;
/// Longest quiet limit and recording limit (S16).
pub const RECORDING_LIMIT_S_MAX: u32 = 60;
/// Longest name of an API key.
pub const KEY_NAME_CHARS_MAX: usize = 100;

/// How long readiness trusts its last look at the store.
pub const READINESS_KEPT: Duration = Duration::from_secs(1);
/// How long open requests may take to end once the service stops.
pub const REQUESTS_DRAIN_MAX: Duration = Duration::from_secs(10);

/// Events that a watcher may be behind, and that a watcher who comes back is told again.
pub const EVENTS_KEPT: usize = 4_096;
/// A watcher hears at least this often that the line is alive.
pub const EVENTS_KEEP_ALIVE: Duration = Duration::from_secs(15);

const _: () = assert!(LEASE_RENEWAL.as_millis() * 3 < LEASE.as_millis());
const _: () = assert!(SMTP_TIMEOUT.as_millis() < DELIVERY_MAX.as_millis());
const _: () = assert!(DELIVERY_MAX.as_millis() < LEASE.as_millis());
const _: () = assert!(BACKOFF_FIRST.as_millis() < BACKOFF_MAX.as_millis());
const _: () = assert!(BACKOFF_MAX.as_millis() < DELIVERY_AGE_MAX.as_millis());
const _: () = assert!(PAGE_DEFAULT <= PAGE_MAX);
const _: () = assert!(JSON_BYTES_MAX < GREETING_BYTES_MAX);
const _: () = assert!(
    RECORDING_LIMIT_S_MAX as u64 == engine_core::limits::RECORDING_MAX.as_secs(),
    "the engine and the API must agree on the longest message"
);
