//! API keys in SQLite.

use async_trait::async_trait;
use engine_core::time::WallTime;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::audit::append_audit;
use super::{SqliteStore, time, unreadable};
use crate::audit::{Change, Deed};
use crate::keys::{ApiKey, KeyId, Scope};
use crate::store::{KeyStore, StoreError};

const KEEP: &str = "INSERT INTO api_keys (id, name, hash, scopes, created_at, revoked_at) \
    VALUES ($1, $2, $3, $4, $5, $6)";
const BY_HASH: &str = "SELECT * FROM api_keys WHERE hash = $1 AND revoked_at IS NULL";
const ALL: &str = "SELECT * FROM api_keys ORDER BY created_at, id";
const REVOKE: &str = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";

#[async_trait]
impl KeyStore for SqliteStore {
    async fn keep_key(&self, key: &ApiKey, hash: &str, change: Change) -> Result<(), StoreError> {
        let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.name()).collect();
        let mut tx = self.begin().await?;
        sqlx::query(KEEP)
            .bind(key.id.to_string())
            .bind(&key.name)
            .bind(hash)
            .bind(scopes.join(" "))
            .bind(key.created_at.as_unix_millis())
            .bind(key.revoked_at.map(WallTime::as_unix_millis))
            .execute(&mut *tx)
            .await?;
        // Its name may be a person's: id and scopes say enough.
        let detail = serde_json::json!({ "scopes": scopes });
        append_audit(&mut tx, change, &deed("key.created", key.id, detail)).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>, StoreError> {
        let row = sqlx::query(BY_HASH).bind(hash).fetch_optional(&self.readers).await?;
        row.as_ref().map(read).transpose()
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        sqlx::query(ALL).fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    async fn revoke_key(&self, id: KeyId, change: Change) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query(REVOKE).bind(id.to_string()).bind(change.at.as_unix_millis());
        let revoked = query.execute(&mut *tx).await?.rows_affected() == 1;
        if revoked {
            let deed = deed("key.revoked", id, serde_json::json!({}));
            append_audit(&mut tx, change, &deed).await?;
        }
        tx.commit().await?;
        Ok(revoked)
    }
}

fn deed(action: &'static str, id: KeyId, detail: serde_json::Value) -> Deed {
    Deed { action, subject: format!("key:{id}"), detail }
}

fn read(row: &SqliteRow) -> Result<ApiKey, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("key {id}"), what);
    let scopes: String = row.try_get("scopes")?;
    let scopes: Result<Vec<Scope>, _> = scopes.split(' ').map(str::parse).collect();
    Ok(ApiKey {
        id: id.parse::<KeyId>().map_err(|_| wrong("a malformed id"))?,
        name: row.try_get("name")?,
        scopes: scopes.map_err(|_| wrong("an unknown scope"))?,
        created_at: time(row.try_get("created_at")?),
        revoked_at: row.try_get::<Option<i64>, _>("revoked_at")?.map(time),
    })
}
