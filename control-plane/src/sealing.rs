//! Opens what is kept, with the keys that it is sealed with.

use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use crate::objects::Objects;
use crate::plane::PlaneError;
use crate::store::sqlite::SqliteStore;
use crate::store::{DeletionStore as _, SharedStore};
use crate::vault::Vault;

/// Opens rows and objects with their keys, brings them to agree after one of them came out of a
/// backup, and seals what older versions wrote in clear.
pub(crate) async fn open_sealed(
    data_dir: &Path,
    vault: &Vault,
) -> Result<(SharedStore, Objects), PlaneError> {
    let store = SqliteStore::open_with(data_dir, vault.clone()).await?;
    let objects = Objects::in_folder(&data_dir.join("objects"), vault.clone())?;
    store.bind_vault().await?;
    let sealed = store.seal_old(&objects).await?;
    if sealed > 0 {
        store.scrub().await?;
        info!(sealed, "What an older version kept in clear is sealed.");
    }
    let reconciled = store.reconcile().await?;
    if reconciled > 0 {
        warn!(reconciled, "Mailboxes that a backup brought back were deleted again.");
    }
    Ok((Arc::new(store), objects))
}
