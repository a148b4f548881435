//! Files that somebody asks about, through the whole engine with the model in the repository.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod recordings;
mod signals;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossbeam::channel::{self, Receiver};
use engine_core::codec::Codec;
use engine_core::file_work::{FileText, FileTold, FileWork, FileWorkError, Wishes};
use engine_core::handoff::{FilesIn, LiveLane, WorkIn};
use engine_core::id::RecordingId;
use engine_core::manner::{Task, Temperature};
use engine_core::private::Private;
use engine_core::text::{NoWords, Verdict};
use engine_core::transcript::Passage;
use engine_core::words::{Word, WordTimes};
use engine_core::work::Work;
use engine_media::engine::{Engine, EngineConfig, EngineLines};
use recordings::{JAPANESE, chunks, file};
use rusuden_tests::changed_model;
use signals::{MESSAGE, SORRY, assert_said, message, noise, silence, sorry};

struct Running {
    engine: Engine,
    files: FilesIn,
    work: WorkIn,
}

type Answer = Result<FileText, FileWorkError>;

fn model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/default")
}

fn start(config: &EngineConfig) -> Running {
    let (work, works) = channel::bounded(64);
    let (files, files_out) = channel::bounded(256);
    let mut lines = EngineLines::of_calls(Arc::new(LiveLane::new(1)), works);
    lines.files = files_out;
    Running { engine: Engine::start(config, lines).unwrap(), files, work }
}

fn plain() -> EngineConfig {
    EngineConfig { model_dir: model(), readers: 1, ..EngineConfig::default() }
}

/// The id of one of Whisper's own tokens in the default model.
fn token(name: &str) -> u64 {
    let file = std::fs::read(model().join("tokenizer.json")).unwrap();
    let tokenizer: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let mut added = tokenizer["added_tokens"].as_array().unwrap().iter();
    added.find(|token| token["content"] == name).unwrap()["id"].as_u64().unwrap()
}

fn with(folder: &Path) -> EngineConfig {
    EngineConfig { model_dir: folder.to_owned(), ..plain() }
}

fn japanese() -> Wishes {
    Wishes { language: Some("ja".to_owned()), ..Wishes::default() }
}

/// 16-bit mono WAV at 16 kHz.
fn wav(pcm: &[f32]) -> Bytes {
    let bytes = pcm.len() as u32 * 2;
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data");
    wav.extend(bytes.to_le_bytes());
    wav.extend(pcm.iter().flat_map(|s| ((s * 32_767.0) as i16).to_le_bytes()));
    wav.into()
}

impl Running {
    fn ask(&self, file: Bytes, wishes: Wishes) -> Receiver<FileTold> {
        let (tell, told) = channel::unbounded();
        let told_to = Box::new(move |told| tell.send(told).is_ok());
        self.files.send(FileWork { file, wishes, told: told_to }).unwrap();
        told
    }

    fn answer(&self, file: Bytes, wishes: Wishes) -> (Vec<Passage>, Answer) {
        heard_out(&self.ask(file, wishes))
    }
}

fn heard_out(told: &Receiver<FileTold>) -> (Vec<Passage>, Answer) {
    let mut passages = Vec::new();
    loop {
        match told.recv().expect("everybody is answered") {
            FileTold::Passages { passages: more, .. } => passages.extend(more),
            FileTold::Done(answer) => return (passages, answer),
        }
    }
}

fn text(answer: &Answer) -> String {
    answer.as_ref().unwrap().read.transcript.text().into_inner()
}

#[test]
fn a_file_is_told_passage_by_passage_and_then_whole() {
    let running = start(&plain());
    let (passages, answer) = running.answer(wav(&message()), japanese());
    assert_said(MESSAGE, &text(&answer));
    let file = answer.unwrap();
    assert_eq!(file.duration_ms as usize, message().len() / 16);
    assert!(passages.len() > 1, "a message of four sentences is read in windows");
    let told: Vec<_> = passages.iter().map(|passage| &passage.segment).collect();
    assert_eq!(told, file.read.transcript.segments.iter().collect::<Vec<_>>());
    assert_eq!(file.read.evidence.len(), passages.len());
    for evidence in &file.read.evidence {
        assert!(!evidence.tokens.reveal().is_empty() && evidence.words.is_empty());
        assert_eq!(evidence.temperature, Temperature::GREEDY);
        assert!(evidence.doubts.avg_logprob < 0.0);
    }
    running.engine.stop();
}

#[test]
fn files_without_words_say_why() {
    let running = start(&plain());
    for (sound, why) in [
        (silence(4.0), NoWords::NoSpeech),
        (noise(4.0, 0.05, 5), NoWords::NoSpeech),
        (Vec::new(), NoWords::Empty),
    ] {
        let (passages, answer) = running.answer(wav(&sound), Wishes::default());
        assert!(passages.is_empty());
        assert_eq!(answer.unwrap().read.transcript.verdict, Verdict::NoWords(why));
    }
    running.engine.stop();
}

#[test]
fn words_are_aligned_with_the_sound_and_stay_on_their_side_of_a_pause() {
    let running = start(&plain());
    // 1 s, four sentences, 3 s of silence, one sentence.
    let sound = [silence(1.0), message(), silence(3.0), sorry()].concat();
    let first_ends = 1_000 + message().len() as u32 / 16;
    let (_, answer) = running.answer(wav(&sound), Wishes { words: true, ..japanese() });
    let read = answer.unwrap().read;
    let words: Vec<_> = read.evidence.iter().flat_map(|evidence| &evidence.words).collect();
    let joined: String = words.iter().map(|word| word.text.reveal().as_str()).collect();
    assert_eq!(&joined, read.transcript.text().reveal());
    assert_said(&format!("{MESSAGE}{SORRY}"), &joined);
    assert!(words.iter().all(|word| word.times == WordTimes::Aligned));
    let mut last = 0;
    for word in &words {
        assert!(last <= word.start_ms && word.start_ms <= word.end_ms, "{word:?} after {last}");
        last = word.end_ms;
    }
    let (before, behind): (Vec<_>, Vec<_>) =
        words.iter().partition(|word| word.start_ms < first_ends);
    let spelt = |words: &[&&Word]| -> String {
        words.iter().map(|word| word.text.reveal().as_str()).collect()
    };
    assert_said(MESSAGE, &spelt(&before));
    assert_said(SORRY, &spelt(&behind));
    // Half a second on either side of the pause belongs to whoever spoke.
    assert!(before.iter().all(|word| word.end_ms < first_ends + 500), "{before:?}");
    assert!(behind.iter().all(|word| word.start_ms > first_ends + 2_500), "{behind:?}");
    for (segment, evidence) in read.transcript.segments.iter().zip(&read.evidence) {
        assert!(
            evidence
                .words
                .iter()
                .all(|word| { segment.start_ms <= word.start_ms && word.end_ms <= segment.end_ms })
        );
    }
    running.engine.stop();
}

#[test]
fn a_model_that_cannot_be_aligned_gives_marked_guesses() {
    let folder = changed_model("config.json", |config| {
        config.as_object_mut().unwrap().remove("alignment_heads");
    });
    let running = start(&with(folder.path()));
    let (_, answer) = running.answer(wav(&sorry()), Wishes { words: true, ..japanese() });
    let read = answer.unwrap().read;
    let words = &read.evidence[0].words;
    assert!(words.iter().all(|word| word.times == WordTimes::Interpolated));
    let segment = &read.transcript.segments[0];
    assert_eq!(words[0].start_ms, segment.start_ms);
    assert_eq!(words.last().unwrap().end_ms, segment.end_ms);
    running.engine.stop();
}

#[test]
fn a_beam_of_five_reads_the_same_sentence() {
    let running = start(&EngineConfig { beam: 5, ..plain() });
    let (_, answer) = running.answer(wav(&sorry()), japanese());
    assert_said(SORRY, &text(&answer));
    running.engine.stop();
    let config = EngineConfig { beam: 11, ..plain() };
    assert!(config.check().unwrap_err().to_string().contains("engine.beam"));
}

#[test]
fn prompts_of_any_length_are_taken_and_do_not_touch_others() {
    let folder = changed_model("rusuden.json", |card| card["prompts"] = true.into());
    let running = start(&with(folder.path()));
    let prompt = |text: &str| Wishes { prompt: Private::new(text.to_owned()), ..japanese() };
    let plain = text(&running.answer(wav(&sorry()), japanese()).1);
    assert_said(SORRY, &plain);
    let long = "神戸保育園の平井です。".repeat(200);
    let asked: Vec<_> = ["", "平井", "神戸保育園の平井と申します。", &long, "\u{0}<|endoftext|>"]
        .into_iter()
        .cycle()
        .take(15)
        .map(|text| (text.is_empty(), running.ask(wav(&sorry()), prompt(text))))
        .collect();
    for (is_plain, told) in asked {
        let (_, answer) = heard_out(&told);
        let text = text(&answer);
        assert!(!is_plain || text == plain, "{text}");
    }
    running.engine.stop();
}

#[test]
fn what_the_model_cannot_do_is_said() {
    let running = start(&plain());
    let (_, answer) = running
        .answer(wav(&sorry()), Wishes { language: Some("fr".to_owned()), ..Wishes::default() });
    assert!(matches!(answer, Err(FileWorkError::Language { .. })), "{answer:?}");
    let (_, answer) =
        running.answer(wav(&sorry()), Wishes { task: Task::Translate, ..Wishes::default() });
    assert!(matches!(answer, Err(FileWorkError::Translation { .. })), "{answer:?}");
    let (_, answer) = running.answer(Bytes::from_static(b"no sound at all"), japanese());
    assert!(matches!(answer, Err(FileWorkError::Unreadable { .. })), "{answer:?}");
    let duration_max = Duration::from_secs(2);
    let (_, answer) = running.answer(wav(&sorry()), Wishes { duration_max, ..japanese() });
    assert_eq!(answer, Err(FileWorkError::TooLong { max: duration_max }));
    running.engine.stop();
}

#[test]
fn a_model_of_several_languages_is_asked_to_translate() {
    let folder = changed_model("config.json", |config| {
        config["lang_ids"] = serde_json::json!([token("<|en|>"), token("<|ja|>")]);
    });
    let running = start(&with(folder.path()));
    let wishes = Wishes { task: Task::Translate, ..japanese() };
    let file = running.answer(wav(&sorry()), wishes).1.unwrap();
    assert_eq!(file.task, Task::Translate);
    // Beside others that are not to be translated.
    let (_, answer) = running.answer(wav(&sorry()), japanese());
    assert_said(SORRY, &text(&answer));
    running.engine.stop();
}

#[test]
fn a_given_temperature_is_the_only_one() {
    let running = start(&plain());
    let warm = Temperature::new(0.2);
    let (_, answer) = running.answer(wav(&sorry()), Wishes { temperature: warm, ..japanese() });
    for evidence in answer.unwrap().read.evidence {
        assert_eq!(Some(evidence.temperature), warm);
    }
    running.engine.stop();
}

/// Temperature fallback: only what failed is read again, and its neighbours are as if alone.
#[test]
fn a_reading_that_fails_is_tried_warmer_and_the_likeliest_stays() {
    let folder = changed_model("rusuden.json", |card| {
        // Nothing is ever likely enough.
        card["logprob_min"] = 0.0.into();
        card["temperatures"] = serde_json::json!([0.2, 1.0]);
        card["no_speech_max"] = 2.0.into();
    });
    let running = start(&with(folder.path()));
    let strict = running.answer(wav(&message()), japanese()).1.unwrap().read;
    running.engine.stop();
    let running = start(&plain());
    let usual = running.answer(wav(&message()), japanese()).1.unwrap().read;
    running.engine.stop();
    assert_eq!(strict.evidence.len(), usual.evidence.len());
    for (strict, usual) in strict.evidence.iter().zip(&usual.evidence) {
        let (strict, usual) = (strict.doubts.avg_logprob, usual.doubts.avg_logprob);
        assert!(strict >= usual, "a later reading stands only where it is likelier");
    }
}

/// More windows than may be in line at once, the language heard in the first, callers between.
#[test]
fn a_long_file_is_read_whole_and_lets_callers_pass() {
    let running = start(&plain());
    let long = [sorry(), silence(2.0)].concat().repeat(120);
    let told = running.ask(wav(&long), Wishes::default());
    let FileTold::Passages { .. } = told.recv().unwrap() else {
        panic!("the first window is read")
    };
    let (done, result) = channel::bounded(1);
    let sound = file(&chunks(1, &sorry(), Codec::G722, JAPANESE));
    let done = Box::new(move |rendered| done.send(rendered).unwrap());
    let work = Work { recording: RecordingId::from_u128(1), sound, language: JAPANESE, done };
    running.work.send(work).unwrap();
    let call = result.recv().unwrap().unwrap();
    assert_said(SORRY, call.transcript.text().reveal());
    assert!(!told.iter().take(told.len()).any(|told| matches!(told, FileTold::Done(_))));
    let (_, answer) = heard_out(&told);
    let file = answer.unwrap();
    assert_eq!(file.read.transcript.language, "ja");
    assert_eq!(file.read.transcript.segments.len(), 120);
    assert_said(&SORRY.repeat(120), file.read.transcript.text().reveal());
    running.engine.stop();
}

#[test]
fn a_file_that_nobody_wants_any_more_is_left() {
    let running = start(&plain());
    let told = running.ask(wav(&[sorry(), silence(2.0)].concat().repeat(40)), japanese());
    told.recv().unwrap();
    drop(told);
    // Forty windows stood before this one; they are gone or soon will be.
    let (_, answer) = running.answer(wav(&sorry()), japanese());
    assert_said(SORRY, &text(&answer));
    running.engine.stop();
}

#[test]
fn stopping_answers_everybody_who_asked() {
    let running = start(&plain());
    let asked: Vec<_> = (0..30).map(|_| running.ask(wav(&message()), japanese())).collect();
    running.engine.stop();
    for told in asked {
        let (_, answer) = heard_out(&told);
        assert!(matches!(answer, Ok(_) | Err(FileWorkError::Stopping)), "{answer:?}");
    }
}
