//! A secret of 32 bytes that is made on the first start and kept in the data folder, readable by
//! its owner alone. A path in; the bytes out.

use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

const BYTES: usize = 32;

/// Why a secret cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[error("the secret file {path} cannot be used: {why}")]
#[non_exhaustive]
pub struct SecretFileError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

/// Reads the secret of a file; makes both when the file is not there.
pub(crate) fn read_or_make(path: &Path) -> Result<Zeroizing<[u8; BYTES]>, SecretFileError> {
    let refused = |why: String| SecretFileError { path: path.to_owned(), why };
    match std::fs::File::open(path) {
        Ok(file) => read(file).map_err(refused),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut secret = Zeroizing::new([0; BYTES]);
            OsRng.try_fill_bytes(&mut *secret).map_err(|e| refused(e.to_string()))?;
            write(path, &secret).map_err(|e| refused(e.to_string()))?;
            Ok(secret)
        }
        Err(error) => Err(refused(error.to_string())),
    }
}

fn read(mut file: std::fs::File) -> Result<Zeroizing<[u8; BYTES]>, String> {
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(|e| e.to_string())?;
    let mut secret = Zeroizing::new([0; BYTES]);
    hex::decode_to_slice(text.trim(), &mut *secret)
        .map_err(|_| format!("it must hold {} hexadecimal digits", 2 * BYTES))?;
    Ok(secret)
}

/// Whole or not at all, also after a power cut.
fn write(path: &Path, secret: &[u8; BYTES]) -> io::Result<()> {
    let part = path.with_extension("part");
    if let Err(error) = std::fs::remove_file(&part)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(Zeroizing::new(hex::encode(secret)).as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.key");
        let made = read_or_make(&path).unwrap();
        assert_ne!(*made, [0; BYTES]);
        assert_eq!(*read_or_make(&path).unwrap(), *made);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_secret_is_named_and_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.key");
        std::fs::write(&path, "not hex").unwrap();
        let error = read_or_make(&path).unwrap_err().to_string();
        assert!(error.contains("some.key") && error.contains("64"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not hex");
    }
}
