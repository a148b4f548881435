//! The pool of 050 numbers in SQLite. A number is free, or rests, or belongs to a contract; one
//! that a mailbox has which was made without a contract is passed over.

use async_trait::async_trait;
use engine_core::time::WallTime;
use serde_json::json;
use sqlx::{Sqlite, Transaction};

use super::SqliteStore;
use super::audit::append_audit;
use super::webhooks::put_event;
use crate::audit::{Change, Deed};
use crate::contract::{ContractError, ContractId};
use crate::notice::NoticeId;
use crate::numbers::{NumberCounts, NumberRange, NumbersAdded, quarantined_until};
use crate::store::{NumberStore, StoreError};
use crate::webhook::NUMBER_LOW_WATER;

const ADD: &str = "INSERT INTO numbers (number, state) VALUES ($1, 'free') ON CONFLICT DO NOTHING";
const COUNT: &str = "SELECT COUNT(*) FILTER (WHERE state = 'free' \
        OR state = 'quarantined' AND quarantined_until <= $1), \
    COUNT(*) FILTER (WHERE state = 'assigned'), \
    COUNT(*) FILTER (WHERE state = 'quarantined' AND quarantined_until > $1) FROM numbers";
const FREE: &str = "SELECT number FROM numbers WHERE state = 'free' \
    AND NOT EXISTS (SELECT 1 FROM mailboxes \
        WHERE mailboxes.number = numbers.number AND deleted_at IS NULL) \
    ORDER BY number LIMIT 1";
const RESTED: &str = "SELECT number FROM numbers \
    WHERE state = 'quarantined' AND quarantined_until <= $1 \
    AND NOT EXISTS (SELECT 1 FROM mailboxes \
        WHERE mailboxes.number = numbers.number AND deleted_at IS NULL) \
    ORDER BY quarantined_until, number LIMIT 1";
const ASSIGN: &str = "UPDATE numbers SET state = 'assigned', contract = $2, \
    quarantined_until = NULL WHERE number = $1";
const QUARANTINE: &str = "UPDATE numbers SET state = 'quarantined', contract = NULL, \
    quarantined_until = $2 WHERE number = $1";
// Counting stops one past the mark: the pool may hold millions.
const LEFT: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM numbers WHERE state = 'free' \
    UNION ALL SELECT 1 FROM numbers WHERE state = 'quarantined' AND quarantined_until <= $1 \
    LIMIT $2)";

#[async_trait]
impl NumberStore for SqliteStore {
    async fn add_numbers(
        &self,
        range: NumberRange,
        change: Change,
    ) -> Result<NumbersAdded, StoreError> {
        let mut tx = self.begin().await?;
        let mut added = 0;
        for number in range.numbers() {
            added += sqlx::query(ADD).bind(number).execute(&mut *tx).await?.rows_affected();
        }
        let result = NumbersAdded { added, known: u64::from(range.count()) - added };
        let ends = range.numbers().next().zip(range.numbers().last());
        let detail = json!({
            "first": ends.as_ref().map(|ends| &ends.0),
            "last": ends.as_ref().map(|ends| &ends.1),
            "added": result.added,
        });
        let deed = Deed { action: "numbers.added", subject: "numbers".to_owned(), detail };
        append_audit(&mut tx, change, &deed).await?;
        tx.commit().await?;
        Ok(result)
    }

    async fn count_numbers(&self, now: WallTime) -> Result<NumberCounts, StoreError> {
        let (free, assigned, quarantined): (i64, i64, i64) =
            sqlx::query_as(COUNT).bind(now.as_unix_millis()).fetch_one(&self.readers).await?;
        let counts = [free, assigned, quarantined].map(|count| count as u64);
        Ok(NumberCounts { free: counts[0], assigned: counts[1], quarantined: counts[2] })
    }
}

/// Takes a free number for a contract; numbers never used go before those that rested longest.
pub(super) async fn assign_number(
    tx: &mut Transaction<'static, Sqlite>,
    contract: ContractId,
    now: WallTime,
) -> Result<String, StoreError> {
    let free: Option<String> = sqlx::query_scalar(FREE).fetch_optional(&mut **tx).await?;
    let number = match free {
        Some(number) => number,
        None => sqlx::query_scalar(RESTED)
            .bind(now.as_unix_millis())
            .fetch_optional(&mut **tx)
            .await?
            .ok_or(ContractError::NoNumberFree)?,
    };
    let query = sqlx::query(ASSIGN).bind(&number).bind(contract.to_string());
    query.execute(&mut **tx).await?;
    Ok(number)
}

/// Lets a number of the pool rest that was given back; one outside of it is left alone.
pub(super) async fn quarantine_number(
    tx: &mut Transaction<'static, Sqlite>,
    number: &str,
    now: WallTime,
) -> Result<(), StoreError> {
    let until = quarantined_until(now).as_unix_millis();
    sqlx::query(QUARANTINE).bind(number).bind(until).execute(&mut **tx).await?;
    Ok(())
}

/// Whether exactly so many numbers are left: true once on the way down, and then webhooks are told.
pub(super) async fn has_reached(
    tx: &mut Transaction<'static, Sqlite>,
    mark: u32,
    now: WallTime,
) -> Result<bool, StoreError> {
    let left: i64 = sqlx::query_scalar(LEFT)
        .bind(now.as_unix_millis())
        .bind(i64::from(mark) + 1)
        .fetch_one(&mut **tx)
        .await?;
    let has_reached = left == i64::from(mark);
    if has_reached {
        put_event(tx, NoticeId::new(), NUMBER_LOW_WATER, json!({ "left": left }), now).await?;
    }
    Ok(has_reached)
}
