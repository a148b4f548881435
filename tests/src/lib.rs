//! What the end-to-end tests share: finding the repository, starting the real binary, calling it
//! with real programs, judging text. No test lives here.

pub mod captures;
pub mod fleet;
pub mod service;
pub mod sounds;

use std::path::{Path, PathBuf};

/// The repository's root.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ lies in the repository").to_owned()
}

/// A program that the tests call; panics with the remedy when it is not installed.
pub fn program(name: &str) -> std::process::Command {
    let found = std::env::var_os("PATH").is_some_and(|paths| {
        std::env::split_paths(&paths).any(|folder| folder.join(name).is_file())
    });
    assert!(found, "{name} is not installed; `make setup-test` installs it");
    std::process::Command::new(name)
}

/// Character error rate: edits that turn `heard` into `said`, per character of `said`.
/// Punctuation and spaces do not count.
pub fn character_error_rate(said: &str, heard: &str) -> f64 {
    let letters = |text: &str| -> Vec<char> {
        text.chars().filter(|c| c.is_alphanumeric() || *c == 'ー').collect()
    };
    let (said, heard) = (letters(said), letters(heard));
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (at, want) in said.iter().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (index, got) in heard.iter().enumerate() {
            let replaced = corner + usize::from(want != got);
            corner = row[index + 1];
            row[index + 1] = replaced.min(row[index] + 1).min(corner + 1);
        }
    }
    row[heard.len()] as f64 / said.len().max(1) as f64
}

/// Most characters, by share, that the embedded model may get wrong in a shipped message on a
/// telephone line (`models/default/README.md`).
const CER_MAX: f64 = 0.22;

/// Fails unless what the embedded model heard is what was said, but for few characters.
#[track_caller]
pub fn assert_said(said: &str, heard: &str) {
    let rate = character_error_rate(said, heard);
    assert!(rate <= CER_MAX, "CER {rate:.2}\n said {said}\nheard {heard}");
}

/// A copy of the embedded model with one of its JSON files changed. The change is meant: the copy
/// has no checksums.
pub fn changed_model(name: &str, change: impl Fn(&mut serde_json::Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(repository().join("models").join("default")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    std::fs::remove_file(folder.path().join("SHA256SUMS")).unwrap();
    let file = folder.path().join(name);
    let mut value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(&file, value.to_string()).unwrap();
    folder
}

/// Adds every Rust source below a folder, what is built or fetched left out.
pub fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.')
                && !["target", "node_modules", "third-party"].contains(&&*name)
            {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::character_error_rate;

    #[test]
    fn error_rate_counts_edits_and_no_punctuation() {
        assert!(character_error_rate("もしもし。", "もしもし") < 1e-9);
        assert!((character_error_rate("abcd", "abxd") - 0.25).abs() < 1e-9);
        assert!((character_error_rate("abcd", "") - 1.0).abs() < 1e-9);
        assert!((character_error_rate("ab", "xaby") - 1.0).abs() < 1e-9);
    }
}
