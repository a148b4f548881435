//! Notices in SQLite. [`put_notice`] works inside any transaction of this store.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::text::Language;
use engine_core::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::outbox::{of, put_delivery};
use super::{SqliteStore, time, unreadable};
use crate::notice::{Notice, NoticeBody, NoticeId};
use crate::outbox::{Channel, Delivery};
use crate::store::{NoticeStore, StoreError};

const PUT: &str = "INSERT INTO notices \
    (id, kind, subject, mailbox, contract, language, payload, quiet_hours, created_at, expires_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
    ON CONFLICT (id) DO UPDATE SET payload = excluded.payload";
const BY_ID: &str = "SELECT * FROM notices WHERE id = $1";
const DROP_DELIVERIES: &str = "DELETE FROM outbox WHERE notice = $1";
const DROP: &str = "DELETE FROM notices WHERE id = $1";
const DROP_DELIVERIES_OF: &str =
    "DELETE FROM outbox WHERE notice IN (SELECT id FROM notices WHERE mailbox = $1)";
const BEGIN: &str = "UPDATE outbox SET maybe_sent = maybe_sent + 1 \
    WHERE notice = $1 AND channel = $2 AND target = $3 AND lease = $4";
const KEEP_REFERENCE: &str = "INSERT INTO sms_parts (reference, notice, created_at) \
    VALUES ($1, $2, $3) ON CONFLICT (reference) DO UPDATE SET notice = excluded.notice";
const KEEP_STATE: &str = "INSERT INTO sms_parts (reference, state, state_at, created_at) \
    VALUES ($1, $2, $3, $3) \
    ON CONFLICT (reference) DO UPDATE SET state = excluded.state, state_at = excluded.state_at";
const STATES: &str = "SELECT state FROM sms_parts WHERE notice = $1 ORDER BY created_at, reference";
const OLD: &str = "SELECT id FROM notices WHERE created_at < $1 AND kind <> 'new_message' \
    AND NOT EXISTS (SELECT 1 FROM outbox WHERE notice = notices.id AND state = 'pending') \
    ORDER BY created_at LIMIT $2";
const DROP_OLD_PARTS: &str = "DELETE FROM sms_parts WHERE created_at < $1";
const DROP_OF: &str = "DELETE FROM notices WHERE mailbox = $1";

#[async_trait]
impl NoticeStore for SqliteStore {
    async fn put_notice(
        &self,
        notice: &Notice,
        targets: &[(Channel, &str)],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        put_notice(&mut tx, notice, targets).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn begin_delivery(&self, delivery: &Delivery) -> Result<bool, StoreError> {
        let begun = of(BEGIN, delivery).execute(&self.writer).await?;
        Ok(begun.rows_affected() == 1)
    }

    async fn keep_sms_references(
        &self,
        notice: NoticeId,
        references: &[String],
        now: WallTime,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for reference in references {
            sqlx::query(KEEP_REFERENCE)
                .bind(reference)
                .bind(notice.to_string())
                .bind(now.as_unix_millis())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn keep_sms_state(
        &self,
        reference: &str,
        state: &str,
        now: WallTime,
    ) -> Result<(), StoreError> {
        let query = sqlx::query(KEEP_STATE).bind(reference).bind(state);
        query.bind(now.as_unix_millis()).execute(&self.writer).await?;
        Ok(())
    }

    async fn sms_states(&self, notice: NoticeId) -> Result<Vec<Option<String>>, StoreError> {
        let query = sqlx::query_scalar(STATES).bind(notice.to_string());
        Ok(query.fetch_all(&self.readers).await?)
    }

    async fn forget_notices(&self, before: WallTime, limit: u32) -> Result<u64, StoreError> {
        let before = before.as_unix_millis();
        let mut tx = self.begin().await?;
        let query = sqlx::query_scalar(OLD).bind(before).bind(i64::from(limit));
        let old: Vec<String> = query.fetch_all(&mut *tx).await?;
        for id in &old {
            drop_by_id(&mut tx, id).await?;
        }
        sqlx::query(DROP_OLD_PARTS).bind(before).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(old.len() as u64)
    }
}

/// Keeps a notice with a delivery for each target that has none yet. Without such a target
/// nothing is kept: nobody is told.
pub(super) async fn put_notice(
    tx: &mut Transaction<'static, Sqlite>,
    notice: &Notice,
    targets: &[(Channel, &str)],
) -> Result<(), StoreError> {
    let mut is_new = false;
    for &target in targets {
        is_new |= put_delivery(tx, notice.id, target, notice.created_at).await?;
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
    drop_by_id(tx, &id.to_string()).await
}

async fn drop_by_id(tx: &mut Transaction<'static, Sqlite>, id: &str) -> Result<(), StoreError> {
    sqlx::query(DROP_DELIVERIES).bind(id).execute(&mut **tx).await?;
    sqlx::query(DROP).bind(id).execute(&mut **tx).await?;
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
