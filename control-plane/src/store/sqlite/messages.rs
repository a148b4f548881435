//! Messages in SQLite.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use engine_core::caller::Caller;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, Transaction};

use super::audit::append_audit;
use super::jobs::{end_job, put_job};
use super::message_rows::{read, segments_text};
use super::notices::drop_notice;
use super::sealed::{Opener, message_place, opener, seal};
use super::tell::{tell, tell_webhooks};
use super::{SqliteStore, unreadable};
use crate::audit::{Actor, Change, Deed};
use crate::mailbox::language_name;
use crate::message::{Message, NewMessage, StoredState, verdict_name};
use crate::store::{Finished, Job, Kept, MessageStore, Page, StoreError, Task};
use crate::vault::{DataKey, Vault};
use crate::webhook::MESSAGE_DELETED;

const KEEP: &str = "INSERT INTO messages \
    (id, mailbox, state, caller_kind, caller_number, codec, language, answered_at, received_at, \
     end_reason, frames, lost, duration_ms, call_ms, payload_sha256, recording_bytes) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
    ON CONFLICT DO NOTHING";
const OWNER: &str = "SELECT deleted_at FROM mailboxes WHERE id = $1";
const BY_ID: &str = "SELECT * FROM messages WHERE id = $1";
const PAGE: &str = "SELECT * FROM messages WHERE mailbox = $1 AND deleted_at IS NULL \
    AND (received_at < $2 OR (received_at = $2 AND id < $3)) \
    ORDER BY received_at DESC, id DESC LIMIT $4";
const PAGE_READ: &str = "SELECT * FROM messages WHERE mailbox = $1 AND deleted_at IS NULL \
    AND read_at IS NOT NULL AND (received_at < $2 OR (received_at = $2 AND id < $3)) \
    ORDER BY received_at DESC, id DESC LIMIT $4";
const PAGE_UNREAD: &str = "SELECT * FROM messages WHERE mailbox = $1 AND deleted_at IS NULL \
    AND read_at IS NULL AND (received_at < $2 OR (received_at = $2 AND id < $3)) \
    ORDER BY received_at DESC, id DESC LIMIT $4";
const MARK: &str = "UPDATE messages SET read_at = CASE WHEN $2 IS NULL THEN NULL \
    ELSE COALESCE(read_at, $2) END WHERE id = $1 AND deleted_at IS NULL";
const BURY: &str = "UPDATE messages SET state = 'deleted', deleted_at = $2, \
    caller_kind = 'withheld', caller_number = NULL, payload_sha256 = '', audio_bytes = NULL, \
    audio_sha256 = NULL, verdict = NULL, text = NULL, segments = NULL, confidence = NULL, \
    failure = NULL WHERE id = $1 AND deleted_at IS NULL";
const TRANSCRIBED: &str = "UPDATE messages SET state = 'transcribed', spoken_language = $2, \
    verdict = $3, text = $4, segments = $5, confidence = $6, model = $7, audio_bytes = $8, \
    audio_sha256 = $9, failure = NULL WHERE id = $1 AND state = 'sealed'";
const FAILED: &str =
    "UPDATE messages SET state = 'failed', failure = $2 WHERE id = $1 AND state = 'sealed'";

#[async_trait]
impl MessageStore for SqliteStore {
    async fn known(&self, ids: &[RecordingId]) -> Result<HashSet<RecordingId>, StoreError> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let mut query = QueryBuilder::new("SELECT id FROM messages WHERE id IN (");
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(id.to_string());
        }
        query.push(")");
        let rows: Vec<String> = query.build_query_scalar().fetch_all(&self.readers).await?;
        rows.iter().map(|id| id.parse().map_err(|_| unreadable(id, "a malformed id"))).collect()
    }

    async fn keep_arrivals(
        &self,
        arrivals: &[NewMessage],
        now: WallTime,
    ) -> Result<Vec<Kept>, StoreError> {
        // Before the transaction: a new mailbox's key is a write to another file.
        let mut callers = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            callers.push(self.seal_caller(arrival).await?);
        }
        let mut tx = self.begin().await?;
        let mut kept = Vec::with_capacity(arrivals.len());
        for (arrival, caller) in arrivals.iter().zip(callers) {
            kept.push(keep(&mut tx, arrival, caller, now).await?);
        }
        tx.commit().await?;
        Ok(kept)
    }

    async fn message(&self, id: RecordingId) -> Result<Option<Message>, StoreError> {
        let row = sqlx::query(BY_ID).bind(id.to_string()).fetch_optional(&self.readers).await?;
        match row {
            Some(row) => Ok(Some(self.read_message(&row).await?)),
            None => Ok(None),
        }
    }

    async fn messages(
        &self,
        mailbox: MailboxId,
        is_read: Option<bool>,
        page: Page,
    ) -> Result<Vec<Message>, StoreError> {
        let sql = match is_read {
            None => PAGE,
            Some(true) => PAGE_READ,
            Some(false) => PAGE_UNREAD,
        };
        let (at, id) = page.after.map_or((i64::MAX, String::new()), |after| {
            (after.at.as_unix_millis(), RecordingId::from_u128(after.id).to_string())
        });
        let query = sqlx::query(sql)
            .bind(mailbox.to_string())
            .bind(at)
            .bind(id)
            .bind(i64::from(page.limit));
        let mut messages = Vec::new();
        for row in query.fetch_all(&self.readers).await? {
            let message = self.read_message(&row).await?;
            if message.state != StoredState::Deleted {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    async fn mark_read(
        &self,
        id: RecordingId,
        is_read: bool,
        change: Change,
    ) -> Result<bool, StoreError> {
        let read_at = is_read.then(|| change.at.as_unix_millis());
        let mut tx = self.begin().await?;
        let query = sqlx::query(MARK).bind(id.to_string()).bind(read_at);
        let marked = query.execute(&mut *tx).await?.rows_affected() == 1;
        if marked && !matches!(change.by, Actor::Subscriber(_)) {
            let detail = serde_json::json!({ "read": is_read });
            append_audit(&mut tx, change, &deed("message.marked", id, detail)).await?;
        }
        tx.commit().await?;
        Ok(marked)
    }

    async fn delete_message(&self, id: RecordingId, change: Change) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let buried = bury(&mut tx, id, change.at).await?;
        if buried {
            tell_webhooks(&mut tx, id, MESSAGE_DELETED, change.at).await?;
            let deed = deed("message.deleted", id, serde_json::json!({}));
            append_audit(&mut tx, change, &deed).await?;
        }
        tx.commit().await?;
        Ok(buried)
    }

    async fn finish(
        &self,
        job: &Job,
        finished: &Finished,
        now: WallTime,
    ) -> Result<bool, StoreError> {
        let Task::Transcribe(id) = job.task else {
            return Err(unreadable(&job.id, "a job that makes no text"));
        };
        let mut tx = self.begin().await?;
        if !end_job(&mut tx, job).await? {
            return Ok(false);
        }
        record(&mut tx, &self.vault, id, finished, now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

impl SqliteStore {
    /// Kind of a caller and the sealed number, if there is one.
    async fn seal_caller(
        &self,
        arrival: &NewMessage,
    ) -> Result<(&'static str, Option<String>), StoreError> {
        let Some(number) = arrival.caller.number() else {
            return Ok((arrival.caller.kind(), None));
        };
        let id = arrival.id.to_string();
        Ok(match self.vault.key(arrival.mailbox).await? {
            Some(key) => {
                let sealed = seal(&key, message_place("caller_number", &id), number);
                (arrival.caller.kind(), Some(sealed))
            }
            // The mailbox was deleted: nothing of the call is kept.
            None => (Caller::Withheld.kind(), None),
        })
    }

    async fn read_message(&self, row: &SqliteRow) -> Result<Message, StoreError> {
        let is_sealed = |column| -> Result<bool, StoreError> {
            Ok(row.try_get::<Option<&str>, _>(column)?.is_some())
        };
        if !is_sealed("caller_number")? && !is_sealed("text")? {
            return read(row, None);
        }
        let id: String = row.try_get("id")?;
        let mailbox: String = row.try_get("mailbox")?;
        let mailbox: MailboxId = mailbox.parse().map_err(|_| unreadable(id, "a malformed id"))?;
        match opener(&self.vault, mailbox).await? {
            Opener::Key(key) => read(row, Some(&key)),
            Opener::Destroyed => {
                let mut message = read(row, None)?;
                (message.state, message.audio) = (StoredState::Deleted, None);
                Ok(message)
            }
        }
    }
}

fn deed(action: &'static str, id: RecordingId, detail: serde_json::Value) -> Deed {
    Deed { action, subject: format!("message:{id}"), detail }
}

async fn keep(
    tx: &mut Transaction<'static, Sqlite>,
    arrival: &NewMessage,
    caller: (&'static str, Option<String>),
    now: WallTime,
) -> Result<Kept, StoreError> {
    let mailbox = arrival.mailbox.to_string();
    let owner: Option<Option<i64>> =
        sqlx::query_scalar(OWNER).bind(&mailbox).fetch_optional(&mut **tx).await?;
    let state = if owner.is_some() { StoredState::Sealed } else { StoredState::Orphaned };
    let is_late = matches!(owner, Some(Some(_)));
    // What is buried below must not have been written first.
    let (kind, number) = if is_late { (Caller::Withheld.kind(), None) } else { caller };
    let inserted = sqlx::query(KEEP)
        .bind(arrival.id.to_string())
        .bind(mailbox)
        .bind(state.name())
        .bind(kind)
        .bind(number)
        .bind(arrival.codec.name())
        .bind(language_name(arrival.language))
        .bind(arrival.answered_at.as_unix_millis())
        .bind(arrival.received_at.as_unix_millis())
        .bind(&arrival.end_reason)
        .bind(i64::from(arrival.frames))
        .bind(i64::from(arrival.lost))
        .bind(arrival.duration_ms as i64)
        .bind(arrival.call_ms as i64)
        .bind(&arrival.payload_sha256)
        .bind(arrival.recording_bytes as i64)
        .execute(&mut **tx)
        .await?;
    if inserted.rows_affected() == 0 {
        return Ok(Kept::Known);
    }
    if owner.is_none() {
        return Ok(Kept::Orphaned);
    }
    if is_late {
        bury(tx, arrival.id, now).await?;
        return Ok(Kept::Deleted);
    }
    put_job(tx, Task::Transcribe(arrival.id), now).await?;
    Ok(Kept::New)
}

/// Takes a message's content out of its row. False when there is none left to take.
pub(super) async fn bury(
    tx: &mut Transaction<'static, Sqlite>,
    id: RecordingId,
    now: WallTime,
) -> Result<bool, StoreError> {
    let text = id.to_string();
    let query = sqlx::query(BURY).bind(&text).bind(now.as_unix_millis());
    if query.execute(&mut **tx).await?.rows_affected() == 0 {
        return Ok(false);
    }
    // A transcription stays: whoever has it leased may be about to store an MP3, and erases it.
    drop_notice(tx, id.into()).await?;
    put_job(tx, Task::EraseMessage(id), now).await?;
    Ok(true)
}

/// All messages of a mailbox that are not deleted, newest first.
pub(super) async fn newest(
    tx: &mut Transaction<'static, Sqlite>,
    mailbox: MailboxId,
) -> Result<Vec<RecordingId>, StoreError> {
    const SQL: &str = "SELECT id FROM messages WHERE mailbox = $1 AND deleted_at IS NULL \
                       ORDER BY received_at DESC, id DESC";
    let rows: Vec<String> =
        sqlx::query_scalar(SQL).bind(mailbox.to_string()).fetch_all(&mut **tx).await?;
    rows.iter().map(|id| id.parse().map_err(|_| unreadable(id, "a malformed id"))).collect()
}

/// Writes a result and leaves a delivery for everyone who is told of it.
pub(super) async fn record(
    tx: &mut Transaction<'static, Sqlite>,
    vault: &Vault,
    id: RecordingId,
    finished: &Finished,
    now: WallTime,
) -> Result<(), StoreError> {
    if write_result(tx, vault, id, finished).await? {
        return tell(tx, vault, id, now).await;
    }
    // Deleted meanwhile: the MP3 that was just stored must go, too, even if its erasure has been
    // done.
    put_job(tx, Task::EraseMessage(id), now).await
}

async fn write_result(
    tx: &mut Transaction<'static, Sqlite>,
    vault: &Vault,
    id: RecordingId,
    finished: &Finished,
) -> Result<bool, StoreError> {
    let row = id.to_string();
    let query = match finished {
        Finished::Transcribed { text, audio } => {
            let Some(key) = key_of(tx, vault, id).await? else { return Ok(false) };
            let segments = segments_text(&text.segments);
            sqlx::query(TRANSCRIBED)
                .bind(row.clone())
                .bind(&text.language)
                .bind(verdict_name(text.verdict))
                .bind(seal(&key, message_place("text", &row), text.text.reveal()))
                .bind(seal(&key, message_place("segments", &row), &segments))
                .bind(f64::from(text.confidence))
                .bind(&text.model)
                .bind(audio.bytes as i64)
                .bind(&audio.sha256)
        }
        Finished::Failed { why } => sqlx::query(FAILED).bind(row).bind(why),
    };
    Ok(query.execute(&mut **tx).await?.rows_affected() == 1)
}

/// The key of a message's mailbox; `None` when it was destroyed.
async fn key_of(
    tx: &mut Transaction<'static, Sqlite>,
    vault: &Vault,
    id: RecordingId,
) -> Result<Option<Arc<DataKey>>, StoreError> {
    const MAILBOX: &str = "SELECT mailbox FROM messages WHERE id = $1";
    let mailbox: Option<String> =
        sqlx::query_scalar(MAILBOX).bind(id.to_string()).fetch_optional(&mut **tx).await?;
    let Some(mailbox) = mailbox else { return Ok(None) };
    let mailbox = mailbox.parse().map_err(|_| unreadable(id, "a malformed mailbox"))?;
    Ok(vault.key(mailbox).await?)
}
