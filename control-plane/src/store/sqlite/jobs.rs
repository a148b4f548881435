//! Jobs in SQLite. One writer makes `UPDATE … RETURNING` a safe lease.

use async_trait::async_trait;
use engine_core::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use tracing::error;

use super::messages::record;
use super::{SqliteStore, time, unreadable};
use crate::backoff::backoff;
use crate::clock::after;
use crate::limits::TRANSCRIBE_ATTEMPTS_MAX;
use crate::store::{Finished, Job, JobStore, StoreError, Task};
use crate::vault::Vault;

const TRANSCRIBE: &str = "transcribe";
const ERASE_MESSAGE: &str = "erase_message";
const ERASE_GREETING: &str = "erase_greeting";
const FINISH_DELETION: &str = "finish_deletion";
const END_CONTRACT: &str = "end_contract";

// A job that is put again while somebody works on it is taken from them: what they did may be
// too little by now.
const PUT: &str = "INSERT INTO jobs (id, kind, subject, attempts, run_at, created_at) \
    VALUES ($1, $2, $3, 0, $4, $4) \
    ON CONFLICT (id) DO UPDATE SET run_at = excluded.run_at, lease = NULL, lease_until = NULL";
// An attempt counts once it begins: work that kills the process is never given back.
const LEASE: &str = "UPDATE jobs SET lease = $1, lease_until = $2, attempts = attempts + 1 \
    WHERE id IN (\
    SELECT id FROM jobs WHERE run_at <= $3 AND (lease_until IS NULL OR lease_until <= $3) \
    ORDER BY run_at, id LIMIT $4) \
    RETURNING id, kind, subject, attempts";
const EXTEND: &str = "UPDATE jobs SET lease_until = $3 WHERE id = $1 AND lease = $2";
const RETURN: &str = "UPDATE jobs SET lease = NULL, lease_until = NULL, run_at = $3, \
    attempts = attempts - $4, last_error = COALESCE($5, last_error) \
    WHERE id = $1 AND lease = $2";
const END: &str = "DELETE FROM jobs WHERE id = $1 AND lease = $2";
const NEXT: &str = "SELECT MIN(CASE WHEN lease_until IS NOT NULL AND lease_until > run_at \
    THEN lease_until ELSE run_at END) FROM jobs";
const LEASED: &str = "SELECT id, kind, subject, attempts, lease FROM jobs WHERE lease IS NOT NULL";
const KILLED: &str = "the service itself ended during the last attempt";
const RECLAIM_DELIVERIES: &str = "UPDATE outbox SET lease = NULL, lease_until = NULL \
    WHERE state = 'pending' AND lease IS NOT NULL";

#[async_trait]
impl JobStore for SqliteStore {
    async fn lease_jobs(
        &self,
        now: WallTime,
        until: WallTime,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let (lease, rows) = self.lease(LEASE, now, until, limit).await?;
        rows.iter().map(|row| read(row, lease.clone())).collect()
    }

    async fn extend_job(&self, job: &Job, until: WallTime) -> Result<bool, StoreError> {
        let extended = sqlx::query(EXTEND)
            .bind(&job.id)
            .bind(&job.lease)
            .bind(until.as_unix_millis())
            .execute(&self.writer)
            .await?;
        Ok(extended.rows_affected() == 1)
    }

    async fn return_job(
        &self,
        job: &Job,
        run_at: WallTime,
        failed: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query(RETURN)
            .bind(&job.id)
            .bind(&job.lease)
            .bind(run_at.as_unix_millis())
            .bind(i64::from(failed.is_none()))
            .bind(failed)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn end_job(&self, job: &Job) -> Result<(), StoreError> {
        sqlx::query(END).bind(&job.id).bind(&job.lease).execute(&self.writer).await?;
        Ok(())
    }

    async fn next_job(&self) -> Result<Option<WallTime>, StoreError> {
        let next: Option<i64> = sqlx::query_scalar(NEXT).fetch_one(&self.readers).await?;
        Ok(next.map(time))
    }

    async fn reclaim(&self, now: WallTime) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let jobs = sqlx::query(LEASED).fetch_all(&mut *tx).await?;
        for row in &jobs {
            let job = read(row, row.try_get("lease")?)?;
            take_back(&mut tx, &self.vault, &job, now).await?;
        }
        let deliveries = sqlx::query(RECLAIM_DELIVERIES).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(jobs.len() as u64 + deliveries.rows_affected())
    }
}

/// Frees a job whose worker died. One that saw too many die is not tried again.
async fn take_back(
    tx: &mut Transaction<'static, Sqlite>,
    vault: &Vault,
    job: &Job,
    now: WallTime,
) -> Result<(), StoreError> {
    if let Task::Transcribe(message) = job.task
        && job.attempts >= TRANSCRIBE_ATTEMPTS_MAX
    {
        error!(%message, attempts = job.attempts,
            "A recording is kept without text: the service ended during its last attempt.");
        end_job(tx, job).await?;
        return record(tx, vault, message, &Finished::Failed { why: KILLED.to_owned() }, now).await;
    }
    let run_at = after(now, backoff(job.attempts, rand::random()));
    sqlx::query(RETURN)
        .bind(&job.id)
        .bind(&job.lease)
        .bind(run_at.as_unix_millis())
        .bind(0)
        .bind(None::<&str>)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Leaves a job that is due at `run_at`.
pub(super) async fn put_job(
    tx: &mut Transaction<'static, Sqlite>,
    task: Task,
    run_at: WallTime,
) -> Result<(), StoreError> {
    let (kind, subject) = names(task);
    sqlx::query(PUT)
        .bind(format!("{kind}:{subject}"))
        .bind(kind)
        .bind(subject)
        .bind(run_at.as_unix_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes a job away, whoever has it leased.
pub(super) async fn drop_job(
    tx: &mut Transaction<'static, Sqlite>,
    task: Task,
) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM jobs WHERE id = $1";
    let (kind, subject) = names(task);
    sqlx::query(SQL).bind(format!("{kind}:{subject}")).execute(&mut **tx).await?;
    Ok(())
}

fn names(task: Task) -> (&'static str, String) {
    match task {
        Task::Transcribe(message) => (TRANSCRIBE, message.to_string()),
        Task::EraseMessage(message) => (ERASE_MESSAGE, message.to_string()),
        Task::EraseGreeting(mailbox) => (ERASE_GREETING, mailbox.to_string()),
        Task::FinishDeletion(mailbox) => (FINISH_DELETION, mailbox.to_string()),
        Task::EndContract(contract) => (END_CONTRACT, contract.to_string()),
    }
}

/// Ends a job inside a transaction. False when its lease was lost.
pub(super) async fn end_job(
    tx: &mut Transaction<'static, Sqlite>,
    job: &Job,
) -> Result<bool, StoreError> {
    let ended = sqlx::query(END).bind(&job.id).bind(&job.lease).execute(&mut **tx).await?;
    Ok(ended.rows_affected() == 1)
}

fn read(row: &SqliteRow, lease: String) -> Result<Job, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("job {id}"), what);
    let kind: String = row.try_get("kind")?;
    let subject: String = row.try_get("subject")?;
    let malformed = || wrong("a malformed subject");
    let task = match kind.as_str() {
        TRANSCRIBE => Task::Transcribe(subject.parse().map_err(|_| malformed())?),
        ERASE_MESSAGE => Task::EraseMessage(subject.parse().map_err(|_| malformed())?),
        ERASE_GREETING => Task::EraseGreeting(subject.parse().map_err(|_| malformed())?),
        FINISH_DELETION => Task::FinishDeletion(subject.parse().map_err(|_| malformed())?),
        END_CONTRACT => Task::EndContract(subject.parse().map_err(|_| malformed())?),
        _ => return Err(wrong("an unknown kind")),
    };
    let attempts = row.try_get::<i64, _>("attempts")? as u32;
    Ok(Job { id, task, attempts, lease })
}
