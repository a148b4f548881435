//! Sealed columns: text in, what the mailbox's data key made of it out, and back. Each value is
//! bound to its table, column and row.

use std::sync::Arc;

use engine_core::id::MailboxId;

use super::unreadable;
use crate::mailbox::StoredMailbox;
use crate::notice::Notice;
use crate::outbox::Channel;
use crate::store::StoreError;
use crate::vault::{DataKey, Held, Place, Vault, VaultError, nonce};

/// Stands for an empty list: nothing to seal.
pub(super) const NOTHING: &str = "[]";
pub(super) const ADDRESSES: &str = "addresses";
pub(super) const HOTWORDS: &str = "hotwords";

/// A column that is sealed, with its row.
pub(super) const fn message_place<'a>(column: &'a str, id: &'a str) -> Place<'a> {
    Place { table: "messages", column, row: id }
}

/// A list of a mailbox's: its addresses, its hotwords.
const fn list_place<'a>(column: &'a str, id: &'a str) -> Place<'a> {
    Place { table: "mailboxes", column, row: id }
}

/// Seals a text at its place.
pub(super) fn seal(key: &DataKey, place: Place<'_>, text: &str) -> String {
    key.seal_text(place, text, nonce())
}

/// Opens a text at its place.
pub(super) fn open(key: &DataKey, place: Place<'_>, sealed: &str) -> Result<String, StoreError> {
    let wrong = |_| unreadable(format!("{} {}", place.table, place.row), "what does not open");
    key.open_text(place, sealed).map_err(wrong)
}

/// What opens a row's sealed columns.
pub(super) enum Opener {
    /// This key.
    Key(Arc<DataKey>),
    /// Nothing any more: the key was destroyed, the row is as good as deleted.
    Destroyed,
}

/// What opens what is sealed for this mailbox.
pub(super) async fn opener(vault: &Vault, mailbox: MailboxId) -> Result<Opener, StoreError> {
    match vault.look_up(mailbox).await? {
        Held::Key(key) => Ok(Opener::Key(key)),
        Held::Destroyed { .. } => Ok(Opener::Destroyed),
        Held::Nothing => Err(VaultError::KeyMissing { mailbox }.into()),
    }
}

/// A mailbox's list, read with its key.
pub(super) fn read_list(
    key: &DataKey,
    column: &str,
    id: &str,
    sealed: &str,
) -> Result<Vec<String>, StoreError> {
    if sealed == NOTHING {
        return Ok(Vec::new());
    }
    let wrong = |_| unreadable(format!("mailbox {id} {column}"), "a malformed list");
    serde_json::from_str(&open(key, list_place(column, id), sealed)?).map_err(wrong)
}

/// A mailbox's addresses; none once its key is destroyed.
pub(super) async fn open_addresses(
    vault: &Vault,
    mailbox: MailboxId,
    sealed: &str,
) -> Result<Vec<String>, StoreError> {
    if sealed == NOTHING {
        return Ok(Vec::new());
    }
    match opener(vault, mailbox).await? {
        Opener::Key(key) => read_list(&key, ADDRESSES, &mailbox.to_string(), sealed),
        Opener::Destroyed => Ok(Vec::new()),
    }
}

/// Whose key seals a notice's target: addresses and numbers of a mailbox. Ids need no sealing, and
/// what belongs to no mailbox has no key.
fn owner_of(notice: &Notice, channel: Channel) -> Option<MailboxId> {
    notice.mailbox.filter(|_| matches!(channel, Channel::Mail | Channel::Sms))
}

/// A delivery's target as it is kept: equal targets of one notice stay equal, so that each is told
/// once. `None` when its mailbox is deleted.
pub(super) async fn seal_target(
    vault: &Vault,
    notice: &Notice,
    channel: Channel,
    target: &str,
) -> Result<Option<String>, StoreError> {
    let Some(owner) = owner_of(notice, channel) else { return Ok(Some(target.to_owned())) };
    let id = notice.id.to_string();
    let key = vault.key(owner).await?;
    Ok(key.map(|key| key.seal_name(target_place(channel, &id), target)))
}

/// A delivery's target as it is told to.
pub(super) async fn open_target(
    vault: &Vault,
    notice: &Notice,
    channel: Channel,
    sealed: String,
) -> Result<String, StoreError> {
    let Some(owner) = owner_of(notice, channel) else { return Ok(sealed) };
    let id = notice.id.to_string();
    match opener(vault, owner).await? {
        Opener::Key(key) => open(&key, target_place(channel, &id), &sealed),
        Opener::Destroyed => Err(unreadable(format!("delivery of {id}"), "a deleted target")),
    }
}

const fn target_place(channel: Channel, notice: &str) -> Place<'_> {
    Place { table: "outbox", column: channel.name(), row: notice }
}

/// A mailbox's list as it is kept.
pub(super) async fn seal_list(
    vault: &Vault,
    mailbox: MailboxId,
    column: &str,
    list: &[String],
) -> Result<String, StoreError> {
    let text = serde_json::to_string(list).expect("strings are always JSON");
    if list.is_empty() {
        return Ok(NOTHING.to_owned());
    }
    let key = vault.key(mailbox).await?;
    let seal = |key: Arc<DataKey>| seal(&key, list_place(column, &mailbox.to_string()), &text);
    // A destroyed key: the mailbox is deleted, and so are its lists.
    Ok(key.map_or_else(|| NOTHING.to_owned(), seal))
}

/// What of a mailbox is sealed, as it is kept.
pub(super) struct SealedLists {
    pub(super) addresses: String,
    pub(super) hotwords: String,
}

impl SealedLists {
    pub(super) async fn of(vault: &Vault, mailbox: &StoredMailbox) -> Result<Self, StoreError> {
        let settings = &mailbox.settings;
        let addresses = seal_list(vault, mailbox.id, ADDRESSES, &settings.addresses).await?;
        let hotwords = seal_list(vault, mailbox.id, HOTWORDS, &settings.hotwords).await?;
        Ok(Self { addresses, hotwords })
    }
}
