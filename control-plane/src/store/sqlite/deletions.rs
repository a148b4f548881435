//! Deletions in SQLite.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use sqlx::{Row, Sqlite, Transaction};

use super::jobs::{end_job, put_job};
use super::{SqliteStore, time, unreadable};
use crate::receipt::Deleted;
use crate::store::{Deletion, DeletionStore, Job, StoreError, Task};

const COUNT: &str = "SELECT COUNT(*) AS messages, COUNT(text) AS texts, \
    COUNT(audio_bytes) AS audio, COUNT(caller_number) AS callers \
    FROM messages WHERE mailbox = $1 AND deleted_at IS NULL";
const OWN: &str = "SELECT own_greeting FROM mailboxes WHERE id = $1";
// New messages' copies go with the message.
const NOTICES: &str = "SELECT id FROM notices WHERE mailbox = $1 AND kind <> 'new_message'";
const OPEN: &str = "INSERT INTO deletions (mailbox, requested_at, deleted, notices) VALUES ($1, $2, $3, $4) \
    ON CONFLICT DO NOTHING";
const BY_MAILBOX: &str = "SELECT * FROM deletions WHERE mailbox = $1";
const ERASING: &str = "SELECT EXISTS (SELECT 1 FROM jobs JOIN messages \
    ON messages.id = jobs.subject WHERE jobs.kind = 'erase_message' AND messages.mailbox = $1) \
    OR EXISTS (SELECT 1 FROM jobs WHERE id = 'erase_greeting:' || $1)";
const FINISH: &str = "UPDATE deletions SET completed_at = $2, receipt = $3, notices = '[]' \
    WHERE mailbox = $1 AND receipt IS NULL";

#[async_trait]
impl DeletionStore for SqliteStore {
    async fn deletion(&self, mailbox: MailboxId) -> Result<Option<Deletion>, StoreError> {
        let query = sqlx::query(BY_MAILBOX).bind(mailbox.to_string());
        let Some(row) = query.fetch_optional(&self.readers).await? else { return Ok(None) };
        let deleted: String = row.try_get("deleted")?;
        let notices: String = row.try_get("notices")?;
        let wrong = |_| unreadable(format!("deletion {mailbox}"), "malformed JSON");
        let notices: Vec<String> = serde_json::from_str(&notices).map_err(wrong)?;
        let malformed = |_| unreadable(format!("deletion {mailbox}"), "a malformed id");
        let notices: Result<_, _> = notices.iter().map(|id| id.parse()).collect();
        Ok(Some(Deletion {
            mailbox,
            requested_at: time(row.try_get("requested_at")?),
            deleted: serde_json::from_str(&deleted).map_err(wrong)?,
            notices: notices.map_err(malformed)?,
            receipt: row.try_get("receipt")?,
        }))
    }

    async fn is_erasing(&self, mailbox: MailboxId) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar(ERASING).bind(mailbox.to_string());
        Ok(query.fetch_one(&self.readers).await?)
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&self.writer).await?;
        Ok(())
    }

    async fn finish_deletion(
        &self,
        job: &Job,
        mailbox: MailboxId,
        receipt: &str,
        now: WallTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if !end_job(&mut tx, job).await? {
            return Ok(false);
        }
        sqlx::query(FINISH)
            .bind(mailbox.to_string())
            .bind(now.as_unix_millis())
            .bind(receipt)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// What is in a mailbox that is about to be deleted, and what was told to it.
pub(super) async fn count(
    tx: &mut Transaction<'static, Sqlite>,
    mailbox: MailboxId,
) -> Result<(Deleted, Vec<String>), StoreError> {
    let id = mailbox.to_string();
    let row = sqlx::query(COUNT).bind(&id).fetch_one(&mut **tx).await?;
    let own: Option<bool> = sqlx::query_scalar(OWN).bind(&id).fetch_optional(&mut **tx).await?;
    let count = |column| -> Result<u64, StoreError> { Ok(row.try_get::<i64, _>(column)? as u64) };
    let notices = sqlx::query_scalar(NOTICES).bind(&id).fetch_all(&mut **tx).await?;
    let deleted = Deleted {
        messages: count("messages")?,
        texts: count("texts")?,
        caller_numbers: count("callers")?,
        recordings: count("messages")?,
        mp3s: count("audio")?,
        greetings: u64::from(own == Some(true)),
    };
    Ok((deleted, notices))
}

/// Opens a deletion: what there was, and the job that destroys the key and writes the receipt.
pub(super) async fn open_deletion(
    tx: &mut Transaction<'static, Sqlite>,
    mailbox: MailboxId,
    (deleted, notices): (Deleted, Vec<String>),
    now: WallTime,
) -> Result<(), StoreError> {
    let deleted = serde_json::to_string(&deleted).expect("numbers are always JSON");
    let notices = serde_json::to_string(&notices).expect("strings are always JSON");
    sqlx::query(OPEN)
        .bind(mailbox.to_string())
        .bind(now.as_unix_millis())
        .bind(deleted)
        .bind(notices)
        .execute(&mut **tx)
        .await?;
    put_job(tx, Task::FinishDeletion(mailbox), now).await
}
