//! Sound as objects: recordings as they came in, MP3s, greetings. Whole objects in, whole objects
//! out; writing again is harmless, removing what is gone too. Names are made here only.
//!
//! Each object is sealed with the data key of its mailbox and bound to its name. A sealed object
//! is `RUSUDEN1`, the mailbox's id (16 bytes), nonce (24 bytes), ciphertext and tag (16 bytes).

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use engine_core::id::{MailboxId, RecordingId};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::vault::{Held, Place, Vault, VaultError, nonce};

const MAGIC: &[u8; 8] = b"RUSUDEN1";
const HEADER_BYTES: usize = MAGIC.len() + 16;

/// Which object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A recording's chunks, one behind the other.
    Recording(RecordingId),
    /// A message's MP3.
    Audio(RecordingId),
    /// A mailbox's own greeting: mono 16 kHz 16-bit WAV.
    Greeting(MailboxId),
}

impl Object {
    fn key(self) -> Key {
        match self {
            Self::Recording(id) => Key::from(format!("recordings/{id}.rec")),
            Self::Audio(id) => Key::from(format!("audio/{id}.mp3")),
            Self::Greeting(id) => Key::from(format!("greetings/{id}.wav")),
        }
    }
}

/// Why an object could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// The folder cannot be used.
    #[error("the folder {path} for sound cannot be used: {why}; check that it is writable")]
    Folder {
        /// Which folder.
        path: String,
        /// What the system said.
        why: String,
    },
    /// The object store failed.
    #[error("the object store failed: {0}")]
    Failed(#[from] object_store::Error),
    /// The vault failed: what is sealed cannot be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The object is not what was put.
    #[error("the object {object} is not as it was put: it was changed, moved or cut")]
    Damaged {
        /// Its name.
        object: String,
    },
}

/// Where objects are kept.
#[derive(Debug, Clone)]
pub struct Objects {
    backend: Arc<dyn ObjectStore>,
    vault: Vault,
}

impl Objects {
    /// Objects in a folder of the local disk, synced before a put returns, sealed by this vault.
    pub fn in_folder(folder: &Path, vault: Vault) -> Result<Self, ObjectError> {
        let refused = |why: String| ObjectError::Folder { path: folder.display().to_string(), why };
        std::fs::create_dir_all(folder).map_err(|e| refused(e.to_string()))?;
        let local = LocalFileSystem::new_with_prefix(folder).map_err(|e| refused(e.to_string()))?;
        Ok(Self { backend: Arc::new(local.with_fsync(true)), vault })
    }

    /// Keeps an object of a mailbox; what was there is replaced whole. Nothing is kept for a
    /// mailbox whose key was destroyed: nobody could ever read it.
    pub async fn put(
        &self,
        object: Object,
        owner: MailboxId,
        bytes: Bytes,
    ) -> Result<(), ObjectError> {
        let Some(key) = self.vault.key(owner).await? else { return Ok(()) };
        let name = object.key();
        let sealed = key.seal(place(&name), &bytes, nonce());
        let mut whole = BytesMut::with_capacity(HEADER_BYTES + sealed.len());
        whole.extend_from_slice(MAGIC);
        whole.extend_from_slice(&owner.as_u128().to_be_bytes());
        whole.extend_from_slice(&sealed);
        self.backend.put(&name, PutPayload::from_bytes(whole.freeze())).await?;
        Ok(())
    }

    /// The whole object, or `None`; also `None` when its mailbox's key was destroyed.
    pub async fn get(&self, object: Object) -> Result<Option<Bytes>, ObjectError> {
        let Some(whole) = self.get_sealed(object).await? else { return Ok(None) };
        let name = object.key();
        let damaged = || ObjectError::Damaged { object: name.to_string() };
        let (header, sealed) = whole.split_at_checked(HEADER_BYTES).ok_or_else(damaged)?;
        let owner = header.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let owner: [u8; 16] = owner.try_into().expect("the header is as long as it is");
        let mailbox = MailboxId::from_u128(u128::from_be_bytes(owner));
        match self.vault.look_up(mailbox).await? {
            Held::Key(key) => {
                Ok(Some(key.open(place(&name), sealed).map_err(|_| damaged())?.into()))
            }
            Held::Destroyed { .. } => Ok(None),
            Held::Nothing => Err(VaultError::KeyMissing { mailbox }.into()),
        }
    }

    /// Seals an object that an older version kept in clear.
    pub(crate) async fn seal_old(
        &self,
        object: Object,
        owner: MailboxId,
    ) -> Result<(), ObjectError> {
        match self.get_sealed(object).await? {
            Some(plain) if !plain.starts_with(MAGIC) => self.put(object, owner, plain).await,
            _ => Ok(()),
        }
    }

    async fn get_sealed(&self, object: Object) -> Result<Option<Bytes>, ObjectError> {
        match self.backend.get(&object.key()).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes an object; one that is gone already is no error.
    pub async fn remove(&self, object: Object) -> Result<(), ObjectError> {
        match self.backend.delete(&object.key()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn place(name: &Key) -> Place<'_> {
    Place { table: "objects", column: "bytes", row: name.as_ref() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::VaultConfig;

    const OWNER: MailboxId = MailboxId::from_u128(9);

    fn objects(folder: &Path) -> Objects {
        let vault = Vault::new(folder, &VaultConfig::default());
        Objects::in_folder(&folder.join("objects"), vault).unwrap()
    }

    #[tokio::test]
    async fn objects_are_replaced_whole_and_removed_once_or_twice() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path());
        let object = Object::Recording(RecordingId::from_u128(1));
        assert_eq!(objects.get(object).await.unwrap(), None);
        objects.put(object, OWNER, Bytes::from_static(b"longer")).await.unwrap();
        objects.put(object, OWNER, Bytes::from_static(b"short")).await.unwrap();
        assert_eq!(objects.get(object).await.unwrap().as_deref(), Some(&b"short"[..]));
        objects.remove(object).await.unwrap();
        objects.remove(object).await.unwrap();
        assert_eq!(objects.get(object).await.unwrap(), None);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let vault = Vault::new(folder.path(), &VaultConfig::default());
        let error = Objects::in_folder(&file, vault).unwrap_err().to_string();
        assert!(error.contains("check that it is writable"), "{error}");
    }

    #[tokio::test]
    async fn a_file_holds_no_sound_in_clear_and_opens_only_whole_and_under_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path());
        let file = |n: u128| {
            folder.path().join(format!("objects/audio/{}.mp3", RecordingId::from_u128(n)))
        };
        let object = |n| Object::Audio(RecordingId::from_u128(n));
        let sound = Bytes::from(vec![b's'; 10_000]);
        objects.put(object(1), OWNER, sound.clone()).await.unwrap();
        let kept = std::fs::read(file(1)).unwrap();
        assert_eq!(kept.len(), sound.len() + HEADER_BYTES + 40);
        assert!(!kept.windows(4).any(|window| window == b"ssss"));
        assert_eq!(objects.get(object(1)).await.unwrap(), Some(sound));

        let damaged = async |n: u128, bytes: &[u8]| {
            std::fs::write(file(n), bytes).unwrap();
            let error = objects.get(object(n)).await.unwrap_err();
            assert!(matches!(error, ObjectError::Damaged { .. }), "{error}");
        };
        damaged(2, &kept).await;
        damaged(1, &kept[..kept.len() - 1]).await;
        damaged(1, b"ssssssssssssssssssssssssssssssssssssssssssssssssssssss").await;
        damaged(1, b"").await;
    }

    #[tokio::test]
    async fn what_an_older_version_kept_in_clear_is_sealed_once() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path());
        let object = Object::Greeting(OWNER);
        let file = folder.path().join(format!("objects/greetings/{OWNER}.wav"));
        objects.seal_old(object, OWNER).await.unwrap();
        assert!(!file.exists());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, b"RIFF hello").unwrap();
        for _ in 0..2 {
            objects.seal_old(object, OWNER).await.unwrap();
            assert!(std::fs::read(&file).unwrap().starts_with(MAGIC));
            assert_eq!(objects.get(object).await.unwrap().as_deref(), Some(&b"RIFF hello"[..]));
        }
    }

    #[tokio::test]
    async fn what_a_destroyed_key_sealed_is_gone_and_nothing_new_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let objects = objects(folder.path());
        let object = |n| Object::Recording(RecordingId::from_u128(n));
        objects.put(object(1), OWNER, Bytes::from_static(b"sound")).await.unwrap();
        objects.vault.destroy(&[OWNER]).await.unwrap();
        assert_eq!(objects.get(object(1)).await.unwrap(), None);
        objects.put(object(2), OWNER, Bytes::from_static(b"late")).await.unwrap();
        let recordings = folder.path().join("objects/recordings");
        assert_eq!(std::fs::read_dir(recordings).unwrap().count(), 1);
    }
}
