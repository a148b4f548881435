//! The key file, `keys.db`: wrapped data keys, one a mailbox, and what was destroyed. A SQLite
//! file of its own, because a backup of the database must not bring destroyed keys back. It has no
//! write-ahead log and overwrites what is deleted, so that a destroyed key lingers nowhere in it.

use std::collections::HashSet;
use std::path::Path;

use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Row, Sqlite, Transaction};

use super::VaultError;
use crate::limits::{DATABASE_BUSY_MAX, KEYS_PER_TRANSACTION_MAX};

const SCHEMA: &str = "\
    CREATE TABLE IF NOT EXISTS data_keys (\
        mailbox    TEXT    NOT NULL PRIMARY KEY,\
        id         TEXT    NOT NULL,\
        master     TEXT    NOT NULL,\
        wrapped    BLOB    NOT NULL,\
        created_at INTEGER NOT NULL\
    ) STRICT;\
    CREATE INDEX IF NOT EXISTS data_keys_master ON data_keys (master);\
    CREATE TABLE IF NOT EXISTS destroyed_keys (\
        mailbox      TEXT    NOT NULL PRIMARY KEY,\
        id           TEXT,\
        destroyed_at INTEGER NOT NULL\
    ) STRICT;\
    CREATE TABLE IF NOT EXISTS vault (\
        one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),\
        id     TEXT    NOT NULL,\
        master TEXT    NOT NULL\
    ) STRICT;";
const BY_MAILBOX: &str = "SELECT id, master, wrapped FROM data_keys WHERE mailbox = $1";
const DESTROYED: &str = "SELECT destroyed_at, id FROM destroyed_keys WHERE mailbox = $1";
const INSERT: &str = "INSERT INTO data_keys (mailbox, id, master, wrapped, created_at) \
    VALUES ($1, $2, $3, $4, $5)";
const ID: &str = "SELECT id FROM data_keys WHERE mailbox = $1";
// In place and of the same length first, so that the bytes of the key themselves are overwritten.
const OVERWRITE: &str =
    "UPDATE data_keys SET wrapped = zeroblob(length(wrapped)) WHERE mailbox = $1";
const DELETE: &str = "DELETE FROM data_keys WHERE mailbox = $1";
const BURY: &str = "INSERT INTO destroyed_keys (mailbox, id, destroyed_at) VALUES ($1, $2, $3) \
    ON CONFLICT DO NOTHING";
const NOT_UNDER: &str =
    "SELECT mailbox, id, master, wrapped FROM data_keys WHERE master <> $1 LIMIT $2";
const REWRAP: &str = "UPDATE data_keys SET master = $2, wrapped = $3 WHERE mailbox = $1";
const MASTERS: &str = "SELECT DISTINCT master FROM data_keys";

/// A data key as it is kept.
#[derive(Debug, Clone)]
pub(super) struct Wrapped {
    pub(super) mailbox: MailboxId,
    pub(super) id: String,
    pub(super) master: String,
    pub(super) bytes: Vec<u8>,
}

/// What the file knows of a mailbox.
#[derive(Debug)]
pub(super) enum Found {
    Wrapped(Wrapped),
    Destroyed { at: WallTime, id: Option<String> },
    Nothing,
}

/// The open file.
#[derive(Debug, Clone)]
pub(super) struct KeyFile {
    pool: SqlitePool,
}

impl KeyFile {
    /// Opens or makes it.
    pub(super) async fn open(path: &Path) -> Result<Self, VaultError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Truncate)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(DATABASE_BUSY_MAX)
            .pragma("secure_delete", "ON");
        let refused =
            |e: sqlx::Error| VaultError::File { path: path.to_owned(), why: e.to_string() };
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await;
        let pool = pool.map_err(refused)?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await.map_err(refused)?;
        Ok(Self { pool })
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, VaultError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Who this file is, and which master key wraps; made with `id` and `master` if it is new.
    pub(super) async fn identity(
        &self,
        id: &str,
        master: &str,
    ) -> Result<(String, String), VaultError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO vault (one, id, master) VALUES (1, $1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(master)
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query("SELECT id, master FROM vault").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok((row.try_get("id")?, row.try_get("master")?))
    }

    /// Ids of master keys that data keys are wrapped with.
    pub(super) async fn masters(&self) -> Result<Vec<String>, VaultError> {
        Ok(sqlx::query_scalar(MASTERS).fetch_all(&self.pool).await?)
    }

    /// Names the master key that wraps from now on.
    pub(super) async fn set_master(&self, master: &str) -> Result<(), VaultError> {
        sqlx::query("UPDATE vault SET master = $1").bind(master).execute(&self.pool).await?;
        Ok(())
    }

    /// What is known of a mailbox.
    pub(super) async fn find(&self, mailbox: MailboxId) -> Result<Found, VaultError> {
        let text = mailbox.to_string();
        let row = sqlx::query(BY_MAILBOX).bind(&text).fetch_optional(&self.pool).await?;
        if let Some(row) = row {
            return Ok(Found::Wrapped(read(&row, mailbox)?));
        }
        let row = sqlx::query(DESTROYED).bind(&text).fetch_optional(&self.pool).await?;
        row.as_ref().map_or(Ok(Found::Nothing), read_destroyed)
    }

    /// Keeps each key unless its mailbox has a key or had one, all in one transaction; what there
    /// is then. `None`, and nothing kept, where they are not wrapped with the master that holds.
    pub(super) async fn insert(
        &self,
        new: &[Wrapped],
        now: WallTime,
    ) -> Result<Option<Vec<Found>>, VaultError> {
        let mut tx = self.begin().await?;
        let master: String =
            sqlx::query_scalar("SELECT master FROM vault").fetch_one(&mut *tx).await?;
        if new.iter().any(|key| key.master != master) {
            return Ok(None);
        }
        let mut found = Vec::with_capacity(new.len());
        for key in new {
            let text = key.mailbox.to_string();
            if let Some(row) = sqlx::query(BY_MAILBOX).bind(&text).fetch_optional(&mut *tx).await? {
                found.push(Found::Wrapped(read(&row, key.mailbox)?));
                continue;
            }
            if let Some(row) = sqlx::query(DESTROYED).bind(&text).fetch_optional(&mut *tx).await? {
                found.push(read_destroyed(&row)?);
                continue;
            }
            sqlx::query(INSERT)
                .bind(text)
                .bind(&key.id)
                .bind(&key.master)
                .bind(&key.bytes)
                .bind(now.as_unix_millis())
                .execute(&mut *tx)
                .await?;
            found.push(Found::Wrapped(key.clone()));
        }
        tx.commit().await?;
        Ok(Some(found))
    }

    /// Destroys keys; those that are destroyed already stay so.
    pub(super) async fn destroy(
        &self,
        mailboxes: &[MailboxId],
        now: WallTime,
    ) -> Result<(), VaultError> {
        let mut tx = self.begin().await?;
        for mailbox in mailboxes {
            let text = mailbox.to_string();
            let id: Option<String> =
                sqlx::query_scalar(ID).bind(&text).fetch_optional(&mut *tx).await?;
            sqlx::query(OVERWRITE).bind(&text).execute(&mut *tx).await?;
            sqlx::query(DELETE).bind(&text).execute(&mut *tx).await?;
            let bury = sqlx::query(BURY).bind(text).bind(id).bind(now.as_unix_millis());
            bury.execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Mailboxes with a key, and mailboxes whose key was destroyed.
    pub(super) async fn mailboxes(
        &self,
    ) -> Result<(HashSet<MailboxId>, HashSet<MailboxId>), VaultError> {
        let ids = async |sql: &'static str| -> Result<HashSet<MailboxId>, VaultError> {
            let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&self.pool).await?;
            rows.iter().map(|id| read_mailbox(id)).collect()
        };
        let live = ids("SELECT mailbox FROM data_keys").await?;
        Ok((live, ids("SELECT mailbox FROM destroyed_keys").await?))
    }

    /// Some keys that another master wraps.
    pub(super) async fn not_under(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        master: &str,
    ) -> Result<Vec<Wrapped>, VaultError> {
        let query = sqlx::query(NOT_UNDER).bind(master).bind(KEYS_PER_TRANSACTION_MAX);
        let rows = query.fetch_all(&mut **tx).await?;
        rows.iter()
            .map(|row| read(row, read_mailbox(&row.try_get::<String, _>("mailbox")?)?))
            .collect()
    }

    /// Replaces a key's wrapping.
    pub(super) async fn rewrap(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        key: &Wrapped,
    ) -> Result<(), VaultError> {
        sqlx::query(REWRAP)
            .bind(key.mailbox.to_string())
            .bind(&key.master)
            .bind(&key.bytes)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }
}

fn read(row: &SqliteRow, mailbox: MailboxId) -> Result<Wrapped, VaultError> {
    Ok(Wrapped {
        mailbox,
        id: row.try_get("id")?,
        master: row.try_get("master")?,
        bytes: row.try_get("wrapped")?,
    })
}

fn read_destroyed(row: &SqliteRow) -> Result<Found, VaultError> {
    let at = WallTime::from_unix_millis(row.try_get("destroyed_at")?);
    Ok(Found::Destroyed { at, id: row.try_get("id")? })
}

fn read_mailbox(id: &str) -> Result<MailboxId, VaultError> {
    id.parse().map_err(|_| VaultError::Malformed { row: id.to_owned() })
}
