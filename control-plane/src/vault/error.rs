//! Why the vault did not do as asked, as sentences that say what to do.

use std::path::PathBuf;

use engine_core::id::MailboxId;

/// Why the vault did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// A file of the vault cannot be used.
    #[error("the file of keys {path} cannot be used: {why}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Master keys cannot be read.
    #[error("the master keys in {place} cannot be read: {why}")]
    MasterKeys {
        /// Where they stand.
        place: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A master key is needed that is not there.
    #[error(
        "data keys are wrapped with the master key {id}, which is not in {place}; put it back \
         behind the first one, without it what it protects cannot be read"
    )]
    MasterMissing {
        /// Which one.
        id: String,
        /// Where it should stand.
        place: String,
    },
    /// A master key is not the one that it was.
    #[error("the data key of mailbox {mailbox} does not open with the master key {master}")]
    WrongMaster {
        /// Whose data key.
        mailbox: MailboxId,
        /// Id of the master key.
        master: String,
    },
    /// Another key file than the database's.
    #[error(
        "{path} is not the key file that this database was sealed with; put the right one back, \
         without it what is sealed cannot be read"
    )]
    OtherKeyFile {
        /// Which file.
        path: PathBuf,
    },
    /// A key is gone that was not destroyed.
    #[error("the data key of mailbox {mailbox} is not in the key file; put the right one back")]
    KeyMissing {
        /// Whose key.
        mailbox: MailboxId,
    },
    /// A row of the key file that this version cannot have written.
    #[error("the row {row} of the key file cannot be read")]
    Malformed {
        /// Which row.
        row: String,
    },
    /// The receipt key cannot be used.
    #[error("the receipt key {path} cannot be used: {why}")]
    ReceiptKey {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system's source of random bytes failed.
    #[error("the system gave no random bytes: {why}")]
    Random {
        /// What it said.
        why: String,
    },
    /// The key file failed.
    #[error("the key file failed: {0}")]
    Database(#[from] sqlx::Error),
}
