//! Sounds that callers hear: kept once as samples, coded once per codec, shared by all calls.
//!
//! In: WAV files as the store keeps them, greetings that subscribers upload. Out: frames of
//! 20 ms for any codec. The beep is made here. Knows nothing of calls or mailboxes' rules.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::{BufMut, Bytes, BytesMut};
use engine_core::codec::Codec;
use engine_core::limits::SOUND_MAX;
use engine_core::sound::{Frames, SoundBank, SoundError, SoundId};

use crate::codec::encode_frames;
use crate::files::{FileError, read_sound};
use crate::limits::{SAMPLE_RATE_HZ, SAMPLES_PER_MS};

const BEEP_HZ: f32 = 1_000.0;
const BEEP_SAMPLES: usize = 400 * SAMPLES_PER_MS;
const BEEP_RAMP_SAMPLES: usize = 5 * SAMPLES_PER_MS;
/// −12 dBFS: clear, and no shock at the ear.
const BEEP_LEVEL: f32 = 0.25;
const WAV_HEADER_BYTES: usize = 44;

/// The bank of sounds.
pub struct Sounds {
    kept: RwLock<HashMap<SoundId, Arc<Kept>>>,
}

struct Kept {
    pcm: Vec<f32>,
    coded: [OnceLock<Option<Arc<Frames>>>; Codec::ALL.len()],
}

impl Sounds {
    /// A bank that holds the beep.
    pub fn new() -> Self {
        let beep = Arc::new(Kept::new(beep()));
        Self { kept: RwLock::new(HashMap::from([(SoundId::Beep, beep)])) }
    }

    /// The bank with one more sound, from a sound file.
    pub fn with_default(self, sound: SoundId, wav: &[u8]) -> Result<Self, SoundError> {
        self.put(sound, wav)?;
        Ok(self)
    }
}

impl Default for Sounds {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sounds").finish_non_exhaustive()
    }
}

impl SoundBank for Sounds {
    fn frames(&self, sound: SoundId, codec: Codec) -> Option<Arc<Frames>> {
        let kept = {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(kept.get(&sound)?)
        };
        kept.frames(codec)
    }

    fn read_greeting(&self, file: &[u8]) -> Result<Bytes, SoundError> {
        Ok(wav(&read(file)?))
    }

    fn put(&self, sound: SoundId, wav: &[u8]) -> Result<(), SoundError> {
        let kept = Arc::new(Kept::new(read(wav)?));
        self.kept.write().unwrap_or_else(PoisonError::into_inner).insert(sound, kept);
        Ok(())
    }

    fn remove(&self, sound: SoundId) {
        self.kept.write().unwrap_or_else(PoisonError::into_inner).remove(&sound);
    }
}

impl Kept {
    fn new(pcm: Vec<f32>) -> Self {
        Self { pcm, coded: [const { OnceLock::new() }; Codec::ALL.len()] }
    }

    fn frames(&self, codec: Codec) -> Option<Arc<Frames>> {
        let slot = self.coded.get(usize::from(codec.code()))?;
        let made = slot.get_or_init(|| match encode_frames(&self.pcm, codec) {
            Ok(payloads) => Some(Arc::new(Frames { codec, payloads })),
            Err(why) => {
                tracing::error!(codec = codec.name(), %why, "A sound could not be coded.");
                None
            }
        });
        made.clone()
    }
}

fn read(file: &[u8]) -> Result<Vec<f32>, SoundError> {
    let max_seconds = SOUND_MAX.as_secs();
    let pcm = read_sound(Bytes::copy_from_slice(file), SOUND_MAX).map_err(|why| match why {
        FileError::TooLong { .. } => SoundError::TooLong { seconds: max_seconds + 1, max_seconds },
        FileError::Unreadable { why } => SoundError::Unreadable { why },
        other => SoundError::Unreadable { why: other.to_string() },
    })?;
    if pcm.is_empty() { Err(SoundError::Empty) } else { Ok(pcm) }
}

/// A sine of 1 kHz for 0.4 s, with ramps so that it does not click.
fn beep() -> Vec<f32> {
    let step = std::f32::consts::TAU * BEEP_HZ / SAMPLE_RATE_HZ as f32;
    (0..BEEP_SAMPLES)
        .map(|n| {
            let edge = n.min(BEEP_SAMPLES - 1 - n) as f32 / BEEP_RAMP_SAMPLES as f32;
            BEEP_LEVEL * edge.min(1.0) * (n as f32 * step).sin()
        })
        .collect()
}

/// Mono 16 kHz samples as a 16-bit WAV file.
pub fn wav(pcm_16k: &[f32]) -> Bytes {
    let data_bytes = 2 * pcm_16k.len() as u32;
    let mut file = BytesMut::with_capacity(WAV_HEADER_BYTES + data_bytes as usize);
    file.put_slice(b"RIFF");
    file.put_u32_le(data_bytes + WAV_HEADER_BYTES as u32 - 8);
    file.put_slice(b"WAVEfmt ");
    file.put_u32_le(16);
    file.put_u16_le(1); // PCM
    file.put_u16_le(1); // mono
    file.put_u32_le(SAMPLE_RATE_HZ);
    file.put_u32_le(2 * SAMPLE_RATE_HZ);
    file.put_u16_le(2);
    file.put_u16_le(16);
    file.put_slice(b"data");
    file.put_u32_le(data_bytes);
    for sample in pcm_16k {
        file.put_i16_le(crate::codec::to_i16(*sample));
    }
    file.freeze()
}
