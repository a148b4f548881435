//! Answers whose mailbox a number is and whom it refuses, from the rows: a change is seen by the
//! next call.

use std::sync::Arc;

use engine_core::caller::Caller;
use engine_core::directory::{Directory, DirectoryError, Lookup, Screening};
use engine_core::id::MailboxId;

use crate::blocked::caller_hash;
use crate::hotwords::HotwordBook;
use crate::pepper::Pepper;
use crate::store::SharedStore;

/// The directory over the store.
pub(crate) struct StoreDirectory {
    pub(crate) store: SharedStore,
    pub(crate) pepper: Pepper,
    pub(crate) hotwords: Arc<HotwordBook>,
}

impl Directory for StoreDirectory {
    fn mailbox<'a>(&'a self, number: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            let found = self.store.mailbox_by_number(number).await;
            let found = found.map_err(|why| DirectoryError { why: why.to_string() })?;
            // Met before its words are asked for: the call begins after this answer.
            Ok(found.map(|mailbox| {
                self.hotwords.meet(&mailbox);
                mailbox.for_call()
            }))
        })
    }

    fn refuses<'a>(&'a self, mailbox: MailboxId, caller: &'a Caller) -> Screening<'a> {
        Box::pin(async move {
            let hash = caller_hash(&self.pepper, mailbox, caller);
            let blocked = self.store.is_blocked(mailbox, &hash).await;
            blocked.map_err(|why| DirectoryError { why: why.to_string() })
        })
    }
}
