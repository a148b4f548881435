//! What the end-to-end tests share: finding the repository, starting the real binary, calling it
//! with real programs. No test lives here and nothing here decides anything.

use std::path::{Path, PathBuf};

/// The repository's root.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ lies in the repository").to_owned()
}
