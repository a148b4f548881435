//! The deployment's pepper: a random secret beside the database, so that short secrets and phone
//! numbers kept as hashes cannot be guessed from a stolen database alone.
//!
//! In: the data folder. Out: keyed hashes (HMAC-SHA-256, RFC 2104), each bound to a purpose. Who
//! loses the file loses every serial number that was not redeemed, and nothing else of a
//! subscriber: keep it with the backups' keys, not with the backups.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hmac::{Hmac, Mac};
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Name of the pepper's file in the data folder.
pub const FILE_NAME: &str = "pepper.key";
const BYTES: usize = 32;

/// Why there is no pepper.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PepperError {
    /// The file cannot be read or made.
    #[error("the pepper {path} cannot be read or made: {why}; check that the folder is writable")]
    File {
        /// Where it should be.
        path: String,
        /// What the system said.
        why: String,
    },
    /// The file is not ours.
    #[error(
        "the pepper {path} must hold {BYTES} bytes as {} hex digits; restore it from a backup",
        2 * BYTES
    )]
    Malformed {
        /// Where it is.
        path: String,
    },
}

/// The secret. Clones share nothing but its value; it is wiped when dropped.
#[derive(Clone)]
pub struct Pepper(Zeroizing<[u8; BYTES]>);

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(‹private›)")
    }
}

impl Pepper {
    /// A pepper of these bytes.
    pub fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads the data folder's pepper, or makes it; of two processes at once one makes it and both
    /// read the same.
    pub fn open(data_dir: &Path) -> Result<Self, PepperError> {
        let file = data_dir.join(FILE_NAME);
        let path = file.display().to_string();
        let refused =
            |why: io::Error| PepperError::File { path: path.clone(), why: why.to_string() };
        let text = match fs::read_to_string(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                make(data_dir, &file).map_err(refused)?;
                fs::read_to_string(&file).map_err(refused)?
            }
            other => other.map_err(refused)?,
        };
        let mut bytes = Zeroizing::new([0; BYTES]);
        let read = hex::decode_to_slice(text.trim(), bytes.as_mut_slice());
        read.map_err(|_| PepperError::Malformed { path: path.clone() })?;
        Ok(Self(bytes))
    }

    /// Keyed hash of `text`, bound to `purpose` so that hashes of two purposes never meet.
    pub fn mac(&self, purpose: &'static str, text: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice())
            .expect("HMAC takes keys of any length (RFC 2104 §3)");
        // The purpose is a constant without NUL: no text can be taken for another purpose's.
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text);
        mac.finalize().into_bytes().into()
    }

    /// [`Pepper::mac`] as hex, for rows.
    pub fn hash(&self, purpose: &'static str, text: &str) -> String {
        hex::encode(self.mac(purpose, text.as_bytes()))
    }
}

/// Writes a new pepper aside and links it into place, which fails where one is already: nobody
/// ever reads half a pepper.
fn make(data_dir: &Path, file: &Path) -> io::Result<()> {
    fs::create_dir_all(data_dir)?;
    let mut bytes = Zeroizing::new([0; BYTES]);
    OsRng.try_fill_bytes(bytes.as_mut_slice()).map_err(io::Error::other)?;
    let aside = data_dir.join(format!("{FILE_NAME}.{}", uuid::Uuid::new_v4()));
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    new.write_all(Zeroizing::new(hex::encode(bytes.as_slice())).as_bytes())?;
    new.sync_all()?;
    let linked = match fs::hard_link(&aside, file) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    fs::remove_file(&aside)?;
    fs::File::open(data_dir)?.sync_all()?;
    linked
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_pepper_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let first = Pepper::open(folder.path()).unwrap();
        let again = Pepper::open(folder.path()).unwrap();
        assert_eq!(first.hash("line", "+819012345678"), again.hash("line", "+819012345678"));
        let mode = fs::metadata(folder.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn processes_that_start_at_once_share_one() {
        let folder = tempfile::tempdir().unwrap();
        let hashes: Vec<_> = std::thread::scope(|scope| {
            let open = || Pepper::open(folder.path()).unwrap().hash("test", "");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    }

    #[test]
    fn a_damaged_pepper_is_refused_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), "short").unwrap();
        let error = Pepper::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("64 hex digits"), "{error}");
    }

    #[test]
    fn purposes_do_not_meet() {
        let pepper = Pepper::from_bytes([7; 32]);
        assert_ne!(pepper.hash("line", "x"), pepper.hash("serial", "x"));
        assert_eq!(format!("{pepper:?}"), "Pepper(‹private›)");
    }
}
