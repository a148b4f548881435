//! Campaigns in SQLite.

use async_trait::async_trait;
use jiff::civil::Date;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, SqliteExecutor};

use super::audit::append_audit;
use super::{SqliteStore, time, unreadable};
use crate::audit::{Change, Deed};
use crate::campaign::{Campaign, CampaignTerms, in_force};
use crate::japan::read_date;
use crate::store::{CampaignStore, KeptCampaign, Page, StoreError};

const CREATE: &str = "INSERT INTO campaigns \
    (version, name, starts_on, ends_on, free_months, created_at) \
    SELECT COALESCE(MAX(version), 0) + 1, $1, $2, $3, $4, $5 FROM campaigns RETURNING *";
const BY_VERSION: &str = "SELECT * FROM campaigns WHERE version = $1";
const PAGE: &str = "SELECT * FROM campaigns WHERE version > $1 ORDER BY version LIMIT $2";
const LATEST_STARTED: &str =
    "SELECT * FROM campaigns WHERE starts_on <= $1 ORDER BY version DESC LIMIT 1";

#[async_trait]
impl CampaignStore for SqliteStore {
    async fn create_campaign(
        &self,
        terms: &CampaignTerms,
        change: Change,
    ) -> Result<KeptCampaign, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(CREATE)
            .bind(&terms.name)
            .bind(terms.starts_on.to_string())
            .bind(terms.ends_on.map(|date| date.to_string()))
            .bind(i64::from(terms.free_months))
            .bind(change.at.as_unix_millis())
            .fetch_one(&mut *tx)
            .await?;
        let kept = read(&row)?;
        let detail = json!({
            "starts_on": terms.starts_on.to_string(),
            "ends_on": terms.ends_on.map(|date| date.to_string()),
            "free_months": terms.free_months,
        });
        let subject = format!("campaign:{}", kept.campaign.version);
        let deed = Deed { action: "campaign.created", subject, detail };
        append_audit(&mut tx, change, &deed).await?;
        tx.commit().await?;
        Ok(kept)
    }

    async fn campaign(&self, version: i64) -> Result<Option<KeptCampaign>, StoreError> {
        let row = sqlx::query(BY_VERSION).bind(version).fetch_optional(&self.readers).await?;
        row.as_ref().map(read).transpose()
    }

    async fn campaigns(&self, page: Page) -> Result<Vec<KeptCampaign>, StoreError> {
        let after = page.after.map_or(0, |after| i64::try_from(after.id).unwrap_or(i64::MAX));
        let query = sqlx::query(PAGE).bind(after).bind(i64::from(page.limit));
        query.fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    async fn campaign_on(&self, on: Date) -> Result<Option<Campaign>, StoreError> {
        campaign_in_force(&self.readers, on).await
    }
}

/// The version in force on a date, also inside the transaction of an application.
pub(super) async fn campaign_in_force(
    executor: impl SqliteExecutor<'_>,
    on: Date,
) -> Result<Option<Campaign>, StoreError> {
    let query = sqlx::query::<Sqlite>(LATEST_STARTED).bind(on.to_string());
    let row = query.fetch_optional(executor).await?;
    let latest = row.as_ref().map(read).transpose()?.map(|kept| kept.campaign);
    Ok(in_force(latest.as_slice(), on).cloned())
}

fn read(row: &SqliteRow) -> Result<KeptCampaign, StoreError> {
    let version: i64 = row.try_get("version")?;
    let date = |text: &str| {
        read_date(text).map_err(|_| unreadable(format!("campaign {version}"), "a malformed date"))
    };
    let ends_on: Option<String> = row.try_get("ends_on")?;
    let terms = CampaignTerms {
        name: row.try_get("name")?,
        starts_on: date(row.try_get("starts_on")?)?,
        ends_on: ends_on.as_deref().map(date).transpose()?,
        free_months: row.try_get::<i64, _>("free_months")? as u32,
    };
    let created_at = time(row.try_get("created_at")?);
    Ok(KeptCampaign { campaign: Campaign { version, terms }, created_at })
}
