//! Searching a mailbox: texts are kept encrypted and unindexed, so they are read page by page and
//! looked at. One request reads a bounded number of them; its cursor leads on from there. For the
//! operator's API and the subscriber's alike.

use engine_core::id::MailboxId;

use super::page::write_cursor;
use crate::limits::{PAGE_MAX, SEARCH_SCAN_MAX};
use crate::message::Message;
use crate::search::Needle;
use crate::store::{After, MessageStore, Page, StoreError};

/// Where a message stands in its list.
pub(crate) fn place(message: &Message) -> After {
    After { at: message.arrived.received_at, id: message.arrived.id.as_u128() }
}

/// Messages whose text holds what is looked for, newest first, and the cursor behind what was
/// read. `page` is as `read_page` makes it: one item more than is wanted. A page may hold less
/// than wanted, or nothing, and still have more behind it.
pub(crate) async fn scan<S: MessageStore + ?Sized>(
    store: &S,
    mailbox: MailboxId,
    read: Option<bool>,
    needle: &Needle,
    page: Page,
) -> Result<(Vec<Message>, Option<String>), StoreError> {
    let wanted = page.limit as usize - 1;
    let mut found = Vec::new();
    let mut after = page.after;
    let mut left = SEARCH_SCAN_MAX;
    while left > 0 {
        let limit = left.min(PAGE_MAX);
        left -= limit;
        let batch = store.messages(mailbox, read, Page { after, limit }).await?;
        let is_last = batch.len() < limit as usize;
        let mut rest = batch.into_iter();
        while let Some(message) = rest.next() {
            after = Some(place(&message));
            let text = message.text.as_ref().map(|text| text.text.reveal().as_str());
            if text.is_some_and(|text| needle.is_in(text)) {
                found.push(message);
            }
            if found.len() == wanted && !(is_last && rest.len() == 0) {
                return Ok((found, after.map(write_cursor)));
            }
        }
        if is_last {
            return Ok((found, None));
        }
    }
    Ok((found, after.map(write_cursor)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, Change};
    use crate::mailbox::{MailboxSettings, StoredMailbox};
    use crate::message::tests_support::{new_message, text};
    use crate::message::{MessageAudio, NewMessage};
    use crate::rest::page::read_page;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Finished, JobStore, MailboxStore};
    use engine_core::time::WallTime;

    const MAILBOX: MailboxId = MailboxId::from_u128(9);
    const NOW: WallTime = WallTime::from_unix_millis(1_800_000_000_000);

    /// A mailbox with so many messages; those of `spoken` hold 「明日の会議は十時からです。」.
    async fn filled(folder: &std::path::Path, count: u128, spoken: &[u128]) -> SqliteStore {
        let store = SqliteStore::open(folder).await.unwrap();
        let settings = MailboxSettings::default();
        let mailbox = StoredMailbox::new(MAILBOX, "+815012345678", settings, NOW).unwrap();
        let change = Change { by: Actor::System, at: NOW };
        store.create_mailbox(&mailbox, change).await.unwrap();
        for id in spoken {
            store.keep_arrivals(&[new_message(*id, MAILBOX)], NOW).await.unwrap();
            let until = WallTime::from_unix_millis(NOW.as_unix_millis() + 1_000);
            let job = store.lease_jobs(NOW, until, 1).await.unwrap().remove(0);
            let audio = MessageAudio { bytes: 1, sha256: "cd".repeat(32) };
            let done = Finished::Transcribed { text: Box::new(text()), audio };
            assert!(store.finish(&job, &done, NOW).await.unwrap());
        }
        let rest = (1..=count).filter(|id| !spoken.contains(id));
        let rest: Vec<NewMessage> = rest.map(|id| new_message(id, MAILBOX)).collect();
        store.keep_arrivals(&rest, NOW).await.unwrap();
        store
    }

    async fn page(
        store: &SqliteStore,
        limit: u32,
        cursor: Option<&str>,
    ) -> (Vec<u128>, Option<String>) {
        let needle = Needle::new("会議").unwrap();
        let page = read_page(Some(limit), cursor).unwrap();
        let (found, next) = scan(store, MAILBOX, None, &needle, page).await.unwrap();
        (found.into_iter().map(|message| message.arrived.id.as_u128()).collect(), next)
    }

    #[tokio::test]
    async fn one_request_reads_up_to_the_limit_and_its_cursor_leads_on() {
        let folder = tempfile::tempdir().unwrap();
        let past = u128::from(SEARCH_SCAN_MAX) + 1;
        let store = filled(folder.path(), past, &[1, 2]).await;
        // The newest SEARCH_SCAN_MAX messages are read: the last of them is 2.
        let (found, next) = page(&store, 10, None).await;
        assert_eq!(found, [2]);
        let (found, end) = page(&store, 10, next.as_deref()).await;
        assert_eq!((found, end), (vec![1], None));
    }

    #[tokio::test]
    async fn pages_are_full_where_there_is_enough_and_end_where_there_is_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path(), 205, &[1, 3, 5, 7, 205]).await;
        let (found, next) = page(&store, 2, None).await;
        assert_eq!(found, [205, 7]);
        let (found, next) = page(&store, 2, next.as_deref()).await;
        assert_eq!(found, [5, 3]);
        let (found, end) = page(&store, 2, next.as_deref()).await;
        assert_eq!((found, end), (vec![1], None));
        let (found, end) = page(&store, 5, None).await;
        assert_eq!((found.len(), end), (5, None), "the last one is the mailbox's last");
    }
}
