//! The whole engine with the model in the repository: live, sealed, many at once, damaged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod recordings;
mod signals;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossbeam::channel::{self, Receiver};
use engine_core::codec::Codec;
use engine_core::file_work::Wishes;
use engine_core::handoff::{LiveLane, WorkIn};
use engine_core::id::RecordingId;
use engine_core::text::{LanguageChoice, NoWords, Verdict};
use engine_core::work::{Rendered, Work, WorkError};
use engine_media::engine::{Engine, EngineConfig, EngineError, EngineLines, GpuConfig};
use engine_media::files::read_sound;
use engine_media::whisper::{CHECKSUMS_FILE, Compute};
use recordings::{JAPANESE, chunks, file};
use signals::{MESSAGE, SORRY, assert_said, message, noise, silence, sorry, tones};

fn model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/default")
}

struct Running {
    engine: Engine,
    lane: Arc<LiveLane>,
    work: WorkIn,
}

fn start(readers: usize) -> Running {
    start_with(EngineConfig { readers, ..EngineConfig::default() })
}

fn start_with(config: EngineConfig) -> Running {
    let lane = Arc::new(LiveLane::new(1_024));
    let (work, works) = channel::bounded(64);
    let config = EngineConfig { model_dir: model(), ..config };
    let engine = Engine::start(&config, EngineLines::of_calls(Arc::clone(&lane), works)).unwrap();
    Running { engine, lane, work }
}

impl Running {
    fn submit(
        &self,
        id: u128,
        sound: Bytes,
        language: LanguageChoice,
    ) -> Receiver<Result<Rendered, WorkError>> {
        let (done, result) = channel::bounded(1);
        let work = Work {
            recording: RecordingId::from_u128(id),
            sound,
            language,
            done: Box::new(move |rendered| done.send(rendered).unwrap()),
        };
        self.work.send(work).unwrap();
        result
    }

    fn read(&self, id: u128, pcm: &[f32], codec: Codec) -> Rendered {
        let sound = file(&chunks(id, pcm, codec, JAPANESE));
        self.submit(id, sound, JAPANESE).recv().unwrap().unwrap()
    }
}

fn text(rendered: &Rendered) -> String {
    rendered.transcript.text().into_inner()
}

/// S08.
#[test]
fn a_message_is_read_in_every_codec() {
    let running = start(1);
    for (codec, id) in Codec::ALL.into_iter().zip(1..) {
        let rendered = running.read(id, &message(), codec);
        assert_said(MESSAGE, &text(&rendered));
        let transcript = &rendered.transcript;
        assert_eq!(transcript.verdict, Verdict::Speech);
        assert_eq!(transcript.language, "ja");
        assert!(transcript.confidence() > 0.5);
        let mut last = 0;
        for segment in &transcript.segments {
            assert!(segment.start_ms >= last && segment.end_ms > segment.start_ms);
            last = segment.end_ms;
        }
        assert!(u64::from(last) <= rendered.duration_ms);
        let back = read_sound(rendered.mp3.clone(), Duration::from_mins(1)).unwrap();
        assert_eq!(back.len() as u64, rendered.duration_ms * 16, "{codec:?}");
    }
    running.engine.stop();
}

#[test]
fn what_was_heard_live_equals_what_is_read_from_the_seal() {
    let running = start(1);
    let parts = chunks(7, &message(), Codec::Pcmu, JAPANESE);
    for part in &parts {
        running.lane.offer(part.clone());
    }
    let live = running.submit(7, file(&parts), JAPANESE).recv().unwrap().unwrap();
    let sealed = running.read(8, &message(), Codec::Pcmu);
    assert_eq!(live.transcript, sealed.transcript);
    assert_eq!(live.mp3, sealed.mp3);
    running.engine.stop();
}

#[test]
fn live_chunks_that_are_lost_or_mixed_up_change_nothing() {
    let running = start(1);
    let parts = chunks(9, &sorry(), Codec::Pcma, JAPANESE);
    let whole = running.read(10, &sorry(), Codec::Pcma);
    for (id, order) in [(11, vec![0, 2]), (12, vec![1, 2]), (13, vec![0, 1]), (14, vec![0, 0, 1])] {
        let parts = chunks(id, &sorry(), Codec::Pcma, JAPANESE);
        for at in order {
            running.lane.offer(parts[at].clone());
        }
        let rendered = running.submit(id, file(&parts), JAPANESE).recv().unwrap().unwrap();
        assert_eq!(rendered.transcript, whole.transcript, "recording {id}");
        assert_eq!(rendered.mp3, whole.mp3, "recording {id}");
    }
    // Rubbish in the lane is nobody's recording.
    running.lane.offer(Bytes::from_static(b"RSC1 and then nothing"));
    running.lane.offer(parts[0].slice(..20));
    assert_eq!(text(&running.read(15, &sorry(), Codec::Pcma)), text(&whole));
    running.engine.stop();
}

/// More calls at once than are listened to: the rest is read from the seal.
#[test]
fn calls_beyond_those_listened_to_are_read_after_their_end() {
    let running = start_with(EngineConfig { readers: 1, live_max: 2, ..EngineConfig::default() });
    let calls: Vec<_> =
        (1..=5_u128).map(|id| (id, chunks(id, &message(), Codec::Pcmu, JAPANESE))).collect();
    for (_, parts) in &calls {
        running.lane.offer(parts[0].clone());
    }
    for (_, parts) in &calls {
        parts[1..].iter().for_each(|part| running.lane.offer(part.clone()));
    }
    let results: Vec<_> =
        calls.iter().map(|(id, parts)| running.submit(*id, file(parts), JAPANESE)).collect();
    let texts: Vec<String> =
        results.iter().map(|result| text(&result.recv().unwrap().unwrap())).collect();
    assert_said(MESSAGE, &texts[0]);
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    running.engine.stop();
}

#[test]
fn many_at_once_read_the_same_as_alone() {
    let running = start(2);
    let alone = [
        text(&running.read(100, &message(), Codec::Pcmu)),
        text(&running.read(101, &sorry(), Codec::Pcmu)),
        String::new(),
    ];
    let sounds = [message(), sorry(), noise(4.0, 0.05, 9)];
    let results: Vec<_> = (0..24_usize)
        .map(|n| {
            let id = 200 + n as u128;
            let sound = file(&chunks(id, &sounds[n % 3], Codec::Pcmu, JAPANESE));
            (n, running.submit(id, sound, JAPANESE))
        })
        .collect();
    for (n, result) in results {
        assert_eq!(text(&result.recv().unwrap().unwrap()), alone[n % 3], "recording {n}");
    }
    running.engine.stop();
}

#[test]
fn silence_noise_and_tones_have_no_words() {
    let running = start(1);
    let mut sounds = vec![("silence", silence(5.0)), ("noise", noise(10.0, 0.05, 3))];
    sounds.extend(tones());
    for ((name, pcm), id) in sounds.into_iter().zip(300..) {
        let transcript = running.read(id, &pcm, Codec::Pcmu).transcript;
        assert_eq!(transcript.verdict, Verdict::NoWords(NoWords::NoSpeech), "{name}");
        assert_eq!(transcript.text().reveal(), "", "{name}");
    }
    let transcript = running.read(399, &[], Codec::Pcmu).transcript;
    assert_eq!(transcript.verdict, Verdict::NoWords(NoWords::Empty));
    running.engine.stop();
}

#[test]
fn damaged_recordings_are_refused_and_the_engine_goes_on() {
    let running = start(1);
    let parts = chunks(50, &sorry(), Codec::Pcmu, JAPANESE);
    let whole = file(&parts);
    let mut flipped = whole.to_vec();
    flipped[200] ^= 1;
    let cases = [
        ("empty", Bytes::new()),
        ("rubbish", Bytes::from_static(&[7; 500])),
        ("one bit", Bytes::from(flipped)),
        ("cut", whole.slice(..whole.len() - 5)),
        ("no seal", file(&parts[..parts.len() - 1])),
        ("no opening", file(&parts[1..])),
        ("a hole", file(&[parts[0].clone(), parts[2].clone()])),
        ("another's", file(&chunks(51, &sorry(), Codec::Pcmu, JAPANESE))),
    ];
    for (name, sound) in cases {
        let result = running.submit(50, sound, JAPANESE).recv().unwrap();
        assert!(matches!(result, Err(WorkError::Damaged { .. })), "{name}: {result:?}");
    }
    let rendered = running.submit(50, whole, JAPANESE).recv().unwrap().unwrap();
    assert_said(SORRY, &text(&rendered));
    running.engine.stop();
}

#[test]
fn the_language_is_found_when_nobody_fixed_it() {
    let running = start(1);
    let parts = chunks(60, &message(), Codec::G722, LanguageChoice::Detect);
    let result = running.submit(60, file(&parts), LanguageChoice::Detect).recv().unwrap();
    let transcript = result.unwrap().transcript;
    assert_eq!(transcript.language, "ja");
    assert_said(MESSAGE, transcript.text().reveal());
    running.engine.stop();
}

#[test]
fn a_file_is_read_like_a_call() {
    let running = start(1);
    let wishes = Wishes { language: Some("ja".to_owned()), ..Wishes::default() };
    let transcript = running.engine.transcribe(&message(), &wishes).unwrap().read.transcript;
    assert_said(MESSAGE, transcript.text().reveal());
    let transcript = running.engine.transcribe(&[], &wishes).unwrap().read.transcript;
    assert_eq!(transcript.verdict, Verdict::NoWords(NoWords::Empty));
    running.engine.stop();
}

#[test]
fn stopping_answers_everybody() {
    let running = start(1);
    let results: Vec<_> = (0..40_u128)
        .map(|n| {
            let id = 500 + n;
            running.submit(id, file(&chunks(id, &message(), Codec::Pcmu, JAPANESE)), JAPANESE)
        })
        .collect();
    running.engine.stop();
    for result in results {
        let answer = result.recv().expect("everybody is answered");
        assert!(matches!(answer, Ok(_) | Err(WorkError::Stopping)), "{answer:?}");
    }
}

#[test]
fn a_missing_or_broken_model_says_what_to_do() {
    let start = |config: EngineConfig| {
        let (_work, works) = channel::bounded(1);
        let lines = EngineLines::of_calls(Arc::new(LiveLane::new(1)), works);
        Engine::start(&config, lines).unwrap_err()
    };
    let folder = tempfile::tempdir().unwrap();
    let config = |model_dir: PathBuf| EngineConfig { model_dir, ..EngineConfig::default() };
    let why = start(config(folder.path().join("none"))).to_string();
    assert!(why.contains("no model folder"), "{why}");
    for name in ["model.bin", "config.json"] {
        std::fs::copy(model().join(name), folder.path().join(name)).unwrap();
    }
    let why = start(config(folder.path().to_owned())).to_string();
    assert!(why.contains("vocabulary.json, tokenizer.json"), "{why}");
    for name in ["vocabulary.json", "tokenizer.json"] {
        std::fs::copy(model().join(name), folder.path().join(name)).unwrap();
    }
    let sums = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  model.bin\n";
    std::fs::write(folder.path().join(CHECKSUMS_FILE), sums).unwrap();
    let why = start(config(folder.path().to_owned())).to_string();
    assert!(why.contains("model.bin is not the file that SHA256SUMS"), "{why}");
    std::fs::remove_file(folder.path().join(CHECKSUMS_FILE)).unwrap();
    std::fs::write(folder.path().join("model.bin"), b"not weights").unwrap();
    let why = start(config(folder.path().to_owned())).to_string();
    assert!(why.contains("CTranslate2 cannot load"), "{why}");
    let config = EngineConfig { batch_max: 65, model_dir: model(), ..EngineConfig::default() };
    let why = start(config);
    assert!(matches!(why, EngineError::Setting { key: "batch_max", value: 65, .. }), "{why}");
    // A number that no machine has.
    let gpus = vec![GpuConfig { device: 4_096, compute: Compute::Float16 }];
    let config = EngineConfig { gpus, model_dir: model(), ..EngineConfig::default() };
    let why = start(config).to_string();
    assert!(why.contains("CUDA devices and cannot use number 4096"), "{why}");
}
