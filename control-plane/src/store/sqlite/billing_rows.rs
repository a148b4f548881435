//! Rows of bills in SQLite, and the drawing up of a month's exports from the contracts.

use engine_core::private::Private;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::{time, unreadable};
use crate::billing::{Adjustment, ContractFacts, Correction, Totals, line};
use crate::billing_export::{Format, Sheet};
use crate::contract::ContractId;
use crate::japan::{Month, read_date};
use crate::limits::{BILLING_PAGE_LINES, EXPORT_PART_BYTES};
use crate::money::Yen;
use crate::plan::SMART_VOICEMAIL;
use crate::store::{ClosedMonth, ExportFacts, StoreError};

// A line for each contract that ran in the month, and for each that is corrected in it.
const FACTS: &str = "SELECT id, line, kind, applied_on, ends_on, free_until, campaign_version \
    FROM contracts WHERE id > $1 \
    AND (applied_on <= $2 AND (ends_on IS NULL OR ends_on >= $3) \
        OR id IN (SELECT contract FROM billing_adjustments WHERE lands_in = $4)) \
    ORDER BY id LIMIT $5";
const LANDED: &str = "SELECT * FROM billing_adjustments \
    WHERE lands_in = $1 AND contract > $2 AND contract <= $3 ORDER BY contract, created_at, id";
const ADJUSTMENT: &str = "SELECT * FROM billing_adjustments WHERE id = $1";
const LAST_CLOSED: &str = "SELECT MAX(month) FROM billing_months";
const FIRST_APPLIED: &str = "SELECT MIN(applied_on) FROM contracts";

/// A part of an export that is drawn up.
pub(super) struct Drawn {
    /// Of which export.
    pub(super) format: Format,
    /// The part.
    pub(super) bytes: Vec<u8>,
    /// Length and hash of the whole, with the last part.
    pub(super) end: Option<ExportFacts>,
}

/// The exports of a month while they are drawn up from the contracts as a transaction sees them.
pub(super) struct Drawing {
    month: Month,
    sheets: Vec<(Format, Sheet)>,
    totals: Totals,
    after: String,
}

impl Drawing {
    pub(super) fn new(month: Month, formats: &[Format]) -> Self {
        let sheets = formats.iter().map(|&format| (format, Sheet::new(format, month))).collect();
        Self { month, sheets, totals: Totals::default(), after: String::new() }
    }

    /// Draws up one page more; the parts that it filled. `None` once all is drawn up.
    pub(super) async fn next(
        &mut self,
        tx: &mut Transaction<'static, Sqlite>,
    ) -> Result<Option<Vec<Drawn>>, StoreError> {
        let page = page_of(tx, self.month, &self.after).await?;
        let Some((last, _)) = page.last() else {
            let ended: Vec<_> = self.end().collect();
            return Ok(if ended.is_empty() { None } else { Some(ended) });
        };
        self.after = last.contract.to_string();
        for (facts, adjustments) in page {
            let Some(line) = line(&SMART_VOICEMAIL, self.month, facts, adjustments) else {
                continue;
            };
            self.totals.add(&line);
            for (_, sheet) in &mut self.sheets {
                sheet.push(&line);
            }
        }
        let full = self.sheets.iter_mut().filter(|(_, s)| s.waiting() >= EXPORT_PART_BYTES);
        let part = |(format, sheet): &mut (_, Sheet)| Drawn {
            format: *format,
            bytes: sheet.take_part(),
            end: None,
        };
        Ok(Some(full.map(part).collect()))
    }

    /// Sums over the lines so far.
    pub(super) const fn totals(&self) -> Totals {
        self.totals
    }

    fn end(&mut self) -> impl Iterator<Item = Drawn> {
        let totals = self.totals;
        std::mem::take(&mut self.sheets).into_iter().map(move |(format, sheet)| {
            let finished = sheet.finish(totals);
            let end = Some(ExportFacts { bytes: finished.bytes, sha256: finished.sha256 });
            Drawn { format, bytes: finished.rest, end }
        })
    }
}

/// The next contracts behind `after`, with the corrections that land in the month.
async fn page_of(
    tx: &mut Transaction<'static, Sqlite>,
    month: Month,
    after: &str,
) -> Result<Vec<(ContractFacts, Vec<Adjustment>)>, StoreError> {
    let rows = sqlx::query(FACTS)
        .bind(after)
        .bind(month.last().to_string())
        .bind(month.first().to_string())
        .bind(month.to_string())
        .bind(i64::from(BILLING_PAGE_LINES))
        .fetch_all(&mut **tx)
        .await?;
    let facts: Vec<_> = rows.iter().map(read_facts).collect::<Result<_, _>>()?;
    let Some(last) = facts.last() else { return Ok(Vec::new()) };
    let landed = sqlx::query(LANDED)
        .bind(month.to_string())
        .bind(after)
        .bind(last.contract.to_string())
        .fetch_all(&mut **tx)
        .await?;
    let landed: Vec<_> = landed.iter().map(read_adjustment).collect::<Result<_, _>>()?;
    let mut landed = landed.into_iter().peekable();
    let with = |facts: ContractFacts| {
        let is_own = |next: &Adjustment| next.correction.contract == facts.contract;
        let own = std::iter::from_fn(|| landed.next_if(is_own)).collect();
        (facts, own)
    };
    Ok(facts.into_iter().map(with).collect())
}

/// The last closed month.
pub(super) async fn last_closed(
    tx: &mut Transaction<'static, Sqlite>,
) -> Result<Option<Month>, StoreError> {
    let month: Option<String> = sqlx::query_scalar(LAST_CLOSED).fetch_one(&mut **tx).await?;
    month.map(|text| read_month(&text)).transpose()
}

/// The month of the first application ever.
pub(super) async fn first_month(
    tx: &mut Transaction<'static, Sqlite>,
) -> Result<Option<Month>, StoreError> {
    let first: Option<String> = sqlx::query_scalar(FIRST_APPLIED).fetch_one(&mut **tx).await?;
    let date = first
        .map(|text| read_date(&text).map_err(|_| unreadable("first contract", "a malformed date")));
    Ok(date.transpose()?.map(Month::of))
}

/// The correction with this id.
pub(super) async fn find_adjustment(
    tx: &mut Transaction<'static, Sqlite>,
    id: &str,
) -> Result<Option<Adjustment>, StoreError> {
    let row = sqlx::query(ADJUSTMENT).bind(id).fetch_optional(&mut **tx).await?;
    row.as_ref().map(read_adjustment).transpose()
}

/// Reads a contract's id.
pub(super) fn read_contract(id: &str) -> Result<ContractId, StoreError> {
    id.parse().map_err(|_| unreadable(format!("contract {id}"), "a malformed id"))
}

fn read_month(text: &str) -> Result<Month, StoreError> {
    text.parse().map_err(|_| unreadable(format!("month {text}"), "a malformed month"))
}

fn read_facts(row: &SqliteRow) -> Result<ContractFacts, StoreError> {
    let id: String = row.try_get("id")?;
    let date = |text: &str| {
        read_date(text).map_err(|_| unreadable(format!("contract {id}"), "a malformed date"))
    };
    let optional = |column| -> Result<_, StoreError> {
        row.try_get::<Option<String>, _>(column)?.as_deref().map(date).transpose()
    };
    Ok(ContractFacts {
        contract: read_contract(&id)?,
        line: Private::new(row.try_get("line")?),
        kind: row.try_get("kind")?,
        applied_on: date(row.try_get("applied_on")?)?,
        ends_on: optional("ends_on")?,
        free_until: optional("free_until")?,
        campaign_version: row.try_get("campaign_version")?,
    })
}

fn read_adjustment(row: &SqliteRow) -> Result<Adjustment, StoreError> {
    let id: String = row.try_get("id")?;
    let contract: String = row.try_get("contract")?;
    let correction = Correction {
        contract: read_contract(&contract)?,
        for_month: read_month(row.try_get("for_month")?)?,
        net: Yen::new(row.try_get("net_yen")?),
        reason: row.try_get("reason")?,
    };
    Ok(Adjustment {
        id: id.parse().map_err(|_| unreadable(format!("adjustment {id}"), "a malformed id"))?,
        correction,
        lands_in: read_month(row.try_get("lands_in")?)?,
        created_at: time(row.try_get("created_at")?),
    })
}

/// Reads a closed month.
pub(super) fn read_closed(row: &SqliteRow) -> Result<ClosedMonth, StoreError> {
    let yen = |column| -> Result<Yen, StoreError> { Ok(Yen::new(row.try_get(column)?)) };
    let count = |column| -> Result<u64, StoreError> { Ok(row.try_get::<i64, _>(column)? as u64) };
    Ok(ClosedMonth {
        month: read_month(row.try_get("month")?)?,
        closed_at: time(row.try_get("closed_at")?),
        totals: Totals {
            lines: count("lines")?,
            net: yen("net_yen")?,
            tax: yen("tax_yen")?,
            total: yen("total_yen")?,
        },
        csv: ExportFacts { bytes: count("csv_bytes")?, sha256: row.try_get("csv_sha256")? },
        json: ExportFacts { bytes: count("json_bytes")?, sha256: row.try_get("json_sha256")? },
    })
}
