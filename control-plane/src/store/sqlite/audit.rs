//! The audit log in SQLite. One writer, and the write lock held from a transaction's first moment:
//! the last entry that is read stays the last until the next is written.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, Transaction};

use super::{SqliteStore, time};
use crate::audit::{Change, Deed, Entry};
use crate::store::{AuditPage, AuditStore, StoreError};

const LAST: &str = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
const APPEND: &str = "INSERT INTO audit (seq, at, actor, action, subject, detail, prev_hash, hash) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

#[async_trait]
impl AuditStore for SqliteStore {
    async fn audit(&self, page: &AuditPage) -> Result<Vec<Entry>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM audit WHERE seq > ");
        query.push_bind(page.after);
        if !page.subjects.is_empty() {
            query.push(" AND subject IN (");
            let mut subjects = query.separated(", ");
            for subject in &page.subjects {
                subjects.push_bind(subject);
            }
            query.push(")");
        }
        query.push(" ORDER BY seq LIMIT ").push_bind(i64::from(page.limit));
        query.build().fetch_all(&self.readers).await?.iter().map(read).collect()
    }
}

/// Appends an entry inside the transaction of its change.
pub(super) async fn append_audit(
    tx: &mut Transaction<'static, Sqlite>,
    change: Change,
    deed: &Deed,
) -> Result<(), StoreError> {
    let last: Option<(i64, String)> = sqlx::query_as(LAST).fetch_optional(&mut **tx).await?;
    let entry = Entry::behind(last, change, deed);
    sqlx::query(APPEND)
        .bind(entry.seq)
        .bind(entry.at.as_unix_millis())
        .bind(entry.actor)
        .bind(entry.action)
        .bind(entry.subject)
        .bind(entry.detail)
        .bind(entry.prev_hash)
        .bind(entry.hash)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Entry, StoreError> {
    Ok(Entry {
        seq: row.try_get("seq")?,
        at: time(row.try_get("at")?),
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        subject: row.try_get("subject")?,
        detail: row.try_get("detail")?,
        prev_hash: row.try_get("prev_hash")?,
        hash: row.try_get("hash")?,
    })
}
