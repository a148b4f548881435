//! The outbox in SQLite.

use async_trait::async_trait;
use engine_core::time::WallTime;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, Transaction};
use tracing::error;

use super::notices::find_notice;
use super::{SqliteStore, time, unreadable};
use crate::notice::{Notice, NoticeBody, NoticeId};
use crate::outbox::{Channel, Delivery, Next};
use crate::store::{OutboxStore, StoreError};

const PUT: &str = "INSERT INTO outbox \
    (notice, channel, target, state, attempts, next_at, created_at) \
    VALUES ($1, $2, $3, 'pending', 0, $4, $4) ON CONFLICT DO NOTHING";
const LEASE: &str = "UPDATE outbox SET lease = $1, lease_until = $2 \
    WHERE (notice, channel, target) IN (\
        SELECT notice, channel, target FROM outbox \
        WHERE channel = $5 AND state = 'pending' AND next_at <= $3 \
            AND (lease_until IS NULL OR lease_until <= $3) \
        ORDER BY next_at, notice LIMIT $4) \
    RETURNING notice, channel, target, attempts, maybe_sent, created_at";
const SENT: &str = "UPDATE outbox SET state = 'sent', settled_at = $5, lease = NULL, \
    lease_until = NULL WHERE notice = $1 AND channel = $2 AND target = $3 AND lease = $4";
const RETRY: &str = "UPDATE outbox SET next_at = $5, attempts = attempts + 1, last_error = $6, \
    maybe_sent = $7, lease = NULL, lease_until = NULL \
    WHERE notice = $1 AND channel = $2 AND target = $3 AND lease = $4";
const HOLD: &str = "UPDATE outbox SET next_at = $5, lease = NULL, lease_until = NULL \
    WHERE notice = $1 AND channel = $2 AND target = $3 AND lease = $4";
const GIVEN_UP: &str = "UPDATE outbox SET state = 'given_up', settled_at = $5, \
    attempts = attempts + 1, last_error = $6, lease = NULL, lease_until = NULL \
    WHERE notice = $1 AND channel = $2 AND target = $3 AND lease = $4";
const UNREADABLE: &str = "UPDATE outbox SET state = 'given_up', settled_at = $2, \
    last_error = 'the notice cannot be read', lease = NULL, lease_until = NULL \
    WHERE notice = $1 AND state = 'pending'";
const NOTIFIED: &str = "UPDATE messages SET notified_at = $2 \
    WHERE id = $1 AND notified_at IS NULL AND deleted_at IS NULL";
const OPEN: &str = "SELECT COUNT(*) FROM outbox WHERE notice = $1 AND state = 'pending'";
const TOLD: &str = "SELECT COUNT(*) FROM outbox WHERE notice = $1 AND state = 'sent'";
const NEXT: &str = "SELECT MIN(CASE WHEN lease_until IS NOT NULL AND lease_until > next_at \
    THEN lease_until ELSE next_at END) FROM outbox WHERE channel = $1 AND state = 'pending'";
// What everyone was told is kept without what it said: it may hold a serial or a code.
const EMPTY: &str = "UPDATE notices SET payload = '{}' WHERE id = $1 \
    AND kind NOT IN ('new_message', 'event')";

#[async_trait]
impl OutboxStore for SqliteStore {
    async fn lease_deliveries(
        &self,
        channel: Channel,
        now: WallTime,
        until: WallTime,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let lease = uuid::Uuid::new_v4().to_string();
        let mut tx = self.begin().await?;
        let rows = sqlx::query(LEASE)
            .bind(&lease)
            .bind(until.as_unix_millis())
            .bind(now.as_unix_millis())
            .bind(i64::from(limit))
            .bind(channel.name())
            .fetch_all(&mut *tx)
            .await?;
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in &rows {
            match find_notice(&mut tx, row.try_get("notice")?).await {
                Ok(notice) => deliveries.push(read(row, notice, &lease)?),
                Err(why @ StoreError::Unreadable { .. }) => {
                    // One row that cannot be read must not stop the others.
                    error!(%why, "A delivery was given up.");
                    let given_up =
                        sqlx::query(UNREADABLE).bind(row.try_get::<String, _>("notice")?);
                    given_up.bind(now.as_unix_millis()).execute(&mut *tx).await?;
                }
                Err(why) => return Err(why),
            }
        }
        tx.commit().await?;
        Ok(deliveries)
    }

    async fn next_delivery(&self, channel: Channel) -> Result<Option<WallTime>, StoreError> {
        let query = sqlx::query_scalar(NEXT).bind(channel.name());
        let next: Option<i64> = query.fetch_one(&self.readers).await?;
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
            Next::Retry { at, why, maybe_sent } => {
                of(RETRY, delivery).bind(at.as_unix_millis()).bind(why).bind(i64::from(*maybe_sent))
            }
            Next::Hold { at } => of(HOLD, delivery).bind(at.as_unix_millis()),
            Next::GiveUp { why } => of(GIVEN_UP, delivery).bind(now).bind(why),
        };
        if query.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let notice = delivery.id().to_string();
        if *next == Next::Sent && delivery.notice.body == NoticeBody::NewMessage {
            sqlx::query(NOTIFIED).bind(&notice).bind(now).execute(&mut *tx).await?;
        }
        let open: i64 = sqlx::query_scalar(OPEN).bind(&notice).fetch_one(&mut *tx).await?;
        let told: i64 = sqlx::query_scalar(TOLD).bind(&notice).fetch_one(&mut *tx).await?;
        if open == 0 {
            sqlx::query(EMPTY).bind(&notice).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(open == 0 && told > 0)
    }
}

pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

pub(super) fn of<'q>(sql: &'static str, delivery: &'q Delivery) -> Query<'q> {
    sqlx::query(sql)
        .bind(delivery.id().to_string())
        .bind(delivery.channel.name())
        .bind(&delivery.target)
        .bind(&delivery.lease)
}

/// Puts one delivery in. False when it was there already: it stays as it is.
pub(super) async fn put_delivery(
    tx: &mut Transaction<'static, Sqlite>,
    notice: NoticeId,
    (channel, target): (Channel, &str),
    now: WallTime,
) -> Result<bool, StoreError> {
    let put = sqlx::query(PUT)
        .bind(notice.to_string())
        .bind(channel.name())
        .bind(target)
        .bind(now.as_unix_millis())
        .execute(&mut **tx)
        .await?;
    Ok(put.rows_affected() == 1)
}

fn read(row: &SqliteRow, notice: Notice, lease: &str) -> Result<Delivery, StoreError> {
    let wrong = |what| unreadable(format!("delivery of {}", notice.id), what);
    let channel: String = row.try_get("channel")?;
    let channel = Channel::from_name(&channel).ok_or_else(|| wrong("an unknown channel"))?;
    Ok(Delivery {
        notice,
        channel,
        target: row.try_get("target")?,
        attempts: row.try_get::<i64, _>("attempts")? as u32,
        maybe_sent: row.try_get::<i64, _>("maybe_sent")? as u32,
        created_at: time(row.try_get("created_at")?),
        lease: lease.to_owned(),
    })
}
