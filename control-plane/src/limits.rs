//! All limits of this crate, with their relations checked at compile time.

use std::time::Duration;

/// Arrivals that share one transaction.
pub const ARRIVALS_PER_TRANSACTION_MAX: usize = 64;
/// Connections that read the store at once.
pub const READERS_MAX: u32 = 8;
/// How long a statement waits for another process that holds the database.
pub const DATABASE_BUSY_MAX: Duration = Duration::from_secs(10);
/// How long a call waits for its turn at the database: a thousand writes before it fit, also on
/// a slow disk.
pub const DATABASE_QUEUE_MAX: Duration = Duration::from_mins(1);

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
/// Deliveries of one channel under way at once.
pub const DELIVERIES_MAX: usize = 8;
/// Times that an SMS may be sent without a known answer: once, and once more.
pub const MAYBE_SENT_MAX: u32 = 2;
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

/// Callers whose requests are counted: keys, devices, addresses. About 40 bytes each.
pub const RATES_REMEMBERED: usize = 200_000;
/// Addresses of `X-Forwarded-For` that are read.
pub const FORWARDED_HOPS_MAX: usize = 16;
/// How long a notice is kept after everyone was told, with whom it was told: the log of webhooks.
pub const NOTICES_KEPT: Duration = Duration::from_hours(30 * 24);
/// Notices that are forgotten in one transaction.
pub const NOTICES_FORGOTTEN_MAX: u32 = 500;
/// How often old notices are looked for.
pub const NOTICES_FORGET_EVERY: Duration = Duration::from_hours(1);

/// Longest URL that others may give us to call.
pub const URL_BYTES_MAX: usize = 2_048;
/// How long a connection to somebody else's server may take.
pub const OUTGOING_CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a request to somebody else's server may take in all.
pub const OUTGOING_MAX: Duration = Duration::from_secs(20);

/// Parts of one SMS.
pub const SMS_PARTS_MAX: usize = 10;
/// How long an SMS waits for the message centre to be bound before it counts as failed.
pub const SMPP_BIND_WAIT: Duration = Duration::from_secs(10);
/// How long a connection to the message centre may take.
pub const SMPP_CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long the message centre may take to answer.
pub const SMPP_ANSWER_MAX: Duration = Duration::from_secs(10);
/// How often the line to the message centre is tried when nothing else crosses it.
pub const SMPP_ENQUIRE_LINK: Duration = Duration::from_secs(30);
/// Longest rest between two attempts to bind.
pub const SMPP_RECONNECT_MAX: Duration = Duration::from_mins(1);
/// Rest of an SMS when the message centre is throttled.
pub const SMPP_THROTTLED_REST: Duration = Duration::from_secs(5);

/// How long a push service keeps a push for a browser that is away.
pub const PUSH_TTL: Duration = Duration::from_hours(24);
/// Longest time to live of a push.
pub const PUSH_TTL_MAX: Duration = Duration::from_hours(28 * 24);
/// Characters of a text that a push shows.
pub const PUSH_BODY_CHARS_MAX: usize = 200;
/// Pushes are padded to multiples of this.
pub const PUSH_PAD_BYTES: usize = 256;
/// Browsers that one mailbox may tell.
pub const PUSH_ENDPOINTS_MAX: u32 = 20;

/// Webhooks of one deployment.
pub const WEBHOOKS_MAX: u32 = 50;
/// Longest description of a webhook.
pub const WEBHOOK_DESCRIPTION_CHARS_MAX: usize = 200;
/// How long a webhook's old secret signs beside its new one.
pub const WEBHOOK_SECRET_OVERLAP: Duration = Duration::from_hours(24);

/// Largest JSON body.
pub const JSON_BYTES_MAX: usize = 64 * 1_024;
/// Largest greeting upload: 30 s of 48 kHz 24-bit stereo WAV fits.
pub const GREETING_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// Largest sound file to be read; OpenAI's own limit.
pub const FILE_BYTES_MAX: usize = 25 * 1_024 * 1_024;
/// The same with the rest of its form.
pub const FILE_FORM_BYTES_MAX: usize = FILE_BYTES_MAX + 256 * 1_024;
/// Longest sound file to be read.
pub const FILE_DURATION_MAX: Duration = Duration::from_mins(30);
/// Forms with sound files that are held at once, in KiB; more are refused with 503.
pub const FILE_FORMS_KIB_MAX: usize = 256 * 1_024;
/// Longest prompt, in characters; the model takes the end of a long one.
pub const PROMPT_CHARS_MAX: usize = 4_000;
/// Hotwords of one mailbox.
pub const HOTWORDS_MAX: usize = 50;
/// Longest hotword, in characters.
pub const HOTWORD_CHARS_MAX: usize = 30;
/// Mail addresses of one mailbox.
pub const ADDRESSES_MAX: usize = 10;
/// Longest mail address (RFC 5321 §4.5.3.1.3: a path has at most 256 octets with its brackets).
pub const ADDRESS_BYTES_MAX: usize = 254;
/// Items of a page when the client does not say.
pub const PAGE_DEFAULT: u32 = 50;
/// Most items of a page.
pub const PAGE_MAX: u32 = 200;
/// Callers that one mailbox can block.
pub const BLOCKED_CALLERS_MAX: u32 = 200;
/// Exports under way at once; each holds a list that grows by some 300 bytes a message.
pub const EXPORTS_MAX: usize = 4;
/// Messages that an export reads at once.
pub const EXPORT_PAGE: u32 = 50;
/// Longest query of a search, in characters.
pub const SEARCH_CHARS_MAX: usize = 100;
/// Messages that one search request reads at most; the cursor leads on from there.
pub const SEARCH_SCAN_MAX: u32 = 2_000;
/// Shortest quiet that may end a recording; less would cut people who think.
pub const QUIET_LIMIT_S_MIN: u32 = 2;
/// Longest quiet limit and recording limit (S16).
pub const RECORDING_LIMIT_S_MAX: u32 = 60;
/// Longest name of an API key.
pub const KEY_NAME_CHARS_MAX: usize = 100;
/// Longest name of a campaign.
pub const CAMPAIGN_NAME_CHARS_MAX: usize = 100;
/// Most months that a campaign gives away.
pub const CAMPAIGN_FREE_MONTHS_MAX: u32 = 12;
/// Largest correction of one closed month, either way, in yen without tax.
pub const ADJUSTMENT_YEN_MAX: i64 = 1_000_000;
/// Longest reason of a correction.
pub const ADJUSTMENT_REASON_CHARS_MAX: usize = 200;
/// Rest between a month's end and its closing, so that what was dated before midnight is kept.
pub const MONTH_CLOSES_AFTER: Duration = Duration::from_mins(10);
/// Contracts that are read at once while a bill is drawn up.
pub const BILLING_PAGE_LINES: u32 = 1_000;
/// Length from which a part of a bill is written out; with a page's lines it stays well below the
/// largest row.
pub const EXPORT_PART_BYTES: usize = 1_024 * 1_024;
/// Longest forwarding target that is looked at, as people write numbers.
pub const FORWARD_TARGET_CHARS_MAX: usize = 64;

/// Longest name of a device.
pub const DEVICE_NAME_CHARS_MAX: usize = 50;
/// A device's last request is noted at most this often: each note is a write.
pub const DEVICE_SEEN_STEP: Duration = Duration::from_hours(1);
/// How long a set-up may take from its start to its last step.
pub const SETUP_AGE_MAX: Duration = Duration::from_hours(24);
/// Digits of a one-time code (S38).
pub const CODE_DIGITS: u32 = 4;
/// How long a one-time code holds (S38).
pub const CODE_AGE_MAX: Duration = Duration::from_mins(10);
/// Attempts at one code (S38).
pub const CODE_TRIES_MAX: u32 = 5;
/// Codes to one number in a minute (S38).
pub const CODES_PER_NUMBER_MINUTE_MAX: u32 = 1;
/// Codes to one number in an hour (S38).
pub const CODES_PER_NUMBER_HOUR_MAX: u32 = 5;
/// Codes to one number in a day: whoever holds a serial must not keep a phone ringing.
pub const CODES_PER_NUMBER_DAY_MAX: u32 = 10;
/// Wrong codes for one number in a day. Five tries at each of ten codes would hit the right one
/// once in two hundred days; this leaves once in a thousand, with SMS that somebody notices.
pub const WRONG_CODES_PER_NUMBER_DAY_MAX: u32 = 10;
/// Codes asked from one address in an hour: several homes may share one.
pub const CODES_PER_ADDRESS_HOUR_MAX: u32 = 30;
/// Codes entered from one address in an hour.
pub const TRIES_PER_ADDRESS_HOUR_MAX: u32 = 60;
/// Set-ups begun from one address in an hour.
pub const SETUPS_PER_ADDRESS_HOUR_MAX: u32 = 60;
/// Serials entered from one address in an hour.
pub const SERIALS_PER_ADDRESS_HOUR_MAX: u32 = 60;
/// How long what was done is remembered; no limit may look further back.
pub const TURN_AGE_MAX: Duration = Duration::from_hours(24);
/// Longest reason of a line's flag.
pub const REASON_CHARS_MAX: usize = 500;
/// How long a number that was given back is not handed out again.
pub const QUARANTINE: Duration = Duration::from_hours(180 * 24);
/// Numbers that one request may take into the pool: one transaction of some tens of milliseconds.
pub const NUMBERS_PER_REQUEST_MAX: u32 = 10_000;
/// Longest Idempotency-Key.
pub const REPEAT_KEY_CHARS_MAX: usize = 255;
/// How long a repeated request is known again.
pub const REPEAT_AGE_MAX: Duration = Duration::from_hours(24);
/// Longest terms of service in one language that are kept here; both fit a JSON body.
pub const TERMS_TEXT_CHARS_MAX: usize = 8_000;
/// Longest address of terms of service.
pub const TERMS_URL_CHARS_MAX: usize = 2_000;

/// Entries of the audit log that are verified at a time.
pub const AUDIT_VERIFY_ROWS: u32 = 1_000;

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
const _: () = assert!(OUTGOING_MAX.as_millis() < DELIVERY_MAX.as_millis());
const _: () = assert!(DELIVERY_AGE_MAX.as_millis() < NOTICES_KEPT.as_millis());
const _: () = assert!(PUSH_TTL.as_millis() <= PUSH_TTL_MAX.as_millis());
const _: () = assert!(SMS_PARTS_MAX <= u8::MAX as usize);
const _: () = assert!(BACKOFF_FIRST.as_millis() < BACKOFF_MAX.as_millis());
const _: () = assert!(BACKOFF_MAX.as_millis() < DELIVERY_AGE_MAX.as_millis());
const _: () = assert!(CODE_AGE_MAX.as_millis() < SETUP_AGE_MAX.as_millis());
const _: () = assert!(CODES_PER_NUMBER_HOUR_MAX <= CODES_PER_NUMBER_DAY_MAX);
const _: () = assert!(CODE_TRIES_MAX <= WRONG_CODES_PER_NUMBER_DAY_MAX);
const _: () = assert!(PAGE_DEFAULT <= PAGE_MAX);
const _: () = assert!(PAGE_MAX < SEARCH_SCAN_MAX);
const _: () = assert!(JSON_BYTES_MAX < GREETING_BYTES_MAX);
const _: () = assert!(FILE_FORM_BYTES_MAX <= FILE_FORMS_KIB_MAX * 1_024);
const _: () = assert!(
    RECORDING_LIMIT_S_MAX as u64 == engine_core::limits::RECORDING_MAX.as_secs(),
    "the engine and the API must agree on the longest message"
);
