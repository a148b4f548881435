//! Answers whose mailbox a number is, from the rows: a change is seen by the next call.

use engine_core::directory::{Directory, DirectoryError, Lookup};

use crate::store::SharedStore;

/// The directory over the store.
pub(crate) struct StoreDirectory {
    pub(crate) store: SharedStore,
}

impl Directory for StoreDirectory {
    fn mailbox<'a>(&'a self, number: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            let found = self.store.mailbox_by_number(number).await;
            let found = found.map_err(|why| DirectoryError { why: why.to_string() })?;
            Ok(found.map(|mailbox| mailbox.for_call()))
        })
    }
}
