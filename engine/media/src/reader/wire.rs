//! What a reader's process and the engine say to each other.
//!
//! A frame is the length of its head (4 bytes, little-endian), the head as JSON, then samples as
//! little-endian 32-bit floats, as many as the head's rows name. Both ends are of one build, so
//! there is no version. Knows neither processes nor models.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use engine_core::manner::{Manner, Task, Temperature};
use engine_core::private::Private;
use engine_core::words::Piece;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::limits::{READER_HEAD_BYTES_MAX, WINDOW_SAMPLES_MAX};
use crate::whisper::{Compute, Heard, Part, Processor, Reading, RecognizerOptions};

/// The engine's first word: which model to load, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) model_dir: PathBuf,
    processor: Processor,
    threads: usize,
    compute: Compute,
    beam: usize,
}

/// A batch.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    frames: usize,
    translate: bool,
    /// Of the temperature's degrees.
    degrees_bits: u32,
    prompt_tokens: u16,
    words: bool,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    samples: usize,
    language: Option<String>,
    prompt: Vec<String>,
}

/// What came of it.
pub(super) type Answer = Result<Vec<Told>, String>;

/// A [`Reading`], numbers by their bits: they come out as they went in, infinite ones, too.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    language: String,
    parts: Vec<ToldPart>,
    /// Average log probability, probability of no speech, compression ratio, temperature.
    bits: [u32; 4],
}

#[derive(Debug, Serialize, Deserialize)]
struct ToldPart {
    start_ms: Option<u32>,
    end_ms: Option<u32>,
    text: String,
    tokens: Vec<u32>,
    /// Start, end, text, bits of the probability.
    pieces: Vec<(u32, u32, String, u32)>,
}

/// A batch as the reader's process has it.
pub(super) struct Batch {
    rows: Vec<(Row, Vec<f32>)>,
    pub(super) frames: usize,
    pub(super) manner: Manner,
}

impl Hello {
    pub(super) const fn new(model_dir: PathBuf, options: RecognizerOptions) -> Self {
        let RecognizerOptions { processor, threads, compute, beam } = options;
        Self { model_dir, processor, threads, compute, beam }
    }

    pub(super) const fn options(&self) -> RecognizerOptions {
        let Self { processor, threads, compute, beam, .. } = *self;
        RecognizerOptions { processor, threads, compute, beam }
    }
}

/// Writes a frame without samples.
pub(super) fn send<T: Serialize>(line: &mut impl Write, head: &T) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    let length = u32::try_from(head.len()).map_err(io::Error::other)?;
    line.write_all(&length.to_le_bytes())?;
    line.write_all(&head)?;
    line.flush()
}

/// Reads a frame without samples.
pub(super) fn receive<T: DeserializeOwned>(line: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    line.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > READER_HEAD_BYTES_MAX {
        return Err(wrong("a frame's head is too long"));
    }
    let mut head = vec![0; length];
    line.read_exact(&mut head)?;
    serde_json::from_slice(&head).map_err(io::Error::from)
}

/// Writes a batch.
pub(super) fn send_batch(
    line: &mut impl Write,
    windows: &[Heard<'_>],
    frames: usize,
    manner: Manner,
) -> io::Result<()> {
    let row = |window: &Heard<'_>| Row {
        samples: window.pcm.len(),
        language: window.language.map(str::to_owned),
        prompt: window.prompt.to_vec(),
    };
    let request = Request {
        frames,
        translate: manner.task == Task::Translate,
        degrees_bits: manner.temperature.degrees().to_bits(),
        prompt_tokens: manner.prompt_tokens,
        words: manner.words,
        rows: windows.iter().map(row).collect(),
    };
    send(line, &request)?;
    let mut bytes = Vec::new();
    for window in windows {
        bytes.clear();
        bytes.extend(window.pcm.iter().flat_map(|sample| sample.to_le_bytes()));
        line.write_all(&bytes)?;
    }
    line.flush()
}

/// Reads a batch.
pub(super) fn receive_batch(line: &mut impl Read) -> io::Result<Batch> {
    let request: Request = receive(line)?;
    let temperature = Temperature::new(f32::from_bits(request.degrees_bits))
        .ok_or_else(|| wrong("no such temperature"))?;
    let mut rows = Vec::with_capacity(request.rows.len());
    for row in request.rows {
        if row.samples > WINDOW_SAMPLES_MAX {
            return Err(wrong("a window is too long"));
        }
        let mut bytes = vec![0; 4 * row.samples];
        line.read_exact(&mut bytes)?;
        let (samples, _) = bytes.as_chunks();
        let pcm = samples.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        rows.push((row, pcm));
    }
    let task = if request.translate { Task::Translate } else { Task::Transcribe };
    let Request { frames, prompt_tokens, words, .. } = request;
    Ok(Batch { rows, frames, manner: Manner { task, temperature, prompt_tokens, words } })
}

impl Batch {
    /// Its windows, in order.
    pub(super) fn windows(&self) -> Vec<Heard<'_>> {
        let rows = self.rows.iter().map(|(row, pcm)| Heard {
            pcm,
            language: row.language.as_deref(),
            prompt: &row.prompt,
        });
        rows.collect()
    }
}

impl From<Reading> for Told {
    fn from(reading: Reading) -> Self {
        let Reading { parts, language, .. } = reading;
        let bits = [
            reading.avg_logprob,
            reading.no_speech_prob,
            reading.compression_ratio,
            reading.temperature.degrees(),
        ];
        let parts = parts.into_iter().map(ToldPart::from).collect();
        Self { language, parts, bits: bits.map(f32::to_bits) }
    }
}

impl From<Told> for Reading {
    fn from(told: Told) -> Self {
        let [avg_logprob, no_speech_prob, compression_ratio, degrees] =
            told.bits.map(f32::from_bits);
        Self {
            parts: told.parts.into_iter().map(Part::from).collect(),
            language: told.language,
            avg_logprob,
            no_speech_prob,
            compression_ratio,
            temperature: Temperature::new(degrees).unwrap_or_default(),
        }
    }
}

impl From<Part> for ToldPart {
    fn from(part: Part) -> Self {
        let Part { start_ms, end_ms, text, tokens, pieces } = part;
        let told = |piece: Piece| {
            let Piece { start_ms, end_ms, text, probability } = piece;
            (start_ms, end_ms, text.into_inner(), probability.to_bits())
        };
        Self { start_ms, end_ms, text, tokens, pieces: pieces.into_iter().map(told).collect() }
    }
}

impl From<ToldPart> for Part {
    fn from(told: ToldPart) -> Self {
        let ToldPart { start_ms, end_ms, text, tokens, pieces } = told;
        let piece = |(start_ms, end_ms, text, bits): (u32, u32, String, u32)| Piece {
            start_ms,
            end_ms,
            text: Private::new(text),
            probability: f32::from_bits(bits),
        };
        Self { start_ms, end_ms, text, tokens, pieces: pieces.into_iter().map(piece).collect() }
    }
}

fn wrong(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_out_as_it_went_in() {
        let prompt = ["<|startofprev|>".to_owned(), "田".to_owned()];
        let sounds = [vec![0.5, -1.0, f32::MIN_POSITIVE], vec![]];
        let windows = [
            Heard { pcm: &sounds[0], language: Some("ja"), prompt: &prompt },
            Heard { pcm: &sounds[1], language: None, prompt: &prompt },
        ];
        let temperature = Temperature::new(0.4).unwrap();
        let manner = Manner { task: Task::Translate, temperature, prompt_tokens: 2, words: true };
        let mut line = Vec::new();
        send_batch(&mut line, &windows, 128, manner).unwrap();
        let batch = receive_batch(&mut line.as_slice()).unwrap();
        assert_eq!((batch.frames, batch.manner), (128, manner));
        for (sent, came) in windows.iter().zip(batch.windows()) {
            assert_eq!(
                (sent.pcm, sent.language, sent.prompt),
                (came.pcm, came.language, came.prompt)
            );
        }
    }

    #[test]
    fn a_reading_comes_out_bit_for_bit() {
        let piece = Piece {
            start_ms: 20,
            end_ms: 40,
            text: Private::new("はい".to_owned()),
            probability: 0.1,
        };
        let part = Part {
            start_ms: None,
            end_ms: Some(9),
            text: "はい".to_owned(),
            tokens: vec![7, 8],
            pieces: vec![piece],
        };
        let reading = Reading {
            parts: vec![part],
            language: "ja".to_owned(),
            avg_logprob: f32::NEG_INFINITY,
            no_speech_prob: 1e-30,
            compression_ratio: 0.1 + 0.2,
            temperature: Temperature::MAX,
        };
        let mut line = Vec::new();
        send(&mut line, &Answer::Ok(vec![reading.clone().into()])).unwrap();
        let answer: Answer = receive(&mut line.as_slice()).unwrap();
        let came: Vec<Reading> = answer.unwrap().into_iter().map(Reading::from).collect();
        assert_eq!(came, [reading]);
    }

    #[test]
    fn a_frame_that_promises_too_much_is_refused() {
        let line = u32::MAX.to_le_bytes();
        let why = receive::<Answer>(&mut line.as_slice()).unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::InvalidData);
    }
}
