//! What is kept of contracts and what belongs to them: lines, numbers, terms and the audit log.
//! Rules are pure (`contract`); each call here runs one inside the transaction that reads and
//! writes its rows and appends its audit entry.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;

use super::{Job, Page, StoreError};
use crate::audit::{Change, Entry};
use crate::contract::{Contract, ContractId, ContractState};
use crate::line::{Flagged, Line, LineFlag, LineService};
use crate::notice::Notice;
use crate::numbers::{NumberCounts, NumberRange, NumbersAdded};
use crate::terms::{Terms, TermsText};

/// An application to be kept.
#[derive(Debug, Clone)]
pub struct Application {
    /// The contract as it is applied for; what a campaign gives is decided here.
    pub contract: Contract,
    /// What its serial number is kept as.
    pub serial_hash: String,
    /// What stands for the line where it outlives the contract.
    pub line_hash: String,
    /// How to know the same application again.
    pub repeat: Option<Repeat>,
    /// What its subscriber is told, by mail.
    pub notice: Notice,
}

/// How the same request is known again: keyed hashes of its Idempotency-Key and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// Of the key.
    pub key_hash: String,
    /// Of the body.
    pub body_hash: String,
}

/// What became of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// There is a new contract.
    New(Contract),
    /// The same request made this contract before.
    Before(Contract),
}

/// A serial number to be redeemed.
#[derive(Debug, Clone)]
pub struct Activation {
    /// What the serial number is kept as.
    pub serial_hash: String,
    /// Id of the mailbox to be made.
    pub mailbox: MailboxId,
    /// Version of the terms that the subscriber accepts with it.
    pub accepts_terms: Option<i64>,
    /// Count of free numbers at which the operator is told.
    pub low_water: u32,
}

/// A redeemed serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activated {
    /// The contract with its mailbox and number.
    pub contract: Contract,
    /// Whether just so many numbers are left that the operator should add some.
    pub at_low_water: bool,
}

/// Which contracts.
#[derive(Debug, Clone, Default)]
pub struct ContractFilter {
    /// Of this line.
    pub line: Option<Line>,
    /// In this state.
    pub state: Option<ContractState>,
}

/// What is known of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFacts {
    /// The voicemail it has.
    pub service: Option<(LineService, WallTime)>,
    /// What stands against it.
    pub flags: Vec<Flagged>,
}

/// Keeps contracts.
#[async_trait]
pub trait ContractStore: Send + Sync {
    /// Keeps an application and takes the line for it: the line has one voicemail (S28), and the
    /// line's first application ever may be free (S58–S69). A repeated request changes nothing.
    async fn apply(&self, application: &Application, change: Change)
    -> Result<Applied, StoreError>;
    /// The contract with this id.
    async fn contract(&self, id: ContractId) -> Result<Option<Contract>, StoreError>;
    /// The contract that a line has now.
    async fn contract_of_line(&self, line: &Line) -> Result<Option<Contract>, StoreError>;
    /// The contract with this mailbox.
    async fn contract_of_mailbox(&self, id: MailboxId) -> Result<Option<Contract>, StoreError>;
    /// The contract that was given this serial number, redeemed or not.
    async fn contract_by_serial(&self, hash: &str) -> Result<Option<Contract>, StoreError>;
    /// Contracts, oldest first.
    async fn contracts(
        &self,
        filter: &ContractFilter,
        page: Page,
    ) -> Result<Vec<Contract>, StoreError>;
    /// Redeems a serial number, once: takes a free number, makes the mailbox, records the
    /// acceptance of the terms (S10, S29, S36).
    async fn activate(
        &self,
        activation: &Activation,
        change: Change,
    ) -> Result<Activated, StoreError>;
    /// Cancels a contract and leaves the job that ends it. Cancelling again changes nothing.
    async fn cancel_contract(&self, id: ContractId, change: Change)
    -> Result<Contract, StoreError>;
    /// Takes a cancellation back, and its job. Without a cancellation it changes nothing.
    async fn reinstate_contract(
        &self,
        id: ContractId,
        change: Change,
    ) -> Result<Contract, StoreError>;
    /// Ends a contract whose end has come: deletes its mailbox with everything in it, puts its
    /// number into quarantine, frees the line and ends the job. The mailbox that was deleted.
    async fn end_contract(
        &self,
        job: &Job,
        id: ContractId,
        now: WallTime,
    ) -> Result<Option<MailboxId>, StoreError>;
}

/// A line as its rows and its audit entries name it.
#[derive(Debug, Clone)]
pub struct LineRef {
    /// The number.
    pub line: Line,
    /// What stands for it in the audit log.
    pub hash: String,
}

/// A roaming event that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roaming {
    /// Its id.
    pub id: uuid::Uuid,
    /// The contract whose subscriber is told.
    pub contract: ContractId,
    /// When it came.
    pub at: WallTime,
}

/// Keeps what is known of lines.
#[async_trait]
pub trait LineStore: Send + Sync {
    /// What is known of a line.
    async fn line(&self, line: &Line) -> Result<LineFacts, StoreError>;
    /// Notes that the carrier's own voicemail is switched on; refused while the line has a
    /// contract (S28). False when it was on before.
    async fn put_carrier_voicemail(
        &self,
        line: &LineRef,
        change: Change,
    ) -> Result<bool, StoreError>;
    /// Notes that it is switched off. False when it was off before.
    async fn remove_carrier_voicemail(
        &self,
        line: &LineRef,
        change: Change,
    ) -> Result<bool, StoreError>;
    /// Sets a flag, or gives it a new reason (S66–S68).
    async fn set_flag(
        &self,
        line: &LineRef,
        flag: LineFlag,
        reason: &str,
        change: Change,
    ) -> Result<Flagged, StoreError>;
    /// Keeps a roaming event of a line with a contract and leaves its notice (S06); an event with
    /// the same id is the same event. `guide_url` is where the subscriber finds the guide.
    async fn keep_roaming(
        &self,
        line: &LineRef,
        event: uuid::Uuid,
        guide_url: Option<String>,
        change: Change,
    ) -> Result<Roaming, StoreError>;
    /// Clears a flag. False when it was not set.
    async fn clear_flag(
        &self,
        line: &LineRef,
        flag: LineFlag,
        change: Change,
    ) -> Result<bool, StoreError>;
}

/// Keeps the pool of 050 numbers.
#[async_trait]
pub trait NumberStore: Send + Sync {
    /// Takes a range into the pool.
    async fn add_numbers(
        &self,
        range: NumberRange,
        change: Change,
    ) -> Result<NumbersAdded, StoreError>;
    /// How many numbers there are at `now`.
    async fn count_numbers(&self, now: WallTime) -> Result<NumberCounts, StoreError>;
}

/// Keeps terms of service.
#[async_trait]
pub trait TermsStore: Send + Sync {
    /// Publishes a new version that holds from `effective_from`.
    async fn publish_terms(
        &self,
        effective_from: WallTime,
        ja: &TermsText,
        en: &TermsText,
        change: Change,
    ) -> Result<Terms, StoreError>;
    /// All versions, newest first.
    async fn terms(&self) -> Result<Vec<Terms>, StoreError>;
    /// The version that holds at `now`.
    async fn current_terms(&self, now: WallTime) -> Result<Option<Terms>, StoreError>;
}

/// Which entries of the audit log, oldest first.
#[derive(Debug, Clone, Default)]
pub struct AuditPage {
    /// Behind this entry; 0 from the first.
    pub after: i64,
    /// Most entries.
    pub limit: u32,
    /// Only of these subjects; empty: of all.
    pub subjects: Vec<String>,
}

/// Reads the audit log. Entries are written by the changes themselves.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Entries of the log.
    async fn audit(&self, page: &AuditPage) -> Result<Vec<Entry>, StoreError>;
}
