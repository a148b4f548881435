//! What the control plane needs kept, by domain. Every step is idempotent under the message's id;
//! what belongs together is one call, and so one transaction. `sqlite` is the embedded backend;
//! `conformance` is what any backend must pass.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::time::WallTime;

use crate::audit::Change;
use crate::billing::BillingError;
use crate::contract::{ContractError, ContractId};
use crate::keys::{ApiKey, KeyId};
use crate::mailbox::StoredMailbox;
use crate::message::{Message, MessageAudio, MessageText, NewMessage};
use crate::objects::ObjectError;
use crate::outbox::{Channel, Delivery, Next};
use crate::vault::VaultError;

mod billing;
mod blocked;
mod campaigns;
#[cfg(test)]
pub(crate) mod conformance;
mod contracts;
mod deletions;
mod notices;
mod setups;
pub mod sqlite;
mod subscribers;
mod webhooks;

pub use billing::{BillingStore, ClosedMonth, ContractUsage, Draft, ExportFacts, NewAdjustment};
pub use blocked::{BlockedStore, Blocking};
pub use campaigns::{CampaignStore, KeptCampaign};
pub use contracts::{
    Activated, Activation, Application, Applied, AuditPage, AuditStore, ContractFilter,
    ContractStore, LineFacts, LineRef, LineStore, NumberStore, Repeat, Roaming, TermsStore,
};
pub use deletions::{Deletion, DeletionStore};
pub use notices::NoticeStore;
pub use setups::{CodeSent, CodeToSend, CodeTried, CodeTry, Setup, SetupStore};
pub use subscribers::{ForwardingProof, SubscriberStore};
pub use webhooks::{PushStore, Replay, WebhookStore};

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database could not be opened.
    #[error("the database {path} cannot be opened: {why}; check that the folder is writable")]
    Open {
        /// Where it should be.
        path: String,
        /// What the driver said.
        why: String,
    },
    /// The database is newer than this program, or damaged.
    #[error("the database's tables cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A row that this version cannot have written.
    #[error("the row {row} holds {what}, which this version cannot read")]
    Unreadable {
        /// Which row.
        row: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The vault failed: what is sealed cannot be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Sound could not be sealed.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// Somebody has the number.
    #[error("the number {number} already has a mailbox")]
    NumberTaken {
        /// Which number.
        number: String,
    },
    /// The rules of contracts refuse it; nothing was changed.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The rules of billing refuse it; nothing was changed.
    #[error(transparent)]
    Billing(#[from] BillingError),
}

/// Position in a list ordered by time, then id: the last item that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// Its time.
    pub at: WallTime,
    /// Its id's bits.
    pub id: u128,
}

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Begin behind this item.
    pub after: Option<After>,
    /// Most items.
    pub limit: u32,
}

/// What became of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// A new row, and a job to transcribe it.
    New,
    /// A new row without a mailbox, and no job.
    Orphaned,
    /// A row without content, and a job that erases the sound: its mailbox was deleted.
    Deleted,
    /// There was a row already.
    Known,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// `<kind>:<subject>`.
    pub id: String,
    /// What is to be done.
    pub task: Task,
    /// Attempts that have begun, this one included, less those that were given back unfailed.
    pub attempts: u32,
    /// Token of the lease under which it is being worked on.
    pub lease: String,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Make text and MP3 of a recording.
    Transcribe(RecordingId),
    /// Remove a deleted message's objects.
    EraseMessage(RecordingId),
    /// Remove a mailbox's own greeting.
    EraseGreeting(MailboxId),
    /// Destroy a deleted mailbox's data key, and sign the receipt once nothing is left.
    FinishDeletion(MailboxId),
    /// End a cancelled contract; due at its end.
    EndContract(ContractId),
}

/// How a transcription ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Finished {
    /// Text and MP3 are made; the MP3 is stored.
    Transcribed {
        /// The text.
        text: Box<MessageText>,
        /// The MP3.
        audio: MessageAudio,
    },
    /// No text can be made; the recording stays.
    Failed {
        /// Why, as a sentence.
        why: String,
    },
}

/// Keeps mailboxes.
#[async_trait]
pub trait MailboxStore: Send + Sync {
    /// Keeps a new mailbox; `NumberTaken` when its number has one.
    async fn create_mailbox(
        &self,
        mailbox: &StoredMailbox,
        change: Change,
    ) -> Result<(), StoreError>;
    /// The mailbox with this id, also when deleted.
    async fn mailbox(&self, id: MailboxId) -> Result<Option<StoredMailbox>, StoreError>;
    /// The mailbox that has this number now.
    async fn mailbox_by_number(&self, number: &str) -> Result<Option<StoredMailbox>, StoreError>;
    /// Mailboxes that are not deleted, oldest first.
    async fn mailboxes(&self, page: Page) -> Result<Vec<StoredMailbox>, StoreError>;
    /// Replaces a mailbox if it is still at `mailbox.version`, and counts the version up; `action`
    /// is what the audit log calls it. False when another change came between, or it was deleted.
    async fn update_mailbox(
        &self,
        mailbox: &StoredMailbox,
        action: &'static str,
        change: Change,
    ) -> Result<bool, StoreError>;
    /// Deletes a mailbox with all its messages, and leaves jobs that erase their objects. False
    /// when it was deleted before.
    async fn delete_mailbox(&self, id: MailboxId, change: Change) -> Result<bool, StoreError>;
    /// Mailboxes with a greeting of their own.
    async fn own_greetings(&self) -> Result<Vec<MailboxId>, StoreError>;
}

/// Keeps messages.
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// Which of these have a row, deleted or not.
    async fn known(&self, ids: &[RecordingId]) -> Result<HashSet<RecordingId>, StoreError>;
    /// Keeps arrivals, each with its job, all in one transaction. What became of each, in order.
    async fn keep_arrivals(
        &self,
        arrivals: &[NewMessage],
        now: WallTime,
    ) -> Result<Vec<Kept>, StoreError>;
    /// The message with this id, also when deleted.
    async fn message(&self, id: RecordingId) -> Result<Option<Message>, StoreError>;
    /// A mailbox's messages that are not deleted, newest first; only read or unread ones if asked.
    async fn messages(
        &self,
        mailbox: MailboxId,
        read: Option<bool>,
        page: Page,
    ) -> Result<Vec<Message>, StoreError>;
    /// Marks a message read at the time of the change, or unread. What subscribers read is nobody's
    /// affair: only marks by others are audited. False when there is none or it is deleted.
    async fn mark_read(
        &self,
        id: RecordingId,
        is_read: bool,
        change: Change,
    ) -> Result<bool, StoreError>;
    /// Takes text and caller out of the row, drops what waits to be told, and leaves a job that
    /// erases the objects. False when there is none or it was deleted before.
    async fn delete_message(&self, id: RecordingId, change: Change) -> Result<bool, StoreError>;
    /// Ends a transcription: result, deliveries to everyone the mailbox names, and the job's end,
    /// in one transaction. False, and nothing changed, when the lease was lost. When the message
    /// was deleted meanwhile, the job ends and leaves one that erases what was stored.
    async fn finish(
        &self,
        job: &Job,
        finished: &Finished,
        now: WallTime,
    ) -> Result<bool, StoreError>;
}

/// Hands out jobs. A job belongs to who leased it until the lease ends.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Leases up to `limit` jobs that are due and free, longest due first. Each lease counts as an
    /// attempt, so that work which kills its worker is counted, too.
    async fn lease_jobs(
        &self,
        now: WallTime,
        until: WallTime,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError>;
    /// Lengthens a lease. False when it was lost.
    async fn extend_job(&self, job: &Job, until: WallTime) -> Result<bool, StoreError>;
    /// Gives a job back, to be run at `run_at`; without `failed`, it was no attempt.
    async fn return_job(
        &self,
        job: &Job,
        run_at: WallTime,
        failed: Option<&str>,
    ) -> Result<(), StoreError>;
    /// Ends a job that leaves no result.
    async fn end_job(&self, job: &Job) -> Result<(), StoreError>;
    /// When the next job is due and free; `None` when there is none.
    async fn next_job(&self) -> Result<Option<WallTime>, StoreError>;
    /// Ends leases that no living worker can hold. Their jobs rest as after a failure; a
    /// transcription that had its last attempt fails, so that no recording can kill every start.
    /// Only for a process that just started and is the only worker on this store; a store shared
    /// by several lets leases run out instead.
    async fn reclaim(&self, now: WallTime) -> Result<u64, StoreError>;
}

/// Hands out deliveries.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Leases up to `limit` deliveries of a channel that are due and free, longest due first.
    async fn lease_deliveries(
        &self,
        channel: Channel,
        now: WallTime,
        until: WallTime,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError>;
    /// When the next delivery of a channel is due and free; `None` when there is none.
    async fn next_delivery(&self, channel: Channel) -> Result<Option<WallTime>, StoreError>;
    /// Records what became of a delivery. True when with it everyone was told who will be, and
    /// somebody was.
    async fn settle_delivery(
        &self,
        delivery: &Delivery,
        next: &Next,
        now: WallTime,
    ) -> Result<bool, StoreError>;
}

/// Keeps API keys, never their secrets.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Keeps a key under the hash of its secret.
    async fn keep_key(&self, key: &ApiKey, hash: &str, change: Change) -> Result<(), StoreError>;
    /// The key with this hash, unless it was revoked.
    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>, StoreError>;
    /// All keys, oldest first.
    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError>;
    /// Revokes a key. False when there is none or it was revoked before.
    async fn revoke_key(&self, id: KeyId, change: Change) -> Result<bool, StoreError>;
}

/// Everything a backend offers.
#[async_trait]
pub trait Store:
    MailboxStore
    + MessageStore
    + JobStore
    + OutboxStore
    + NoticeStore
    + WebhookStore
    + PushStore
    + KeyStore
    + DeletionStore
    + CampaignStore
    + BillingStore
    + ContractStore
    + LineStore
    + NumberStore
    + TermsStore
    + AuditStore
    + SubscriberStore
    + SetupStore
    + BlockedStore
    + 'static
{
    /// Proves that rows can be written.
    async fn check_writable(&self) -> Result<(), StoreError>;
    /// Finishes what is under way and closes every connection.
    async fn close(&self);
}

/// A store that is shared.
pub type SharedStore = Arc<dyn Store>;
