//! How often who did what, in SQLite. Reading, judging and writing are one transaction, so that
//! turns taken at once never exceed their limit.

use engine_core::time::WallTime;
use sqlx::{Sqlite, Transaction};

use super::time;
use crate::limits::TURN_AGE_MAX;
use crate::store::StoreError;
use crate::turns::{Turn, next_free};

const PAST: &str = "SELECT at FROM turns WHERE kind = $1 AND subject = $2 AND at > $3";
const PUT: &str = "INSERT INTO turns (kind, subject, at) VALUES ($1, $2, $3)";
const DROP: &str = "DELETE FROM turns WHERE at <= $1";

/// When all of these turns are free; `None`: now.
pub(super) async fn when_free(
    tx: &mut Transaction<'static, Sqlite>,
    turns: &[Turn],
    now: WallTime,
) -> Result<Option<WallTime>, StoreError> {
    let mut free = None;
    for turn in turns {
        let past: Vec<i64> = sqlx::query_scalar(PAST)
            .bind(turn.kind.name())
            .bind(&turn.subject)
            .bind(oldest(now))
            .fetch_all(&mut **tx)
            .await?;
        let past: Vec<_> = past.into_iter().map(time).collect();
        free = free.max(next_free(&past, turn.kind.limits(), now));
    }
    Ok(free)
}

/// Notes that these turns were taken, and forgets those that no limit looks at any more.
pub(super) async fn put_turns(
    tx: &mut Transaction<'static, Sqlite>,
    turns: &[Turn],
    now: WallTime,
) -> Result<(), StoreError> {
    for turn in turns {
        sqlx::query(PUT)
            .bind(turn.kind.name())
            .bind(&turn.subject)
            .bind(now.as_unix_millis())
            .execute(&mut **tx)
            .await?;
    }
    sqlx::query(DROP).bind(oldest(now)).execute(&mut **tx).await?;
    Ok(())
}

fn oldest(now: WallTime) -> i64 {
    now.as_unix_millis() - TURN_AGE_MAX.as_millis() as i64
}
