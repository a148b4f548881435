//! API keys. A secret is `rsk_` and 32 random bytes in hex; only its SHA-256 is kept, which is
//! enough for 256 random bits (no dictionary to slow down). Shown once, when made.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use engine_core::time::WallTime;
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::audit::{Actor, Change};
use crate::clock;
use crate::limits::KEY_NAME_CHARS_MAX;
use crate::store::sqlite::SqliteStore;
use crate::store::{SharedStore, StoreError};

const SECRET_PREFIX: &str = "rsk_";
const SECRET_BYTES: usize = 32;

/// Id of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub uuid::Uuid);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeyId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// See mailboxes.
    #[serde(rename = "mailboxes:read")]
    MailboxesRead,
    /// Make, change and delete mailboxes.
    #[serde(rename = "mailboxes:write")]
    MailboxesWrite,
    /// See messages, their text and MP3.
    #[serde(rename = "messages:read")]
    MessagesRead,
    /// Mark and delete messages.
    #[serde(rename = "messages:write")]
    MessagesWrite,
    /// Fetch recordings as they came in.
    #[serde(rename = "recordings:read")]
    RecordingsRead,
    /// Watch events.
    #[serde(rename = "events:read")]
    EventsRead,
    /// See contracts, lines and terms.
    #[serde(rename = "contracts:read")]
    ContractsRead,
    /// Apply, cancel and reinstate; change lines; publish terms.
    #[serde(rename = "contracts:write")]
    ContractsWrite,
    /// See the pool of numbers.
    #[serde(rename = "numbers:read")]
    NumbersRead,
    /// Add to the pool of numbers.
    #[serde(rename = "numbers:write")]
    NumbersWrite,
    /// See campaigns, bills and usage.
    #[serde(rename = "billing:read")]
    BillingRead,
    /// Close months and correct them.
    #[serde(rename = "billing:write")]
    BillingWrite,
    /// Add versions of the campaign.
    #[serde(rename = "campaigns:write")]
    CampaignsWrite,
    /// Read the audit log.
    #[serde(rename = "audit:read")]
    AuditRead,
    /// See webhooks and their deliveries.
    #[serde(rename = "webhooks:read")]
    WebhooksRead,
    /// Change webhooks, send again.
    #[serde(rename = "webhooks:write")]
    WebhooksWrite,
    /// Have sound files read.
    #[serde(rename = "transcriptions:write")]
    TranscriptionsWrite,
    /// Everything.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 18] = [
        Self::MailboxesRead,
        Self::MailboxesWrite,
        Self::MessagesRead,
        Self::MessagesWrite,
        Self::RecordingsRead,
        Self::EventsRead,
        Self::ContractsRead,
        Self::ContractsWrite,
        Self::NumbersRead,
        Self::NumbersWrite,
        Self::BillingRead,
        Self::BillingWrite,
        Self::CampaignsWrite,
        Self::AuditRead,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::TranscriptionsWrite,
        Self::Admin,
    ];

    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MailboxesRead => "mailboxes:read",
            Self::MailboxesWrite => "mailboxes:write",
            Self::MessagesRead => "messages:read",
            Self::MessagesWrite => "messages:write",
            Self::RecordingsRead => "recordings:read",
            Self::EventsRead => "events:read",
            Self::ContractsRead => "contracts:read",
            Self::ContractsWrite => "contracts:write",
            Self::NumbersRead => "numbers:read",
            Self::NumbersWrite => "numbers:write",
            Self::BillingRead => "billing:read",
            Self::BillingWrite => "billing:write",
            Self::CampaignsWrite => "campaigns:write",
            Self::AuditRead => "audit:read",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
            Self::TranscriptionsWrite => "transcriptions:write",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = KeyError;
    fn from_str(name: &str) -> Result<Self, KeyError> {
        let found = Self::ALL.into_iter().find(|scope| scope.name() == name);
        found.ok_or_else(|| KeyError::UnknownScope { given: name.chars().take(64).collect() })
    }
}

/// A key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: WallTime,
    /// When it was revoked.
    pub revoked_at: Option<WallTime>,
}

impl ApiKey {
    /// Whether the key may do what `scope` names.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|&have| have == scope || have == Scope::Admin)
    }
}

/// Why a key could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a scope.
    #[error(
        "{given:?} is no scope; choose from {}",
        Scope::ALL.map(Scope::name).join(", ")
    )]
    UnknownScope {
        /// What was given.
        given: String,
    },
    /// Nothing would be allowed.
    #[error("a key needs at least one scope")]
    NoScope,
    /// Empty or too long.
    #[error("a key's name needs 1 to {KEY_NAME_CHARS_MAX} characters")]
    Name,
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

/// Makes, lists and revokes keys.
#[derive(Clone)]
pub struct Keys {
    store: SharedStore,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    pub(crate) fn new(store: SharedStore) -> Self {
        Self { store }
    }

    /// Opens the keys of a data folder without the rest of the control plane, for a command line;
    /// a service may run on the same folder.
    pub async fn open(data_dir: &Path) -> Result<Self, KeyError> {
        let store = SqliteStore::open(data_dir).await?;
        Ok(Self { store: std::sync::Arc::new(store) })
    }

    /// Makes a key and gives its secret, which nobody can read again.
    pub async fn create_key(
        &self,
        name: &str,
        scopes: &[Scope],
    ) -> Result<(ApiKey, String), KeyError> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > KEY_NAME_CHARS_MAX {
            return Err(KeyError::Name);
        }
        if scopes.is_empty() {
            return Err(KeyError::NoScope);
        }
        let mut bytes = [0; SECRET_BYTES];
        OsRng.try_fill_bytes(&mut bytes).map_err(|e| KeyError::Random { why: e.to_string() })?;
        let secret = format!("{SECRET_PREFIX}{}", hex::encode(bytes));
        let key = ApiKey {
            id: KeyId(uuid::Uuid::now_v7()),
            name: name.to_owned(),
            scopes: Scope::ALL.into_iter().filter(|scope| scopes.contains(scope)).collect(),
            created_at: clock::now(),
            revoked_at: None,
        };
        self.store.keep_key(&key, &hash(&secret), by_command(key.created_at)).await?;
        Ok((key, secret))
    }

    /// All keys, oldest first, revoked ones too.
    pub async fn list(&self) -> Result<Vec<ApiKey>, KeyError> {
        Ok(self.store.keys().await?)
    }

    /// Revokes a key from now on. False when there is none or it was revoked before.
    pub async fn revoke(&self, id: KeyId) -> Result<bool, KeyError> {
        Ok(self.store.revoke_key(id, by_command(clock::now())).await?)
    }

    /// The key that this secret opens.
    pub(crate) async fn find(&self, secret: &str) -> Result<Option<ApiKey>, StoreError> {
        let hex = secret.strip_prefix(SECRET_PREFIX);
        if hex.is_none_or(|hex| hex.len() != 2 * SECRET_BYTES) {
            return Ok(None);
        }
        self.store.key_by_hash(&hash(secret)).await
    }

    /// Closes the store; for a command line that opened it.
    pub async fn close(self) {
        self.store.close().await;
    }
}

/// Keys are made and revoked at the command line only.
const fn by_command(at: WallTime) -> Change {
    Change { by: Actor::Command, at }
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn keys() -> (tempfile::TempDir, Keys) {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path()).await.unwrap();
        (folder, keys)
    }

    #[tokio::test]
    async fn a_secret_opens_its_key_until_it_is_revoked() {
        let (_folder, keys) = keys().await;
        let (key, secret) = keys.create_key("app", &[Scope::MessagesRead]).await.unwrap();
        assert!(secret.starts_with("rsk_") && secret.len() == 68);
        assert_eq!(keys.find(&secret).await.unwrap(), Some(key.clone()));
        assert!(key.may(Scope::MessagesRead) && !key.may(Scope::MessagesWrite));
        assert!(keys.revoke(key.id).await.unwrap());
        assert_eq!(keys.find(&secret).await.unwrap(), None);
        assert!(!keys.revoke(key.id).await.unwrap());
        assert!(keys.list().await.unwrap()[0].revoked_at.is_some());
    }

    #[tokio::test]
    async fn the_secret_is_not_in_the_database() {
        let (folder, keys) = keys().await;
        let (_, secret) = keys.create_key("app", &[Scope::Admin]).await.unwrap();
        keys.close().await;
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let hex = secret.strip_prefix("rsk_").unwrap().as_bytes();
            assert!(!bytes.windows(hex.len()).any(|window| window == hex));
        }
    }

    #[tokio::test]
    async fn keys_that_allow_nothing_or_have_no_name_are_refused() {
        let (_folder, keys) = keys().await;
        assert!(matches!(keys.create_key("app", &[]).await, Err(KeyError::NoScope)));
        assert!(matches!(keys.create_key(" ", &[Scope::Admin]).await, Err(KeyError::Name)));
        let long = "長".repeat(101);
        assert!(matches!(keys.create_key(&long, &[Scope::Admin]).await, Err(KeyError::Name)));
        assert!(keys.create_key(&"長".repeat(100), &[Scope::Admin]).await.is_ok());
    }

    #[test]
    fn an_unknown_scope_names_the_known_ones() {
        let error = "message:read".parse::<Scope>().unwrap_err().to_string();
        assert!(error.contains("messages:read"), "{error}");
    }
}
