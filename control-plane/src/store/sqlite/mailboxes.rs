//! Mailboxes in SQLite.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, SqliteExecutor, Transaction};
use tracing::warn;

use super::audit::append_audit;
use super::blocked::forget;
use super::deletions::{count, open_deletion};
use super::jobs::put_job;
use super::messages::{bury, newest};
use super::notices::drop_notices_of;
use super::numbers::quarantine_number;
use super::push::drop_push_endpoints;
use super::sealed::{ADDRESSES, HOTWORDS, NOTHING, Opener, SealedLists, opener, read_list};
use super::subscribers::forget_subscriber;
use super::{SqliteStore, time, unreadable};
use crate::audit::{Change, Deed};
use crate::clock;
use crate::contract::ContractError;
use crate::mailbox::{
    GreetingChoice, MailboxSettings, StoredMailbox, language_from_name, language_name,
};
use crate::store::{MailboxStore, Page, StoreError, Task};

const CREATE: &str = "INSERT INTO mailboxes \
    (id, number, language, beep, quiet_limit_s, recording_limit_s, greeting, own_greeting, \
     addresses, hotwords, version, created_at, updated_at, deleted_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
const BY_ID: &str = "SELECT * FROM mailboxes WHERE id = $1";
const BY_NUMBER: &str = "SELECT * FROM mailboxes WHERE number = $1 AND deleted_at IS NULL";
const PAGE: &str = "SELECT * FROM mailboxes \
    WHERE deleted_at IS NULL AND (created_at > $1 OR (created_at = $1 AND id > $2)) \
    ORDER BY created_at, id LIMIT $3";
const UPDATE: &str = "UPDATE mailboxes SET language = $3, beep = $4, quiet_limit_s = $5, \
    recording_limit_s = $6, greeting = $7, own_greeting = $8, addresses = $9, \
    hotwords = $10, version = version + 1, updated_at = $11 \
    WHERE id = $1 AND version = $2 AND deleted_at IS NULL";
const DELETE: &str = "UPDATE mailboxes SET deleted_at = $2, updated_at = $2, addresses = '[]', \
    hotwords = '[]',     own_greeting = 0, greeting = 'default', version = version + 1 \
    WHERE id = $1 AND deleted_at IS NULL";
const OWNED: &str = "SELECT mailboxes.number, contracts.id FROM mailboxes \
    LEFT JOIN contracts ON contracts.mailbox = mailboxes.id \
    WHERE mailboxes.id = $1 AND mailboxes.deleted_at IS NULL";
const OWN_GREETINGS: &str =
    "SELECT id FROM mailboxes WHERE own_greeting = 1 AND deleted_at IS NULL ORDER BY id";

#[async_trait]
impl MailboxStore for SqliteStore {
    async fn create_mailbox(
        &self,
        mailbox: &StoredMailbox,
        change: Change,
    ) -> Result<(), StoreError> {
        let lists = SealedLists::of(&self.vault, mailbox).await?;
        let mut tx = self.begin().await?;
        insert_mailbox(&mut *tx, mailbox, &lists).await?;
        append_audit(&mut tx, change, &deed("mailbox.created", mailbox.id)).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn mailbox(&self, id: MailboxId) -> Result<Option<StoredMailbox>, StoreError> {
        let row = sqlx::query(BY_ID).bind(id.to_string()).fetch_optional(&self.readers).await?;
        match row {
            Some(row) => Ok(Some(self.read_mailbox(&row).await?)),
            None => Ok(None),
        }
    }

    async fn mailbox_by_number(&self, number: &str) -> Result<Option<StoredMailbox>, StoreError> {
        let row = sqlx::query(BY_NUMBER).bind(number).fetch_optional(&self.readers).await?;
        let Some(row) = row else { return Ok(None) };
        let mailbox = self.read_mailbox(&row).await?;
        Ok(Some(mailbox).filter(|mailbox| mailbox.deleted_at.is_none()))
    }

    async fn mailboxes(&self, page: Page) -> Result<Vec<StoredMailbox>, StoreError> {
        let (at, id) = page.after.map_or((i64::MIN, String::new()), |after| {
            (after.at.as_unix_millis(), MailboxId::from_u128(after.id).to_string())
        });
        let query = sqlx::query(PAGE).bind(at).bind(id).bind(i64::from(page.limit));
        let mut mailboxes = Vec::new();
        for row in query.fetch_all(&self.readers).await? {
            mailboxes.push(self.read_mailbox(&row).await?);
        }
        Ok(mailboxes)
    }

    async fn update_mailbox(
        &self,
        mailbox: &StoredMailbox,
        action: &'static str,
        change: Change,
    ) -> Result<bool, StoreError> {
        let settings = &mailbox.settings;
        let lists = SealedLists::of(&self.vault, mailbox).await?;
        let mut tx = self.begin().await?;
        let changed = sqlx::query(UPDATE)
            .bind(mailbox.id.to_string())
            .bind(mailbox.version)
            .bind(language_name(settings.language))
            .bind(settings.beep)
            .bind(settings.quiet_limit_s.map(i64::from))
            .bind(i64::from(settings.recording_limit_s))
            .bind(settings.greeting.name())
            .bind(mailbox.own_greeting)
            .bind(lists.addresses)
            .bind(lists.hotwords)
            .bind(mailbox.updated_at.as_unix_millis())
            .execute(&mut *tx)
            .await?;
        let is_changed = changed.rows_affected() == 1;
        if is_changed {
            append_audit(&mut tx, change, &deed(action, mailbox.id)).await?;
        }
        tx.commit().await?;
        Ok(is_changed)
    }

    async fn delete_mailbox(&self, id: MailboxId, change: Change) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let number: Option<(String, Option<String>)> =
            sqlx::query_as(OWNED).bind(id.to_string()).fetch_optional(&mut *tx).await?;
        let Some((number, contract)) = number else { return Ok(false) };
        if contract.is_some() {
            return Err(ContractError::MailboxOfContract.into());
        }
        bury_mailbox(&mut tx, id, change.at).await?;
        quarantine_number(&mut tx, &number, change.at).await?;
        append_audit(&mut tx, change, &deed("mailbox.deleted", id)).await?;
        tx.commit().await?;
        // The job does it again, and also after a crash right here.
        if let Err(why) = self.vault.destroy(&[id]).await {
            warn!(mailbox = %id, %why, "A data key could not be destroyed at once; it will be.");
        }
        Ok(true)
    }

    async fn own_greetings(&self) -> Result<Vec<MailboxId>, StoreError> {
        let rows: Vec<String> = sqlx::query_scalar(OWN_GREETINGS).fetch_all(&self.readers).await?;
        rows.iter().map(|id| id.parse().map_err(|_| unreadable(id, "a malformed id"))).collect()
    }
}

fn deed(action: &'static str, id: MailboxId) -> Deed {
    Deed { action, subject: format!("mailbox:{id}"), detail: serde_json::json!({}) }
}

/// Writes a new mailbox with its sealed lists; `NumberTaken` when its number has one.
pub(super) async fn insert_mailbox(
    executor: impl SqliteExecutor<'_>,
    mailbox: &StoredMailbox,
    lists: &SealedLists,
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
        .bind(&lists.addresses)
        .bind(&lists.hotwords)
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
    let deleted = count(tx, id).await?;
    let query = sqlx::query(DELETE).bind(id.to_string()).bind(now.as_unix_millis());
    if query.execute(&mut **tx).await?.rows_affected() == 0 {
        return Ok(false);
    }
    erase_everything(tx, id, now).await?;
    open_deletion(tx, id, deleted, now).await?;
    Ok(true)
}

impl SqliteStore {
    /// Deletes a mailbox that came back out of a backup.
    pub(super) async fn delete_again(&self, id: MailboxId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        bury_mailbox(&mut tx, id, clock::now()).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn read_mailbox(&self, row: &SqliteRow) -> Result<StoredMailbox, StoreError> {
        let id: String = row.try_get("id")?;
        let addresses: String = row.try_get(ADDRESSES)?;
        let hotwords: String = row.try_get(HOTWORDS)?;
        let mut mailbox = read(row)?;
        if addresses == NOTHING && hotwords == NOTHING {
            return Ok(mailbox);
        }
        match opener(&self.vault, mailbox.id).await? {
            Opener::Key(key) => {
                mailbox.settings.addresses = read_list(&key, ADDRESSES, &id, &addresses)?;
                mailbox.settings.hotwords = read_list(&key, HOTWORDS, &id, &hotwords)?;
            }
            // Between the key's end and the row's: it is as good as deleted.
            Opener::Destroyed => {
                mailbox.deleted_at = mailbox.deleted_at.or(Some(mailbox.updated_at));
            }
        }
        Ok(mailbox)
    }
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

/// All but the lists, which are sealed.
fn read(row: &SqliteRow) -> Result<StoredMailbox, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("mailbox {id}"), what);
    let language: String = row.try_get("language")?;
    let greeting: String = row.try_get("greeting")?;
    let settings = MailboxSettings {
        language: language_from_name(&language).ok_or_else(|| wrong("an unknown language"))?,
        greeting: GreetingChoice::from_name(&greeting)
            .ok_or_else(|| wrong("an unknown greeting"))?,
        beep: row.try_get("beep")?,
        quiet_limit_s: row.try_get::<Option<i64>, _>("quiet_limit_s")?.map(|s| s as u32),
        recording_limit_s: row.try_get::<i64, _>("recording_limit_s")? as u32,
        addresses: Vec::new(),
        hotwords: Vec::new(),
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
