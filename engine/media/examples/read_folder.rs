//! Uses the engine as a library: reads every WAV file of a folder, all at once, and says how long
//! that took. `make bench-asr` compares it with others.
//!
//! `cargo run --release --example read_folder -- MODEL FOLDER [BATCH] [MS] [ROUNDS]`: at most BATCH
//! windows share a batch (16); a file is handed in every MS milliseconds (0: all at once); the folder
//! is read ROUNDS times (1). One thread reads, in a process of its own: this program again, called
//! with `reader`. Prints JSON: seconds by the clock and of the processor, waits in milliseconds,
//! texts by name, memory of both processes in MiB after each round.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam::channel;
use engine_core::file_work::{FileTold, FileWork, Wishes};
use engine_core::handoff::{FilesIn, LiveLane};
use engine_media::engine::{Engine, EngineConfig, EngineLines};
use engine_media::reader::{self, ReaderProgram};
use serde_json::{Map, Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

const READER: &str = "reader";

#[expect(clippy::print_stdout, reason = "a tool speaks to its user")]
fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.as_slice() == [READER] {
        return Ok(reader::serve()?);
    }
    let [model, folder, rest @ ..] = arguments.as_slice() else {
        return Err("usage: read_folder MODEL FOLDER [BATCH] [MS] [ROUNDS]".into());
    };
    let number = |at: usize, otherwise: u64| rest.get(at).map_or(Ok(otherwise), |n| n.parse());
    let (batch_max, pause) = (number(0, 16)? as usize, Duration::from_millis(number(1, 0)?));
    let sounds = sounds(folder)?;

    let (files, files_out) = channel::bounded(sounds.len().max(1));
    let (_work, works) = channel::bounded(1);
    let mut lines = EngineLines::of_calls(Arc::new(LiveLane::new(1)), works);
    lines.files = files_out;
    let program = std::env::current_exe()?;
    lines.reader = Some(ReaderProgram { program, arguments: vec![READER.into()] });
    let config = EngineConfig {
        model_dir: model.into(),
        readers: 1,
        listeners: 1,
        batch_max,
        ..EngineConfig::default()
    };
    let engine = Engine::start(&config, lines)?;

    let (mut texts, mut waits, mut memory) = (Map::new(), Vec::new(), Vec::new());
    let (begin, before) = (Instant::now(), used()?.processor_seconds);
    for _ in 0..number(2, 1)? {
        texts.clear();
        read(&files, &sounds, pause, |name, wait, text| {
            waits.push(wait.as_secs_f64() * 1_000.0);
            texts.insert(name.to_owned(), Value::String(text));
        })?;
        memory.push(used()?.memory_mib);
    }
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), used()?.processor_seconds - before);
    println!(
        "{}",
        json!({
            "wall": wall, "cpu": cpu, "waits_ms": waits, "texts": texts, "memory_mib": memory,
        })
    );
    engine.stop();
    Ok(())
}

/// The WAV files of a folder, by name.
fn sounds(folder: &str) -> Outcome<Vec<(String, Bytes)>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "wav"));
    paths.sort();
    let named = |path: &PathBuf| -> Outcome<(String, Bytes)> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, fs::read(path)?.into()))
    };
    paths.iter().map(named).collect()
}

/// Hands in all files, one every `pause`, and tells of each text.
fn read(
    files: &FilesIn,
    sounds: &[(String, Bytes)],
    pause: Duration,
    mut told: impl FnMut(&str, Duration, String),
) -> Outcome<()> {
    let (done, results) = channel::unbounded();
    for (number, (_, file)) in sounds.iter().enumerate() {
        let (done, since) = (done.clone(), Instant::now());
        let tell = Box::new(move |told| {
            if let FileTold::Done(result) = told {
                return done.send((number, since.elapsed(), result)).is_ok();
            }
            true
        });
        let wishes = Wishes { language: Some("ja".to_owned()), ..Wishes::default() };
        files.send(FileWork { file: file.clone(), wishes, told: tell })?;
        thread::sleep(pause);
    }
    drop(done);
    for (number, wait, result) in results {
        told(&sounds[number].0, wait, result?.read.transcript.text().into_inner());
    }
    Ok(())
}

/// What processes have used so far.
#[derive(Default)]
struct Used {
    processor_seconds: f64,
    memory_mib: f64,
}

/// What this process and those that it started use, all threads (proc(5): hundredths of a second,
/// pages of 4 KiB).
fn used() -> Outcome<Used> {
    let own = std::process::id().to_string();
    let mut used = Used::default();
    for entry in fs::read_dir("/proc")? {
        // A process may end between the two.
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
        // The name before may hold anything.
        let Some((start, fields)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let is_own = start.split_whitespace().next() == Some(&own);
        if is_own || fields.get(1) == Some(&own.as_str()) {
            let number = |at: usize| fields.get(at).map_or(Ok(0.0), |field| field.parse::<f64>());
            used.processor_seconds += (number(11)? + number(12)?) / 100.0;
            used.memory_mib += number(21)? * 4_096.0 / 1_048_576.0;
        }
    }
    Ok(used)
}
