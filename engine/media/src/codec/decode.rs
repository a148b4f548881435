//! Frames of a recording to samples, exactly as long as their media time.
//!
//! In: frames in order. Out: samples at the codec's decoding rate, loss concealed, silence
//! silent. The last frame is held back until the next comes or the recording ends, because only
//! the end says how much of it counts (S16: 60.000 s are kept).

use audio_codec::g722::G722Decoder;
use audio_codec::pcma::PcmaDecoder;
use audio_codec::pcmu::PcmuDecoder;
use engine_core::codec::Codec;
use engine_core::limits::{PAYLOAD_BYTES_MAX, RECORDING_MAX};
use engine_core::recording::Frame;
use engine_core::time::RtpTicks;

use super::CodecError;
use super::conceal::Concealer;
use crate::limits::{
    OPUS_CONCEAL_MAX, OPUS_PACKET_SAMPLES_MAX, PACKET_SAMPLES, SAMPLE_RATE_HZ, SAMPLES_PER_MS,
};

/// Decodes one recording.
///
/// Opus is decoded at 16 kHz by the library itself, as RFC 7587 §4.1 allows for any receiver:
/// what we need, for a third of the work.
pub struct FrameDecoder {
    kind: Kind,
    clock_hz: u32,
    rate_hz: u32,
    limit: u64,
    /// Samples given out or held.
    made: u64,
    held: Vec<f32>,
    /// The last frame's length: how long a lost one is taken to be.
    frame_samples: usize,
    unreadable: u32,
}

enum Kind {
    Sample { decoder: Box<dyn audio_codec::Decoder>, pcm: Vec<i16>, concealer: Concealer },
    Opus { decoder: opus::Decoder, pcm: Vec<f32> },
}

impl FrameDecoder {
    /// A decoder for one recording in `codec`.
    pub fn new(codec: Codec) -> Result<Self, CodecError> {
        let rate_hz = Self::rate_of(codec);
        let kind = match codec {
            Codec::Pcmu => Kind::sample(Box::new(PcmuDecoder::new()), rate_hz),
            Codec::Pcma => Kind::sample(Box::new(PcmaDecoder::new()), rate_hz),
            Codec::G722 => Kind::sample(Box::new(G722Decoder::new()), rate_hz),
            Codec::Opus => Kind::Opus {
                // A mono decoder reads stereo packets, mixing them (RFC 6716 §2.1.2, RFC 7587 §3.4).
                decoder: opus::Decoder::new(rate_hz, opus::Channels::Mono)
                    .map_err(CodecError::opus("make a decoder"))?,
                pcm: vec![0.0; OPUS_PACKET_SAMPLES_MAX],
            },
        };
        Ok(Self {
            kind,
            clock_hz: codec.clock_hz(),
            rate_hz,
            limit: RECORDING_MAX.as_secs() * u64::from(rate_hz),
            made: 0,
            held: Vec::new(),
            frame_samples: rate_hz as usize / 50,
            unreadable: 0,
        })
    }

    /// Rate of the samples that come out: 8 kHz for G.711, else 16 kHz.
    pub const fn rate_of(codec: Codec) -> u32 {
        match codec {
            Codec::Pcmu | Codec::Pcma => 8_000,
            Codec::G722 | Codec::Opus => SAMPLE_RATE_HZ,
        }
    }

    /// Payloads that could not be decoded and were concealed.
    pub const fn unreadable(&self) -> u32 {
        self.unreadable
    }

    /// Decodes the next frame; appends what is certain by now to `out`.
    pub fn frame(&mut self, frame: &Frame, out: &mut Vec<f32>) {
        out.append(&mut self.held);
        let start = self.samples_at(frame.ticks);
        if start > self.made {
            let hole = (start - self.made) as usize;
            self.kind.fill(hole, self.frame_samples, frame, out);
            self.made = start;
        }
        if frame.payload.is_empty() || frame.payload.len() > PAYLOAD_BYTES_MAX {
            return;
        }
        if self.kind.decode(&frame.payload, &mut self.held) {
            self.frame_samples = self.held.len().max(1);
        } else {
            self.unreadable += 1;
            self.held.clear();
            self.kind.conceal(self.frame_samples, &mut self.held);
        }
        // A sender that started over may overlap what is there: the older sound stays.
        let overlap = (self.made - start) as usize;
        self.held.drain(..overlap.min(self.held.len()));
        self.held.truncate((self.limit - self.made) as usize);
        self.made += self.held.len() as u64;
    }

    /// Ends the recording at `duration`: what is held comes out cut to it, or silence fills up.
    pub fn finish(&mut self, duration: RtpTicks, out: &mut Vec<f32>) {
        let end = self.samples_at(duration);
        out.append(&mut self.held);
        if end >= self.made {
            out.resize(out.len() + (end - self.made) as usize, 0.0);
        } else {
            out.truncate(out.len().saturating_sub((self.made - end) as usize));
        }
        self.made = end;
    }

    /// Media time in samples, at most the limit.
    fn samples_at(&self, ticks: RtpTicks) -> u64 {
        (ticks.0 * u64::from(self.rate_hz) / u64::from(self.clock_hz)).min(self.limit)
    }
}

impl std::fmt::Debug for FrameDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameDecoder").field("made", &self.made).finish_non_exhaustive()
    }
}

impl Kind {
    fn sample(decoder: Box<dyn audio_codec::Decoder>, rate_hz: u32) -> Self {
        let pcm = vec![0; 2 * PAYLOAD_BYTES_MAX];
        Self::Sample { decoder, pcm, concealer: Concealer::new(rate_hz) }
    }

    /// Appends the payload's samples; `false` when it cannot be read.
    fn decode(&mut self, payload: &[u8], out: &mut Vec<f32>) -> bool {
        match self {
            Self::Sample { decoder, pcm, concealer } => {
                let Ok(count) = decoder.decode_into(payload, pcm) else { return false };
                out.extend(pcm[..count].iter().map(|s| f32::from(*s) / 32_768.0));
                concealer.heard(&out[out.len() - count..]);
                true
            }
            Self::Opus { decoder, pcm } => {
                let Ok(count) = decoder.decode_float(payload, pcm, false) else { return false };
                extend_clipped(out, &pcm[..count]);
                true
            }
        }
    }

    /// Fills the hole before `next`.
    fn fill(&mut self, hole: usize, frame_samples: usize, next: &Frame, out: &mut Vec<f32>) {
        if next.after_silence {
            // RFC 3550 §5.1: time went on without a packet missing: silence, not loss.
            if let Self::Sample { concealer, .. } = self {
                concealer.forget();
            }
            out.resize(out.len() + hole, 0.0);
            return;
        }
        let Self::Opus { decoder, pcm } = self else { return self.conceal(hole, out) };
        // RFC 6716 §2.1.7: the packet behind the hole may carry its last frame again.
        let again = frame_samples.min(PACKET_SAMPLES * 3);
        if hole < again || again == 0 || !again.is_multiple_of(SAMPLES_PER_MS * 5 / 2) {
            return self.conceal(hole, out);
        }
        let until = out.len() + hole - again;
        conceal_opus(decoder, pcm, hole - again, out);
        let repaired = decoder.decode_float(&next.payload, &mut pcm[..again], true);
        let count = repaired.unwrap_or(0).min(again);
        extend_clipped(out, &pcm[..count]);
        out.resize(until + again, 0.0);
    }

    fn conceal(&mut self, count: usize, out: &mut Vec<f32>) {
        match self {
            Self::Sample { concealer, .. } => concealer.fill(count, out),
            Self::Opus { decoder, pcm } => conceal_opus(decoder, pcm, count, out),
        }
    }
}

/// Opus's own concealment for at most `OPUS_CONCEAL_MAX`, in steps of 20 and then 2.5 ms; silence
/// for the rest.
fn conceal_opus(decoder: &mut opus::Decoder, pcm: &mut [f32], count: usize, out: &mut Vec<f32>) {
    let until = out.len() + count;
    let mut left = count.min(OPUS_CONCEAL_MAX.as_millis() as usize * SAMPLES_PER_MS);
    for step in [PACKET_SAMPLES, SAMPLES_PER_MS * 5 / 2] {
        while left >= step {
            let Ok(made) = decoder.decode_float(&[], &mut pcm[..step], false) else { break };
            extend_clipped(out, &pcm[..made.min(step)]);
            left -= step;
        }
    }
    out.resize(until, 0.0);
}

/// Opus may overshoot; samples stay within ±1.
fn extend_clipped(out: &mut Vec<f32>, pcm: &[f32]) {
    out.extend(pcm.iter().map(|sample| sample.clamp(-1.0, 1.0)));
}
