//! Sound files to samples: WAV, MP3, FLAC, Ogg with Vorbis or Opus.
//!
//! In: a file's bytes, from anybody. Out: mono samples at 16 kHz, without an encoder's own
//! samples at the ends, never longer than asked for.

use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use symphonia::core::audio::SampleBuffer;
use symphonia::core::codecs::{CODEC_TYPE_NULL, CODEC_TYPE_OPUS, CodecParameters, DecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::{FormatOptions, FormatReader, Packet, Track};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::probe::Hint;

use crate::limits::{OPUS_PACKET_SAMPLES_MAX, SAMPLE_RATE_HZ};
use crate::resample::{ResampleError, Resampler};

/// Why a file gave no sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Not a format that we read, or damaged.
    #[error("this is not a sound file we can read ({why}); give WAV, MP3, FLAC or Ogg")]
    Unreadable {
        /// What the reader said.
        why: String,
    },
    /// Longer than the caller takes.
    #[error("the sound lasts more than {} s", .max.as_secs())]
    TooLong {
        /// The limit.
        max: Duration,
    },
    /// A rate that cannot be resampled.
    #[error(transparent)]
    Resample(#[from] ResampleError),
}

impl FileError {
    fn unreadable(why: &impl ToString) -> Self {
        Self::Unreadable { why: why.to_string() }
    }
}

/// Reads a sound file of at most `max` length to mono samples at 16 kHz.
pub fn read_sound(file: Bytes, max: Duration) -> Result<Vec<f32>, FileError> {
    let stream =
        MediaSourceStream::new(Box::new(Cursor::new(file)), MediaSourceStreamOptions::default());
    let options = FormatOptions { enable_gapless: true, ..FormatOptions::default() };
    let probed = symphonia::default::get_probe()
        .format(&Hint::new(), stream, &options, &MetadataOptions::default())
        .map_err(|why| FileError::unreadable(&why))?;
    let mut format = probed.format;
    let track = format
        .tracks()
        .iter()
        .find(|track| track.codec_params.codec != CODEC_TYPE_NULL)
        .cloned()
        .ok_or_else(|| FileError::unreadable(&"it holds no sound"))?;
    let mut sink = Sink::new(max);
    if track.codec_params.codec == CODEC_TYPE_OPUS {
        decode_opus(format.as_mut(), &track, &mut sink)?;
    } else {
        decode(format.as_mut(), &track, &mut sink)?;
    }
    sink.finish()
}

/// Collects mono samples at 16 kHz up to a limit.
struct Sink {
    max: Duration,
    resampler: Option<Resampler>,
    mono: Vec<f32>,
    out: Vec<f32>,
}

impl Sink {
    fn new(max: Duration) -> Self {
        Self { max, resampler: None, mono: Vec::new(), out: Vec::new() }
    }

    /// Takes interleaved samples.
    fn push(&mut self, samples: &[f32], channels: usize, rate_hz: u32) -> Result<(), FileError> {
        if self.resampler.is_none() {
            self.resampler = Some(Resampler::new(rate_hz, SAMPLE_RATE_HZ)?);
        }
        let resampler = self.resampler.as_mut().expect("it was made above");
        self.mono.clear();
        let scale = 1.0 / channels.max(1) as f32;
        let frames = samples.chunks_exact(channels.max(1));
        self.mono.extend(frames.map(|frame| (frame.iter().sum::<f32>() * scale).clamp(-1.0, 1.0)));
        resampler.push(&self.mono, &mut self.out);
        if self.out.len() > self.samples_max() {
            return Err(FileError::TooLong { max: self.max });
        }
        Ok(())
    }

    fn samples_max(&self) -> usize {
        (self.max.as_millis() as usize).saturating_mul(SAMPLE_RATE_HZ as usize / 1_000)
    }

    fn finish(mut self) -> Result<Vec<f32>, FileError> {
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.out);
        }
        if self.out.len() > self.samples_max() {
            return Err(FileError::TooLong { max: self.max });
        }
        Ok(self.out)
    }
}

/// The next packet of a track; `None` at the end.
fn next(format: &mut dyn FormatReader, track: u32) -> Result<Option<Packet>, FileError> {
    loop {
        match format.next_packet() {
            Ok(packet) if packet.track_id() == track => return Ok(Some(packet)),
            Ok(_) => {}
            Err(SymphoniaError::ResetRequired) => return Ok(None),
            Err(SymphoniaError::IoError(why))
                if why.kind() == std::io::ErrorKind::UnexpectedEof =>
            {
                return Ok(None);
            }
            Err(why) => return Err(FileError::unreadable(&why)),
        }
    }
}

fn decode(format: &mut dyn FormatReader, track: &Track, sink: &mut Sink) -> Result<(), FileError> {
    let mut decoder = symphonia::default::get_codecs()
        .make(&track.codec_params, &DecoderOptions::default())
        .map_err(|why| FileError::unreadable(&why))?;
    let mut buffer: Option<SampleBuffer<f32>> = None;
    while let Some(packet) = next(format, track.id)? {
        let decoded = match decoder.decode(&packet) {
            Ok(decoded) => decoded,
            // A damaged packet costs its own sound only.
            Err(SymphoniaError::DecodeError(_)) => continue,
            Err(why) => return Err(FileError::unreadable(&why)),
        };
        let spec = *decoded.spec();
        let room = decoded.capacity();
        let fits =
            buffer.as_ref().is_some_and(|old| old.capacity() >= room * spec.channels.count());
        if !fits {
            buffer = Some(SampleBuffer::new(room as u64, spec));
        }
        let samples = buffer.as_mut().expect("it was made above");
        samples.copy_interleaved_ref(decoded);
        sink.push(samples.samples(), spec.channels.count(), spec.rate)?;
    }
    Ok(())
}

/// Opus in Ogg (RFC 7845): symphonia takes the file apart, libopus decodes at 16 kHz.
fn decode_opus(
    format: &mut dyn FormatReader,
    track: &Track,
    sink: &mut Sink,
) -> Result<(), FileError> {
    let mut decoder = opus::Decoder::new(SAMPLE_RATE_HZ, opus::Channels::Mono)
        .map_err(|why| FileError::unreadable(&why))?;
    let mut pcm = vec![0.0; OPUS_PACKET_SAMPLES_MAX];
    let mut skip = opus_pre_skip(&track.codec_params);
    while let Some(packet) = next(format, track.id)? {
        let Ok(count) = decoder.decode_float(packet.buf(), &mut pcm, false) else { continue };
        // RFC 7845 §4.4: the last page's granule says how much of the last packet counts.
        let trimmed = (packet.trim_end() / 3) as usize;
        let end = count.saturating_sub(trimmed);
        let start = skip.min(end);
        skip -= start;
        sink.push(&pcm[start..end], 1, SAMPLE_RATE_HZ)?;
    }
    Ok(())
}

/// RFC 7845 §5.1: samples at 48 kHz to be thrown away at the start, as samples at 16 kHz.
fn opus_pre_skip(params: &CodecParameters) -> usize {
    let head = params.extra_data.as_deref().unwrap_or_default();
    head.get(10..12).map_or(0, |at| usize::from(u16::from_le_bytes([at[0], at[1]])) / 3)
}
