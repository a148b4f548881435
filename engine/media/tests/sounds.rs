//! The bank of sounds that callers hear.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod signals;

use std::sync::Arc;
use std::time::Duration;

use engine_core::codec::Codec;
use engine_core::id::MailboxId;
use engine_core::recording::Frame;
use engine_core::sound::{SoundBank, SoundError, SoundId};
use engine_core::text::Language;
use engine_core::time::RtpTicks;
use engine_media::codec::FrameDecoder;
use engine_media::sounds::{Sounds, wav};
use signals::{silence, sorry, tone};

#[test]
fn the_beep_is_there_in_every_codec() {
    let bank = Sounds::new();
    for codec in Codec::ALL {
        let beep = bank.frames(SoundId::Beep, codec).unwrap();
        assert_eq!(beep.codec, codec);
        assert_eq!(beep.duration(), Duration::from_millis(400));
        let mut decoder = FrameDecoder::new(codec).unwrap();
        let mut heard = Vec::new();
        for (payload, n) in beep.payloads.iter().zip(0_u64..) {
            let ticks = RtpTicks(n * u64::from(codec.ticks_per_20ms()));
            decoder.frame(
                &Frame { ticks, after_silence: n == 0, payload: payload.clone() },
                &mut heard,
            );
        }
        let loudest = heard.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        assert!((0.2..0.35).contains(&loudest), "{codec:?}: {loudest}");
    }
}

#[test]
fn frames_are_coded_once_and_shared() {
    let bank = Sounds::new();
    let first = bank.frames(SoundId::Beep, Codec::Pcmu).unwrap();
    assert!(Arc::ptr_eq(&first, &bank.frames(SoundId::Beep, Codec::Pcmu).unwrap()));
}

#[test]
fn a_greeting_is_put_replaced_and_taken_out() {
    let own = SoundId::OwnGreeting(MailboxId::from_u128(4));
    let bank = Sounds::new()
        .with_default(SoundId::DefaultGreeting(Language::Japanese), &wav(&sorry()))
        .unwrap();
    assert!(bank.frames(SoundId::DefaultGreeting(Language::Japanese), Codec::Opus).is_some());
    assert!(bank.frames(own, Codec::Opus).is_none());
    assert!(bank.frames(SoundId::Silence, Codec::Opus).is_none());
    let greeting = bank.read_greeting(include_bytes!("data/sorry.opus")).unwrap();
    bank.put(own, &greeting).unwrap();
    let old = bank.frames(own, Codec::Opus).unwrap();
    bank.put(own, &wav(&tone(1.0, &[500.0], 0.2))).unwrap();
    assert_eq!(bank.frames(own, Codec::Opus).unwrap().payloads.len(), 50);
    assert!(old.payloads.len() > 100, "calls that play the old one keep it");
    bank.remove(own);
    assert!(bank.frames(own, Codec::Opus).is_none());
}

#[test]
fn a_greeting_lasts_thirty_seconds_at_most() {
    let bank = Sounds::new();
    assert!(bank.read_greeting(&wav(&silence(30.0))).is_ok());
    let why = bank.read_greeting(&wav(&silence(30.02))).unwrap_err();
    assert_eq!(why, SoundError::TooLong { seconds: 31, max_seconds: 30 });
    assert_eq!(bank.read_greeting(&wav(&[])), Err(SoundError::Empty));
    assert!(matches!(bank.read_greeting(b"no"), Err(SoundError::Unreadable { .. })));
}
