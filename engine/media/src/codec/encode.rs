//! Samples to RTP payloads of 20 ms, for announcements and the test caller.
//!
//! In: mono samples at 16 kHz. Out: one payload a packet; the last one is filled up with silence.

use audio_codec::g722::G722Encoder;
use audio_codec::pcma::PcmaEncoder;
use audio_codec::pcmu::PcmuEncoder;
use bytes::Bytes;
use engine_core::codec::Codec;

use super::CodecError;
use crate::limits::{PACKET_SAMPLES, SAMPLE_RATE_HZ};
use crate::resample::resample_all;

const OPUS_BITS_PER_SECOND: i32 = 24_000;
const OPUS_PAYLOAD_BYTES_MAX: usize = 400;

/// Codes mono 16 kHz sound in `codec`: one payload for each 20 ms begun.
///
/// ```
/// use engine_core::codec::Codec;
/// use engine_media::codec::encode_frames;
///
/// let payloads = encode_frames(&[0.0; 330], Codec::Pcmu).unwrap();
/// assert_eq!(payloads.len(), 2);
/// assert_eq!(payloads[0].len(), 160);
/// ```
pub fn encode_frames(pcm_16k: &[f32], codec: Codec) -> Result<Vec<Bytes>, CodecError> {
    match codec {
        Codec::Pcmu => sampled(&mut PcmuEncoder::new(), codec, &at_8k(pcm_16k)?, 160),
        Codec::Pcma => sampled(&mut PcmaEncoder::new(), codec, &at_8k(pcm_16k)?, 160),
        Codec::G722 => sampled(&mut G722Encoder::new(), codec, pcm_16k, PACKET_SAMPLES),
        Codec::Opus => opus_frames(pcm_16k),
    }
}

fn at_8k(pcm_16k: &[f32]) -> Result<Vec<f32>, CodecError> {
    Ok(resample_all(pcm_16k, SAMPLE_RATE_HZ, 8_000)?)
}

fn sampled(
    encoder: &mut dyn audio_codec::Encoder,
    codec: Codec,
    pcm: &[f32],
    packet_samples: usize,
) -> Result<Vec<Bytes>, CodecError> {
    let mut packet = vec![0_i16; packet_samples];
    let mut payload = vec![0_u8; encoder.max_encode_bytes(packet_samples)];
    pcm.chunks(packet_samples)
        .map(|part| {
            packet.fill(0);
            for (to, from) in packet.iter_mut().zip(part) {
                *to = to_i16(*from);
            }
            let count = encoder.encode_into(&packet, &mut payload).map_err(|why| {
                CodecError::Sample { codec: codec.name(), why: format!("{why:?}") }
            })?;
            Ok(Bytes::copy_from_slice(&payload[..count]))
        })
        .collect()
}

fn opus_frames(pcm: &[f32]) -> Result<Vec<Bytes>, CodecError> {
    let mut encoder =
        opus::Encoder::new(SAMPLE_RATE_HZ, opus::Channels::Mono, opus::Application::Voip)
            .map_err(CodecError::opus("make an encoder"))?;
    encoder
        .set_bitrate(opus::Bitrate::Bits(OPUS_BITS_PER_SECOND))
        .map_err(CodecError::opus("set the bit rate"))?;
    let mut packet = [0.0_f32; PACKET_SAMPLES];
    let mut payload = [0_u8; OPUS_PAYLOAD_BYTES_MAX];
    pcm.chunks(PACKET_SAMPLES)
        .map(|part| {
            packet.fill(0.0);
            packet[..part.len()].copy_from_slice(part);
            let count = encoder
                .encode_float(&packet, &mut payload)
                .map_err(CodecError::opus("encode a packet"))?;
            Ok(Bytes::copy_from_slice(&payload[..count]))
        })
        .collect()
}

/// A sample as 16 bits, clipped.
pub(crate) fn to_i16(sample: f32) -> i16 {
    (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}
