//! Terms of service in SQLite, and who accepted which.

use async_trait::async_trait;
use engine_core::time::WallTime;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::audit::append_audit;
use super::{SqliteStore, time};
use crate::audit::{Change, Deed};
use crate::contract::ContractId;
use crate::store::{StoreError, TermsStore};
use crate::terms::{Terms, TermsText};

const PUBLISH: &str = "INSERT INTO terms \
    (version, effective_from, url_ja, text_ja, url_en, text_en, created_at) \
    VALUES ((SELECT COALESCE(MAX(version), 0) + 1 FROM terms), $1, $2, $3, $4, $5, $6) \
    RETURNING *";
const ALL: &str = "SELECT * FROM terms ORDER BY version DESC";
// A later version that holds already replaces an earlier one, whenever that began.
const CURRENT: &str =
    "SELECT * FROM terms WHERE effective_from <= $1 ORDER BY version DESC LIMIT 1";
const ACCEPT: &str = "INSERT INTO terms_acceptances (contract, version, accepted_at) \
    VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

#[async_trait]
impl TermsStore for SqliteStore {
    async fn publish_terms(
        &self,
        effective_from: WallTime,
        ja: &TermsText,
        en: &TermsText,
        change: Change,
    ) -> Result<Terms, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(PUBLISH)
            .bind(effective_from.as_unix_millis())
            .bind(&ja.url)
            .bind(&ja.text)
            .bind(&en.url)
            .bind(&en.text)
            .bind(change.at.as_unix_millis())
            .fetch_one(&mut *tx)
            .await?;
        let terms = read(&row)?;
        let deed = Deed {
            action: "terms.published",
            subject: format!("terms:{}", terms.version),
            detail: json!({ "effective_from_ms": effective_from.as_unix_millis() }),
        };
        append_audit(&mut tx, change, &deed).await?;
        tx.commit().await?;
        Ok(terms)
    }

    async fn terms(&self) -> Result<Vec<Terms>, StoreError> {
        sqlx::query(ALL).fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    async fn current_terms(&self, now: WallTime) -> Result<Option<Terms>, StoreError> {
        let query = sqlx::query(CURRENT).bind(now.as_unix_millis());
        query.fetch_optional(&self.readers).await?.as_ref().map(read).transpose()
    }
}

/// The version that holds at `now`.
pub(super) async fn version_at(
    tx: &mut Transaction<'static, Sqlite>,
    now: WallTime,
) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query(CURRENT).bind(now.as_unix_millis()).fetch_optional(&mut **tx).await?;
    Ok(row.map(|row| row.try_get("version")).transpose()?)
}

/// Records that a contract's subscriber accepted a version (S29); the first time counts.
pub(super) async fn accept_terms(
    tx: &mut Transaction<'static, Sqlite>,
    contract: ContractId,
    version: Option<i64>,
    now: WallTime,
) -> Result<(), StoreError> {
    sqlx::query(ACCEPT)
        .bind(contract.to_string())
        .bind(version)
        .bind(now.as_unix_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Terms, StoreError> {
    Ok(Terms {
        version: row.try_get("version")?,
        effective_from: time(row.try_get("effective_from")?),
        ja: TermsText { url: row.try_get("url_ja")?, text: row.try_get("text_ja")? },
        en: TermsText { url: row.try_get("url_en")?, text: row.try_get("text_en")? },
        created_at: time(row.try_get("created_at")?),
    })
}
