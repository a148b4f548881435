//! Sound as objects: recordings as they came in, MP3s, greetings. Whole objects in, whole objects
//! out; writing again is harmless, removing what is gone too. Names are made here only.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use engine_core::id::{MailboxId, RecordingId};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

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
}

/// Where objects are kept.
#[derive(Debug, Clone)]
pub struct Objects {
    backend: Arc<dyn ObjectStore>,
}

impl Objects {
    /// Objects in a folder of the local disk, synced before a put returns.
    pub fn in_folder(folder: &Path) -> Result<Self, ObjectError> {
        let refused = |why: String| ObjectError::Folder { path: folder.display().to_string(), why };
        std::fs::create_dir_all(folder).map_err(|e| refused(e.to_string()))?;
        let local = LocalFileSystem::new_with_prefix(folder).map_err(|e| refused(e.to_string()))?;
        Ok(Self { backend: Arc::new(local.with_fsync(true)) })
    }

    /// Keeps an object; what was there is replaced whole.
    pub async fn put(&self, object: Object, bytes: Bytes) -> Result<(), ObjectError> {
        self.backend.put(&object.key(), PutPayload::from_bytes(bytes)).await?;
        Ok(())
    }

    /// The whole object, or `None`.
    pub async fn get(&self, object: Object) -> Result<Option<Bytes>, ObjectError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn objects_are_replaced_whole_and_removed_once_or_twice() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(&folder.path().join("objects")).unwrap();
        let object = Object::Recording(RecordingId::from_u128(1));
        assert_eq!(objects.get(object).await.unwrap(), None);
        objects.put(object, Bytes::from_static(b"longer")).await.unwrap();
        objects.put(object, Bytes::from_static(b"short")).await.unwrap();
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
        let error = Objects::in_folder(&file).unwrap_err().to_string();
        assert!(error.contains("check that it is writable"), "{error}");
    }
}
