//! A Whisper model's folder in CTranslate2's format: what must be in it, and its tokens.
//!
//! In: a path. Out: the card, the tokenizer and the ids of Whisper's own tokens, all checked; or
//! a sentence that says what is missing and what to do. Does not load weights.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokenizers::Tokenizer;

use super::card::Card;
use crate::limits::{MODEL_JSON_BYTES_MAX, PROMPT_TOKENS_MAX};

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No such folder.
    #[error(
        "there is no model folder at {}: give the folder of a Whisper model in CTranslate2's \
         format (model.bin, config.json, vocabulary.json, tokenizer.json)", .path.display()
    )]
    NoFolder {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Files are missing.
    #[error(
        "the model folder {} lacks {}: convert the model again with \
         `ct2-transformers-converter --copy_files tokenizer.json preprocessor_config.json`, or \
         copy the missing files from the model's origin", .path.display(), .missing.join(", ")
    )]
    Incomplete {
        /// The folder.
        path: PathBuf,
        /// What is not there.
        missing: Vec<&'static str>,
    },
    /// A file cannot be read.
    #[error("{} cannot be read ({why}): fetch or convert the model again", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        why: String,
    },
    /// A file is not the one that the model was shipped with.
    #[error(
        "{} is not the file that {CHECKSUMS_FILE} in its folder names: copy or fetch the model \
         again (or, if the change is meant, remove {CHECKSUMS_FILE})", .path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The card asks for what cannot be.
    #[error("{} is wrong: {why}", .path.display())]
    Card {
        /// The card.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Tokenizer and weights do not belong together, or it is no Whisper.
    #[error(
        "the model in {} has no token {token} where Whisper has it: its tokenizer.json and \
         vocabulary.json must come from the same Whisper model", .path.display()
    )]
    Token {
        /// The folder.
        path: PathBuf,
        /// Which token.
        token: String,
    },
    /// A process that was to load it did not.
    #[error("the model in {} is not loaded: the reader's process {why}", .path.display())]
    Reader {
        /// The folder.
        path: PathBuf,
        /// What became of the process.
        why: String,
    },
    /// CTranslate2 refused the weights.
    #[error("CTranslate2 cannot load the model in {}: {why}", .path.display())]
    Weights {
        /// The folder.
        path: PathBuf,
        /// What it said.
        why: String,
    },
}

impl ModelError {
    /// What was wrong with the weights, without the sentence about it; else the whole sentence.
    #[cfg(feature = "whisper")]
    pub(crate) fn cause(self) -> String {
        match self {
            Self::Weights { why, .. } => why,
            other => other.to_string(),
        }
    }
}

/// Checksums of a folder's files, as `sha256sum` writes them; optional.
pub const CHECKSUMS_FILE: &str = "SHA256SUMS";
const NEEDED: [&str; 4] = ["model.bin", "config.json", "vocabulary.json", "tokenizer.json"];

/// A checked folder.
#[derive(Debug)]
pub struct ModelFolder {
    /// Where it is.
    pub path: PathBuf,
    /// How the model is to be served.
    pub card: Card,
    pub(super) tokenizer: Tokenizer,
    pub(super) tokens: Tokens,
    /// Mel rows that `preprocessor_config.json` names.
    pub(super) mels: Option<usize>,
    config: ModelConfig,
}

/// What `config.json` says, as far as it matters here. CTranslate2 itself takes the lists of
/// suppressed tokens from it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelConfig {
    /// Ids of the languages that the model knows; older conversions leave it out.
    lang_ids: Vec<u32>,
    /// Layers and heads of attention that follow the sound.
    alignment_heads: Vec<(u32, u32)>,
}

/// Ids of Whisper's own tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens {
    /// Text lies below it.
    pub(super) end_of_text: u32,
    /// Timestamps begin here, 20 ms apart.
    pub(super) first_timestamp: u32,
}

#[derive(Deserialize)]
struct Preprocessor {
    feature_size: Option<usize>,
}

impl ModelFolder {
    /// Opens and checks a folder.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        if !path.is_dir() {
            return Err(ModelError::NoFolder { path: path.to_owned() });
        }
        let missing: Vec<_> =
            NEEDED.into_iter().filter(|name| !path.join(name).is_file()).collect();
        if !missing.is_empty() {
            return Err(ModelError::Incomplete { path: path.to_owned(), missing });
        }
        let card = Card::read(path)?;
        let file = path.join("tokenizer.json");
        let tokenizer = Tokenizer::from_file(&file)
            .map_err(|why| ModelError::Unreadable { path: file, why: why.to_string() })?;
        let vocabulary: Vec<String> = read_json(&path.join("vocabulary.json"))?;
        let tokens = Tokens::find(path, &tokenizer, &vocabulary)?;
        let file = path.join("preprocessor_config.json");
        let mels =
            if file.is_file() { read_json::<Preprocessor>(&file)?.feature_size } else { None };
        let config = read_json(&path.join("config.json"))?;
        Ok(Self { path: path.to_owned(), card, tokenizer, tokens, mels, config })
    }

    /// Checks every file that [`CHECKSUMS_FILE`] in the folder names, where there is one.
    pub fn verify(&self) -> Result<(), ModelError> {
        let list = self.path.join(CHECKSUMS_FILE);
        if !list.is_file() {
            return Ok(());
        }
        let unreadable = |path: &Path, why: std::io::Error| ModelError::Unreadable {
            path: path.to_owned(),
            why: why.to_string(),
        };
        let text = fs::read_to_string(&list).map_err(|why| unreadable(&list, why))?;
        for line in text.lines() {
            let Some((sum, name)) = line.split_once("  ") else { continue };
            let path = self.path.join(name);
            let mut file = fs::File::open(&path).map_err(|why| unreadable(&path, why))?;
            let mut hash = Sha256::new();
            std::io::copy(&mut file, &mut hash).map_err(|why| unreadable(&path, why))?;
            if !sum.eq_ignore_ascii_case(&hex::encode(hash.finalize())) {
                return Err(ModelError::Changed { path });
            }
        }
        Ok(())
    }

    /// Whether the model knows a language by its ISO 639-1 code.
    pub fn knows_language(&self, code: &str) -> bool {
        let known = &self.config.lang_ids;
        let id = self.tokenizer.token_to_id(&format!("<|{code}|>"));
        id.is_some_and(|id| known.is_empty() || known.contains(&id))
    }

    /// Whether the model can be asked to translate: one that knows a single language cannot.
    pub fn translates(&self) -> bool {
        let has_task = self.tokenizer.token_to_id("<|translate|>").is_some();
        has_task && self.config.lang_ids.len() != 1
    }

    /// Whether the model's words can be aligned with the sound.
    pub(super) fn aligns(&self) -> bool {
        !self.config.alignment_heads.is_empty()
    }

    /// Tokens that stand before a transcript whose beginning the model is to believe it has
    /// written: the end of `prompt` where it is too long, nothing where it is empty or the model was
    /// not trained with any.
    pub fn prompt(&self, prompt: &str) -> Vec<String> {
        let text = prompt.trim();
        let start = "<|startofprev|>";
        if text.is_empty() || !self.card.prompts || self.tokenizer.token_to_id(start).is_none() {
            return Vec::new();
        }
        // As the reference writes it: words follow a space.
        let Ok(encoded) = self.tokenizer.encode_fast(format!(" {text}"), false) else {
            return Vec::new();
        };
        let ids = encoded.get_ids().iter().filter(|id| **id < self.tokens.end_of_text);
        let tokens: Vec<String> = ids.filter_map(|id| self.tokenizer.id_to_token(*id)).collect();
        let first = tokens.len().saturating_sub(PROMPT_TOKENS_MAX);
        std::iter::once(start.to_owned()).chain(tokens.into_iter().skip(first)).collect()
    }

    /// Ids of the tokens that a transcript in this language starts with.
    pub(super) fn start_ids(&self, tokens: &[String]) -> Vec<usize> {
        tokens
            .iter()
            .filter_map(|token| self.tokenizer.token_to_id(token))
            .map(|id| id as usize)
            .collect()
    }

    /// Text of tokens; Whisper's own are left out.
    pub(super) fn text(&self, ids: &[usize]) -> String {
        self.tokenizer.decode(&self.words(ids), true).unwrap_or_default()
    }

    /// The tokens that are text.
    pub(super) fn words(&self, ids: &[usize]) -> Vec<u32> {
        let ids = ids.iter().filter_map(|id| u32::try_from(*id).ok());
        ids.filter(|id| *id < self.tokens.end_of_text).collect()
    }

    /// Text of a few tokens, with marks where they are no whole characters.
    pub(super) fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, false).unwrap_or_default()
    }
}

impl Tokens {
    fn find(path: &Path, tokenizer: &Tokenizer, words: &[String]) -> Result<Self, ModelError> {
        let find = |token: &str| {
            tokenizer
                .token_to_id(token)
                .filter(|id| words.get(*id as usize).is_some_and(|word| word == token))
                .ok_or_else(|| ModelError::Token { path: path.to_owned(), token: token.to_owned() })
        };
        find("<|startoftranscript|>")?;
        find("<|transcribe|>")?;
        let end_of_text = find("<|endoftext|>")?;
        let first_timestamp = find("<|notimestamps|>")? + 1;
        Ok(Self { end_of_text, first_timestamp })
    }
}

/// Reads a JSON file of bounded size.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let wrong = |why: String| ModelError::Unreadable { path: path.to_owned(), why };
    let size = fs::metadata(path).map_err(|why| wrong(why.to_string()))?.len();
    if size > MODEL_JSON_BYTES_MAX {
        return Err(wrong(format!("{size} bytes, at most {MODEL_JSON_BYTES_MAX} are read")));
    }
    let bytes = fs::read(path).map_err(|why| wrong(why.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|why| wrong(why.to_string()))
}
