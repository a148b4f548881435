//! Notices in SQLite. [`put_notice`] works inside any transaction of this store.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::text::Language;
use engine_core::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::outbox::put_delivery;
use super::sealed::seal_target;
use super::{SqliteStore, time, unreadable};
use crate::notice::{Notice, NoticeBody, NoticeId};
use crate::outbox::Channel;
use crate::store::{NoticeStore, StoreError};
use crate::vault::Vault;

const PUT: &str = "INSERT INTO notices \
    (id, kind, subject, mailbox, contract, language, payload, quiet_hours, created_at, expires_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
    ON CONFLICT (id) DO UPDATE SET payload = excluded.payload";
const BY_ID: &str = "SELECT * FROM notices WHERE id = $1";
const DROP_DELIVERIES: &str = "DELETE FROM outbox WHERE notice = $1";
const DROP: &str = "DELETE FROM notices WHERE id = $1";
const DROP_DELIVERIES_OF: &str =
    "DELETE FROM outbox WHERE notice IN (SELECT id FROM notices WHERE mailbox = $1)";
const DROP_OF: &str = "DELETE FROM notices WHERE mailbox = $1";

#[async_trait]
impl NoticeStore for SqliteStore {
    async fn put_notice(
        &self,
        notice: &Notice,
        targets: &[(Channel, &str)],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        put_notice(&mut tx, &self.vault, notice, targets).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Keeps a notice with a delivery for each target that has none yet. Without such a target
/// nothing is kept: nobody is told. Addresses and numbers of a mailbox are sealed with its key.
pub(super) async fn put_notice(
    tx: &mut Transaction<'static, Sqlite>,
    vault: &Vault,
    notice: &Notice,
    targets: &[(Channel, &str)],
) -> Result<(), StoreError> {
    let mut is_new = false;
    for &(channel, target) in targets {
        let Some(target) = seal_target(vault, notice, channel, target).await? else { continue };
        is_new |= put_delivery(tx, notice.id, (channel, &target), notice.created_at).await?;
    }
    if !is_new {
        return Ok(());
    }
    sqlx::query(PUT)
        .bind(notice.id.to_string())
        .bind(notice.body.kind())
        .bind(&notice.subject)
        .bind(notice.mailbox.map(|id| id.to_string()))
        .bind(&notice.contract)
        .bind(notice.language.code())
        .bind(notice.body.to_row())
        .bind(notice.quiet_hours.map(|hours| hours.to_string()))
        .bind(notice.created_at.as_unix_millis())
        .bind(notice.expires_at.map(WallTime::as_unix_millis))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The notice of a delivery.
pub(super) async fn find_notice(
    tx: &mut Transaction<'static, Sqlite>,
    id: String,
) -> Result<Notice, StoreError> {
    let row = sqlx::query(BY_ID).bind(&id).fetch_optional(&mut **tx).await?;
    read(&row.ok_or_else(|| unreadable(format!("delivery of {id}"), "no notice"))?)
}

/// Drops a notice and what is kept of whom it was told to, settled or not.
pub(super) async fn drop_notice(
    tx: &mut Transaction<'static, Sqlite>,
    id: NoticeId,
) -> Result<(), StoreError> {
    let id = id.to_string();
    sqlx::query(DROP_DELIVERIES).bind(&id).execute(&mut **tx).await?;
    sqlx::query(DROP).bind(&id).execute(&mut **tx).await?;
    Ok(())
}

/// Drops every notice that belongs to a mailbox.
pub(super) async fn drop_notices_of(
    tx: &mut Transaction<'static, Sqlite>,
    mailbox: MailboxId,
) -> Result<(), StoreError> {
    let mailbox = mailbox.to_string();
    sqlx::query(DROP_DELIVERIES_OF).bind(&mailbox).execute(&mut **tx).await?;
    sqlx::query(DROP_OF).bind(&mailbox).execute(&mut **tx).await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Notice, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("notice {id}"), what);
    let mailbox: Option<String> = row.try_get("mailbox")?;
    let language: String = row.try_get("language")?;
    let payload: String = row.try_get("payload")?;
    let quiet_hours: Option<String> = row.try_get("quiet_hours")?;
    Ok(Notice {
        id: id.parse().map_err(|_| wrong("a malformed id"))?,
        body: NoticeBody::from_row(&payload).ok_or_else(|| wrong("a malformed payload"))?,
        subject: row.try_get("subject")?,
        mailbox: mailbox
            .map(|id| id.parse().map_err(|_| wrong("a malformed mailbox")))
            .transpose()?,
        contract: row.try_get("contract")?,
        language: Language::from_code(&language).ok_or_else(|| wrong("an unknown language"))?,
        quiet_hours: quiet_hours
            .map(|hours| hours.parse().map_err(|_| wrong("malformed quiet hours")))
            .transpose()?,
        created_at: time(row.try_get("created_at")?),
        expires_at: row.try_get::<Option<i64>, _>("expires_at")?.map(time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::{Delivery, Next};
    use crate::store::OutboxStore;

    const NOW: WallTime = WallTime::from_unix_millis(1_800_000_000_000);

    async fn store() -> (tempfile::TempDir, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        (folder, store)
    }

    fn code() -> Notice {
        let body = NoticeBody::OneTimeCode { code: "4711".to_owned(), minutes: 10 };
        Notice::new(NoticeId::from_u128(1), body, "1", NOW)
    }

    #[tokio::test]
    async fn a_code_leaves_the_rows_once_it_was_told() {
        let (_folder, store) = store().await;
        store.put_notice(&code(), &[(Channel::Sms, "+819012345678")]).await.unwrap();
        let payload = async || -> String {
            let query = sqlx::query_scalar("SELECT payload FROM notices");
            query.fetch_one(&store.readers).await.unwrap()
        };
        assert!(payload().await.contains("4711"));
        let leased = store.lease_deliveries(Channel::Sms, NOW, NOW, 1).await.unwrap();
        store.settle_delivery(&leased[0], &Next::Sent, NOW).await.unwrap();
        assert_eq!(payload().await, "{}");
    }

    #[tokio::test]
    async fn a_notice_that_cannot_be_read_stops_no_other() {
        let (_folder, store) = store().await;
        store.put_notice(&code(), &[(Channel::Sms, "+819012345678")]).await.unwrap();
        sqlx::query("UPDATE notices SET payload = '{}'").execute(&store.writer).await.unwrap();
        let mut other = code();
        other.id = NoticeId::from_u128(2);
        store.put_notice(&other, &[(Channel::Sms, "+819012345678")]).await.unwrap();
        let leased = store.lease_deliveries(Channel::Sms, NOW, NOW, 9).await.unwrap();
        assert_eq!(leased.iter().map(Delivery::id).collect::<Vec<_>>(), [other.id]);
        let next = store.next_delivery(Channel::Sms).await.unwrap();
        assert_eq!(next, Some(NOW), "only the other is open");
    }
}
