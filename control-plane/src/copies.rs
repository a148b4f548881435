//! Copies of what was told: mails and SMS that lie as files in the data folder where no way out is
//! configured. They are named after their notice, so that they go with what they tell of.

use std::path::{Path, PathBuf};

use crate::notice::NoticeId;
use crate::outbox::Delivery;

/// Name of a delivery's copy, without its ending; `delivery` names the delivery itself.
pub(crate) fn copy_name(delivery: &Delivery, name: &str) -> String {
    format!("{}.{name}", delivery.id())
}

/// Where copies lie.
#[derive(Debug, Clone)]
pub(crate) struct Copies {
    folders: [PathBuf; 2],
}

impl Copies {
    /// The copies of a data folder.
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { folders: [data_dir.join("mail"), data_dir.join("sms")] }
    }

    /// Removes every copy of what was told of these notices; one that is gone is no error.
    pub(crate) async fn forget(&self, notices: Vec<NoticeId>) -> std::io::Result<()> {
        if notices.is_empty() {
            return Ok(());
        }
        let folders = self.folders.clone();
        let forgotten = tokio::task::spawn_blocking(move || {
            let names: Vec<_> = notices.iter().map(|id| format!("{id}.")).collect();
            folders.iter().try_for_each(|folder| forget(folder, &names))
        });
        forgotten.await.map_err(std::io::Error::other)?
    }
}

fn forget(folder: &Path, names: &[String]) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut removed = false;
    for entry in entries {
        let entry = entry?;
        let file = entry.file_name();
        // A mail that is being written begins with a point.
        let file = file.to_string_lossy();
        let name = file.strip_prefix('.').unwrap_or(&file);
        if names.iter().any(|notice| name.starts_with(notice)) {
            match std::fs::remove_file(entry.path()) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => removed = true,
            }
        }
    }
    if removed { std::fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn copies_go_with_their_notice_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let copies = Copies::new(folder.path());
        let (gone, stays) = (NoticeId::from_u128(1), NoticeId::from_u128(2));
        copies.forget(vec![gone]).await.unwrap();
        for kind in ["mail", "sms"] {
            let folder = folder.path().join(kind);
            std::fs::create_dir(&folder).unwrap();
            for name in [format!("{gone}.a"), format!(".{gone}.b.part"), format!("{stays}.a")] {
                std::fs::write(folder.join(name), b"").unwrap();
            }
        }
        for _ in 0..2 {
            copies.forget(vec![gone]).await.unwrap();
            for kind in ["mail", "sms"] {
                let left = std::fs::read_dir(folder.path().join(kind)).unwrap();
                let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
                assert_eq!(left, [std::ffi::OsString::from(format!("{stays}.a"))]);
            }
        }
    }
}
