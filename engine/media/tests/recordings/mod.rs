//! Recordings for tests: sound coded, framed and packed into chunks as a shard packs it.
#![allow(dead_code, reason = "each test file uses a part")]

use bytes::Bytes;
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::recording::{ChunkWriter, EndReason, Frame, Opened, Sealed};
use engine_core::text::{Language, LanguageChoice};
use engine_core::time::{RtpTicks, WallTime};
use engine_media::codec::encode_frames;

/// Frames of 20 ms.
pub(crate) fn frames(pcm: &[f32], codec: Codec) -> Vec<Frame> {
    let payloads = encode_frames(pcm, codec).unwrap();
    payloads
        .into_iter()
        .zip(0_u64..)
        .map(|(payload, n)| Frame {
            ticks: RtpTicks(n * u64::from(codec.ticks_per_20ms())),
            after_silence: n == 0,
            payload,
        })
        .collect()
}

/// Chunks of one second each, the last one sealed.
pub(crate) fn chunks(id: u128, pcm: &[f32], codec: Codec, language: LanguageChoice) -> Vec<Bytes> {
    let recording = RecordingId::from_u128(id);
    let frames = frames(pcm, codec);
    let mut writer = ChunkWriter::new(recording, 1 << 14);
    writer.open(&Opened {
        recording,
        mailbox: MailboxId::from_u128(1),
        caller: Caller::Withheld,
        codec,
        language,
        answered_at: WallTime::default(),
    });
    let mut chunks = Vec::new();
    for second in frames.chunks(50) {
        for frame in second {
            writer.frame(frame.ticks, frame.after_silence, &frame.payload);
        }
        chunks.extend(writer.finish(1 << 14));
    }
    writer.seal(&Sealed {
        recording,
        reason: EndReason::HungUp,
        ended_at: WallTime::default(),
        frames: frames.len() as u32,
        duration: RtpTicks(frames.len() as u64 * u64::from(codec.ticks_per_20ms())),
        call_ms: 0,
        lost: 0,
    });
    chunks.extend(writer.finish(0));
    chunks
}

pub(crate) const JAPANESE: LanguageChoice = LanguageChoice::Fixed(Language::Japanese);

/// The recording's file.
pub(crate) fn file(chunks: &[Bytes]) -> Bytes {
    chunks.concat().into()
}
