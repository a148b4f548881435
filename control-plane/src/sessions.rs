//! Sessions: the opaque tokens of signed-in devices. A token is `rst_` and 32 secret bytes in hex;
//! only its SHA-256 is kept, which is enough for 256 secret bits (no dictionary to slow down).

use std::fmt;

use engine_core::id::MailboxId;
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};

use crate::clock;
use crate::store::{SharedStore, StoreError};
use crate::subscriber::{Device, DeviceId, DeviceName, DeviceNameError};

/// How a session's token begins.
pub(crate) const SESSION_PREFIX: &str = "rst_";
const SECRET_BYTES: usize = 32;

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The device's name cannot be so.
    #[error(transparent)]
    Name(#[from] DeviceNameError),
    /// The system's source of random bytes failed.
    #[error("the system gave no random bytes: {why}")]
    Random {
        /// What it said.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A device to be signed in.
#[derive(Debug, Clone)]
pub struct NewDevice<'a> {
    /// Id of the contract that it belongs to.
    pub contract: &'a str,
    /// The contract's mailbox.
    pub mailbox: MailboxId,
    /// What the subscriber calls it.
    pub name: &'a str,
}

/// Signs devices in. The set-up does it for subscribers; an operator's own sign-in may, too.
#[derive(Clone)]
pub struct Sessions {
    store: SharedStore,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    pub(crate) fn new(store: SharedStore) -> Self {
        Self { store }
    }

    /// Signs a device in and gives its session token, which nobody can read again.
    pub async fn sign_in(&self, new: NewDevice<'_>) -> Result<(Device, String), SessionError> {
        let name = DeviceName::read(new.name)?;
        let token = new_token(SESSION_PREFIX)?;
        let now = clock::now();
        let device = Device {
            id: DeviceId::from_u128(uuid::Uuid::now_v7().as_u128()),
            contract: new.contract.to_owned(),
            mailbox: new.mailbox,
            name: name.as_str().to_owned(),
            created_at: now,
            seen_at: now,
            ended: None,
        };
        self.store.keep_device(&device, &hash_token(&token)).await?;
        Ok((device, token))
    }

    /// The device, signed in or not, that this token was given to.
    pub(crate) async fn find(&self, token: &str) -> Result<Option<Device>, StoreError> {
        if !is_token(token, SESSION_PREFIX) {
            return Ok(None);
        }
        self.store.device_by_token(&hash_token(token)).await
    }
}

/// A new token with 256 random bits.
pub(crate) fn new_token(prefix: &str) -> Result<String, SessionError> {
    let mut bytes = [0; SECRET_BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(|e| SessionError::Random { why: e.to_string() })?;
    Ok(format!("{prefix}{}", hex::encode(bytes)))
}

/// Whether a text may be a token, so that nothing else is looked for.
pub(crate) fn is_token(text: &str, prefix: &str) -> bool {
    let hex = text.strip_prefix(prefix);
    hex.is_some_and(|hex| {
        hex.len() == 2 * SECRET_BYTES && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// What is kept of a token.
pub(crate) fn hash_token(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteStore;

    #[tokio::test]
    async fn a_token_finds_its_device_and_is_not_in_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore =
            std::sync::Arc::new(SqliteStore::open(folder.path()).await.unwrap());
        let sessions = Sessions::new(store.clone());
        let mailbox = MailboxId::from_u128(1);
        let new = NewDevice { contract: "c", mailbox, name: "わたしのiPhone" };
        let (device, token) = sessions.sign_in(new.clone()).await.unwrap();
        assert_eq!(sessions.find(&token).await.unwrap(), Some(device));
        for wrong in ["", "rst_", &token[..67], &token.replace("rst_", "rsk_")] {
            assert_eq!(sessions.find(wrong).await.unwrap(), None, "{wrong}");
        }
        let nameless = NewDevice { name: " ", ..new };
        assert!(matches!(sessions.sign_in(nameless).await, Err(SessionError::Name(_))));
        store.close().await;
        let hex = token.strip_prefix("rst_").unwrap().as_bytes();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(hex.len()).any(|window| window == hex));
        }
    }
}
