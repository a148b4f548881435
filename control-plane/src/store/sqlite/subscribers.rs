//! Devices, sessions and subscribers' choices in SQLite.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::push::drop_push_endpoints;
use super::{SqliteStore, time, unreadable};
use crate::store::{ForwardingProof, Page, StoreError, SubscriberStore};
use crate::subscriber::{Device, DeviceEnd, DeviceId, NotificationChange, NotificationSettings};

const KEEP: &str = "INSERT INTO devices \
    (id, contract, mailbox, name, token_hash, created_at, seen_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const BY_TOKEN: &str = "SELECT * FROM devices WHERE token_hash = $1";
const PAGE: &str = "SELECT * FROM devices WHERE mailbox = $1 AND ended_at IS NULL \
    AND (created_at > $2 OR (created_at = $2 AND id > $3)) ORDER BY created_at, id LIMIT $4";
const RENAME: &str = "UPDATE devices SET name = $3 \
    WHERE mailbox = $1 AND id = $2 AND ended_at IS NULL RETURNING *";
const SEE: &str = "UPDATE devices SET seen_at = $2 WHERE id = $1 AND seen_at < $2";
const END: &str = "UPDATE devices SET name = '', ended_at = $3, end_reason = $4 \
    WHERE mailbox = $1 AND ($2 IS NULL OR id = $2) AND ended_at IS NULL";
const SETTINGS: &str = "SELECT * FROM notification_settings WHERE mailbox = $1";
const SET: &str = "INSERT INTO notification_settings (mailbox, mail, sms, push, quiet_hours) \
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (mailbox) DO UPDATE SET mail = excluded.mail, \
    sms = excluded.sms, push = excluded.push, quiet_hours = excluded.quiet_hours";
const PROOF: &str = "SELECT since, proven_at FROM forwarding_proofs WHERE mailbox = $1";
const PROVE: &str = "INSERT INTO forwarding_proofs (mailbox, since, proven_at) \
    VALUES ($1, $2, $3) ON CONFLICT (mailbox) DO UPDATE SET since = excluded.since, \
    proven_at = excluded.proven_at";

#[async_trait]
impl SubscriberStore for SqliteStore {
    async fn keep_device(&self, device: &Device, token_hash: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        keep_device(&mut tx, device, token_hash).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn device_by_token(&self, token_hash: &str) -> Result<Option<Device>, StoreError> {
        let row = sqlx::query(BY_TOKEN).bind(token_hash).fetch_optional(&self.readers).await?;
        row.as_ref().map(read).transpose()
    }

    async fn devices(&self, mailbox: MailboxId, page: Page) -> Result<Vec<Device>, StoreError> {
        let (at, id) = page.after.map_or((i64::MIN, String::new()), |after| {
            (after.at.as_unix_millis(), DeviceId::from_u128(after.id).to_string())
        });
        let query = sqlx::query(PAGE).bind(mailbox.to_string()).bind(at).bind(id);
        let rows = query.bind(i64::from(page.limit)).fetch_all(&self.readers).await?;
        rows.iter().map(read).collect()
    }

    async fn rename_device(
        &self,
        mailbox: MailboxId,
        device: DeviceId,
        name: &str,
    ) -> Result<Option<Device>, StoreError> {
        let query = sqlx::query(RENAME).bind(mailbox.to_string()).bind(device.to_string());
        let row = query.bind(name).fetch_optional(&self.writer).await?;
        row.as_ref().map(read).transpose()
    }

    async fn see_device(&self, device: DeviceId, now: WallTime) -> Result<(), StoreError> {
        let query = sqlx::query(SEE).bind(device.to_string()).bind(now.as_unix_millis());
        query.execute(&self.writer).await?;
        Ok(())
    }

    async fn sign_out(
        &self,
        mailbox: MailboxId,
        device: Option<DeviceId>,
        now: WallTime,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let ended = end_devices(&mut tx, mailbox, device, DeviceEnd::SignedOut, now).await?;
        tx.commit().await?;
        Ok(ended)
    }

    async fn notification_settings(
        &self,
        mailbox: MailboxId,
    ) -> Result<NotificationSettings, StoreError> {
        let query = sqlx::query(SETTINGS).bind(mailbox.to_string());
        let row = query.fetch_optional(&self.readers).await?;
        read_settings(row.as_ref(), mailbox)
    }

    async fn change_notification_settings(
        &self,
        mailbox: MailboxId,
        change: NotificationChange,
    ) -> Result<NotificationSettings, StoreError> {
        let mut tx = self.begin().await?;
        let settings = settings_of(&mut tx, mailbox).await?.with(change);
        sqlx::query(SET)
            .bind(mailbox.to_string())
            .bind(settings.mail)
            .bind(settings.sms)
            .bind(settings.push)
            .bind(settings.quiet_hours.map(|hours| hours.to_string()))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(settings)
    }

    async fn forwarding_proof(
        &self,
        mailbox: MailboxId,
    ) -> Result<Option<ForwardingProof>, StoreError> {
        let query = sqlx::query(PROOF).bind(mailbox.to_string());
        let Some(row) = query.fetch_optional(&self.readers).await? else { return Ok(None) };
        let proven_at = row.try_get::<Option<i64>, _>("proven_at")?.map(time);
        Ok(Some(ForwardingProof { since: time(row.try_get("since")?), proven_at }))
    }

    async fn set_forwarding_proof(
        &self,
        mailbox: MailboxId,
        proof: ForwardingProof,
    ) -> Result<(), StoreError> {
        sqlx::query(PROVE)
            .bind(mailbox.to_string())
            .bind(proof.since.as_unix_millis())
            .bind(proof.proven_at.map(WallTime::as_unix_millis))
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}

/// How a mailbox's owner wants to be told, inside a transaction.
pub(super) async fn settings_of(
    tx: &mut Transaction<'static, Sqlite>,
    mailbox: MailboxId,
) -> Result<NotificationSettings, StoreError> {
    let query = sqlx::query(SETTINGS).bind(mailbox.to_string());
    let row = query.fetch_optional(&mut **tx).await?;
    read_settings(row.as_ref(), mailbox)
}

/// Keeps a new device inside a transaction.
pub(super) async fn keep_device(
    tx: &mut Transaction<'static, Sqlite>,
    device: &Device,
    token_hash: &str,
) -> Result<(), StoreError> {
    sqlx::query(KEEP)
        .bind(device.id.to_string())
        .bind(&device.contract)
        .bind(device.mailbox.to_string())
        .bind(&device.name)
        .bind(token_hash)
        .bind(device.created_at.as_unix_millis())
        .bind(device.seen_at.as_unix_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Ends one device of a mailbox, or all. What stays of it: that its token was given out.
pub(super) async fn end_devices(
    tx: &mut Transaction<'static, Sqlite>,
    mailbox: MailboxId,
    device: Option<DeviceId>,
    end: DeviceEnd,
    now: WallTime,
) -> Result<u64, StoreError> {
    let device = device.map(|id| id.to_string());
    drop_push_endpoints(tx, mailbox, device.as_deref()).await?;
    let ended = sqlx::query(END)
        .bind(mailbox.to_string())
        .bind(device)
        .bind(now.as_unix_millis())
        .bind(end.name())
        .execute(&mut **tx)
        .await?;
    Ok(ended.rows_affected())
}

/// Drops everything that stands here for a mailbox that is deleted: devices are signed out for
/// good, choices go.
pub(super) async fn forget_subscriber(
    tx: &mut Transaction<'static, Sqlite>,
    mailbox: MailboxId,
    now: WallTime,
) -> Result<(), StoreError> {
    end_devices(tx, mailbox, None, DeviceEnd::ContractEnded, now).await?;
    for sql in [
        "DELETE FROM notification_settings WHERE mailbox = $1",
        "DELETE FROM forwarding_proofs WHERE mailbox = $1",
        "DELETE FROM one_time_codes WHERE setup IN (SELECT id FROM setups WHERE mailbox = $1)",
        "DELETE FROM setups WHERE mailbox = $1",
    ] {
        sqlx::query(sql).bind(mailbox.to_string()).execute(&mut **tx).await?;
    }
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Device, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("device {id}"), what);
    let mailbox: String = row.try_get("mailbox")?;
    let end: Option<String> = row.try_get("end_reason")?;
    let end = end.map(|name| DeviceEnd::from_name(&name).ok_or_else(|| wrong("an unknown end")));
    Ok(Device {
        id: id.parse().map_err(|_| wrong("a malformed id"))?,
        contract: row.try_get("contract")?,
        mailbox: mailbox.parse().map_err(|_| wrong("a malformed mailbox"))?,
        name: row.try_get("name")?,
        created_at: time(row.try_get("created_at")?),
        seen_at: time(row.try_get("seen_at")?),
        ended: end.transpose()?,
    })
}

fn read_settings(
    row: Option<&SqliteRow>,
    mailbox: MailboxId,
) -> Result<NotificationSettings, StoreError> {
    let Some(row) = row else { return Ok(NotificationSettings::default()) };
    let wrong = || unreadable(format!("notification settings of {mailbox}"), "malformed hours");
    let quiet_hours: Option<String> = row.try_get("quiet_hours")?;
    let quiet_hours = quiet_hours.map(|text| text.parse().map_err(|_| wrong())).transpose()?;
    Ok(NotificationSettings {
        mail: row.try_get("mail")?,
        sms: row.try_get("sms")?,
        push: row.try_get("push")?,
        quiet_hours,
    })
}
