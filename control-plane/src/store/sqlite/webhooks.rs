//! Webhooks in SQLite. [`put_event`] works inside any transaction of this store.

use async_trait::async_trait;
use engine_core::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::audit::append_audit;
use super::notices::put_kept_notice;
use super::{SqliteStore, time, unreadable};
use crate::audit::{Change, Deed};
use crate::notice::{Notice, NoticeId};
use crate::outbox::Channel;
use crate::store::{Page, Replay, StoreError, WebhookStore};
use crate::webhook::{Webhook, WebhookDelivery, WebhookId};

const CREATE: &str = "INSERT INTO webhooks (id, url, events, description, enabled, generation, \
    rotated_at, created_at, updated_at) \
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE (SELECT COUNT(*) FROM webhooks) < $10";
const BY_ID: &str = "SELECT * FROM webhooks WHERE id = $1";
const PAGE: &str = "SELECT * FROM webhooks WHERE created_at > $1 OR (created_at = $1 AND id > $2) \
    ORDER BY created_at, id LIMIT $3";
const ENABLED: &str = "SELECT * FROM webhooks WHERE enabled = 1 ORDER BY created_at, id";
const UPDATE: &str = "UPDATE webhooks SET url = $2, events = $3, description = $4, enabled = $5, \
    updated_at = $6 WHERE id = $1";
const ROTATE: &str = "UPDATE webhooks SET generation = generation + 1, rotated_at = $2, \
    updated_at = $2 WHERE id = $1 RETURNING *";
const DELETE: &str = "DELETE FROM webhooks WHERE id = $1";
const DELETE_LOG: &str = "DELETE FROM outbox WHERE channel = 'webhook' AND target = $1";
const LOG: &str = "SELECT o.*, n.payload, n.created_at AS happened_at \
    FROM outbox o JOIN notices n ON n.id = o.notice \
    WHERE o.channel = 'webhook' AND o.target = $1 \
        AND (n.created_at < $2 OR (n.created_at = $2 AND n.id < $3)) \
    ORDER BY n.created_at DESC, n.id DESC LIMIT $4";
// A replay starts anew: its age counts from now.
const REPLAY_ONE: &str = "UPDATE outbox SET state = 'pending', attempts = 0, next_at = $3, \
    created_at = $3, settled_at = NULL, lease = NULL, lease_until = NULL \
    WHERE channel = 'webhook' AND target = $1 AND notice = $2";
const REPLAY_SINCE: &str = "UPDATE outbox SET state = 'pending', attempts = 0, next_at = $3, \
    created_at = $3, settled_at = NULL, lease = NULL, lease_until = NULL \
    WHERE channel = 'webhook' AND target = $1 AND state = 'given_up' \
        AND notice IN (SELECT id FROM notices WHERE created_at >= $2)";

#[async_trait]
impl WebhookStore for SqliteStore {
    async fn create_webhook(
        &self,
        webhook: &Webhook,
        most: u32,
        change: Change,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let created = sqlx::query(CREATE)
            .bind(webhook.id.to_string())
            .bind(&webhook.url)
            .bind(webhook.events.join(" "))
            .bind(&webhook.description)
            .bind(webhook.enabled)
            .bind(i64::from(webhook.generation))
            .bind(webhook.rotated_at.map(WallTime::as_unix_millis))
            .bind(webhook.created_at.as_unix_millis())
            .bind(webhook.updated_at.as_unix_millis())
            .bind(i64::from(most))
            .execute(&mut *tx)
            .await?;
        if created.rows_affected() == 0 {
            return Ok(false);
        }
        audit(&mut tx, "webhook.created", webhook.id, change).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let row = sqlx::query(BY_ID).bind(id.to_string()).fetch_optional(&self.readers).await?;
        row.as_ref().map(read).transpose()
    }

    async fn webhooks(&self, page: Page) -> Result<Vec<Webhook>, StoreError> {
        let (at, id) = page.after.map_or((i64::MIN, String::new()), |after| {
            (after.at.as_unix_millis(), NoticeId::from_u128(after.id).to_string())
        });
        let query = sqlx::query(PAGE).bind(at).bind(id).bind(i64::from(page.limit));
        query.fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    async fn update_webhook(&self, webhook: &Webhook, change: Change) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed = sqlx::query(UPDATE)
            .bind(webhook.id.to_string())
            .bind(&webhook.url)
            .bind(webhook.events.join(" "))
            .bind(&webhook.description)
            .bind(webhook.enabled)
            .bind(webhook.updated_at.as_unix_millis())
            .execute(&mut *tx)
            .await?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        audit(&mut tx, "webhook.changed", webhook.id, change).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn rotate_webhook(
        &self,
        id: WebhookId,
        change: Change,
    ) -> Result<Option<Webhook>, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query(ROTATE).bind(id.to_string()).bind(change.at.as_unix_millis());
        let Some(row) = query.fetch_optional(&mut *tx).await? else { return Ok(None) };
        audit(&mut tx, "webhook.rotated", id, change).await?;
        tx.commit().await?;
        read(&row).map(Some)
    }

    async fn delete_webhook(&self, id: WebhookId, change: Change) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let deleted = sqlx::query(DELETE).bind(id.to_string()).execute(&mut *tx).await?;
        if deleted.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(DELETE_LOG).bind(id.to_string()).execute(&mut *tx).await?;
        audit(&mut tx, "webhook.deleted", id, change).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn put_event(
        &self,
        id: NoticeId,
        event: &str,
        data: serde_json::Value,
        now: WallTime,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        put_event(&mut tx, id, event, data, now).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn put_event_for(
        &self,
        webhook: WebhookId,
        event: &str,
        data: serde_json::Value,
        change: Change,
    ) -> Result<NoticeId, StoreError> {
        let notice = Notice::event(NoticeId::new(), event, data, change.at);
        let mut tx = self.begin().await?;
        put_kept_notice(&mut tx, &notice, &[(Channel::Webhook, &webhook.to_string())]).await?;
        audit(&mut tx, "webhook.tested", webhook, change).await?;
        tx.commit().await?;
        Ok(notice.id)
    }

    async fn webhook_deliveries(
        &self,
        id: WebhookId,
        page: Page,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        let (at, notice) = page.after.map_or((i64::MAX, String::new()), |after| {
            (after.at.as_unix_millis(), NoticeId::from_u128(after.id).to_string())
        });
        let query =
            sqlx::query(LOG).bind(id.to_string()).bind(at).bind(notice).bind(i64::from(page.limit));
        query.fetch_all(&self.readers).await?.iter().map(read_delivery).collect()
    }

    async fn replay_webhook(
        &self,
        id: WebhookId,
        which: Replay,
        change: Change,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let query = match which {
            Replay::One(notice) => {
                sqlx::query(REPLAY_ONE).bind(id.to_string()).bind(notice.to_string())
            }
            Replay::FailedSince(time) => {
                sqlx::query(REPLAY_SINCE).bind(id.to_string()).bind(time.as_unix_millis())
            }
        };
        let replayed = query.bind(change.at.as_unix_millis()).execute(&mut *tx).await?;
        let replayed = replayed.rows_affected();
        if replayed > 0 {
            audit(&mut tx, "webhook.replayed", id, change).await?;
        }
        tx.commit().await?;
        Ok(replayed)
    }
}

async fn audit(
    tx: &mut Transaction<'static, Sqlite>,
    action: &'static str,
    id: WebhookId,
    change: Change,
) -> Result<(), StoreError> {
    // Its URL may hold a secret of the program's: the id says enough.
    let subject = format!("webhook:{id}");
    append_audit(tx, change, &Deed { action, subject, detail: serde_json::json!({}) }).await
}

/// Tells every webhook that wants it of an event, once however often it is put.
pub(super) async fn put_event(
    tx: &mut Transaction<'static, Sqlite>,
    id: NoticeId,
    event: &str,
    data: serde_json::Value,
    now: WallTime,
) -> Result<(), StoreError> {
    let mut targets = Vec::new();
    for row in &sqlx::query(ENABLED).fetch_all(&mut **tx).await? {
        let webhook = read(row)?;
        if webhook.wants(event) {
            targets.push(webhook.id.to_string());
        }
    }
    let targets: Vec<_> = targets.iter().map(|id| (Channel::Webhook, id.as_str())).collect();
    put_kept_notice(tx, &Notice::event(id, event, data, now), &targets).await
}

fn read(row: &SqliteRow) -> Result<Webhook, StoreError> {
    let id: String = row.try_get("id")?;
    let events: String = row.try_get("events")?;
    Ok(Webhook {
        id: id.parse().map_err(|_| unreadable(format!("webhook {id}"), "a malformed id"))?,
        url: row.try_get("url")?,
        events: events.split_whitespace().map(str::to_owned).collect(),
        description: row.try_get("description")?,
        enabled: row.try_get("enabled")?,
        generation: row.try_get::<i64, _>("generation")? as u32,
        rotated_at: row.try_get::<Option<i64>, _>("rotated_at")?.map(time),
        created_at: time(row.try_get("created_at")?),
        updated_at: time(row.try_get("updated_at")?),
    })
}

fn read_delivery(row: &SqliteRow) -> Result<WebhookDelivery, StoreError> {
    let notice: String = row.try_get("notice")?;
    let payload: String = row.try_get("payload")?;
    let payload: serde_json::Value = serde_json::from_str(&payload).unwrap_or_default();
    let state: String = row.try_get("state")?;
    let next_at = time(row.try_get("next_at")?);
    Ok(WebhookDelivery {
        event: payload["event"].as_str().unwrap_or_default().to_owned(),
        next_at: (state == "pending").then_some(next_at),
        state,
        attempts: row.try_get::<i64, _>("attempts")? as u32,
        created_at: time(row.try_get("happened_at")?),
        settled_at: row.try_get::<Option<i64>, _>("settled_at")?.map(time),
        last_error: row.try_get("last_error")?,
        notice: notice
            .parse()
            .map_err(|_| unreadable(format!("delivery of {notice}"), "a malformed id"))?,
    })
}
