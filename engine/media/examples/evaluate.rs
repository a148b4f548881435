//! Reads spoken messages through the whole engine and says how well it did.
//!
//! `cargo run --release -p engine-media --example evaluate -- MODEL FOLDER [CODEC]`, where FOLDER
//! holds `00.wav`, `01.wav`, … and `refs.json`: `[{"ref": "what is said"}, …]`. Each message is
//! coded, packed into a recording, read by the engine and compared.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam::channel;
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::handoff::LiveLane;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::recording::{ChunkWriter, EndReason, Opened, Sealed};
use engine_core::text::{Language, LanguageChoice};
use engine_core::time::{RtpTicks, WallTime};
use engine_core::work::Work;
use engine_media::codec::encode_frames;
use engine_media::engine::{Engine, EngineConfig, EngineLines};
use engine_media::files::read_sound;
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    r#ref: String,
}

#[expect(clippy::print_stdout, reason = "a tool speaks to its user")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder, rest @ ..] = arguments.as_slice() else {
        return Err("usage: evaluate MODEL FOLDER [CODEC]".into());
    };
    let codec = rest.first().map_or(Some(Codec::Pcmu), |name| Codec::from_name(name));
    let codec = codec.ok_or("the codec is PCMU, PCMA, G722 or opus")?;
    let folder = PathBuf::from(folder);
    let references: Vec<Reference> = serde_json::from_slice(&fs::read(folder.join("refs.json"))?)?;
    let (work, works) = channel::bounded(64);
    let config = EngineConfig { model_dir: model.into(), readers: 1, ..EngineConfig::default() };
    let engine = Engine::start(&config, EngineLines::of_calls(Arc::new(LiveLane::new(16)), works))?;
    let (mut errors, mut length, mut exact) = (0, 0, 0);
    let mut waits = Vec::new();
    for (number, reference) in references.iter().enumerate() {
        let file = Bytes::from(fs::read(folder.join(format!("{number:02}.wav")))?);
        let pcm = read_sound(file, Duration::from_mins(1))?;
        let sound = recording(number as u128, &pcm, codec)?;
        let (done, result) = channel::bounded(1);
        let begin = Instant::now();
        work.send(Work {
            recording: RecordingId::from_u128(number as u128),
            sound,
            language: LanguageChoice::Fixed(Language::Japanese),
            done: Box::new(move |rendered| drop(done.send(rendered))),
        })?;
        let transcript = result.recv()??.transcript;
        waits.push(begin.elapsed());
        let text = transcript.text().into_inner();
        let distance = edits(&reference.r#ref, &text);
        errors += distance;
        length += reference.r#ref.chars().count();
        exact += usize::from(distance == 0);
        println!(
            "{distance:3}  {}\n     {text}  ({:.2})",
            reference.r#ref,
            transcript.confidence()
        );
    }
    waits.sort();
    println!(
        "CER {:.1} % of {length} characters, {exact} of {} exact, median {:?} a message",
        100.0 * errors as f32 / length.max(1) as f32,
        references.len(),
        waits[waits.len() / 2],
    );
    engine.stop();
    Ok(())
}

fn recording(number: u128, pcm: &[f32], codec: Codec) -> Result<Bytes, Box<dyn Error>> {
    let recording = RecordingId::from_u128(number);
    let mut writer = ChunkWriter::new(recording, 1 << 20);
    writer.open(&Opened {
        recording,
        mailbox: MailboxId::from_u128(0),
        caller: Caller::Withheld,
        codec,
        language: LanguageChoice::Fixed(Language::Japanese),
        answered_at: WallTime::default(),
    });
    let payloads = encode_frames(pcm, codec)?;
    let ticks = |n: usize| RtpTicks(n as u64 * u64::from(codec.ticks_per_20ms()));
    for (n, payload) in payloads.iter().enumerate() {
        writer.frame(ticks(n), n == 0, payload);
    }
    writer.seal(&Sealed {
        recording,
        reason: EndReason::HungUp,
        ended_at: WallTime::default(),
        frames: payloads.len() as u32,
        duration: ticks(payloads.len()),
        call_ms: 0,
        lost: 0,
    });
    Ok(writer.finish(0).unwrap_or_default())
}

/// Levenshtein distance in characters.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let best = (corner + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}
