//! Mailboxes in SQLite.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, SqliteExecutor, Transaction};

use super::blocked::forget;
use super::jobs::put_job;
use super::messages::{bury, newest};
use super::notices::drop_notices_of;
use super::numbers::quarantine_number;
use super::push::drop_push_endpoints;
use super::subscribers::forget_subscriber;
use super::{SqliteStore, time, unreadable};
use crate::contract::ContractError;
use crate::mailbox::{
    GreetingChoice, MailboxSettings, StoredMailbox, language_from_name, language_name,
};
use crate::store::{MailboxStore, Page, StoreError, Task};

const CREATE: &str = "INSERT INTO mailboxes \
    (id, number, language, beep, quiet_limit_s, recording_limit_s, greeting, own_greeting, \
     addresses, version, created_at, updated_at, deleted_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const BY_ID: &str = "SELECT * FROM mailboxes WHERE id = $1";
const BY_NUMBER: &str = "SELECT * FROM mailboxes WHERE number = $1 AND deleted_at IS NULL";
const PAGE: &str = "SELECT * FROM mailboxes \
    WHERE deleted_at IS NULL AND (created_at > $1 OR (created_at = $1 AND id > $2)) \
    ORDER BY created_at, id LIMIT $3";
const UPDATE: &str = "UPDATE mailboxes SET language = $3, beep = $4, quiet_limit_s = $5, \
    recording_limit_s = $6, greeting = $7, own_greeting = $8, addresses = $9, \
    version = version + 1, updated_at = $10 \
    WHERE id = $1 AND version = $2 AND deleted_at IS NULL";
const DELETE: &str = "UPDATE mailboxes SET deleted_at = $2, updated_at = $2, addresses = '[]', \
    own_greeting = 0, greeting = 'default', version = version + 1 \
    WHERE id = $1 AND deleted_at IS NULL";
const OWNED: &str = "SELECT mailboxes.number, contracts.id FROM mailboxes \
    LEFT JOIN contracts ON contracts.mailbox = mailboxes.id \
    WHERE mailboxes.id = $1 AND mailboxes.deleted_at IS NULL";
const OWN_GREETINGS: &str =
    "SELECT id FROM mailboxes WHERE own_greeting = 1 AND deleted_at IS NULL ORDER BY id";

#[async_trait]
impl MailboxStore for SqliteStore {
    async fn create_mailbox(&self, mailbox: &StoredMailbox) -> Result<(), StoreError> {
        insert_mailbox(&self.writer, mailbox).await
    }

    async fn mailbox(&self, id: MailboxId) -> Result<Option<StoredMailbox>, StoreError> {
        let row = sqlx::query(BY_ID).bind(id.to_string()).fetch_optional(&self.readers).await?;
        row.as_ref().map(read).transpose()
    }

    async fn mailbox_by_number(&self, number: &str) -> Result<Option<StoredMailbox>, StoreError> {
        let row = sqlx::query(BY_NUMBER).bind(number).fetch_optional(&self.readers).await?;
        row.as_ref().map(read).transpose()
    }

    async fn mailboxes(&self, page: Page) -> Result<Vec<StoredMailbox>, StoreError> {
        let (at, id) = page.after.map_or((i64::MIN, String::new()), |after| {
            (after.at.as_unix_millis(), MailboxId::from_u128(after.id).to_string())
        });
        let query = sqlx::query(PAGE).bind(at).bind(id).bind(i64::from(page.limit));
        query.fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    async fn update_mailbox(&self, mailbox: &StoredMailbox) -> Result<bool, StoreError> {
        let settings = &mailbox.settings;
        let changed = sqlx::query(UPDATE)
            .bind(mailbox.id.to_string())
            .bind(mailbox.version)
            .bind(language_name(settings.language))
            .bind(settings.beep)
            .bind(settings.quiet_limit_s.map(i64::from))
            .bind(i64::from(settings.recording_limit_s))
            .bind(settings.greeting.name())
            .bind(mailbox.own_greeting)
            .bind(addresses_text(&settings.addresses))
            .bind(mailbox.updated_at.as_unix_millis())
            .execute(&self.writer)
            .await?;
        Ok(changed.rows_affected() == 1)
    }

    async fn delete_mailbox(&self, id: MailboxId, now: WallTime) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let number: Option<(String, Option<String>)> =
            sqlx::query_as(OWNED).bind(id.to_string()).fetch_optional(&mut *tx).await?;
        let Some((number, contract)) = number else { return Ok(false) };
        if contract.is_some() {
            return Err(ContractError::MailboxOfContract.into());
        }
        bury_mailbox(&mut tx, id, now).await?;
        quarantine_number(&mut tx, &number, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn own_greetings(&self) -> Result<Vec<MailboxId>, StoreError> {
        let rows: Vec<String> = sqlx::query_scalar(OWN_GREETINGS).fetch_all(&self.readers).await?;
        rows.iter().map(|id| id.parse().map_err(|_| unreadable(id, "a malformed id"))).collect()
    }
}

/// Writes a new mailbox; `NumberTaken` when its number has one.
pub(super) async fn insert_mailbox(
    executor: impl SqliteExecutor<'_>,
    mailbox: &StoredMailbox,
) -> Result<(), StoreError> {
    let settings = &mailbox.settings;
    let created = sqlx::query(CREATE)
        .bind(mailbox.id.to_string())
        .bind(&mailbox.number)
        .bind(language_name(settings.language))
        .bind(settings.beep)
        .bind(settings.quiet_limit_s.map(i64::from))
        .bind(i64::from(settings.recording_limit_s))
        .bind(settings.greeting.name())
        .bind(mailbox.own_greeting)
        .bind(addresses_text(&settings.addresses))
        .bind(mailbox.version)
        .bind(mailbox.created_at.as_unix_millis())
        .bind(mailbox.updated_at.as_unix_millis())
        .bind(mailbox.deleted_at.map(WallTime::as_unix_millis))
        .execute(executor)
        .await;
    match created {
        Err(sqlx::Error::Database(e)) if e.is_unique_violation() => {
            Err(StoreError::NumberTaken { number: mailbox.number.clone() })
        }
        other => Ok(other.map(|_| ())?),
    }
}

/// Deletes a mailbox with everything in it. False when it was deleted before.
pub(super) async fn bury_mailbox(
    tx: &mut Transaction<'static, Sqlite>,
    id: MailboxId,
    now: WallTime,
) -> Result<bool, StoreError> {
    let query = sqlx::query(DELETE).bind(id.to_string()).bind(now.as_unix_millis());
    if query.execute(&mut **tx).await?.rows_affected() == 0 {
        return Ok(false);
    }
    erase_everything(tx, id, now).await?;
    Ok(true)
}

async fn erase_everything(
    tx: &mut Transaction<'static, Sqlite>,
    id: MailboxId,
    now: WallTime,
) -> Result<(), StoreError> {
    for message in newest(tx, id).await? {
        bury(tx, message, now).await?;
    }
    drop_notices_of(tx, id).await?;
    drop_push_endpoints(tx, id, None).await?;
    forget_subscriber(tx, id, now).await?;
    forget(tx, id).await?;
    put_job(tx, Task::EraseGreeting(id), now).await
}

fn read(row: &SqliteRow) -> Result<StoredMailbox, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("mailbox {id}"), what);
    let language: String = row.try_get("language")?;
    let greeting: String = row.try_get("greeting")?;
    let addresses: String = row.try_get("addresses")?;
    let settings = MailboxSettings {
        language: language_from_name(&language).ok_or_else(|| wrong("an unknown language"))?,
        greeting: GreetingChoice::from_name(&greeting)
            .ok_or_else(|| wrong("an unknown greeting"))?,
        beep: row.try_get("beep")?,
        quiet_limit_s: row.try_get::<Option<i64>, _>("quiet_limit_s")?.map(|s| s as u32),
        recording_limit_s: row.try_get::<i64, _>("recording_limit_s")? as u32,
        addresses: serde_json::from_str(&addresses).map_err(|_| wrong("malformed addresses"))?,
    };
    Ok(StoredMailbox {
        id: id.parse().map_err(|_| wrong("a malformed id"))?,
        number: row.try_get("number")?,
        settings,
        own_greeting: row.try_get("own_greeting")?,
        version: row.try_get("version")?,
        created_at: time(row.try_get("created_at")?),
        updated_at: time(row.try_get("updated_at")?),
        deleted_at: row.try_get::<Option<i64>, _>("deleted_at")?.map(time),
    })
}

fn addresses_text(addresses: &[String]) -> String {
    serde_json::to_string(addresses).expect("strings are always JSON")
}
