//! The browsers that take push, in SQLite.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::{SqliteStore, time, unreadable};
use crate::push::PushEndpoint;
use crate::store::{PushStore, StoreError};

const PUT: &str = "INSERT INTO push_endpoints \
    (id, mailbox, device, url, p256dh, auth, created_at) \
    SELECT $1, $2, $3, $4, $5, $6, $7 WHERE \
        (SELECT COUNT(*) FROM push_endpoints WHERE mailbox = $2 AND id <> $1) < $8 \
    ON CONFLICT (id) DO UPDATE SET mailbox = excluded.mailbox, device = excluded.device, \
        p256dh = excluded.p256dh, auth = excluded.auth, created_at = excluded.created_at";
const BY_ID: &str = "SELECT * FROM push_endpoints WHERE id = $1";
const OF_MAILBOX: &str = "SELECT * FROM push_endpoints WHERE mailbox = $1 ORDER BY created_at, id";
const DROP: &str = "DELETE FROM push_endpoints WHERE id = $1";
const DROP_OF_MAILBOX: &str =
    "DELETE FROM push_endpoints WHERE mailbox = $1 AND ($2 IS NULL OR device = $2)";

#[async_trait]
impl PushStore for SqliteStore {
    async fn put_push_endpoint(
        &self,
        endpoint: &PushEndpoint,
        most: u32,
    ) -> Result<bool, StoreError> {
        let put = sqlx::query(PUT)
            .bind(endpoint.id.to_string())
            .bind(endpoint.mailbox.to_string())
            .bind(&endpoint.device)
            .bind(&endpoint.url)
            .bind(&endpoint.p256dh)
            .bind(&endpoint.auth)
            .bind(endpoint.created_at.as_unix_millis())
            .bind(i64::from(most))
            .execute(&self.writer)
            .await?;
        Ok(put.rows_affected() == 1)
    }

    async fn push_endpoint(&self, id: uuid::Uuid) -> Result<Option<PushEndpoint>, StoreError> {
        let row = sqlx::query(BY_ID).bind(id.to_string()).fetch_optional(&self.readers).await?;
        row.as_ref().map(read).transpose()
    }

    async fn push_endpoints(&self, mailbox: MailboxId) -> Result<Vec<PushEndpoint>, StoreError> {
        let query = sqlx::query(OF_MAILBOX).bind(mailbox.to_string());
        query.fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    async fn drop_push_endpoint(&self, id: uuid::Uuid) -> Result<bool, StoreError> {
        let dropped = sqlx::query(DROP).bind(id.to_string()).execute(&self.writer).await?;
        Ok(dropped.rows_affected() == 1)
    }
}

/// Ids of a mailbox's endpoints, for whoever tells it something in a transaction.
pub(super) async fn push_targets(
    tx: &mut Transaction<'static, Sqlite>,
    mailbox: &str,
) -> Result<Vec<String>, StoreError> {
    const SQL: &str = "SELECT id FROM push_endpoints WHERE mailbox = $1 ORDER BY created_at, id";
    Ok(sqlx::query_scalar(SQL).bind(mailbox).fetch_all(&mut **tx).await?)
}

/// Drops a mailbox's endpoints, all or those of one device: with the mailbox, at signing out.
pub(super) async fn drop_push_endpoints(
    tx: &mut Transaction<'static, Sqlite>,
    mailbox: MailboxId,
    device: Option<&str>,
) -> Result<(), StoreError> {
    let query = sqlx::query(DROP_OF_MAILBOX).bind(mailbox.to_string()).bind(device);
    query.execute(&mut **tx).await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<PushEndpoint, StoreError> {
    let id: String = row.try_get("id")?;
    let mailbox: String = row.try_get("mailbox")?;
    let wrong = |what| unreadable(format!("push endpoint {id}"), what);
    Ok(PushEndpoint {
        id: id.parse().map_err(|_| wrong("a malformed id"))?,
        mailbox: mailbox.parse().map_err(|_| wrong("a malformed mailbox"))?,
        device: row.try_get("device")?,
        url: row.try_get("url")?,
        p256dh: row.try_get("p256dh")?,
        auth: row.try_get("auth")?,
        created_at: time(row.try_get("created_at")?),
    })
}
