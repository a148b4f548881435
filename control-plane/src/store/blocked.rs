//! Keeps the callers that mailboxes do not take.

use async_trait::async_trait;
use engine_core::id::MailboxId;

use super::StoreError;
use crate::audit::Change;
use crate::blocked::{BlockedCaller, BlockedId};

/// What became of a caller to be blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocking {
    /// It is blocked from now on.
    New,
    /// It was blocked before, under this entry.
    Known(BlockedCaller),
    /// The mailbox blocks as many as it may.
    Full,
    /// There is no such mailbox, or it was deleted.
    NoMailbox,
}

/// Keeps blocked callers. They go with their mailbox.
#[async_trait]
pub trait BlockedStore: Send + Sync {
    /// Blocks a caller, if the mailbox has less than `most`.
    async fn block_caller(
        &self,
        caller: &BlockedCaller,
        most: u32,
        change: Change,
    ) -> Result<Blocking, StoreError>;
    /// A mailbox's blocked callers, oldest first.
    async fn blocked_callers(&self, mailbox: MailboxId) -> Result<Vec<BlockedCaller>, StoreError>;
    /// Unblocks a caller of this mailbox. False when there is none with this id.
    async fn unblock_caller(
        &self,
        mailbox: MailboxId,
        id: BlockedId,
        change: Change,
    ) -> Result<bool, StoreError>;
    /// Whether the mailbox blocks the caller that this hash stands for.
    async fn is_blocked(&self, mailbox: MailboxId, hash: &str) -> Result<bool, StoreError>;
}
