//! Where keys are kept and where master keys come from. Nothing needs to be set.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of the vault.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VaultConfig {
    /// Folder of `keys.db` and of the keys that are made here; by default `keys` in the data
    /// folder. No backup of the database may hold it.
    pub folder: Option<PathBuf>,
    /// Master keys themselves, `id:64 hex digits`, the first one wraps. Better set in the
    /// environment: `RUSUDEN_CONTROL_PLANE__VAULT__MASTER_KEYS`.
    #[serde(skip_serializing)]
    pub master_keys: Option<String>,
    /// File with master keys, one a line. Without it and `master_keys`, the systemd credential
    /// `rusuden-master-keys` is taken, and without that `master.key` in `folder`, made if it is
    /// not there.
    pub master_keys_file: Option<PathBuf>,
}

impl fmt::Debug for VaultConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Master keys never reach a log or a terminal.
        f.debug_struct("VaultConfig")
            .field("folder", &self.folder)
            .field("master_keys_file", &self.master_keys_file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn master_keys_are_not_printed() {
        let secret = Some(format!("id:{}", "ab".repeat(32)));
        let config = VaultConfig { master_keys: secret, ..VaultConfig::default() };
        assert!(!format!("{config:#?}").contains("abab"));
        assert!(!serde_json::to_string(&config).unwrap().contains("abab"));
    }
}
