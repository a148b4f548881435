//! Master keys: what wraps the data keys. In: a text of `id:hex` lines from the configuration, a
//! file or a systemd credential. Out: the keys, the first of which wraps, all of which unwrap. By
//! default a file is made on first start, beside the key file and outside of the database.

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rand::TryRngCore as _;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::VaultError;
use super::cipher::{KEY_BYTES, SecretKey};
use crate::limits::MASTER_KEYS_MAX;

/// Longest id of a master key.
const ID_BYTES_MAX: usize = 32;
const HEADER: &str = "\
# Master keys of Rusuden, one `id:64 hex digits` a line. The first wraps the data keys of mailboxes,
# the others only unwrap. Keep this file away from every backup that holds rusuden.db or keys.db.
";

/// One master key.
pub(super) struct MasterKey {
    pub(super) id: String,
    pub(super) key: SecretKey,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl MasterKey {
    /// A new one from the system's source of random bytes.
    pub(super) fn generate() -> Result<Self, VaultError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        fill(key.as_mut())?;
        let mut id = [0; 4];
        fill(&mut id)?;
        Ok(Self { id: format!("mk-{}", hex::encode(id)), key })
    }

    fn line(&self) -> Zeroizing<String> {
        let hex = Zeroizing::new(hex::encode(self.key.as_ref()));
        Zeroizing::new(format!("{}:{}\n", self.id, *hex))
    }
}

/// All of them; never empty.
#[derive(Debug)]
pub(super) struct MasterKeys {
    keys: Vec<MasterKey>,
}

impl MasterKeys {
    /// The one that wraps.
    pub(super) fn current(&self) -> &MasterKey {
        self.keys.first().expect("`read` and `make` refuse an empty list")
    }

    /// The one with this id.
    pub(super) fn find(&self, id: &str) -> Option<&MasterKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// All of them, the one that wraps first.
    pub(super) fn all(&self) -> impl Iterator<Item = &MasterKey> {
        self.keys.iter()
    }

    /// Reads keys, divided by white space or commas; what follows `#` on a line is skipped.
    pub(super) fn read(text: &str, place: &str) -> Result<Self, VaultError> {
        let wrong = |why| VaultError::MasterKeys { place: place.to_owned(), why };
        let mut keys: Vec<MasterKey> = Vec::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let words = line.split(|c: char| c.is_whitespace() || c == ',');
            for word in words.filter(|word| !word.is_empty()) {
                let key = read_key(word).ok_or_else(|| wrong("a key is not id:64 hex digits"))?;
                if keys.iter().any(|known| known.id == key.id) {
                    return Err(wrong("an id stands there twice"));
                }
                keys.push(key);
            }
        }
        match keys.len() {
            0 => Err(wrong("there is no key in it")),
            1..=MASTER_KEYS_MAX => Ok(Self { keys }),
            _ => Err(wrong("there are more than 16 keys; retire old ones")),
        }
    }
}

fn read_key(word: &str) -> Option<MasterKey> {
    let (id, digits) = word.split_once(':')?;
    let is_plain = (1..=ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    hex::decode_to_slice(digits, key.as_mut()).ok()?;
    is_plain.then(|| MasterKey { id: id.to_owned(), key })
}

/// Where master keys come from.
#[derive(Clone)]
pub(super) enum MasterSource {
    /// The configuration itself, and so the environment.
    Given(Zeroizing<String>),
    /// A file that somebody else keeps: configured, or a systemd credential.
    Kept(PathBuf),
    /// Our own file, made on first start.
    Ours(PathBuf),
}

impl fmt::Debug for MasterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl MasterSource {
    /// For people: where that is.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Given(_) => "vault.master_keys of the configuration".to_owned(),
            Self::Kept(path) | Self::Ours(path) => path.display().to_string(),
        }
    }

    /// Reads the keys; `None` where our own file is not made yet.
    pub(super) fn read(&self) -> Result<Option<MasterKeys>, VaultError> {
        let place = self.place();
        let path = match self {
            Self::Given(text) => return MasterKeys::read(text, &place).map(Some),
            Self::Kept(path) | Self::Ours(path) => path,
        };
        match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) => MasterKeys::read(&text, &place).map(Some),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && matches!(self, Self::Ours(_)) => {
                Ok(None)
            }
            Err(e) => Err(VaultError::File { path: path.clone(), why: e.to_string() }),
        }
    }
}

/// Writes our own file with these keys in order, whole or not at all, for the owner's eyes only.
pub(super) fn write(path: &Path, keys: &[&MasterKey]) -> Result<(), VaultError> {
    let mut text = Zeroizing::new(HEADER.to_owned());
    for key in keys {
        text.push_str(&key.line());
    }
    write_secret(path, text.as_bytes())
}

/// Writes a secret file, whole or not at all, for the owner's eyes only (mode 0600).
pub(super) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let refused =
        |e: std::io::Error| VaultError::File { path: path.to_owned(), why: e.to_string() };
    let part = path.with_extension("part");
    let mut options = std::fs::File::options();
    options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(&part).map_err(refused)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(refused)?;
    std::fs::rename(&part, path).map_err(refused)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(refused)
}

/// Fills from the system's source of random bytes.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), VaultError> {
    OsRng.try_fill_bytes(bytes).map_err(|e| VaultError::Random { why: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(byte: &str) -> String {
        byte.repeat(32)
    }

    #[test]
    fn keys_are_read_in_order_from_lines_or_from_one_line() {
        let lines = format!("# old and new\nnew:{} # since May\n\nold:{}\n", hex("aa"), hex("bb"));
        let one_line = format!("new:{}, old:{}", hex("aa"), hex("bb"));
        for text in [lines, one_line] {
            let keys = MasterKeys::read(&text, "test").unwrap();
            assert_eq!(keys.current().id, "new");
            assert_eq!(*keys.find("old").unwrap().key, [0xbb; 32]);
            assert!(keys.find("other").is_none());
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_printing_it() {
        let short = "a".repeat(63);
        for text in ["", "# nothing", "id", &format!("id:{short}"), &format!(":{}", hex("aa"))] {
            let error = MasterKeys::read(text, "the file").unwrap_err().to_string();
            assert!(error.contains("the file") && !error.contains(&short), "{error}");
        }
        let twice = format!("a:{} a:{}", hex("aa"), hex("bb"));
        assert!(MasterKeys::read(&twice, "x").unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn as_many_keys_as_the_limit_are_taken_and_not_one_more() {
        let many =
            |n: usize| (0..n).map(|n| format!("k{n}:{}", hex("aa"))).collect::<Vec<_>>().join("\n");
        assert!(MasterKeys::read(&many(MASTER_KEYS_MAX), "x").is_ok());
        assert!(MasterKeys::read(&many(MASTER_KEYS_MAX + 1), "x").is_err());
    }

    #[test]
    fn our_own_file_is_for_the_owner_only_and_reads_back() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let source = MasterSource::Ours(path.clone());
        assert!(source.read().unwrap().is_none());
        let (first, second) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
        write(&path, &[&second, &first]).unwrap();
        let keys = source.read().unwrap().unwrap();
        assert_eq!(keys.current().id, second.id);
        assert_eq!(*keys.find(&first.id).unwrap().key, *first.key);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(MasterSource::Kept(folder.path().join("none")).read().is_err());
    }
}
