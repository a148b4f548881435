//! A recording to MP3 while it arrives: LAME, mono, 16 kHz, constant 32 kbit/s.
//!
//! In: mono samples at 16 kHz. Out: one MP3 whose Info frame says how many samples are the
//! encoder's own, so that a decoder that reads it gives back exactly what went in (S03, S04).
//! LAME leaves that frame out here, because at 32 kbit/s a frame is too short for it; so it is
//! written by hand, as a frame of 40 kbit/s that players know to skip.

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
/// Room for the last frames.
const TAIL_BYTES: usize = 7_200;
/// Bytes of a frame at 32 kbit/s and 16 kHz, and of the Info frame at 40 kbit/s.
const FRAME_BYTES: usize = 144;
const INFO_BYTES: usize = 180;
/// Samples in an MPEG-2 frame.
const FRAME_SAMPLES: u64 = 576;
/// Samples that LAME puts before the first of ours.
const DELAY_SAMPLES: u64 = 576;

/// Encodes one recording.
pub struct Mp3Encoder {
    lame: Encoder,
    /// Room for the Info frame, then the music.
    bytes: Vec<u8>,
    samples: u64,
}

impl Mp3Encoder {
    /// An encoder for one recording.
    pub fn new() -> Result<Self, Mp3Error> {
        let lame = build().map_err(|why| Mp3Error::SetUp { why: why.to_string() })?;
        Ok(Self { lame, bytes: vec![0; INFO_BYTES], samples: 0 })
    }

    /// Takes sound.
    pub fn push(&mut self, pcm_16k: &[f32]) -> Result<(), Mp3Error> {
        self.samples += pcm_16k.len() as u64;
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
        let Some(header) = self.bytes.get(INFO_BYTES..INFO_BYTES + 4) else {
            return Err(Mp3Error::Encode { why: "it gave no frame".to_owned() });
        };
        let header = [header[0], header[1], header[2], header[3]];
        let (info, music) = self.bytes.split_at_mut(INFO_BYTES);
        info.copy_from_slice(&info_frame(header, music, self.samples));
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
        .with_to_write_vbr_tag(false)?
        .build()
}

/// The Info frame: Xing's header with LAME's extension. Everything is big-endian.
fn info_frame(header: [u8; 4], music: &[u8], samples: u64) -> [u8; INFO_BYTES] {
    let frames = (music.len() / FRAME_BYTES) as u64;
    let padding = (frames * FRAME_SAMPLES).saturating_sub(DELAY_SAMPLES + samples).min(0xfff);
    let total = (INFO_BYTES + music.len()) as u32;
    let mut tag = Vec::with_capacity(INFO_BYTES);
    tag.extend_from_slice(&header);
    // Bit rate index 5 of MPEG-2 layer III is 40 kbit/s.
    tag[2] = header[2] & 0x0f | 0x50;
    tag.extend_from_slice(&[0; 9]); // side information of an MPEG-2 mono frame
    tag.extend_from_slice(b"Info");
    tag.extend_from_slice(&0x0f_u32.to_be_bytes()); // frames, bytes, contents, quality follow
    tag.extend_from_slice(&(frames as u32).to_be_bytes());
    tag.extend_from_slice(&total.to_be_bytes());
    tag.extend((0..100_u32).map(|percent| (percent * 256 / 100) as u8));
    tag.extend_from_slice(&50_u32.to_be_bytes());
    tag.extend_from_slice(b"LAME3.100");
    tag.push(1); // revision 0, constant bit rate
    tag.push(0); // low-pass: not told
    tag.extend_from_slice(&[0; 8]); // peak and gains: not told
    tag.push(0); // encoding flags
    tag.push(32); // kbit/s
    let trims = (DELAY_SAMPLES as u32) << 12 | padding as u32;
    tag.extend_from_slice(&trims.to_be_bytes()[1..]);
    tag.extend_from_slice(&[0; 4]); // noise shaping, gain, preset: not told
    tag.extend_from_slice(&total.to_be_bytes());
    tag.extend_from_slice(&crc16(music).to_be_bytes());
    let check = crc16(&tag);
    tag.extend_from_slice(&check.to_be_bytes());
    let mut frame = [0; INFO_BYTES];
    frame[..tag.len()].copy_from_slice(&tag);
    frame
}

/// CRC-16 as LAME's tag uses it: polynomial 0x8005, reflected, from 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| crc >> 8 ^ CRC_TABLE[usize::from(crc as u8 ^ byte)])
}

const CRC_TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut value = 0;
    while value < 256 {
        let mut crc = value as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 };
            bit += 1;
        }
        table[value] = crc;
        value += 1;
    }
    table
};
