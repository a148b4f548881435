//! Requests that are known again by their Idempotency-Key, in SQLite. In: a key and a body, both
//! hashed. Out: what the same request made before. Knows nothing of what is made.

use std::fmt::Display;

use sqlx::{Sqlite, Transaction};

use crate::audit::Change;
use crate::contract::ContractError;
use crate::limits::REPEAT_AGE_MAX;
use crate::store::{Repeat, StoreError};

const KEPT: &str =
    "SELECT body_hash, subject FROM idempotency_keys WHERE actor = $1 AND key_hash = $2";
const KEEP: &str = "INSERT INTO idempotency_keys \
    (actor, key_hash, body_hash, subject, created_at) VALUES ($1, $2, $3, $4, $5)";
const DROP_OLD: &str = "DELETE FROM idempotency_keys WHERE created_at <= $1";

/// The id of what the same request made before; refused when the key came with another body.
pub(super) async fn find_repeat(
    tx: &mut Transaction<'static, Sqlite>,
    repeat: &Repeat,
    change: Change,
) -> Result<Option<String>, StoreError> {
    let oldest = change.at.as_unix_millis() - REPEAT_AGE_MAX.as_millis() as i64;
    sqlx::query(DROP_OLD).bind(oldest).execute(&mut **tx).await?;
    let kept: Option<(String, String)> = sqlx::query_as(KEPT)
        .bind(change.by.to_string())
        .bind(&repeat.key_hash)
        .fetch_optional(&mut **tx)
        .await?;
    match kept {
        Some((body_hash, _)) if body_hash != repeat.body_hash => {
            Err(ContractError::KeyReused.into())
        }
        kept => Ok(kept.map(|(_, subject)| subject)),
    }
}

/// Keeps what a request made.
pub(super) async fn keep_repeat(
    tx: &mut Transaction<'static, Sqlite>,
    repeat: &Repeat,
    made: impl Display,
    change: Change,
) -> Result<(), StoreError> {
    sqlx::query(KEEP)
        .bind(change.by.to_string())
        .bind(&repeat.key_hash)
        .bind(&repeat.body_hash)
        .bind(made.to_string())
        .bind(change.at.as_unix_millis())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
