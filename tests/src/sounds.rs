//! Sounds for the tests: the shipped messages, and conversions by sox and ffmpeg.

use std::path::{Path, PathBuf};

use crate::{program, repository};

/// A shipped message's WAV file (16 kHz mono) and its text.
pub fn message(name: &str) -> (PathBuf, String) {
    let folder = repository().join("assets").join("messages");
    let texts = std::fs::read_to_string(folder.join("messages.json")).unwrap();
    let texts: serde_json::Value = serde_json::from_str(&texts).unwrap();
    let text = texts[name].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    (folder.join(format!("{name}.wav")), text)
}

/// Converts with ffmpeg; `arguments` stand before the output file.
pub fn convert(input: &Path, output: &Path, arguments: &[&str]) {
    let done = program("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-y", "-i"])
        .arg(input)
        .args(arguments)
        .arg(output)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The sound as 8 kHz µ-law octets, 20 ms (160 octets) a frame; the last frame is filled up.
pub fn pcmu_frames(wav: &Path) -> Vec<Vec<u8>> {
    let raw = tempfile::NamedTempFile::with_suffix(".ul").unwrap();
    convert(wav, raw.path(), &["-ar", "8000", "-ac", "1", "-f", "mulaw"]);
    let octets = std::fs::read(raw.path()).unwrap();
    let mut frames: Vec<Vec<u8>> = octets.chunks(160).map(<[u8]>::to_vec).collect();
    if let Some(last) = frames.last_mut() {
        last.resize(160, 0xff);
    }
    frames
}

/// How long a sound file lasts when it is decoded to its end, by ffmpeg: samples over rate.
pub fn decoded_seconds(file: &Path) -> f64 {
    let raw = tempfile::NamedTempFile::with_suffix(".raw").unwrap();
    convert(file, raw.path(), &["-ar", "16000", "-ac", "1", "-f", "s16le"]);
    std::fs::metadata(raw.path()).unwrap().len() as f64 / 32_000.0
}
