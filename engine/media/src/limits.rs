//! All limits of this crate, with their relations checked at compile time.

use std::time::Duration;

use engine_core::limits::{RECORDING_MAX, SOUND_MAX, WINDOW_MAX};

/// Everything behind the codecs runs at this rate.
pub const SAMPLE_RATE_HZ: u32 = 16_000;
/// Samples in a millisecond.
pub const SAMPLES_PER_MS: usize = SAMPLE_RATE_HZ as usize / 1_000;
/// Samples in 20 ms, the packet we send.
pub const PACKET_SAMPLES: usize = 20 * SAMPLES_PER_MS;
/// Longest recording, in samples.
pub const RECORDING_SAMPLES_MAX: usize = RECORDING_MAX.as_millis() as usize * SAMPLES_PER_MS;
/// Longest announcement, in samples.
pub const SOUND_SAMPLES_MAX: usize = SOUND_MAX.as_millis() as usize * SAMPLES_PER_MS;
/// Longest window that the model may hear, in samples.
pub const WINDOW_SAMPLES_MAX: usize = WINDOW_MAX.as_millis() as usize * SAMPLES_PER_MS;
/// Longest loss that is covered by repeating what came before; beyond it there is silence.
pub const CONCEAL_MAX: Duration = Duration::from_millis(60);
/// Longest loss that Opus covers by itself; beyond it there is silence.
pub const OPUS_CONCEAL_MAX: Duration = Duration::from_millis(100);
/// Longest Opus packet (RFC 6716 §3.2.5), in samples at our rate.
pub const OPUS_PACKET_SAMPLES_MAX: usize = 120 * SAMPLES_PER_MS;
/// Most that a 60 s message may weigh as MP3 (S04).
pub const MP3_BYTES_MAX: usize = 250_000;
/// Longest sound file that is read for transcription.
pub const FILE_MAX: Duration = Duration::from_hours(4);
/// A recording under way that nobody asked for within this time is dropped.
pub const LIVE_AGE_MAX: Duration = Duration::from_mins(10);
/// Recordings handed over as work whose text is still being made; more wait in the queue.
pub const WORKS_MAX: usize = 256;
/// Windows that wait for the model; live listening pauses when half as many do.
pub const WINDOWS_MAX: usize = 2_048;
/// How long a live window waits for company before it is read.
pub const LIVE_WAIT: Duration = Duration::from_millis(200);
/// Windows in one batch, whatever is configured.
pub const BATCH_MAX: usize = 64;
/// Chunks taken from the live lane at once.
pub const CHUNKS_PER_ROUND: usize = 1_024;
/// Longest wait before the live lane is looked at again.
pub const LANE_POLL: Duration = Duration::from_millis(10);
/// Longest text that one window may give, in tokens.
pub const WINDOW_TOKENS_MAX: usize = 224;
/// Longest prompt before a window's text, in tokens; of a longer one the end is taken.
pub const PROMPT_TOKENS_MAX: usize = 200;
/// Widest beam.
pub const BEAM_MAX: usize = 10;
/// Windows of one take that wait for the model at once; the rest of a long file stands behind, so
/// that it cannot crowd out callers.
pub const TAKE_WINDOWS_MAX: usize = 16;
/// Readings that a window is given when the batches that it is in fail; all but the first alone.
pub const READ_ATTEMPTS: u8 = 3;
/// Longest head of a frame between the engine and a reader's process.
pub const READER_HEAD_BYTES_MAX: usize = 32 << 20;
/// Longest that a reader's process may take to load its model: a large one from a slow disk.
pub const READER_LOAD_MAX: Duration = Duration::from_mins(5);
/// So many batches that a reader's model refuses one after the other cost it its process.
pub const READER_REFUSALS_MAX: u32 = 2;
/// Longest wait for a killed process to be gone.
pub const READER_END_MAX: Duration = Duration::from_secs(2);
/// Longest wait for a reader's process before it is looked whether the engine stops.
pub const READER_POLL: Duration = Duration::from_millis(100);
/// Pause before a reader's process is started again after that failed; doubled each time.
pub const READER_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Longest such pause.
pub const READER_AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);
/// Threads that read sound files.
pub const FILE_CLERKS: usize = 2;
/// Sound of files under way, in samples: two hours, 460 MB. The next file waits beyond it.
pub const FILE_SAMPLES_MAX: usize = 2 * 60 * 60 * SAMPLE_RATE_HZ as usize;
/// Files that are read at once; the next one waits.
pub const FILES_MAX: usize = 32;
/// Files run when no call's window is due; one that has waited this long takes its turn.
pub const FILE_WAIT: Duration = Duration::from_hours(1);
/// Longest wait of a clerk before it looks whether it should stop.
pub const CLERK_POLL: Duration = Duration::from_millis(100);
/// Positions of Whisper's decoder.
const POSITIONS_MAX: usize = 448;
/// Largest JSON file of a model folder.
pub const MODEL_JSON_BYTES_MAX: u64 = 64 << 20;

const _: () = assert!(WINDOW_SAMPLES_MAX <= RECORDING_SAMPLES_MAX);
const _: () = assert!(SOUND_SAMPLES_MAX <= RECORDING_SAMPLES_MAX);
const _: () = assert!(CONCEAL_MAX.as_millis() <= OPUS_CONCEAL_MAX.as_millis());
const _: () = assert!(RECORDING_MAX.as_millis() < LIVE_AGE_MAX.as_millis());
const _: () = assert!(RECORDING_MAX.as_secs() as usize * 4_000 < MP3_BYTES_MAX);
const _: () = assert!(WORKS_MAX <= WINDOWS_MAX);
// Start of the prompt, prompt, start of the transcript (4 tokens), text.
const _: () = assert!(1 + PROMPT_TOKENS_MAX + 4 + WINDOW_TOKENS_MAX <= POSITIONS_MAX);
// Files alone never make the desk so full that live listening pauses.
const _: () = assert!(FILES_MAX * TAKE_WINDOWS_MAX <= WINDOWS_MAX / 4);
