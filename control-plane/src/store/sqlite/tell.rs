//! Whom a message is told to, in the transaction that makes it worth telling.

use engine_core::id::RecordingId;
use engine_core::time::WallTime;
use sqlx::{Row, Sqlite, Transaction};

use super::notices::put_notice;
use super::push::push_targets;
use super::unreadable;
use super::webhooks::put_event;
use crate::mailbox::language_from_name;
use crate::notice::{Notice, NoticeBody, NoticeId};
use crate::outbox::Channel;
use crate::store::StoreError;
use crate::webhook::MESSAGE_RECEIVED;

const OWNER_TOLD: &str =
    "SELECT addresses, language FROM mailboxes WHERE id = $1 AND deleted_at IS NULL";

/// Leaves a delivery for everyone who is told of a message: addresses and browsers of its mailbox,
/// and webhooks.
pub(super) async fn tell(
    tx: &mut Transaction<'static, Sqlite>,
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
    let addresses: String = owner.try_get("addresses")?;
    let addresses: Vec<String> =
        serde_json::from_str(&addresses).map_err(|_| wrong("malformed addresses"))?;
    let language: String = owner.try_get("language")?;
    let language = language_from_name(&language).ok_or_else(|| wrong("an unknown language"))?;
    let mut notice = Notice::new(id.into(), NoticeBody::NewMessage, message, now);
    notice.mailbox = Some(mailbox.parse().map_err(|_| wrong("a malformed id"))?);
    notice.language = language.announcements();
    let browsers = push_targets(tx, &mailbox).await?;
    let mail = addresses.iter().map(|to| (Channel::Mail, to.as_str()));
    let push = browsers.iter().map(|to| (Channel::Push, to.as_str()));
    put_notice(tx, &notice, &mail.chain(push).collect::<Vec<_>>()).await?;
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
