//! Bills in SQLite. A month is closed in one transaction that reads the contracts and writes the
//! exports, part by part: about as long as the lines need, with the memory of a part.

use async_trait::async_trait;
use serde_json::json;
use sqlx::{Sqlite, Transaction};
use uuid::Uuid;

use super::audit::append_audit;
use super::billing_rows::{
    Drawing, find_adjustment, first_month, last_closed, read_closed, read_contract,
};
use super::repeats::{find_repeat, keep_repeat};
use super::{SqliteStore, unreadable};
use crate::audit::{Change, Deed};
use crate::billing::{Adjustment, BillingError, closes_from};
use crate::billing_export::Format;
use crate::japan::Month;
use crate::store::{
    BillingStore, ClosedMonth, ContractUsage, Draft, ExportFacts, NewAdjustment, Page, StoreError,
};
use crate::usage::ForwardedCalls;

const CLOSED: &str = "SELECT * FROM billing_months WHERE month = $1";
const CLOSED_PAGE: &str = "SELECT * FROM billing_months WHERE month > $1 ORDER BY month LIMIT $2";
const PART: &str =
    "SELECT bytes FROM billing_exports WHERE month = $1 AND format = $2 AND part = $3";
const KEEP_PART: &str =
    "INSERT INTO billing_exports (month, format, part, bytes) VALUES ($1, $2, $3, $4)";
const CLOSE: &str = "INSERT INTO billing_months (month, closed_at, lines, net_yen, tax_yen, \
    total_yen, csv_bytes, csv_sha256, json_bytes, json_sha256) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const ADJUST: &str = "INSERT INTO billing_adjustments \
    (id, contract, for_month, lands_in, net_yen, reason, created_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const CONTRACT_EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM contracts WHERE id = $1)";
const RAN: &str = "SELECT id FROM contracts \
    WHERE id > $1 AND applied_on <= $2 AND (ends_on IS NULL OR ends_on >= $3) \
    ORDER BY id LIMIT $4";
const CALLS: &str = "SELECT messages.call_ms FROM contracts \
    JOIN messages ON messages.mailbox = contracts.mailbox \
    WHERE contracts.id = $1 AND messages.answered_at >= $2 AND messages.answered_at < $3";

#[async_trait]
impl BillingStore for SqliteStore {
    async fn closed_month(&self, month: Month) -> Result<Option<ClosedMonth>, StoreError> {
        let query = sqlx::query(CLOSED).bind(month.to_string());
        query.fetch_optional(&self.readers).await?.as_ref().map(read_closed).transpose()
    }

    async fn closed_months(
        &self,
        after: Option<Month>,
        limit: u32,
    ) -> Result<Vec<ClosedMonth>, StoreError> {
        let after = after.map(|month| month.to_string()).unwrap_or_default();
        let query = sqlx::query(CLOSED_PAGE).bind(after).bind(i64::from(limit));
        query.fetch_all(&self.readers).await?.iter().map(read_closed).collect()
    }

    async fn export_part(
        &self,
        month: Month,
        format: Format,
        part: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sqlx::query_scalar(PART)
            .bind(month.to_string())
            .bind(format.name())
            .bind(i64::from(part));
        Ok(query.fetch_optional(&self.readers).await?)
    }

    async fn draft(&self, month: Month, format: Format) -> Result<Draft, StoreError> {
        // One snapshot for all pages.
        let mut tx = self.readers.begin().await?;
        let mut drawing = Drawing::new(month, &[format]);
        let mut bytes = Vec::new();
        let mut end = None;
        while let Some(drawn) = drawing.next(&mut tx).await? {
            for part in drawn {
                bytes.extend(part.bytes);
                end = part.end;
            }
        }
        tx.rollback().await?;
        let facts = end.expect("the last part says how the export ended");
        Ok(Draft { facts, bytes })
    }

    async fn close_month(&self, month: Month, change: Change) -> Result<ClosedMonth, StoreError> {
        let mut tx = self.begin().await?;
        let before = sqlx::query(CLOSED).bind(month.to_string()).fetch_optional(&mut *tx).await?;
        if let Some(row) = before {
            return read_closed(&row);
        }
        check_turn(&mut tx, month, change).await?;
        let closed = keep_exports(&mut tx, month, change).await?;
        let totals = closed.totals;
        sqlx::query(CLOSE)
            .bind(month.to_string())
            .bind(change.at.as_unix_millis())
            .bind(totals.lines as i64)
            .bind(totals.net.get())
            .bind(totals.tax.get())
            .bind(totals.total.get())
            .bind(closed.csv.bytes as i64)
            .bind(&closed.csv.sha256)
            .bind(closed.json.bytes as i64)
            .bind(&closed.json.sha256)
            .execute(&mut *tx)
            .await?;
        let detail = json!({
            "lines": totals.lines,
            "total_yen": totals.total.get(),
            "csv_sha256": closed.csv.sha256,
            "json_sha256": closed.json.sha256,
        });
        let subject = format!("month:{month}");
        let deed = Deed { action: "billing.closed", subject, detail };
        append_audit(&mut tx, change, &deed).await?;
        tx.commit().await?;
        Ok(closed)
    }

    async fn adjust(&self, new: &NewAdjustment, change: Change) -> Result<Adjustment, StoreError> {
        let mut tx = self.begin().await?;
        if let Some(repeat) = &new.repeat
            && let Some(before) = find_repeat(&mut tx, repeat, change).await?
        {
            let kept = find_adjustment(&mut tx, &before).await?;
            return kept.ok_or_else(|| unreadable(&before, "no adjustment"));
        }
        let correction = &new.correction;
        let lands_in = landing(&mut tx, correction.for_month).await?;
        let contract = correction.contract.to_string();
        let exists: bool =
            sqlx::query_scalar(CONTRACT_EXISTS).bind(&contract).fetch_one(&mut *tx).await?;
        if !exists {
            return Err(BillingError::UnknownContract.into());
        }
        sqlx::query(ADJUST)
            .bind(new.id.to_string())
            .bind(&contract)
            .bind(correction.for_month.to_string())
            .bind(lands_in.to_string())
            .bind(correction.net.get())
            .bind(&correction.reason)
            .bind(change.at.as_unix_millis())
            .execute(&mut *tx)
            .await?;
        if let Some(repeat) = &new.repeat {
            keep_repeat(&mut tx, repeat, new.id, change).await?;
        }
        let detail = json!({
            "adjustment": new.id.to_string(),
            "for_month": correction.for_month.to_string(),
            "lands_in": lands_in.to_string(),
            "net_yen": correction.net.get(),
        });
        let subject = format!("contract:{contract}");
        append_audit(&mut tx, change, &Deed { action: "billing.adjusted", subject, detail })
            .await?;
        tx.commit().await?;
        let (correction, created_at) = (correction.clone(), change.at);
        Ok(Adjustment { id: new.id, correction, lands_in, created_at })
    }

    async fn usage(&self, month: Month, page: Page) -> Result<Vec<ContractUsage>, StoreError> {
        let after = page.after.map(|after| Uuid::from_u128(after.id).to_string());
        let mut tx = self.readers.begin().await?;
        let ids: Vec<String> = sqlx::query_scalar(RAN)
            .bind(after.unwrap_or_default())
            .bind(month.last().to_string())
            .bind(month.first().to_string())
            .bind(i64::from(page.limit))
            .fetch_all(&mut *tx)
            .await?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let lengths: Vec<i64> = sqlx::query_scalar(CALLS)
                .bind(&id)
                .bind(month.starts_at().as_unix_millis())
                .bind(month.ends_at().as_unix_millis())
                .fetch_all(&mut *tx)
                .await?;
            let mut calls = ForwardedCalls::default();
            for call_ms in lengths {
                calls.add(call_ms as u64);
            }
            found.push(ContractUsage { contract: read_contract(&id)?, calls });
        }
        tx.rollback().await?;
        Ok(found)
    }
}

/// Refuses a month that is not the next to be closed.
async fn check_turn(
    tx: &mut Transaction<'static, Sqlite>,
    month: Month,
    change: Change,
) -> Result<(), StoreError> {
    let from = closes_from(month);
    if change.at < from {
        return Err(BillingError::TooEarly { month, from }.into());
    }
    let next = match last_closed(tx).await? {
        Some(last) => last.next(),
        None => first_month(tx).await?.unwrap_or(month),
    };
    if month > next {
        return Err(BillingError::EarlierOpen { earlier: next }.into());
    }
    if month < next {
        // Months are closed without gaps, so one that is open and passed was never billed.
        return Err(BillingError::BeforeFirst { first: next }.into());
    }
    Ok(())
}

/// The month in which a correction of `month` lands: the one behind the last closed.
async fn landing(tx: &mut Transaction<'static, Sqlite>, month: Month) -> Result<Month, StoreError> {
    let is_closed = sqlx::query(CLOSED).bind(month.to_string()).fetch_optional(&mut **tx).await?;
    let last = last_closed(tx).await?.filter(|_| is_closed.is_some());
    Ok(last.ok_or(BillingError::MonthOpen { month })?.next())
}

async fn keep_exports(
    tx: &mut Transaction<'static, Sqlite>,
    month: Month,
    change: Change,
) -> Result<ClosedMonth, StoreError> {
    let mut drawing = Drawing::new(month, &Format::ALL);
    let mut parts = [0_i64; 2];
    let mut ends: [Option<ExportFacts>; 2] = [None, None];
    while let Some(drawn) = drawing.next(tx).await? {
        for part in drawn {
            let place = usize::from(part.format == Format::Json);
            sqlx::query(KEEP_PART)
                .bind(month.to_string())
                .bind(part.format.name())
                .bind(parts[place])
                .bind(part.bytes)
                .execute(&mut **tx)
                .await?;
            parts[place] += 1;
            ends[place] = part.end;
        }
    }
    let totals = drawing.totals();
    let [Some(csv), Some(json)] = ends else { unreachable!("every sheet is finished once") };
    Ok(ClosedMonth { month, closed_at: change.at, totals, csv, json })
}
