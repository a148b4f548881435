//! Whom a message is told to, in the transaction that makes it worth telling.

use engine_core::id::{MailboxId, RecordingId};
use engine_core::time::WallTime;
use sqlx::{Row, Sqlite, Transaction};

use super::notices::put_notice;
use super::push::push_targets;
use super::sealed::open_addresses;
use super::subscribers::settings_of;
use super::unreadable;
use super::webhooks::put_event;
use crate::mailbox::language_from_name;
use crate::notice::{Notice, NoticeBody, NoticeId};
use crate::outbox::Channel;
use crate::store::StoreError;
use crate::vault::Vault;
use crate::webhook::MESSAGE_RECEIVED;

const OWNER_TOLD: &str =
    "SELECT addresses, language FROM mailboxes WHERE id = $1 AND deleted_at IS NULL";
const LINE: &str = "SELECT line FROM contracts WHERE mailbox = $1 AND state = 'active'";

/// Leaves a delivery for everyone who is told of a message: those whom its mailbox names, as
/// its owner wishes to be told, and webhooks.
pub(super) async fn tell(
    tx: &mut Transaction<'static, Sqlite>,
    vault: &Vault,
    id: RecordingId,
    now: WallTime,
) -> Result<(), StoreError> {
    const MAILBOX: &str = "SELECT mailbox FROM messages WHERE id = $1";
    let message = id.to_string();
    let mailbox: String = sqlx::query_scalar(MAILBOX).bind(&message).fetch_one(&mut **tx).await?;
    let Some(owner) = sqlx::query(OWNER_TOLD).bind(&mailbox).fetch_optional(&mut **tx).await?
    else {
        return Ok(());
    };
    let wrong = |what| unreadable(format!("mailbox {mailbox}"), what);
    let sealed: String = owner.try_get("addresses")?;
    let language: String = owner.try_get("language")?;
    let language = language_from_name(&language).ok_or_else(|| wrong("an unknown language"))?;
    let owner: MailboxId = mailbox.parse().map_err(|_| wrong("a malformed id"))?;
    let addresses = open_addresses(vault, owner, &sealed).await?;
    let wish = settings_of(tx, owner).await?;
    let mut notice = Notice::new(id.into(), NoticeBody::NewMessage, message, now);
    notice.mailbox = Some(owner);
    notice.language = language.announcements();
    notice.quiet_hours = wish.quiet_hours;
    let mut targets = Vec::new();
    if wish.mail {
        targets.extend(addresses.into_iter().map(|to| (Channel::Mail, to)));
    }
    if wish.push {
        let browsers = push_targets(tx, &mailbox).await?;
        targets.extend(browsers.into_iter().map(|to| (Channel::Push, to)));
    }
    if wish.sms {
        let line = sqlx::query_scalar(LINE).bind(&mailbox).fetch_optional(&mut **tx).await?;
        targets.extend(line.map(|to: String| (Channel::Sms, to)));
    }
    let targets: Vec<_> = targets.iter().map(|(channel, to)| (*channel, to.as_str())).collect();
    put_notice(tx, vault, &notice, &targets).await?;
    tell_webhooks(tx, id, MESSAGE_RECEIVED, now).await
}

/// Tells webhooks what became of a message.
pub(super) async fn tell_webhooks(
    tx: &mut Transaction<'static, Sqlite>,
    id: RecordingId,
    event: &str,
    now: WallTime,
) -> Result<(), StoreError> {
    const SQL: &str = "SELECT mailbox, state FROM messages WHERE id = $1";
    let message = id.to_string();
    let row = sqlx::query(SQL).bind(&message).fetch_one(&mut **tx).await?;
    let (mailbox, state): (String, String) = (row.try_get("mailbox")?, row.try_get("state")?);
    let data = serde_json::json!({"message": message, "mailbox": mailbox, "state": state});
    put_event(tx, NoticeId::of(event, &message), event, data, now).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, Change};
    use crate::mailbox::{MailboxSettings, StoredMailbox};
    use crate::message::tests_support::new_message;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{
        Finished, JobStore, MailboxStore, MessageStore, OutboxStore, SubscriberStore,
    };
    use crate::subscriber::NotificationChange;

    const NOW: WallTime = WallTime::from_unix_millis(1_800_000_000_000);
    const CONTRACT: &str = "INSERT INTO contracts \
        (id, line, kind, state, applied_at, applied_on, serial_hash, mailbox, language, version) \
        VALUES ('1', '+819012345678', 'individual', 'active', 0, '2026-11-01', 'x', $1, 'ja', 1)";

    #[tokio::test]
    async fn s09_an_owner_is_told_as_asked_by_sms_to_the_contracts_line() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        let settings = MailboxSettings {
            addresses: vec!["a@example.jp".to_owned()],
            ..MailboxSettings::default()
        };
        let id = MailboxId::from_u128(1);
        let mailbox = StoredMailbox::new(id, "+815012345678", settings, NOW).unwrap();
        let change = Change { by: Actor::System, at: NOW };
        store.create_mailbox(&mailbox, change).await.unwrap();
        sqlx::query(CONTRACT).bind(id.to_string()).execute(&store.writer).await.unwrap();
        let wish = NotificationChange {
            mail: Some(false),
            sms: Some(true),
            push: None,
            quiet_hours: Some(Some("22:00-07:00".parse().unwrap())),
        };
        store.change_notification_settings(id, wish).await.unwrap();
        store.keep_arrivals(&[new_message(7, id)], NOW).await.unwrap();
        let job = store.lease_jobs(NOW, NOW, 1).await.unwrap().remove(0);
        let failed = Finished::Failed { why: "damaged".to_owned() };
        assert!(store.finish(&job, &failed, NOW).await.unwrap());
        assert_eq!(store.next_delivery(Channel::Mail).await.unwrap(), None, "mail was declined");
        let told = store.lease_deliveries(Channel::Sms, NOW, NOW, 9).await.unwrap();
        assert_eq!(told.iter().map(|d| &*d.target).collect::<Vec<_>>(), ["+819012345678"]);
        assert_eq!(told[0].notice.quiet_hours, Some("22:00-07:00".parse().unwrap()));
    }
}
