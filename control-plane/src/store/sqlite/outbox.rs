//! The outbox in SQLite.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, Transaction};

use super::{SqliteStore, time, unreadable};
use crate::outbox::{Channel, Delivery, Next};
use crate::store::{OutboxStore, StoreError};

const PUT: &str = "INSERT INTO outbox \
    (message, channel, target, mailbox, state, attempts, next_at, created_at) \
    VALUES ($1, $2, $3, $4, 'pending', 0, $5, $5) ON CONFLICT DO NOTHING";
const LEASE: &str = "UPDATE outbox SET lease = $1, lease_until = $2 \
    WHERE (message, channel, target) IN (\
        SELECT message, channel, target FROM outbox \
        WHERE state = 'pending' AND next_at <= $3 \
            AND (lease_until IS NULL OR lease_until <= $3) \
        ORDER BY next_at, message LIMIT $4) \
    RETURNING message, channel, target, mailbox, attempts, created_at";
const SENT: &str = "UPDATE outbox SET state = 'sent', settled_at = $5, lease = NULL, \
    lease_until = NULL WHERE message = $1 AND channel = $2 AND target = $3 AND lease = $4";
const RETRY: &str = "UPDATE outbox SET next_at = $5, attempts = attempts + 1, last_error = $6, \
    lease = NULL, lease_until = NULL \
    WHERE message = $1 AND channel = $2 AND target = $3 AND lease = $4";
const GIVEN_UP: &str = "UPDATE outbox SET state = 'given_up', settled_at = $5, \
    attempts = attempts + 1, last_error = $6, lease = NULL, lease_until = NULL \
    WHERE message = $1 AND channel = $2 AND target = $3 AND lease = $4";
const NOTIFIED: &str = "UPDATE messages SET notified_at = $2 \
    WHERE id = $1 AND notified_at IS NULL AND deleted_at IS NULL";
const OPEN: &str = "SELECT COUNT(*) FROM outbox WHERE message = $1 AND state = 'pending'";
const TOLD: &str = "SELECT COUNT(*) FROM outbox WHERE message = $1 AND state = 'sent'";
const NEXT: &str = "SELECT MIN(CASE WHEN lease_until IS NOT NULL AND lease_until > next_at \
    THEN lease_until ELSE next_at END) FROM outbox WHERE state = 'pending'";

#[async_trait]
impl OutboxStore for SqliteStore {
    async fn lease_deliveries(
        &self,
        now: WallTime,
        until: WallTime,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let (lease, rows) = self.lease(LEASE, now, until, limit).await?;
        rows.iter().map(|row| read(row, &lease)).collect()
    }

    async fn next_delivery(&self) -> Result<Option<WallTime>, StoreError> {
        let next: Option<i64> = sqlx::query_scalar(NEXT).fetch_one(&self.readers).await?;
        Ok(next.map(time))
    }

    async fn settle_delivery(
        &self,
        delivery: &Delivery,
        next: &Next,
        now: WallTime,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let now = now.as_unix_millis();
        let query = match next {
            Next::Sent => of(SENT, delivery).bind(now),
            Next::Retry { at, why } => of(RETRY, delivery).bind(at.as_unix_millis()).bind(why),
            Next::GiveUp { why } => of(GIVEN_UP, delivery).bind(now).bind(why),
        };
        if query.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let message = delivery.message.to_string();
        if *next == Next::Sent {
            sqlx::query(NOTIFIED).bind(&message).bind(now).execute(&mut *tx).await?;
        }
        let open: i64 = sqlx::query_scalar(OPEN).bind(&message).fetch_one(&mut *tx).await?;
        let told: i64 = sqlx::query_scalar(TOLD).bind(&message).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(open == 0 && told > 0)
    }
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

fn of<'q>(sql: &'static str, delivery: &'q Delivery) -> Query<'q> {
    sqlx::query(sql)
        .bind(delivery.message.to_string())
        .bind(delivery.channel.name())
        .bind(&delivery.target)
        .bind(&delivery.lease)
}

/// Puts one delivery in; one that is there already stays as it is.
pub(super) async fn put_delivery(
    tx: &mut Transaction<'static, Sqlite>,
    message: &str,
    mailbox: MailboxId,
    (channel, target): (Channel, &str),
    now: WallTime,
) -> Result<(), StoreError> {
    sqlx::query(PUT)
        .bind(message)
        .bind(channel.name())
        .bind(target)
        .bind(mailbox.to_string())
        .bind(now.as_unix_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Drops what is kept of whom a message was told to, settled or not.
pub(super) async fn drop_deliveries(
    tx: &mut Transaction<'static, Sqlite>,
    message: &str,
) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM outbox WHERE message = $1";
    sqlx::query(SQL).bind(message).execute(&mut **tx).await?;
    Ok(())
}

fn read(row: &SqliteRow, lease: &str) -> Result<Delivery, StoreError> {
    let message: String = row.try_get("message")?;
    let wrong = |what| unreadable(format!("delivery of {message}"), what);
    let mailbox: String = row.try_get("mailbox")?;
    let channel: String = row.try_get("channel")?;
    Ok(Delivery {
        message: message.parse().map_err(|_| wrong("a malformed id"))?,
        mailbox: mailbox.parse().map_err(|_| wrong("a malformed mailbox"))?,
        channel: Channel::from_name(&channel).ok_or_else(|| wrong("an unknown channel"))?,
        target: row.try_get("target")?,
        attempts: row.try_get::<i64, _>("attempts")? as u32,
        created_at: time(row.try_get("created_at")?),
        lease: lease.to_owned(),
    })
}
