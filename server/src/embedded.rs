//! What the binary carries: the default model, greetings, demo messages.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use engine_core::sound::SoundId;
use engine_core::text::Language;
use sha2::{Digest as _, Sha256};

/// The default model's files, by name.
const MODEL: &[(&str, &[u8])] = &[
    ("SHA256SUMS", include_bytes!("../../models/default/SHA256SUMS")),
    ("config.json", include_bytes!("../../models/default/config.json")),
    ("model.bin", include_bytes!("../../models/default/model.bin")),
    ("preprocessor_config.json", include_bytes!("../../models/default/preprocessor_config.json")),
    ("rusuden.json", include_bytes!("../../models/default/rusuden.json")),
    ("tokenizer.json", include_bytes!("../../models/default/tokenizer.json")),
    ("vocabulary.json", include_bytes!("../../models/default/vocabulary.json")),
];

/// The shipped sounds.
pub(crate) const SOUNDS: &[(SoundId, &[u8])] = &[
    (
        SoundId::DefaultGreeting(Language::Japanese),
        include_bytes!("../../assets/sounds/greeting.ja.wav"),
    ),
    (
        SoundId::DefaultGreeting(Language::English),
        include_bytes!("../../assets/sounds/greeting.en.wav"),
    ),
    (SoundId::Closing(Language::Japanese), include_bytes!("../../assets/sounds/closing.ja.wav")),
    (SoundId::Closing(Language::English), include_bytes!("../../assets/sounds/closing.en.wav")),
];

const MESSAGES: &[(&str, &[u8])] = &[
    ("clinic", include_bytes!("../../assets/messages/clinic.wav")),
    ("family", include_bytes!("../../assets/messages/family.wav")),
    ("late", include_bytes!("../../assets/messages/late.wav")),
];
const MESSAGE_TEXTS: &str = include_str!("../../assets/messages/messages.json");

/// Names of the demo messages.
pub(crate) fn message_names() -> Vec<&'static str> {
    MESSAGES.iter().map(|(name, _)| *name).collect()
}

/// A demo message: its WAV file and what it says.
pub(crate) fn message(name: &str) -> anyhow::Result<(&'static [u8], String)> {
    let (_, wav) = MESSAGES
        .iter()
        .find(|(known, _)| *known == name)
        .with_context(|| format!("there is no demo message {name:?}"))?;
    let texts: serde_json::Value = serde_json::from_str(MESSAGE_TEXTS)?;
    let sentences = texts[name].as_array().context("messages.json has a text for each message")?;
    Ok((wav, sentences.iter().filter_map(|sentence| sentence.as_str()).collect()))
}

/// Lays the embedded model under `data_dir/models/<checksum>` and gives that folder. Files that
/// are there already are kept only if they are byte for byte ours.
pub(crate) fn unpack_model(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let mut hash = Sha256::new();
    for (name, bytes) in MODEL {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    let checksum: [u8; 32] = hash.finalize().into();
    let name = checksum.first_chunk().copied().map_or(0, u64::from_be_bytes);
    let folder = data_dir.join("models").join(format!("{name:016x}"));
    fs::create_dir_all(&folder)
        .with_context(|| format!("the model folder {} cannot be made", folder.display()))?;
    for (name, bytes) in MODEL {
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|there| there == *bytes) {
            continue;
        }
        let part = folder.join(format!("{name}.part"));
        fs::write(&part, bytes)
            .and_then(|()| fs::rename(&part, &path))
            .with_context(|| format!("the model file {} cannot be written", path.display()))?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_sound_and_text() {
        for name in message_names() {
            let (wav, text) = message(name).unwrap();
            assert_eq!(&wav[..4], b"RIFF");
            assert!(text.chars().count() > 10, "{name}: {text}");
        }
        assert!(message("nothing").is_err());
    }

    #[test]
    fn a_damaged_model_file_is_laid_anew() {
        let folder = tempfile::tempdir().unwrap();
        let model = unpack_model(folder.path()).unwrap();
        fs::write(model.join("model.bin"), b"damaged").unwrap();
        assert_eq!(unpack_model(folder.path()).unwrap(), model);
        assert_eq!(fs::read(model.join("model.bin")).unwrap(), MODEL[2].1);
    }
}
