//! Blocked callers in SQLite.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::audit::append_audit;
use super::{SqliteStore, time, unreadable};
use crate::audit::{Change, Deed};
use crate::blocked::{BlockedCaller, BlockedId};
use crate::store::{BlockedStore, Blocking, StoreError};

const OWNER: &str = "SELECT 1 FROM mailboxes WHERE id = $1 AND deleted_at IS NULL";
const KNOWN: &str = "SELECT * FROM blocked_callers WHERE mailbox = $1 AND hash = $2";
const COUNT: &str = "SELECT COUNT(*) FROM blocked_callers WHERE mailbox = $1";
const BLOCK: &str = "INSERT INTO blocked_callers (mailbox, hash, id, kind, ending, created_at) \
    VALUES ($1, $2, $3, $4, $5, $6)";
const ALL: &str = "SELECT * FROM blocked_callers WHERE mailbox = $1 ORDER BY created_at, id";
const UNBLOCK: &str = "DELETE FROM blocked_callers WHERE mailbox = $1 AND id = $2";
const IS_BLOCKED: &str = "SELECT 1 FROM blocked_callers WHERE mailbox = $1 AND hash = $2";
const FORGET: &str = "DELETE FROM blocked_callers WHERE mailbox = $1";

#[async_trait]
impl BlockedStore for SqliteStore {
    async fn block_caller(
        &self,
        caller: &BlockedCaller,
        most: u32,
        change: Change,
    ) -> Result<Blocking, StoreError> {
        let mailbox = caller.mailbox.to_string();
        let mut tx = self.begin().await?;
        let owner: Option<i64> =
            sqlx::query_scalar(OWNER).bind(&mailbox).fetch_optional(&mut *tx).await?;
        if owner.is_none() {
            return Ok(Blocking::NoMailbox);
        }
        let known = sqlx::query(KNOWN).bind(&mailbox).bind(&caller.hash);
        if let Some(row) = known.fetch_optional(&mut *tx).await? {
            return Ok(Blocking::Known(read(&row)?));
        }
        let count: i64 = sqlx::query_scalar(COUNT).bind(&mailbox).fetch_one(&mut *tx).await?;
        if count >= i64::from(most) {
            return Ok(Blocking::Full);
        }
        sqlx::query(BLOCK)
            .bind(&mailbox)
            .bind(&caller.hash)
            .bind(caller.id.to_string())
            .bind(&caller.kind)
            .bind(&caller.ending)
            .bind(caller.created_at.as_unix_millis())
            .execute(&mut *tx)
            .await?;
        append_audit(&mut tx, change, &deed("blocked_caller.added", caller.mailbox, caller.id))
            .await?;
        tx.commit().await?;
        Ok(Blocking::New)
    }

    async fn blocked_callers(&self, mailbox: MailboxId) -> Result<Vec<BlockedCaller>, StoreError> {
        let query = sqlx::query(ALL).bind(mailbox.to_string());
        query.fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    async fn unblock_caller(
        &self,
        mailbox: MailboxId,
        id: BlockedId,
        change: Change,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query(UNBLOCK).bind(mailbox.to_string()).bind(id.to_string());
        let unblocked = query.execute(&mut *tx).await?.rows_affected() == 1;
        if unblocked {
            append_audit(&mut tx, change, &deed("blocked_caller.removed", mailbox, id)).await?;
        }
        tx.commit().await?;
        Ok(unblocked)
    }

    async fn is_blocked(&self, mailbox: MailboxId, hash: &str) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar(IS_BLOCKED).bind(mailbox.to_string()).bind(hash);
        let found: Option<i64> = query.fetch_optional(&self.readers).await?;
        Ok(found.is_some())
    }
}

fn deed(action: &'static str, mailbox: MailboxId, id: BlockedId) -> Deed {
    let detail = serde_json::json!({ "blocked_caller": id.to_string() });
    Deed { action, subject: format!("mailbox:{mailbox}"), detail }
}

/// Drops all blocked callers of a mailbox that is being deleted.
pub(super) async fn forget(
    tx: &mut Transaction<'static, Sqlite>,
    mailbox: MailboxId,
) -> Result<(), StoreError> {
    sqlx::query(FORGET).bind(mailbox.to_string()).execute(&mut **tx).await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<BlockedCaller, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("blocked caller {id}"), what);
    let mailbox: String = row.try_get("mailbox")?;
    Ok(BlockedCaller {
        id: id.parse().map_err(|_| wrong("a malformed id"))?,
        mailbox: mailbox.parse().map_err(|_| wrong("a malformed mailbox"))?,
        kind: row.try_get("kind")?,
        hash: row.try_get("hash")?,
        ending: row.try_get("ending")?,
        created_at: time(row.try_get("created_at")?),
    })
}
