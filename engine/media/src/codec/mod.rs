//! RTP payload to samples, and samples to RTP payload.
//!
//! In: frames of a recording (payload at its place in media time), or samples at 16 kHz. Out:
//! samples at the codec's own decoding rate, holes filled, exactly as long as the media time; or
//! payloads of 20 ms. Knows nothing of packets, calls or the network.

mod conceal;
mod decode;
mod encode;

pub use decode::FrameDecoder;
pub use encode::encode_frames;
pub(crate) use encode::to_i16;

/// A codec that could not be set up or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The Opus library refused.
    #[error("Opus could not {action}: {why}")]
    Opus {
        /// What was tried.
        action: &'static str,
        /// What the library said.
        why: String,
    },
    /// G.711 or G.722 refused.
    #[error("{codec} could not be coded: {why}")]
    Sample {
        /// Which codec.
        codec: &'static str,
        /// What the library said.
        why: String,
    },
    /// The sound could not be brought to the codec's rate.
    #[error(transparent)]
    Resample(#[from] crate::resample::ResampleError),
}

impl CodecError {
    fn opus(action: &'static str) -> impl FnOnce(opus::Error) -> Self {
        move |why| Self::Opus { action, why: why.to_string() }
    }
}
