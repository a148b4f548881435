//! Data keys: one a mailbox, wrapped by a master key, and so one a subscriber. In: a mailbox. Out:
//! its key, or that it was destroyed. What is sealed with a key that is destroyed is gone, also
//! from every backup, because wrapped keys lie in a file of their own (`keys.db`), which no backup
//! of the database holds.
//!
//! The folder of keys holds `keys.db`, `master.key` unless the master keys come from elsewhere,
//! and `receipt.key`, which signs receipts of deletions.

use std::collections::HashSet;
use std::fmt;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use tokio::sync::OnceCell;
use tracing::info;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::cache::Cache;
use self::key_file::{Found, KeyFile, Wrapped};
use self::master::{MasterKey, MasterKeys, MasterSource};
use crate::clock;
use crate::limits::DATA_KEYS_CACHED;

mod cache;
pub(crate) mod cipher;
mod error;
mod key_file;
mod master;
mod rotate;
mod settings;
pub(crate) mod signer;

pub use self::cipher::{DataKey, Place, Unsealable};
pub use self::error::VaultError;
pub use self::rotate::Rotation;
pub use self::settings::VaultConfig;

/// Folder of the keys in the data folder, unless configured elsewhere.
pub const FOLDER: &str = "keys";
const KEY_FILE: &str = "keys.db";
const MASTER_FILE: &str = "master.key";
/// Name of the systemd credential that is looked for.
const CREDENTIAL: &str = "rusuden-master-keys";

/// What there is of a mailbox's data key.
#[derive(Debug, Clone)]
pub enum Held {
    /// The key.
    Key(Arc<DataKey>),
    /// It was destroyed: what it sealed is gone for ever.
    Destroyed {
        /// When.
        at: WallTime,
        /// Its id, if there was one.
        id: Option<String>,
    },
    /// There was none yet: nothing is sealed for this mailbox.
    Nothing,
}

/// The vault. Clones share one. Nothing is read or made before a key is needed.
#[derive(Clone)]
pub struct Vault {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    source: MasterSource,
    open: OnceCell<Open>,
    cache: Mutex<Cache>,
    /// Mailboxes that wait for a key to be made.
    wanted: Mutex<Vec<MailboxId>>,
    /// Who holds it makes the keys for all that wait.
    turn: tokio::sync::Mutex<()>,
}

struct Open {
    file: KeyFile,
    id: String,
    masters: Mutex<Arc<MasterKeys>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { folder, source, .. } = &*self.shared;
        f.debug_struct("Vault").field("folder", folder).field("source", source).finish()
    }
}

impl Vault {
    /// The vault of a data folder. Master keys come from the configuration (and so from the
    /// environment), a file that it names, the systemd credential `rusuden-master-keys`, or a file
    /// of our own, whichever is first.
    pub fn new(data_dir: &Path, config: &VaultConfig) -> Self {
        let folder = config.folder.clone().unwrap_or_else(|| data_dir.join(FOLDER));
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|folder| Path::new(&folder).join(CREDENTIAL))
            .filter(|path| path.is_file());
        let source = match (&config.master_keys, &config.master_keys_file, credential) {
            (Some(text), ..) => MasterSource::Given(Zeroizing::new(text.clone())),
            (None, Some(path), _) => MasterSource::Kept(path.clone()),
            (None, None, Some(path)) => MasterSource::Kept(path),
            (None, None, None) => MasterSource::Ours(folder.join(MASTER_FILE)),
        };
        let cache = Mutex::new(Cache::new(DATA_KEYS_CACHED / 2));
        let shared = Shared {
            folder,
            source,
            open: OnceCell::new(),
            cache,
            wanted: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Opens everything now, so that what is wrong is said at the start. The id of the key file.
    pub async fn check(&self) -> Result<String, VaultError> {
        Ok(self.open().await?.id.clone())
    }

    /// Where the key file is.
    pub fn key_file(&self) -> PathBuf {
        self.shared.folder.join(KEY_FILE)
    }

    /// What there is of this mailbox's key.
    pub async fn look_up(&self, mailbox: MailboxId) -> Result<Held, VaultError> {
        let epoch = {
            let mut cache = self.cache();
            if let Some(key) = cache.get(mailbox) {
                return Ok(Held::Key(key));
            }
            cache.epoch()
        };
        match self.open().await?.file.find(mailbox).await? {
            Found::Wrapped(wrapped) => self.keep(&wrapped, epoch).await.map(Held::Key),
            Found::Destroyed { at, id } => Ok(Held::Destroyed { at, id }),
            Found::Nothing => Ok(Held::Nothing),
        }
    }

    /// This mailbox's key, made if there was none; `None` when it was destroyed.
    pub async fn key(&self, mailbox: MailboxId) -> Result<Option<Arc<DataKey>>, VaultError> {
        match self.look_up(mailbox).await? {
            Held::Key(key) => Ok(Some(key)),
            Held::Destroyed { .. } => Ok(None),
            Held::Nothing => self.make(mailbox).await,
        }
    }

    /// Destroys keys for ever. Doing it again is harmless.
    pub async fn destroy(&self, mailboxes: &[MailboxId]) -> Result<(), VaultError> {
        self.open().await?.file.destroy(mailboxes, clock::now()).await?;
        self.cache().forget(mailboxes);
        Ok(())
    }

    /// Mailboxes with a key, and mailboxes whose key was destroyed.
    pub(crate) async fn mailboxes(
        &self,
    ) -> Result<(HashSet<MailboxId>, HashSet<MailboxId>), VaultError> {
        self.open().await?.file.mailboxes().await
    }

    /// Closes the key file.
    pub async fn close(&self) {
        if let Some(open) = self.shared.open.get() {
            open.file.close().await;
        }
    }

    /// Makes a mailbox's key. Who comes while others are being made waits for one turn and shares
    /// it: each turn is one write to the disk, however many keys it makes.
    async fn make(&self, mailbox: MailboxId) -> Result<Option<Arc<DataKey>>, VaultError> {
        self.wanted().push(mailbox);
        let _turn = self.shared.turn.lock().await;
        if let Some(key) = self.cache().get(mailbox) {
            return Ok(Some(key));
        }
        // In any order, each once; this one also if a turn that failed had taken it along.
        let mut wanted: HashSet<_> = std::mem::take(&mut *self.wanted()).into_iter().collect();
        wanted.insert(mailbox);
        let open = self.open().await?;
        let epoch = self.cache().epoch();
        let found = self.make_all(open, &wanted).await?;
        let mut own = None;
        for found in &found {
            let Found::Wrapped(wrapped) = found else { continue };
            let key = self.keep(wrapped, epoch).await?;
            if wrapped.mailbox == mailbox {
                own = Some(key);
            }
        }
        Ok(own)
    }

    async fn make_all(
        &self,
        open: &Open,
        wanted: &HashSet<MailboxId>,
    ) -> Result<Vec<Found>, VaultError> {
        // Once more after another process changed the master.
        for _ in 0..2 {
            let masters = open.masters();
            let new: Result<Vec<_>, _> =
                wanted.iter().map(|&mailbox| wrap_new(masters.current(), mailbox)).collect();
            if let Some(found) = open.file.insert(&new?, clock::now()).await? {
                return Ok(found);
            }
            self.read_masters_again(open)?;
        }
        let id = open.masters().current().id.clone();
        Err(VaultError::MasterMissing { id, place: self.shared.source.place() })
    }

    fn wanted(&self) -> MutexGuard<'_, Vec<MailboxId>> {
        // A panic elsewhere cannot leave the list wrong: every step is one push or one take.
        self.shared.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unwraps a key and keeps it at hand.
    async fn keep(&self, wrapped: &Wrapped, epoch: u64) -> Result<Arc<DataKey>, VaultError> {
        let open = self.open().await?;
        if open.masters().find(&wrapped.master).is_none() {
            self.read_masters_again(open)?;
        }
        let masters = open.masters();
        let master = masters.find(&wrapped.master).ok_or_else(|| VaultError::MasterMissing {
            id: wrapped.master.clone(),
            place: self.shared.source.place(),
        })?;
        let key = Arc::new(unwrap(master, wrapped)?);
        self.cache().put(wrapped.mailbox, key.clone(), epoch);
        Ok(key)
    }

    fn read_masters_again(&self, open: &Open) -> Result<(), VaultError> {
        if let Some(masters) = self.shared.source.read()? {
            *open.masters.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(masters);
        }
        Ok(())
    }

    async fn open(&self) -> Result<&Open, VaultError> {
        self.shared.open.get_or_try_init(|| self.open_now()).await
    }

    async fn open_now(&self) -> Result<Open, VaultError> {
        self.make_folder()?;
        let file = KeyFile::open(&self.key_file()).await?;
        let in_use = file.masters().await?;
        let place = || self.shared.source.place();
        let masters = match (self.shared.source.read()?, &self.shared.source) {
            (Some(masters), _) => masters,
            (None, MasterSource::Ours(path)) if in_use.is_empty() => {
                let first = MasterKey::generate()?;
                master::write(path, &[&first])?;
                info!(path = %path.display(), id = first.id,
                    "A master key was made. Without it nothing can be read; keep a copy, but not \
                     beside backups of the database.");
                self.shared.source.read()?.expect("it was written a moment ago")
            }
            (None, _) => {
                let id = in_use.first().cloned().unwrap_or_default();
                return Err(VaultError::MasterMissing { id, place: place() });
            }
        };
        if let Some(id) = in_use.into_iter().find(|id| masters.find(id).is_none()) {
            return Err(VaultError::MasterMissing { id, place: place() });
        }
        let current = masters.current().id.clone();
        let (id, master) = file.identity(&Uuid::new_v4().to_string(), &current).await?;
        if master != current {
            file.set_master(&current).await?;
        }
        Ok(Open { file, id, masters: Mutex::new(Arc::new(masters)) })
    }

    fn make_folder(&self) -> Result<(), VaultError> {
        let folder = &self.shared.folder;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|e| VaultError::File { path: folder.clone(), why: e.to_string() })
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // A panic elsewhere cannot leave the cache wrong: every step is one insert or removal.
        self.shared.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn masters(&self) -> Arc<MasterKeys> {
        self.masters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A new key for this mailbox, wrapped.
fn wrap_new(master: &MasterKey, mailbox: MailboxId) -> Result<Wrapped, VaultError> {
    let mut secret = Zeroizing::new([0; cipher::KEY_BYTES]);
    master::fill(secret.as_mut())?;
    wrap(master, mailbox, &DataKey::new(Uuid::new_v4(), secret))
}

/// A nonce from the thread's generator, which the system seeds.
pub(crate) fn nonce() -> cipher::Nonce {
    rand::random()
}

fn wrap(master: &MasterKey, mailbox: MailboxId, key: &DataKey) -> Result<Wrapped, VaultError> {
    let id = key.id().to_string();
    let place = wrapping_place(mailbox, &id, &master.id);
    let mut nonce = cipher::Nonce::default();
    master::fill(&mut nonce)?;
    let bytes = cipher::seal(&master.key, &place, key.secret().as_ref(), nonce);
    Ok(Wrapped { mailbox, id, master: master.id.clone(), bytes })
}

fn unwrap(master: &MasterKey, wrapped: &Wrapped) -> Result<DataKey, VaultError> {
    let wrong =
        || VaultError::WrongMaster { mailbox: wrapped.mailbox, master: wrapped.master.clone() };
    let place = wrapping_place(wrapped.mailbox, &wrapped.id, &wrapped.master);
    let bytes = cipher::open(&master.key, &place, &wrapped.bytes).map_err(|_| wrong())?;
    let bytes = Zeroizing::new(bytes);
    let mut secret = Zeroizing::new([0; cipher::KEY_BYTES]);
    if bytes.len() != secret.len() {
        return Err(wrong());
    }
    secret.copy_from_slice(&bytes);
    let id = wrapped.id.parse().map_err(|_| VaultError::Malformed { row: wrapped.id.clone() })?;
    Ok(DataKey::new(id, secret))
}

fn wrapping_place(mailbox: MailboxId, id: &str, master: &str) -> Vec<u8> {
    format!("rusuden/1 data key {id} of mailbox {mailbox} under {master}").into_bytes()
}

#[cfg(test)]
mod tests;
