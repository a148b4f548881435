//! What database and key file must agree on at the start. Seals what older versions wrote in
//! clear, and deletes again what a backup of either file brought back.

use engine_core::id::{MailboxId, RecordingId};
use sqlx::{Row, Sqlite, Transaction};

use super::notices::find_notice;
use super::sealed::{ADDRESSES, message_place, seal, seal_list, seal_target};
use super::{SqliteStore, unreadable};
use crate::limits::ROWS_SEALED_AT_ONCE;
use crate::objects::{Object, Objects};
use crate::outbox::Channel;
use crate::store::StoreError;
use crate::vault::VaultError;

const MESSAGES: &str = "SELECT id, mailbox, caller_number, text, segments FROM messages \
    WHERE id IN (SELECT id FROM unsealed WHERE kind = 'message' LIMIT $1)";
const SEAL_MESSAGE: &str =
    "UPDATE messages SET caller_number = $2, text = $3, segments = $4 WHERE id = $1";
const MAILBOXES: &str = "SELECT id, addresses FROM mailboxes \
    WHERE id IN (SELECT id FROM unsealed WHERE kind = 'mailbox' LIMIT $1)";
const SEAL_MAILBOX: &str = "UPDATE mailboxes SET addresses = $2 WHERE id = $1";
const SOUNDS: &str = "SELECT unsealed.kind, unsealed.id, messages.mailbox FROM unsealed \
    LEFT JOIN messages ON messages.id = unsealed.id \
    WHERE unsealed.kind IN ('sound', 'greeting') LIMIT $1";
const SEALED: &str = "DELETE FROM unsealed WHERE kind = $1 AND id = $2";
const OUTBOX_IS_OLD: &str = "SELECT 1 FROM unsealed WHERE kind = 'outbox'";
const TARGETS: &str = "SELECT notice, channel, target FROM outbox \
    JOIN notices ON notices.id = outbox.notice WHERE notices.mailbox IS NOT NULL \
    AND channel IN ('mail', 'sms') AND target NOT GLOB 'e1.*' LIMIT $1";
const SEAL_TARGET: &str =
    "UPDATE outbox SET target = $4 WHERE notice = $1 AND channel = $2 AND target = $3";
const DROP_TARGET: &str = "DELETE FROM outbox \
    WHERE notice = $1 AND channel = $2 AND target = $3 AND $4 IS NULL";

impl SqliteStore {
    /// Makes sure that the key file is the one that this database was sealed with, or remembers it.
    pub(crate) async fn bind_vault(&self) -> Result<(), StoreError> {
        const BIND: &str =
            "INSERT INTO vault (one, key_file) VALUES (1, $1) ON CONFLICT DO NOTHING";
        let id = self.vault.check().await?;
        sqlx::query(BIND).bind(&id).execute(&self.writer).await?;
        let bound: String =
            sqlx::query_scalar("SELECT key_file FROM vault").fetch_one(&self.writer).await?;
        if bound == id {
            return Ok(());
        }
        Err(VaultError::OtherKeyFile { path: self.vault.key_file() }.into())
    }

    /// Seals what older versions wrote in clear, rows and sound. How many things that were.
    pub(crate) async fn seal_old(&self, objects: &Objects) -> Result<u64, StoreError> {
        let mut sealed = 0;
        loop {
            let mut tx = self.begin().await?;
            let rows = self.seal_messages(&mut tx).await?
                + self.seal_mailboxes(&mut tx).await?
                + self.seal_targets(&mut tx).await?;
            tx.commit().await?;
            let sounds = self.seal_sounds(objects).await?;
            sealed += rows + sounds;
            if rows + sounds == 0 {
                return Ok(sealed);
            }
        }
    }

    async fn seal_messages(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
    ) -> Result<u64, StoreError> {
        let rows = sqlx::query(MESSAGES).bind(ROWS_SEALED_AT_ONCE).fetch_all(&mut **tx).await?;
        for row in &rows {
            let id: String = row.try_get("id")?;
            let key = self.vault.key(mailbox_of(row.try_get("mailbox")?)?).await?;
            let column = |column| -> Result<Option<String>, StoreError> {
                let plain: Option<String> = row.try_get(column)?;
                let sealed = plain.zip(key.as_deref());
                Ok(sealed.map(|(plain, key)| seal(key, message_place(column, &id), &plain)))
            };
            sqlx::query(SEAL_MESSAGE)
                .bind(&id)
                .bind(column("caller_number")?)
                .bind(column("text")?)
                .bind(column("segments")?)
                .execute(&mut **tx)
                .await?;
            sqlx::query(SEALED).bind("message").bind(id).execute(&mut **tx).await?;
        }
        Ok(rows.len() as u64)
    }

    async fn seal_mailboxes(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
    ) -> Result<u64, StoreError> {
        let rows = sqlx::query(MAILBOXES).bind(ROWS_SEALED_AT_ONCE).fetch_all(&mut **tx).await?;
        for row in &rows {
            let id: String = row.try_get("id")?;
            let addresses: String = row.try_get("addresses")?;
            let wrong = |_| unreadable(format!("mailbox {id}"), "malformed addresses");
            let addresses: Vec<String> = serde_json::from_str(&addresses).map_err(wrong)?;
            let sealed =
                seal_list(&self.vault, mailbox_of(id.clone())?, ADDRESSES, &addresses).await?;
            sqlx::query(SEAL_MAILBOX).bind(&id).bind(sealed).execute(&mut **tx).await?;
            sqlx::query(SEALED).bind("mailbox").bind(id).execute(&mut **tx).await?;
        }
        Ok(rows.len() as u64)
    }

    async fn seal_targets(&self, tx: &mut Transaction<'static, Sqlite>) -> Result<u64, StoreError> {
        if sqlx::query(OUTBOX_IS_OLD).fetch_optional(&mut **tx).await?.is_none() {
            return Ok(0);
        }
        let rows = sqlx::query(TARGETS).bind(ROWS_SEALED_AT_ONCE).fetch_all(&mut **tx).await?;
        for row in &rows {
            let (id, name): (String, String) = (row.try_get("notice")?, row.try_get("channel")?);
            let plain: String = row.try_get("target")?;
            let notice = find_notice(tx, id.clone()).await?;
            let channel = Channel::from_name(&name)
                .ok_or_else(|| unreadable(format!("delivery of {id}"), "an unknown channel"))?;
            let sealed = seal_target(&self.vault, &notice, channel, &plain).await?;
            let query = sqlx::query(if sealed.is_some() { SEAL_TARGET } else { DROP_TARGET });
            query.bind(id).bind(name).bind(plain).bind(sealed).execute(&mut **tx).await?;
        }
        if rows.is_empty() {
            sqlx::query(SEALED).bind("outbox").bind("all").execute(&mut **tx).await?;
        }
        Ok(rows.len() as u64)
    }

    async fn seal_sounds(&self, objects: &Objects) -> Result<u64, StoreError> {
        let rows = sqlx::query(SOUNDS).bind(ROWS_SEALED_AT_ONCE).fetch_all(&self.writer).await?;
        for row in &rows {
            let kind: String = row.try_get("kind")?;
            let id: String = row.try_get("id")?;
            let malformed = |_| unreadable(&id, "a malformed id");
            let wanted = if kind == "greeting" {
                let mailbox = mailbox_of(id.clone())?;
                vec![(Object::Greeting(mailbox), mailbox)]
            } else {
                let message: RecordingId = id.parse().map_err(malformed)?;
                let mailbox = mailbox_of(row.try_get("mailbox")?)?;
                vec![(Object::Recording(message), mailbox), (Object::Audio(message), mailbox)]
            };
            for (object, mailbox) in wanted {
                objects.seal_old(object, mailbox).await?;
            }
            sqlx::query(SEALED).bind(kind).bind(id).execute(&self.writer).await?;
        }
        Ok(rows.len() as u64)
    }

    /// Brings database and key file to agree after one of them came out of a backup: what either
    /// knows to be deleted is deleted in both. How many mailboxes that concerned.
    pub(crate) async fn reconcile(&self) -> Result<u64, StoreError> {
        const ALL: &str = "SELECT id, deleted_at IS NOT NULL AS deleted FROM mailboxes";
        let (live, destroyed) = self.vault.mailboxes().await?;
        let (mut to_destroy, mut to_delete) = (Vec::new(), Vec::new());
        for row in sqlx::query(ALL).fetch_all(&self.readers).await? {
            let mailbox = mailbox_of(row.try_get("id")?)?;
            let is_deleted: bool = row.try_get("deleted")?;
            if is_deleted && live.contains(&mailbox) {
                to_destroy.push(mailbox);
            } else if !is_deleted && destroyed.contains(&mailbox) {
                to_delete.push(mailbox);
            }
        }
        if !to_destroy.is_empty() {
            self.vault.destroy(&to_destroy).await?;
        }
        for &mailbox in &to_delete {
            self.delete_again(mailbox).await?;
        }
        Ok((to_destroy.len() + to_delete.len()) as u64)
    }
}

fn mailbox_of(id: String) -> Result<MailboxId, StoreError> {
    id.parse().map_err(|_| unreadable(id, "a malformed id"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use engine_core::time::WallTime;
    use sqlx::migrate::Migrator;
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

    use super::*;
    use crate::store::sqlite::{FILE_NAME, MIGRATIONS};
    use crate::store::{
        DeletionStore as _, MailboxStore as _, MessageStore as _, OutboxStore as _,
    };
    use crate::vault::{Vault, VaultConfig};

    const MAILBOX: MailboxId = MailboxId::from_u128(2);
    const MESSAGE: RecordingId = RecordingId::from_u128(1);
    const OLD_ROWS: &str = "\
        INSERT INTO mailboxes VALUES ('00000000-0000-0000-0000-000000000002', '+815012345678', \
            'ja', 1, NULL, 60, 'own', 1, '[\"private@example.jp\"]', 1, 0, 0, NULL);\
        INSERT INTO messages (id, mailbox, state, caller_kind, caller_number, codec, language, \
            answered_at, received_at, end_reason, frames, lost, duration_ms, call_ms, \
            payload_sha256, recording_bytes, audio_bytes, audio_sha256, spoken_language, verdict, \
            text, segments, confidence, model) VALUES ('00000000-0000-0000-0000-000000000001', \
            '00000000-0000-0000-0000-000000000002', 'transcribed', 'number', '+819087654321', \
            'PCMU', 'ja', 0, 0, 'hung_up', 1, 0, 20, 20, '', 5, 5, '', 'ja', 'speech', \
            'very private words', '[{\"start_ms\":0,\"end_ms\":9,\"text\":\"very private words\",\
            \"confidence\":1.0}]', 1.0, 'm');\
        INSERT INTO notices (id, kind, subject, mailbox, language, payload, created_at) VALUES \
            ('00000000-0000-0000-0000-000000000001', 'new_message', '1', \
            '00000000-0000-0000-0000-000000000002', 'ja', '{\"kind\":\"new_message\"}', 0);\
        INSERT INTO outbox (notice, channel, target, state, attempts, next_at, created_at) VALUES \
            ('00000000-0000-0000-0000-000000000001', 'mail', 'private@example.jp', 'pending', 0, 0, 0);";

    /// A data folder as the version before this one left it.
    async fn old_folder(folder: &Path) {
        let older = MIGRATIONS.iter().filter(|one| one.version < 6).cloned().collect();
        let options = SqliteConnectOptions::new().filename(folder.join(FILE_NAME));
        let pool = SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
        Migrator::with_migrations(older).run(&pool).await.unwrap();
        sqlx::raw_sql(OLD_ROWS).execute(&pool).await.unwrap();
        pool.close().await;
        for (kind, name) in [
            ("recordings", format!("{MESSAGE}.rec")),
            ("audio", format!("{MESSAGE}.mp3")),
            ("greetings", format!("{MAILBOX}.wav")),
        ] {
            let folder = folder.join("objects").join(kind);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), b"very private sound").unwrap();
        }
    }

    fn is_in_clear(folder: &Path) -> bool {
        std::fs::read_dir(folder).unwrap().any(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                return is_in_clear(&path);
            }
            let bytes = std::fs::read(path).unwrap();
            let secrets = ["very private", "private@example.jp", "819087654321"];
            secrets.iter().any(|secret| bytes.windows(secret.len()).any(|w| w == secret.as_bytes()))
        })
    }

    #[tokio::test]
    async fn what_an_older_version_kept_in_clear_is_sealed_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        old_folder(folder.path()).await;
        assert!(is_in_clear(folder.path()));
        let vault = Vault::new(folder.path(), &VaultConfig::default());
        let objects = Objects::in_folder(&folder.path().join("objects"), vault.clone()).unwrap();
        let store = SqliteStore::open_with(folder.path(), vault).await.unwrap();
        store.bind_vault().await.unwrap();
        assert_eq!(store.seal_old(&objects).await.unwrap(), 5);
        assert_eq!(store.seal_old(&objects).await.unwrap(), 0, "once is enough");
        store.scrub().await.unwrap();
        assert!(!is_in_clear(folder.path()));

        let message = store.message(MESSAGE).await.unwrap().unwrap();
        assert_eq!(message.arrived.caller.number(), Some("+819087654321"));
        let text = message.text.unwrap();
        assert_eq!(text.text.reveal(), "very private words");
        assert_eq!(text.segments[0].text.reveal(), "very private words");
        let mailbox = store.mailbox(MAILBOX).await.unwrap().unwrap();
        assert_eq!(mailbox.settings.addresses, ["private@example.jp"]);
        let now = WallTime::from_unix_millis(1);
        let told = store.lease_deliveries(Channel::Mail, now, now, 9).await.unwrap();
        assert_eq!(told[0].target, "private@example.jp");
        for object in
            [Object::Recording(MESSAGE), Object::Audio(MESSAGE), Object::Greeting(MAILBOX)]
        {
            let sound = objects.get(object).await.unwrap();
            assert_eq!(sound, Some(Bytes::from_static(b"very private sound")));
        }
    }
}
