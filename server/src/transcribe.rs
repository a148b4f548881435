//! `rusuden transcribe`: sound files and captures of calls to text, through the same engine that
//! serves calls.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use crossbeam::channel;
use engine_core::codec::Codec;
use engine_core::file_work::Wishes;
use engine_core::handoff::{LiveLane, WorkIn};
use engine_core::recording::Chunk;
use engine_core::text::Transcript;
use engine_core::work::Work;
use engine_media::engine::{Engine, EngineConfig, EngineLines};
use engine_media::files;
use ingress::capture::{self, CaptureOptions};

use crate::cli::TranscribeArguments;
use crate::{embedded, log, output};

/// Longest file that is read; longer ones are cut by their owner.
const FILE_MAX: Duration = Duration::from_hours(4);
/// First bytes of pcap (both byte orders, both resolutions) and pcapng files.
const CAPTURE_MAGICS: [[u8; 4]; 5] = [
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0x0a, 0x0d, 0x0d, 0x0a],
];

/// An engine for files: the listener's work lane is used for captures.
struct Desk {
    engine: Engine,
    work: WorkIn,
    /// Keeps the unpacked model as long as the engine may read it.
    _unpacked: Option<tempfile::TempDir>,
}

impl Desk {
    fn open(model: Option<&Path>) -> anyhow::Result<Self> {
        let (folder, unpacked) = if let Some(folder) = model {
            (folder.to_owned(), None)
        } else {
            let place = tempfile::tempdir()?;
            (embedded::unpack_model(place.path())?, Some(place))
        };
        let config = EngineConfig { model_dir: folder, live: false, ..EngineConfig::default() };
        let (work, work_out) = channel::bounded(16);
        let lines = EngineLines::of_calls(Arc::new(LiveLane::new(1)), work_out);
        let engine = Engine::start(&config, lines)?;
        Ok(Self { engine, work, _unpacked: unpacked })
    }
}

/// `rusuden transcribe`.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run(arguments: &TranscribeArguments) -> anyhow::Result<()> {
    log::start("warn");
    let desk = Desk::open(arguments.model.as_deref())?;
    for file in &arguments.files {
        let shown = file.display().to_string();
        let bytes = std::fs::read(file).with_context(|| format!("{shown} cannot be read"))?;
        let transcripts = if CAPTURE_MAGICS.iter().any(|magic| bytes.starts_with(magic)) {
            read_capture(&desk, &bytes, arguments)
        } else {
            read_sound(&desk, bytes, arguments).map(|transcript| vec![transcript])
        };
        let transcripts = transcripts.with_context(|| format!("{shown} gives no text"))?;
        for transcript in transcripts {
            print!("{}", output::render(&shown, &transcript, arguments.format));
        }
    }
    desk.engine.stop();
    Ok(())
}

fn read_sound(
    desk: &Desk,
    bytes: Vec<u8>,
    arguments: &TranscribeArguments,
) -> anyhow::Result<Transcript> {
    let samples = files::read_sound(Bytes::from(bytes), FILE_MAX)?;
    let language = arguments.language.code().map(str::to_owned);
    let wishes = Wishes { language, ..Wishes::default() };
    Ok(desk.engine.transcribe(&samples, &wishes)?.read.transcript)
}

/// Each RTP stream of the capture, in the order in which they start.
fn read_capture(
    desk: &Desk,
    bytes: &[u8],
    arguments: &TranscribeArguments,
) -> anyhow::Result<Vec<Transcript>> {
    let options = CaptureOptions { dynamic: Some(Codec::Opus), language: arguments.language };
    let streams = capture::read(bytes, options)?;
    let mut transcripts = Vec::new();
    for stream in streams {
        let (done, result) = channel::bounded(1);
        let first = Chunk::take(&mut stream.sound.clone())?;
        let work = Work {
            recording: first.recording,
            sound: stream.sound,
            language: arguments.language,
            done: Box::new(move |rendered| {
                // The receiver waits below; it is gone only when this program ends.
                let _ = done.send(rendered);
            }),
        };
        desk.work.send(work).map_err(|_| anyhow::anyhow!("the engine has ended"))?;
        transcripts.push(result.recv().context("the engine has ended")??.transcript);
    }
    Ok(transcripts)
}
