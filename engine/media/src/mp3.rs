//! A recording to MP3 while it arrives: LAME, mono, 16 kHz, constant 32 kbit/s.
//!
//! In: mono samples at 16 kHz. Out: one MP3 whose Info frame says how many samples are the
//! encoder's own, so that a decoder that reads it gives back exactly what went in (S03, S04).

use bytes::Bytes;
use mp3lame_encoder::{
    Bitrate, Builder, Encoder, FlushGap, Mode, MonoPcm, Quality, max_required_buffer_size,
};

use crate::limits::SAMPLE_RATE_HZ;

/// What LAME refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mp3Error {
    /// It could not be set up.
    #[error("the MP3 encoder could not be set up: {why}")]
    SetUp {
        /// What LAME said.
        why: String,
    },
    /// It failed while encoding.
    #[error("the MP3 encoder failed: {why}")]
    Encode {
        /// What LAME said.
        why: String,
    },
}

impl Mp3Error {
    fn encode(why: mp3lame_encoder::EncodeError) -> Self {
        Self::Encode { why: why.to_string() }
    }
}

/// Samples that LAME is given at once.
const BLOCK_SAMPLES: usize = 16_000;
/// Room for the last frames and the Info frame.
const TAIL_BYTES: usize = 7_200;

/// Encodes one recording.
pub struct Mp3Encoder {
    lame: Encoder,
    bytes: Vec<u8>,
}

impl Mp3Encoder {
    /// An encoder for one recording.
    pub fn new() -> Result<Self, Mp3Error> {
        let lame = build().map_err(|why| Mp3Error::SetUp { why: why.to_string() })?;
        Ok(Self { lame, bytes: Vec::new() })
    }

    /// Takes sound.
    pub fn push(&mut self, pcm_16k: &[f32]) -> Result<(), Mp3Error> {
        for block in pcm_16k.chunks(BLOCK_SAMPLES) {
            self.bytes.reserve(max_required_buffer_size(block.len()));
            self.lame.encode_to_vec(MonoPcm(block), &mut self.bytes).map_err(Mp3Error::encode)?;
        }
        Ok(())
    }

    /// Ends the recording and gives the whole file.
    pub fn finish(mut self) -> Result<Bytes, Mp3Error> {
        self.bytes.reserve(TAIL_BYTES);
        self.lame.flush_to_vec::<FlushGap>(&mut self.bytes).map_err(Mp3Error::encode)?;
        // LAME began the stream with an empty frame of this size; the real one is known now.
        let mut info = Vec::with_capacity(TAIL_BYTES);
        self.lame
            .lame_tag_encode_to_vec(&mut info)
            .ok_or_else(|| Mp3Error::Encode { why: "it gave no Info frame".to_owned() })?;
        let room = self.bytes.len();
        self.bytes[..info.len().min(room)].copy_from_slice(&info[..info.len().min(room)]);
        self.bytes.shrink_to_fit();
        Ok(Bytes::from(self.bytes))
    }
}

impl std::fmt::Debug for Mp3Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mp3Encoder").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

fn build() -> Result<Encoder, mp3lame_encoder::BuildError> {
    Builder::new()
        .ok_or(mp3lame_encoder::BuildError::NoMem)?
        .with_num_channels(1)?
        .with_sample_rate(SAMPLE_RATE_HZ)?
        .with_mode(Mode::Mono)?
        .with_brate(Bitrate::Kbps32)?
        .with_quality(Quality::Ok)?
        .with_to_write_vbr_tag(true)?
        .build()
}
