//! The audit log of a data folder, for a command line. In: the folder. Out: whether the chain is
//! whole, and its head; or where it breaks. A service may run on the same folder.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::audit::{Broken, ORIGIN, Verifier};
use crate::limits::AUDIT_VERIFY_ROWS;
use crate::store::sqlite::SqliteStore;
use crate::store::{AuditPage, SharedStore, StoreError};

/// A place in the log with its hash, as somebody noted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Number of the entry; 0 when the log is empty.
    pub seq: i64,
    /// Its hash, as hex.
    pub hash: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl std::str::FromStr for Head {
    type Err = AuditError;
    fn from_str(text: &str) -> Result<Self, AuditError> {
        let read = || {
            let (seq, hash) = text.split_once(':')?;
            let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            let seq = seq.parse().ok().filter(|&seq: &i64| seq >= 0)?;
            is_hash.then(|| Self { seq, hash: hash.to_ascii_lowercase() })
        };
        read().ok_or(AuditError::Head)
    }
}

/// Why a log could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// Not a place in a log.
    #[error("a head is <number>:<hash of 64 hex digits>, as `rusuden audit verify` prints it")]
    Head,
    /// The chain is broken.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The noted entry is not there, or is another.
    #[error(
        "the log does not hold entry {seq} as it was noted: entries were taken away or written anew"
    )]
    HeadGone {
        /// Which entry.
        seq: i64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The log of a data folder.
pub struct AuditLog {
    store: SharedStore,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}

impl AuditLog {
    /// Opens the log without the rest of the control plane.
    pub async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { store: Arc::new(SqliteStore::open(data_dir).await?) })
    }

    /// Follows the whole chain. With `noted`, the log must hold that entry with that hash: without
    /// it nobody can tell that entries at the end were taken away.
    pub async fn verify(&self, noted: Option<&Head>) -> Result<Head, AuditError> {
        let mut verifier = Verifier::default();
        let mut is_there = noted.is_none_or(|head| head.seq == 0 && head.hash == ORIGIN);
        loop {
            let after = verifier.head().0;
            let page = AuditPage { after, limit: AUDIT_VERIFY_ROWS, subjects: Vec::new() };
            let entries = self.store.audit(&page).await?;
            for entry in &entries {
                verifier.take(entry)?;
                is_there |= noted.is_some_and(|n| n.seq == entry.seq && n.hash == entry.hash);
            }
            if entries.is_empty() {
                break;
            }
        }
        match noted {
            Some(head) if !is_there => Err(AuditError::HeadGone { seq: head.seq }),
            _ => {
                let (seq, hash) = verifier.head();
                Ok(Head { seq, hash: hash.to_owned() })
            }
        }
    }

    /// Closes the store.
    pub async fn close(self) {
        self.store.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, Change};
    use crate::line::Line;
    use crate::store::LineRef;
    use engine_core::time::WallTime;

    async fn log_of(entries: i64) -> (tempfile::TempDir, AuditLog) {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(folder.path()).await.unwrap();
        let line = LineRef { line: Line::read("+819012345678").unwrap(), hash: "h".to_owned() };
        for n in 0..entries {
            let change = Change { by: Actor::Command, at: WallTime::from_unix_millis(n) };
            if n % 2 == 0 {
                log.store.put_carrier_voicemail(&line, change).await.unwrap();
            } else {
                log.store.remove_carrier_voicemail(&line, change).await.unwrap();
            }
        }
        (folder, log)
    }

    /// Changes the file as somebody could who has it: triggers hold nobody back there.
    async fn tamper(folder: &Path, sql: &'static str) {
        let url = format!("sqlite://{}", folder.join(crate::store::sqlite::FILE_NAME).display());
        let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
        for sql in ["DROP TRIGGER audit_stays", "DROP TRIGGER audit_keeps", sql] {
            sqlx::query(sql).execute(&pool).await.unwrap();
        }
        pool.close().await;
    }

    #[tokio::test]
    async fn a_whole_log_verifies_and_holds_what_was_noted() {
        let (_folder, log) = log_of(0).await;
        let empty = log.verify(None).await.unwrap();
        assert_eq!((empty.seq, empty.hash.as_str()), (0, ORIGIN));
        let (_folder, log) = log_of(5).await;
        let head = log.verify(None).await.unwrap();
        assert_eq!(head.seq, 5);
        let read: Head = head.to_string().parse().unwrap();
        assert_eq!(log.verify(Some(&read)).await.unwrap(), head);
        assert_eq!(log.verify(Some(&empty)).await.unwrap(), head);
    }

    #[tokio::test]
    async fn a_row_that_was_changed_in_the_file_is_found() {
        let (folder, log) = log_of(5).await;
        tamper(folder.path(), "UPDATE audit SET actor = 'system' WHERE seq = 2").await;
        let error = log.verify(None).await.unwrap_err().to_string();
        assert!(error.contains("broken at entry 2"), "{error}");
    }

    #[tokio::test]
    async fn entries_cut_off_the_end_are_found_with_a_noted_head_only() {
        let (folder, log) = log_of(5).await;
        let head = log.verify(None).await.unwrap();
        tamper(folder.path(), "DELETE FROM audit WHERE seq > 3").await;
        assert_eq!(log.verify(None).await.unwrap().seq, 3);
        assert!(matches!(log.verify(Some(&head)).await, Err(AuditError::HeadGone { seq: 5 })));
    }

    #[test]
    fn a_head_is_read_or_refused() {
        for text in ["", "1", "1:", "x:y", &format!("-1:{ORIGIN}"), &format!("1:{ORIGIN}0")] {
            assert!(text.parse::<Head>().is_err(), "{text}");
        }
    }
}
