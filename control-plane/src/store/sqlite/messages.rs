//! Messages in SQLite.

use std::collections::HashSet;

use async_trait::async_trait;
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::private::Private;
use engine_core::text::Segment;
use engine_core::time::WallTime;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, Transaction};

use super::jobs::{end_job, put_job};
use super::notices::drop_notice;
use super::tell::{tell, tell_webhooks};
use super::{SqliteStore, time, unreadable};
use crate::mailbox::{language_from_name, language_name};
use crate::message::{
    Message, MessageAudio, MessageText, NewMessage, StoredState, verdict_from_name, verdict_name,
};
use crate::store::{Finished, Job, Kept, MessageStore, Page, StoreError, Task};
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
        let mut tx = self.begin().await?;
        let mut kept = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            kept.push(keep(&mut tx, arrival, now).await?);
        }
        tx.commit().await?;
        Ok(kept)
    }

    async fn message(&self, id: RecordingId) -> Result<Option<Message>, StoreError> {
        let row = sqlx::query(BY_ID).bind(id.to_string()).fetch_optional(&self.readers).await?;
        row.as_ref().map(read).transpose()
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
        query.fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    async fn mark_read(
        &self,
        id: RecordingId,
        read_at: Option<WallTime>,
    ) -> Result<bool, StoreError> {
        let query =
            sqlx::query(MARK).bind(id.to_string()).bind(read_at.map(WallTime::as_unix_millis));
        Ok(query.execute(&self.writer).await?.rows_affected() == 1)
    }

    async fn delete_message(&self, id: RecordingId, now: WallTime) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let buried = bury(&mut tx, id, now).await?;
        if buried {
            tell_webhooks(&mut tx, id, MESSAGE_DELETED, now).await?;
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
        record(&mut tx, id, finished, now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn keep(
    tx: &mut Transaction<'static, Sqlite>,
    arrival: &NewMessage,
    now: WallTime,
) -> Result<Kept, StoreError> {
    let mailbox = arrival.mailbox.to_string();
    let owner: Option<Option<i64>> =
        sqlx::query_scalar(OWNER).bind(&mailbox).fetch_optional(&mut **tx).await?;
    let state = if owner.is_some() { StoredState::Sealed } else { StoredState::Orphaned };
    let is_late = matches!(owner, Some(Some(_)));
    // What is buried below must not have been written first.
    let caller = if is_late { &Caller::Withheld } else { &arrival.caller };
    let inserted = sqlx::query(KEEP)
        .bind(arrival.id.to_string())
        .bind(mailbox)
        .bind(state.name())
        .bind(caller.kind())
        .bind(caller.number())
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
    id: RecordingId,
    finished: &Finished,
    now: WallTime,
) -> Result<(), StoreError> {
    if write_result(tx, id, finished).await? {
        return tell(tx, id, now).await;
    }
    // Deleted meanwhile: the MP3 that was just stored must go, too, even if its erasure has been
    // done.
    put_job(tx, Task::EraseMessage(id), now).await
}

async fn write_result(
    tx: &mut Transaction<'static, Sqlite>,
    id: RecordingId,
    finished: &Finished,
) -> Result<bool, StoreError> {
    let query = match finished {
        Finished::Transcribed { text, audio } => sqlx::query(TRANSCRIBED)
            .bind(id.to_string())
            .bind(&text.language)
            .bind(verdict_name(text.verdict))
            .bind(text.text.reveal())
            .bind(segments_text(&text.segments))
            .bind(f64::from(text.confidence))
            .bind(&text.model)
            .bind(audio.bytes as i64)
            .bind(&audio.sha256),
        Finished::Failed { why } => sqlx::query(FAILED).bind(id.to_string()).bind(why),
    };
    Ok(query.execute(&mut **tx).await?.rows_affected() == 1)
}

#[derive(Serialize, Deserialize)]
struct SegmentRow {
    start_ms: u32,
    end_ms: u32,
    text: String,
    confidence: f32,
}

fn segments_text(segments: &[Segment]) -> String {
    let rows: Vec<_> = segments
        .iter()
        .map(|segment| SegmentRow {
            start_ms: segment.start_ms,
            end_ms: segment.end_ms,
            text: segment.text.reveal().clone(),
            confidence: segment.confidence,
        })
        .collect();
    serde_json::to_string(&rows).expect("numbers and strings are always JSON")
}

fn read_segments(text: &str) -> Option<Vec<Segment>> {
    let rows: Vec<SegmentRow> = serde_json::from_str(text).ok()?;
    let segment = |row: SegmentRow| Segment {
        start_ms: row.start_ms,
        end_ms: row.end_ms,
        text: Private::new(row.text),
        confidence: row.confidence,
    };
    Some(rows.into_iter().map(segment).collect())
}

fn read(row: &SqliteRow) -> Result<Message, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("message {id}"), what);
    let state: String = row.try_get("state")?;
    let optional_time = |column| -> Result<Option<WallTime>, StoreError> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(time))
    };
    let audio = match row.try_get::<Option<i64>, _>("audio_bytes")? {
        Some(bytes) => {
            Some(MessageAudio { bytes: bytes as u64, sha256: row.try_get("audio_sha256")? })
        }
        None => None,
    };
    Ok(Message {
        arrived: read_arrived(row)?,
        state: StoredState::from_name(&state).ok_or_else(|| wrong("an unknown state"))?,
        text: read_text(row)?,
        audio,
        failure: row.try_get("failure")?,
        read_at: optional_time("read_at")?,
        notified_at: optional_time("notified_at")?,
    })
}

fn read_arrived(row: &SqliteRow) -> Result<NewMessage, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("message {id}"), what);
    let mailbox: String = row.try_get("mailbox")?;
    let kind: String = row.try_get("caller_kind")?;
    let number: Option<String> = row.try_get("caller_number")?;
    let codec: String = row.try_get("codec")?;
    let language: String = row.try_get("language")?;
    let count = |column| -> Result<u64, StoreError> { Ok(row.try_get::<i64, _>(column)? as u64) };
    Ok(NewMessage {
        id: id.parse().map_err(|_| wrong("a malformed id"))?,
        mailbox: mailbox.parse().map_err(|_| wrong("a malformed mailbox"))?,
        caller: Caller::from_parts(&kind, number.as_deref())
            .ok_or_else(|| wrong("an unknown kind of caller"))?,
        codec: Codec::from_name(&codec).ok_or_else(|| wrong("an unknown codec"))?,
        language: language_from_name(&language).ok_or_else(|| wrong("an unknown language"))?,
        answered_at: time(row.try_get("answered_at")?),
        received_at: time(row.try_get("received_at")?),
        end_reason: row.try_get("end_reason")?,
        frames: count("frames")? as u32,
        lost: count("lost")? as u32,
        duration_ms: count("duration_ms")?,
        call_ms: count("call_ms")?,
        payload_sha256: row.try_get("payload_sha256")?,
        recording_bytes: count("recording_bytes")?,
    })
}

fn read_text(row: &SqliteRow) -> Result<Option<MessageText>, StoreError> {
    let Some(verdict) = row.try_get::<Option<String>, _>("verdict")? else { return Ok(None) };
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("message {id}"), what);
    let segments: String = row.try_get("segments")?;
    Ok(Some(MessageText {
        language: row.try_get("spoken_language")?,
        verdict: verdict_from_name(&verdict).ok_or_else(|| wrong("an unknown verdict"))?,
        text: Private::new(row.try_get("text")?),
        segments: read_segments(&segments).ok_or_else(|| wrong("malformed segments"))?,
        confidence: row.try_get::<f64, _>("confidence")? as f32,
        model: row.try_get("model")?,
    }))
}
