//! Readers in processes of their own: killed, hung, never started; and models replaced under way.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod recordings;
mod signals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver};
use engine_core::codec::Codec;
use engine_core::handoff::{LiveLane, WorkIn};
use engine_core::id::RecordingId;
use engine_core::work::{Rendered, Work, WorkError};
use engine_media::engine::{Engine, EngineConfig, EngineLines};
use engine_media::reader::{self, ReaderProgram};
use recordings::{JAPANESE, chunks, file};
use rusuden_tests::changed_model;
use signals::{MESSAGE, SORRY, assert_said, message, sorry};

const PATIENCE: Duration = Duration::from_mins(2);

type Answer = Receiver<Result<Rendered, WorkError>>;

fn model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/default")
}

/// This file as a reader: the other tests start it so.
#[test]
#[ignore = "not a test: the readers' program of the others"]
fn reader_process() {
    reader::serve().unwrap();
}

/// `mark` tells one test's readers from another's: as a second filter it names no test.
fn this_program(mark: &str) -> ReaderProgram {
    let arguments = ["--ignored", "--nocapture", "--exact", "reader_process", mark];
    let program = std::env::current_exe().unwrap();
    ReaderProgram { program, arguments: arguments.map(Into::into).to_vec() }
}

struct Running {
    engine: Engine,
    work: WorkIn,
    mark: &'static str,
}

fn config() -> EngineConfig {
    EngineConfig { model_dir: model(), readers: 2, ..EngineConfig::default() }
}

fn start(mark: &'static str, config: &EngineConfig) -> Running {
    let (work, works) = channel::bounded(64);
    let mut lines = EngineLines::of_calls(Arc::new(LiveLane::new(1)), works);
    lines.reader = Some(this_program(mark));
    Running { engine: Engine::start(config, lines).unwrap(), work, mark }
}

impl Running {
    fn submit(&self, id: u128, pcm: &[f32]) -> Answer {
        let (done, result) = channel::bounded(1);
        let work = Work {
            recording: RecordingId::from_u128(id),
            sound: file(&chunks(id, pcm, Codec::Pcmu, JAPANESE)),
            language: JAPANESE,
            done: Box::new(move |rendered| done.send(rendered).unwrap()),
        };
        self.work.send(work).unwrap();
        result
    }

    /// Two kinds of messages by turns, each with what was said.
    fn submit_many(&self, ids: std::ops::Range<u128>) -> Vec<(Answer, &'static str)> {
        let each = ids.map(|id| (id, sound(id)));
        each.map(|(id, (pcm, said))| (self.submit(id, &pcm), said)).collect()
    }

    /// Its readers' processes.
    fn readers(&self) -> Vec<String> {
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let is_reader = |pid: &String| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let is_ours = pid.parse() != Ok(std::process::id());
            is_ours && line.split(|byte| *byte == 0).any(|word| word == self.mark.as_bytes())
        };
        names.filter(is_reader).collect()
    }

    fn lost(&self) -> u64 {
        (self.engine.loss_reader())()
    }
}

fn signal(name: &str, pid: &str) {
    // Gone already is as good.
    let _ = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).output().unwrap();
}

/// What a message says, by its number.
fn sound(id: u128) -> (Vec<f32>, &'static str) {
    if id.is_multiple_of(2) { (message(), MESSAGE) } else { (sorry(), SORRY) }
}

fn text(answer: &Answer) -> String {
    transcript(answer.recv_timeout(PATIENCE).unwrap())
}

fn transcript(rendered: Result<Rendered, WorkError>) -> String {
    rendered.unwrap().transcript.text().into_inner()
}

#[test]
fn killed_readers_lose_nothing() {
    let running = start("mark-killed", &config());
    assert_eq!(running.readers().len(), 2);
    let answers = running.submit_many(0..40);
    for turn in 0..6 {
        let readers = running.readers();
        if let Some(pid) = readers.get(turn % readers.len().max(1)) {
            signal("KILL", pid);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    for (id, (answer, said)) in (0..).zip(answers) {
        let rendered = answer.recv_timeout(PATIENCE).unwrap();
        // What was lost three times is given up, and comes again as work: its job sees to that.
        let given_up = matches!(rendered, Err(WorkError::Engine { .. }));
        let again = || text(&running.submit(id, &sound(id).0));
        let heard = if given_up { again() } else { transcript(rendered) };
        assert_said(said, &heard);
    }
    assert!(running.lost() > 0);
    running.engine.stop();
}

#[test]
fn readers_give_way_to_calls() {
    let running = start("mark-niceness", &config());
    let readers = running.readers();
    assert_eq!(readers.len(), 2);
    for pid in readers {
        // Here the reader is a thread of libtest's; `rusuden reader` is the process's first.
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().filter_map(Result::ok);
        let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
        // Field 19 is the niceness; the first behind the name is the third (proc(5)).
        let niceness = |stat: String| {
            stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        assert!(stats.map(niceness).filter(|niceness| *niceness == 10).count() > 0);
    }
    running.engine.stop();
}

#[test]
fn a_hung_reader_is_replaced_and_its_batch_is_read() {
    let hasty = EngineConfig { hung_after_ms: 3_000, hung_per_second: 0, readers: 1, ..config() };
    let running = start("mark-hung", &hasty);
    let [hung] = <[String; 1]>::try_from(running.readers()).unwrap();
    signal("STOP", &hung);
    let answers = running.submit_many(0..2);
    for (answer, said) in answers {
        assert_said(said, &text(&answer));
    }
    assert!(running.lost() >= 1);
    let left = running.readers();
    assert!(left.len() == 1 && left[0] != hung, "{left:?}, not {hung}");
    running.engine.stop();
}

#[test]
fn readers_end_with_the_engine() {
    let running = start("mark-ended", &config());
    let before = running.readers();
    assert_eq!(before.len(), 2);
    let Running { engine, work, .. } = running;
    engine.stop();
    drop(work);
    let alive = before.iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(alive.count(), 0);
}

#[test]
fn a_model_is_replaced_while_messages_are_read() {
    let running = start("mark-replaced", &config());
    let old = running.engine.model().card.name.clone();
    let folder = changed_model("rusuden.json", |card| card["name"] = "another".into());

    let before = running.submit_many(0..20);
    let fresh = EngineConfig { model_dir: folder.path().to_owned(), readers: 1, ..config() };
    running.engine.replace(&fresh).unwrap();
    let after = running.submit_many(20..40);
    let names = |answers: Vec<(Answer, &str)>| -> Vec<String> {
        let model = |(answer, said): (Answer, &str)| {
            let rendered = answer.recv_timeout(Duration::from_mins(2)).unwrap().unwrap();
            assert_said(said, rendered.transcript.text().reveal());
            rendered.transcript.model
        };
        answers.into_iter().map(model).collect()
    };
    // Work that nobody had begun may go to either.
    assert!(names(before).iter().all(|name| *name == old || name == "another"));
    assert!(names(after).iter().all(|name| name == "another"));
    let until = Instant::now() + Duration::from_secs(10);
    while running.readers().len() != 1 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(running.readers().len(), 1, "the old model's readers have ended");
    assert_eq!(running.lost(), 0);

    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let why = running.engine.replace(&fresh).unwrap_err().to_string();
    assert!(why.contains("lacks tokenizer.json"), "{why}");
    assert_said(MESSAGE, &text(&running.submit(50, &message())));
    running.engine.stop();
}

#[test]
fn readers_that_cannot_start_say_why() {
    let start = |program: ReaderProgram, model_dir: PathBuf| {
        let (_work, works) = channel::bounded(1);
        let mut lines = EngineLines::of_calls(Arc::new(LiveLane::new(1)), works);
        lines.reader = Some(program);
        Engine::start(&EngineConfig { model_dir, ..config() }, lines).unwrap_err().to_string()
    };
    let nobody = ReaderProgram { program: "/nowhere/reader".into(), arguments: Vec::new() };
    let why = start(nobody, model());
    assert!(why.contains("cannot be started") && why.contains("No such file"), "{why}");
    let deaf = ReaderProgram { program: "true".into(), arguments: Vec::new() };
    let why = start(deaf, model());
    assert!(why.contains("the reader's process ended"), "{why}");

    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "vocabulary.json", "tokenizer.json"] {
        fs::copy(model().join(name), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("model.bin"), b"not weights").unwrap();
    let why = start(this_program("mark-broken"), folder.path().to_owned());
    assert_eq!(why.matches("CTranslate2 cannot load").count(), 1, "{why}");
}
