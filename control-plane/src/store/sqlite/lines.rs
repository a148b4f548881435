//! Lines in SQLite: the one voicemail each has, and what stands against it.

use async_trait::async_trait;
use engine_core::time::WallTime;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, SqliteExecutor, Transaction};

use super::audit::append_audit;
use super::contract_rows::find;
use super::contracts::tell;
use super::{SqliteStore, time, unreadable};
use crate::audit::{Change, Deed};
use crate::contract::{ContractError, ContractId};
use crate::contract_notice;
use crate::line::{Flagged, Line, LineFlag, LineService};
use crate::store::{LineFacts, LineRef, LineStore, Roaming, StoreError};

const SMART: &str = "smart";
const CARRIER: &str = "carrier";
const TAKE: &str = "INSERT INTO line_services (line, service, contract, since) \
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const SERVICE: &str = "SELECT service, contract, since FROM line_services WHERE line = $1";
const FREE: &str = "DELETE FROM line_services WHERE line = $1 AND contract = $2";
const CARRIER_OFF: &str = "DELETE FROM line_services WHERE line = $1 AND service = 'carrier'";
const FLAGS: &str =
    "SELECT * FROM line_flags WHERE line = $1 AND cleared_at IS NULL ORDER BY set_at, flag";
const SET: &str = "INSERT INTO line_flags (line, flag, reason, set_by, set_at, cleared_at) \
    VALUES ($1, $2, $3, $4, $5, NULL) ON CONFLICT (line, flag) DO UPDATE SET \
    reason = excluded.reason, set_by = excluded.set_by, set_at = excluded.set_at, \
    cleared_at = NULL";
const CLEAR: &str = "UPDATE line_flags SET cleared_at = $3 \
    WHERE line = $1 AND flag = $2 AND cleared_at IS NULL";

const ROAMED: &str = "SELECT * FROM roaming_events WHERE id = $1";
const ROAM: &str = "INSERT INTO roaming_events (id, line, contract, created_at) \
    VALUES ($1, $2, $3, $4) RETURNING *";

#[async_trait]
impl LineStore for SqliteStore {
    async fn line(&self, line: &Line) -> Result<LineFacts, StoreError> {
        let service = service(&self.readers, line).await?;
        let rows = sqlx::query(FLAGS).bind(line.reveal()).fetch_all(&self.readers).await?;
        let flags = rows.iter().map(read_flag).collect::<Result<_, _>>()?;
        Ok(LineFacts { service, flags })
    }

    async fn put_carrier_voicemail(
        &self,
        line: &LineRef,
        change: Change,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if !take(&mut tx, &line.line, CARRIER, None, change.at).await? {
            return match service(&mut *tx, &line.line).await? {
                Some((LineService::Smart(contract), _)) => {
                    Err(ContractError::Exists { contract }.into())
                }
                _ => Ok(false),
            };
        }
        let deed = about(line, "line.carrier_voicemail_on", json!({}));
        append_audit(&mut tx, change, &deed).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn remove_carrier_voicemail(
        &self,
        line: &LineRef,
        change: Change,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let off = sqlx::query(CARRIER_OFF).bind(line.line.reveal()).execute(&mut *tx).await?;
        if off.rows_affected() == 0 {
            return Ok(false);
        }
        let deed = about(line, "line.carrier_voicemail_off", json!({}));
        append_audit(&mut tx, change, &deed).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn set_flag(
        &self,
        line: &LineRef,
        flag: LineFlag,
        reason: &str,
        change: Change,
    ) -> Result<Flagged, StoreError> {
        let mut tx = self.begin().await?;
        let set_by = change.by.to_string();
        sqlx::query(SET)
            .bind(line.line.reveal())
            .bind(flag.name())
            .bind(reason)
            .bind(&set_by)
            .bind(change.at.as_unix_millis())
            .execute(&mut *tx)
            .await?;
        let detail = json!({ "flag": flag.name(), "reason": reason });
        append_audit(&mut tx, change, &about(line, "line.flag_set", detail)).await?;
        tx.commit().await?;
        Ok(Flagged { flag, reason: reason.to_owned(), set_by, set_at: change.at })
    }

    async fn keep_roaming(
        &self,
        line: &LineRef,
        event: uuid::Uuid,
        guide_url: Option<String>,
        change: Change,
    ) -> Result<Roaming, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(ROAMED).bind(event.to_string()).fetch_optional(&mut *tx).await?;
        if let Some(row) = row {
            return read_roaming(&row);
        }
        let Some((LineService::Smart(id), _)) = service(&mut *tx, &line.line).await? else {
            return Err(ContractError::Unknown.into());
        };
        let row = sqlx::query(ROAM)
            .bind(event.to_string())
            .bind(line.line.reveal())
            .bind(id.to_string())
            .bind(change.at.as_unix_millis())
            .fetch_one(&mut *tx)
            .await?;
        let contract = find(&mut tx, id).await?;
        let notice = contract_notice::roaming(&contract, event, guide_url, change.at);
        tell(&mut tx, &self.vault, &contract, Some(&notice)).await?;
        let detail = json!({ "event": event.to_string(), "contract": id.to_string() });
        append_audit(&mut tx, change, &about(line, "line.roaming", detail)).await?;
        tx.commit().await?;
        read_roaming(&row)
    }

    async fn clear_flag(
        &self,
        line: &LineRef,
        flag: LineFlag,
        change: Change,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let cleared = sqlx::query(CLEAR)
            .bind(line.line.reveal())
            .bind(flag.name())
            .bind(change.at.as_unix_millis())
            .execute(&mut *tx)
            .await?;
        if cleared.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = json!({ "flag": flag.name() });
        append_audit(&mut tx, change, &about(line, "line.flag_cleared", detail)).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn about(line: &LineRef, action: &'static str, detail: serde_json::Value) -> Deed {
    Deed { action, subject: format!("line:{}", line.hash), detail }
}

/// Takes the line for a contract, unless it has a voicemail: the primary key decides.
pub(super) async fn take_line(
    tx: &mut Transaction<'static, Sqlite>,
    line: &Line,
    contract: ContractId,
    now: WallTime,
) -> Result<(), StoreError> {
    if take(tx, line, SMART, Some(contract), now).await? {
        return Ok(());
    }
    let refused = match service(&mut **tx, line).await? {
        Some((LineService::Smart(contract), _)) => ContractError::Exists { contract },
        _ => ContractError::CarrierVoicemailActive,
    };
    Err(refused.into())
}

/// Gives the line back when its contract ends.
pub(super) async fn free_line(
    tx: &mut Transaction<'static, Sqlite>,
    line: &Line,
    contract: ContractId,
) -> Result<(), StoreError> {
    let query = sqlx::query(FREE).bind(line.reveal()).bind(contract.to_string());
    query.execute(&mut **tx).await?;
    Ok(())
}

/// What stands against the line now.
pub(super) async fn flags(
    tx: &mut Transaction<'static, Sqlite>,
    line: &Line,
) -> Result<Vec<Flagged>, StoreError> {
    let rows = sqlx::query(FLAGS).bind(line.reveal()).fetch_all(&mut **tx).await?;
    rows.iter().map(read_flag).collect()
}

async fn take(
    tx: &mut Transaction<'static, Sqlite>,
    line: &Line,
    service: &'static str,
    contract: Option<ContractId>,
    now: WallTime,
) -> Result<bool, StoreError> {
    let taken = sqlx::query(TAKE)
        .bind(line.reveal())
        .bind(service)
        .bind(contract.map(|contract| contract.to_string()))
        .bind(now.as_unix_millis())
        .execute(&mut **tx)
        .await?;
    Ok(taken.rows_affected() == 1)
}

async fn service(
    executor: impl SqliteExecutor<'_>,
    line: &Line,
) -> Result<Option<(LineService, WallTime)>, StoreError> {
    let row: Option<(String, Option<String>, i64)> =
        sqlx::query_as(SERVICE).bind(line.reveal()).fetch_optional(executor).await?;
    let Some((service, contract, since)) = row else { return Ok(None) };
    let wrong = || unreadable("service of a line", "an unknown service");
    let service = match (service.as_str(), contract) {
        (SMART, Some(id)) => LineService::Smart(id.parse().map_err(|_| wrong())?),
        (CARRIER, None) => LineService::Carrier,
        _ => return Err(wrong()),
    };
    Ok(Some((service, time(since))))
}

fn read_flag(row: &SqliteRow) -> Result<Flagged, StoreError> {
    let flag: String = row.try_get("flag")?;
    let wrong = || unreadable("flag of a line", "an unknown flag");
    Ok(Flagged {
        flag: LineFlag::from_name(&flag).ok_or_else(wrong)?,
        reason: row.try_get("reason")?,
        set_by: row.try_get("set_by")?,
        set_at: time(row.try_get("set_at")?),
    })
}

fn read_roaming(row: &SqliteRow) -> Result<Roaming, StoreError> {
    let wrong = |_| unreadable("roaming event", "a malformed id");
    Ok(Roaming {
        id: row.try_get::<String, _>("id")?.parse().map_err(wrong)?,
        contract: row
            .try_get::<String, _>("contract")?
            .parse()
            .map_err(|_| unreadable("roaming event", "a malformed contract"))?,
        at: time(row.try_get("created_at")?),
    })
}
