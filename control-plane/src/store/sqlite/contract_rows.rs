//! Rows of contracts in SQLite: reading and writing them, for the calls in `contracts`.

use engine_core::private::Private;
use engine_core::text::Language;
use engine_core::time::WallTime;
use jiff::civil::Date;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::{time, unreadable};
use crate::campaign::Grant;
use crate::contract::{Contract, ContractError, ContractId, ContractKind, ContractState};
use crate::line::Line;
use crate::store::StoreError;

const KEEP: &str = "INSERT INTO contracts \
    (id, line, kind, state, applied_at, applied_on, serial_hash, email, language, \
     campaign_version, free_until, version) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const WRITE: &str = "UPDATE contracts SET state = $2, activated_at = $3, cancelled_at = $4, \
    ends_on = $5, ends_at = $6, ended_at = $7, terms_version = $8, serial_redeemed_at = $3, \
    mailbox = $9, number = $10, email = $11, version = $12 WHERE id = $1";
const BY_ID: &str = "SELECT * FROM contracts WHERE id = $1";

/// Writes a new contract.
pub(super) async fn keep(
    tx: &mut Transaction<'static, Sqlite>,
    contract: &Contract,
    serial_hash: &str,
) -> Result<(), StoreError> {
    sqlx::query(KEEP)
        .bind(contract.id.to_string())
        .bind(contract.line.reveal())
        .bind(contract.kind.name())
        .bind(contract.state.name())
        .bind(contract.applied_at.as_unix_millis())
        .bind(contract.applied_on.to_string())
        .bind(serial_hash)
        .bind(contract.email.as_ref().map(Private::reveal))
        .bind(contract.language.code())
        .bind(contract.free.map(|free| free.version))
        .bind(contract.free.map(|free| free.free_until.to_string()))
        .bind(contract.version)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes what may change of a contract.
pub(super) async fn write(
    tx: &mut Transaction<'static, Sqlite>,
    contract: &Contract,
) -> Result<(), StoreError> {
    let millis = |time: Option<WallTime>| time.map(WallTime::as_unix_millis);
    sqlx::query(WRITE)
        .bind(contract.id.to_string())
        .bind(contract.state.name())
        .bind(millis(contract.activated_at))
        .bind(millis(contract.cancelled_at))
        .bind(contract.ends_on.map(|date| date.to_string()))
        .bind(millis(contract.ends_at))
        .bind(millis(contract.ended_at))
        .bind(contract.terms_version)
        .bind(contract.mailbox.map(|mailbox| mailbox.to_string()))
        .bind(contract.number.as_deref())
        .bind(contract.email.as_ref().map(Private::reveal))
        .bind(contract.version)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The contract with this id, as the transaction sees it; `Unknown` when there is none.
pub(super) async fn find(
    tx: &mut Transaction<'static, Sqlite>,
    id: ContractId,
) -> Result<Contract, StoreError> {
    let row = sqlx::query(BY_ID).bind(id.to_string()).fetch_optional(&mut **tx).await?;
    read(&row.ok_or(ContractError::Unknown)?)
}

/// Reads a row.
pub(super) fn read(row: &SqliteRow) -> Result<Contract, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("contract {id}"), what);
    let text = |column| -> Result<String, StoreError> { Ok(row.try_get(column)?) };
    let at = |column| -> Result<Option<WallTime>, StoreError> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(time))
    };
    let date = |column| -> Result<Option<Date>, StoreError> {
        let date: Option<String> = row.try_get(column)?;
        let date = date.map(|date| date.parse()).transpose();
        date.map_err(|_| wrong("a malformed date"))
    };
    let mailbox: Option<String> = row.try_get("mailbox")?;
    let campaign: Option<i64> = row.try_get("campaign_version")?;
    let free_until = date("free_until")?;
    Ok(Contract {
        id: id.parse().map_err(|_| wrong("a malformed id"))?,
        line: Line::read(&text("line")?).map_err(|_| wrong("a malformed line"))?,
        kind: ContractKind::from_name(&text("kind")?).ok_or_else(|| wrong("an unknown kind"))?,
        state: ContractState::from_name(&text("state")?)
            .ok_or_else(|| wrong("an unknown state"))?,
        applied_at: time(row.try_get("applied_at")?),
        applied_on: date("applied_on")?.ok_or_else(|| wrong("no date of application"))?,
        activated_at: at("activated_at")?,
        cancelled_at: at("cancelled_at")?,
        ends_on: date("ends_on")?,
        ends_at: at("ends_at")?,
        ended_at: at("ended_at")?,
        terms_version: row.try_get("terms_version")?,
        mailbox: mailbox
            .map(|id| id.parse())
            .transpose()
            .map_err(|_| wrong("a malformed mailbox"))?,
        number: row.try_get("number")?,
        email: row.try_get::<Option<String>, _>("email")?.map(Private::new),
        language: Language::from_code(&text("language")?)
            .ok_or_else(|| wrong("an unknown language"))?,
        free: campaign.zip(free_until).map(|(version, free_until)| Grant { version, free_until }),
        version: row.try_get("version")?,
    })
}
