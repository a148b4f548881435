//! What the store keeps of deleted mailboxes: that they were, how much was in them, the receipt.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;

use super::{Job, StoreError};
use crate::notice::NoticeId;
use crate::receipt::Deleted;

/// A mailbox's deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Which mailbox.
    pub mailbox: MailboxId,
    /// When it was deleted: from then on nothing of it was given to anybody.
    pub requested_at: WallTime,
    /// How much of what was in it.
    pub deleted: Deleted,
    /// What was told to the mailbox itself; empty once nothing is left.
    pub notices: Vec<NoticeId>,
    /// The signed receipt, once nothing is left.
    pub receipt: Option<String>,
}

/// Keeps deletions.
#[async_trait]
pub trait DeletionStore: Send + Sync {
    /// A mailbox's deletion, if it was deleted.
    async fn deletion(&self, mailbox: MailboxId) -> Result<Option<Deletion>, StoreError>;
    /// Whether sound of a deleted mailbox still waits to be erased.
    async fn is_erasing(&self, mailbox: MailboxId) -> Result<bool, StoreError>;
    /// Takes what was overwritten out of the write-ahead log, too, as far as readers let it.
    async fn scrub(&self) -> Result<(), StoreError>;
    /// Keeps the receipt and ends the job that made it. The first receipt stays. False when the
    /// lease was lost.
    async fn finish_deletion(
        &self,
        job: &Job,
        mailbox: MailboxId,
        receipt: &str,
        now: WallTime,
    ) -> Result<bool, StoreError>;
}
