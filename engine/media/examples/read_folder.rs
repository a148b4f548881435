//! Uses the engine as a library: reads every WAV file of a folder, all at once, and says how long
//! that took. `make bench-asr` compares it with others.
//!
//! `cargo run --release --example read_folder -- MODEL FOLDER [BATCH] [MS]`: at most BATCH windows
//! share a batch (16); a file is handed in every MS milliseconds (0: all at once). One thread reads,
//! in a process of its own: this program again, called with `reader`.
//! Prints JSON: seconds by the clock and of the processor, waits in milliseconds, texts by name.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam::channel;
use engine_core::file_work::{FileTold, FileWork, Wishes};
use engine_core::handoff::LiveLane;
use engine_media::engine::{Engine, EngineConfig, EngineLines};
use engine_media::reader::{self, ReaderProgram};
use serde_json::{Map, Value, json};

const READER: &str = "reader";

#[expect(clippy::print_stdout, reason = "a tool speaks to its user")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.as_slice() == [READER] {
        return Ok(reader::serve()?);
    }
    let [model, folder, rest @ ..] = arguments.as_slice() else {
        return Err("usage: read_folder MODEL FOLDER [BATCH] [MS]".into());
    };
    let number = |at: usize, otherwise: u64| rest.get(at).map_or(Ok(otherwise), |n| n.parse());
    let (batch_max, pause) = (number(0, 16)? as usize, Duration::from_millis(number(1, 0)?));
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    names.retain(|path| path.extension().is_some_and(|ending| ending == "wav"));
    names.sort();
    let sounds: Vec<Bytes> =
        names.iter().map(|path| fs::read(path).map(Bytes::from)).collect::<Result<_, _>>()?;

    let (files, files_out) = channel::bounded(names.len().max(1));
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

    let (done, results) = channel::unbounded();
    let (begin, before) = (Instant::now(), processor_seconds()?);
    for (number, file) in sounds.into_iter().enumerate() {
        let (done, since) = (done.clone(), Instant::now());
        let told = Box::new(move |told| {
            if let FileTold::Done(result) = told {
                return done.send((number, since.elapsed(), result)).is_ok();
            }
            true
        });
        let wishes = Wishes { language: Some("ja".to_owned()), ..Wishes::default() };
        files.send(FileWork { file, wishes, told })?;
        thread::sleep(pause);
    }
    drop(done);
    let (mut texts, mut waits) = (Map::new(), Vec::new());
    for (number, wait, result) in results {
        let name = names[number].file_name().unwrap_or_default().to_string_lossy().into_owned();
        texts.insert(name, Value::String(result?.read.transcript.text().into_inner()));
        waits.push(wait.as_secs_f64() * 1_000.0);
    }
    let (wall, processor) = (begin.elapsed().as_secs_f64(), processor_seconds()? - before);
    println!("{}", json!({"wall": wall, "cpu": processor, "waits_ms": waits, "texts": texts}));
    engine.stop();
    Ok(())
}

/// What this process and those that it started have used of the processor, all threads (proc(5):
/// hundredths of a second).
fn processor_seconds() -> Result<f64, Box<dyn Error>> {
    let own = std::process::id().to_string();
    let mut ticks = 0;
    for entry in fs::read_dir("/proc")? {
        // A process may end between the two.
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
        // The name before may hold anything.
        let Some((start, fields)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let is_own = start.split_whitespace().next() == Some(&own);
        if is_own || fields.get(1) == Some(&own.as_str()) {
            for field in fields.get(11..13).unwrap_or_default() {
                ticks += field.parse::<u64>()?;
            }
        }
    }
    Ok(ticks as f64 / 100.0)
}
