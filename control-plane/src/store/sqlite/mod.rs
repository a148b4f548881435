//! The embedded backend: one SQLite file in the data folder. WAL with `synchronous=FULL`, so a
//! committed row survives a power cut. One connection writes, since SQLite has one writer anyway
//! and waiting in our own queue is cheaper than in its lock; others read beside it.

use std::path::Path;

use async_trait::async_trait;
use engine_core::time::WallTime;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

use super::{Store, StoreError};
use crate::clock;
use crate::limits::{DATABASE_BUSY_MAX, DATABASE_QUEUE_MAX, READERS_MAX};
use crate::vault::{Vault, VaultConfig};

mod agreement;
mod audit;
mod billing;
mod billing_rows;
mod blocked;
mod campaigns;
mod contract_rows;
mod contracts;
mod deletions;
mod jobs;
mod keys;
mod lines;
mod mailboxes;
mod message_rows;
mod messages;
mod notices;
mod numbers;
mod outbox;
mod push;
mod repeats;
mod sealed;
mod setups;
mod subscribers;
mod tell;
mod terms;
mod turns;
mod webhooks;

/// Name of the database in the data folder.
pub const FILE_NAME: &str = "rusuden.db";

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// A store in one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    vault: Vault,
}

impl SqliteStore {
    /// Opens or makes the database in this folder and brings its tables up to date. Keys are where
    /// they are by default.
    pub async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(data_dir, Vault::new(data_dir, &VaultConfig::default())).await
    }

    /// The same with this vault, which is not touched before something sealed is met.
    pub async fn open_with(data_dir: &Path, vault: Vault) -> Result<Self, StoreError> {
        let file = data_dir.join(FILE_NAME);
        let refused = |why: String| StoreError::Open { path: file.display().to_string(), why };
        std::fs::create_dir_all(data_dir).map_err(|e| refused(e.to_string()))?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(DATABASE_BUSY_MAX)
            // What is deleted is overwritten, so that no text lingers in free pages.
            .pragma("secure_delete", "ON");
        let pool = |most| {
            SqlitePoolOptions::new().max_connections(most).acquire_timeout(DATABASE_QUEUE_MAX)
        };
        let writer = pool(1).connect_with(options.clone()).await;
        let writer = writer.map_err(|e| refused(e.to_string()))?;
        MIGRATIONS.run(&writer).await?;
        let readers = pool(READERS_MAX).connect_with(options.read_only(true)).await;
        let readers = readers.map_err(|e| refused(e.to_string()))?;
        Ok(Self { writer, readers, vault })
    }

    /// Runs a statement that leases rows (lease, until, now, limit); the lease and those rows.
    async fn lease(
        &self,
        sql: &'static str,
        now: WallTime,
        until: WallTime,
        limit: u32,
    ) -> Result<(String, Vec<SqliteRow>), StoreError> {
        let lease = uuid::Uuid::new_v4().to_string();
        let rows = sqlx::query(sql)
            .bind(&lease)
            .bind(until.as_unix_millis())
            .bind(now.as_unix_millis())
            .bind(i64::from(limit))
            .fetch_all(&self.writer)
            .await?;
        Ok((lease, rows))
    }

    /// A transaction that holds the write lock from its first moment: one that read first and
    /// wrote later could be refused by SQLite when another process wrote between.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn check_writable(&self) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO probe (id, at) VALUES (1, $1) \
                           ON CONFLICT (id) DO UPDATE SET at = excluded.at";
        sqlx::query(SQL).bind(clock::now().as_unix_millis()).execute(&self.writer).await?;
        Ok(())
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        self.vault.close().await;
    }
}

fn time(millis: i64) -> WallTime {
    WallTime::from_unix_millis(millis)
}

fn unreadable(row: impl std::fmt::Display, what: &'static str) -> StoreError {
    StoreError::Unreadable { row: row.to_string(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance;

    #[tokio::test]
    async fn conforms() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        conformance::run(&store).await;
    }

    /// S21, S22–S23, S53, S58, S65.
    #[tokio::test]
    async fn bills_conform() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        conformance::billing::run(&store).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn bills_race() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        conformance::billing::race(std::sync::Arc::new(store)).await;
    }

    #[tokio::test]
    async fn s21_a_closed_month_cannot_be_changed_by_a_statement() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        conformance::billing::run(&store).await;
        for sql in [
            "UPDATE billing_months SET total_yen = 0",
            "DELETE FROM billing_months",
            "UPDATE billing_exports SET bytes = x''",
            "DELETE FROM billing_exports",
            "INSERT INTO billing_exports (month, format, part, bytes) VALUES ('2026-07', 'csv', 9, x'')",
            "UPDATE billing_adjustments SET net_yen = 0",
            "DELETE FROM billing_adjustments",
            "INSERT INTO billing_adjustments (id, contract, for_month, lands_in, net_yen, reason, \
             created_at) VALUES ('x', 'x', '2026-07', '2026-07', 1, 'x', 0)",
        ] {
            let refused = sqlx::query(sql).execute(&store.writer).await.unwrap_err().to_string();
            assert!(refused.contains("never changes"), "{sql}: {refused}");
        }
    }

    #[tokio::test]
    async fn campaigns_conform() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        conformance::campaigns::run(&store).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn campaigns_race() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        conformance::campaigns::race(std::sync::Arc::new(store)).await;
    }

    #[tokio::test]
    async fn s72_a_version_of_the_campaign_cannot_be_changed_by_a_statement() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        conformance::campaigns::run(&store).await;
        for sql in ["UPDATE campaigns SET free_months = 0", "DELETE FROM campaigns"] {
            let refused = sqlx::query(sql).execute(&store.writer).await.unwrap_err().to_string();
            assert!(refused.contains("never changes"), "{refused}");
        }
    }

    /// S10, S28, S29, S36, S56–S57, S66–S68.
    #[tokio::test]
    async fn contracts_conform() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        conformance::contracts::run(&store).await;
    }

    #[tokio::test]
    async fn setups_conform() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        conformance::setups::run(&store).await;
    }

    /// S10, S28, S36, S69.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn contracts_race() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        conformance::contracts_race::race(std::sync::Arc::new(store)).await;
    }

    #[tokio::test]
    async fn the_audit_log_cannot_be_changed_by_a_statement() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        conformance::contracts::run(&store).await;
        for sql in ["UPDATE audit SET actor = 'x' WHERE seq = 1", "DELETE FROM audit"] {
            let refused = sqlx::query(sql).execute(&store.writer).await.unwrap_err().to_string();
            assert!(refused.contains("append-only"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_committed_row_is_safe_against_a_power_cut() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        let mode: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&store.writer).await.unwrap();
        let level: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&store.writer).await.unwrap();
        assert_eq!((mode.as_str(), level), ("wal", 2), "2 is FULL");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let error = SqliteStore::open(&file).await.unwrap_err().to_string();
        assert!(error.contains("check that the folder is writable"), "{error}");
    }

    #[tokio::test]
    async fn two_processes_may_hold_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let first = SqliteStore::open(folder.path()).await.unwrap();
        let second = SqliteStore::open(folder.path()).await.unwrap();
        for _ in 0..20 {
            let (a, b) = tokio::join!(first.check_writable(), second.check_writable());
            a.unwrap();
            b.unwrap();
        }
    }
}
