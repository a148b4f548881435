//! A new master key: every data key is wrapped anew, while a service may run on the same folder.

use super::master::{self, MasterKey, MasterSource};
use super::{Vault, VaultError, unwrap, wrap};

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// Id of the master key that holds now.
    pub master: String,
    /// Data keys that were wrapped anew.
    pub rewrapped: u64,
    /// Ids of master keys that nothing needs any more.
    pub retired: Vec<String>,
    /// Whether the retired ones were taken out of the file. Where master keys come from elsewhere
    /// that is the operator's to do.
    pub removed: bool,
}

impl Vault {
    /// Wraps every data key with the first master key. Where the file of master keys is our own, a
    /// new one is made first, and the old ones are taken out of it at the end. May be repeated at
    /// any point.
    pub async fn rotate_master(&self) -> Result<Rotation, VaultError> {
        let open = self.open().await?;
        if let MasterSource::Ours(path) = &self.shared.source {
            let new = MasterKey::generate()?;
            let masters = open.masters();
            let all: Vec<_> = [&new].into_iter().chain(masters.all()).collect();
            master::write(path, &all)?;
        }
        self.read_masters_again(open)?;
        let masters = open.masters();
        let current = masters.current();
        // From here on nobody wraps with an old one: who does not know the new one reads again.
        open.file.set_master(&current.id).await?;
        let mut rewrapped = 0;
        loop {
            let mut tx = open.file.begin().await?;
            let batch = open.file.not_under(&mut tx, &current.id).await?;
            for old in &batch {
                let master = masters.find(&old.master);
                let master = master.ok_or_else(|| VaultError::MasterMissing {
                    id: old.master.clone(),
                    place: self.shared.source.place(),
                })?;
                let new = wrap(current, old.mailbox, &unwrap(master, old)?)?;
                open.file.rewrap(&mut tx, &new).await?;
            }
            tx.commit().await?;
            rewrapped += batch.len() as u64;
            if batch.is_empty() {
                break;
            }
        }
        let retired = masters.all().map(|key| key.id.clone()).filter(|id| *id != current.id);
        let retired: Vec<_> = retired.collect();
        let mut removed = false;
        if let MasterSource::Ours(path) = &self.shared.source {
            master::write(path, &[current])?;
            removed = true;
        }
        self.read_masters_again(open)?;
        Ok(Rotation { master: current.id.clone(), rewrapped, retired, removed })
    }
}
