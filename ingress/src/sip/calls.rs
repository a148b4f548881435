//! The table of calls: who handles what arrives for a call, and how many there are.
//!
//! In: new calls with their keys, commands from the network, from media and from a stop. Out: the
//! command at the right call's task. Decides nothing about a call.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use engine_core::id::CallId;
use rsipstack::sip::Request;
use rsipstack::transaction::Transaction;
use tokio::sync::{mpsc, watch};

use super::counters::Counters;

/// What a call's task may be told.
pub(crate) enum Command {
    /// A request within its dialog.
    Request(Box<Transaction>),
    /// The ACK of a re-INVITE's 200 came, or did not within 64·T1.
    Acknowledged(Option<Box<Request>>),
    /// Our session refresh was answered with 2xx, or was not.
    Refreshed(bool),
    /// End the call with BYE.
    HangUp,
}

/// What makes an INVITE the same call on another path (RFC 3261 §8.2.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct InviteKey {
    pub(crate) call_id: String,
    pub(crate) from_tag: String,
    pub(crate) sequence: u32,
}

/// Why a call got no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    Full,
    Merged,
}

#[derive(Default)]
struct Table {
    by_dialog: HashMap<String, mpsc::Sender<Command>>,
    by_media: HashMap<CallId, mpsc::Sender<Command>>,
    invites: HashSet<InviteKey>,
}

pub(crate) struct Calls {
    table: Mutex<Table>,
    limit: usize,
    counters: Arc<Counters>,
    tasks: watch::Sender<usize>,
}

impl Calls {
    pub(crate) fn new(limit: usize, counters: Arc<Counters>) -> Arc<Self> {
        let tasks = watch::Sender::new(0);
        Arc::new(Self { table: Mutex::default(), limit, counters, tasks })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nothing panics while the table is held")
    }

    pub(crate) fn is_full(&self) -> bool {
        self.counters.calls.load(Ordering::Relaxed) >= self.limit
    }

    /// Takes a place for a new call.
    pub(crate) fn open(self: &Arc<Self>, invite: InviteKey) -> Result<Place, NoPlace> {
        let mut table = self.table();
        if table.invites.contains(&invite) {
            return Err(NoPlace::Merged);
        }
        if self.is_full() {
            return Err(NoPlace::Full);
        }
        table.invites.insert(invite.clone());
        self.counters.calls.fetch_add(1, Ordering::Relaxed);
        self.tasks.send_modify(|tasks| *tasks += 1);
        Ok(Place { calls: Arc::clone(self), invite, dialog: None, media: None, counted: true })
    }

    pub(crate) fn by_dialog(&self, dialog: &str) -> Option<mpsc::Sender<Command>> {
        self.table().by_dialog.get(dialog).cloned()
    }

    pub(crate) fn by_media(&self, call: CallId) -> Option<mpsc::Sender<Command>> {
        self.table().by_media.get(&call).cloned()
    }

    pub(crate) fn all(&self) -> Vec<mpsc::Sender<Command>> {
        self.table().by_dialog.values().cloned().collect()
    }

    /// Resolves when no call's task is left.
    pub(crate) async fn all_gone(&self) {
        let mut tasks = self.tasks.subscribe();
        let gone = tasks.wait_for(|tasks| *tasks == 0).await;
        debug_assert!(gone.is_ok(), "the sender lives as long as self");
    }
}

/// One call's place; giving it up frees every key.
pub(crate) struct Place {
    calls: Arc<Calls>,
    invite: InviteKey,
    dialog: Option<String>,
    media: Option<CallId>,
    counted: bool,
}

impl Place {
    pub(crate) fn bind_dialog(&mut self, dialog: String, commands: mpsc::Sender<Command>) {
        self.calls.table().by_dialog.insert(dialog.clone(), commands);
        self.dialog = Some(dialog);
    }

    pub(crate) fn bind_media(&mut self, call: CallId, commands: mpsc::Sender<Command>) {
        self.calls.table().by_media.insert(call, commands);
        self.media = Some(call);
    }

    /// The call is over for admission; its keys stay until the last transaction is done.
    pub(crate) fn finish(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.calls.counters.calls.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.finish();
        let mut table = self.calls.table();
        table.invites.remove(&self.invite);
        if let Some(dialog) = &self.dialog {
            table.by_dialog.remove(dialog);
        }
        if let Some(media) = &self.media {
            table.by_media.remove(media);
        }
        drop(table);
        self.calls.tasks.send_modify(|tasks| *tasks -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sequence: u32) -> InviteKey {
        InviteKey { call_id: "c".to_owned(), from_tag: "t".to_owned(), sequence }
    }

    #[tokio::test]
    async fn places_are_given_up_to_the_limit_and_taken_back() {
        let calls = Calls::new(2, Arc::default());
        let mut first = calls.open(key(1)).unwrap();
        let second = calls.open(key(2)).unwrap();
        assert_eq!(calls.open(key(3)).err(), Some(NoPlace::Full));
        assert_eq!(calls.open(key(1)).err(), Some(NoPlace::Merged));
        let (sender, _receiver) = mpsc::channel(1);
        first.bind_dialog("d".to_owned(), sender.clone());
        first.bind_media(CallId { shard: 0, number: 1 }, sender);
        first.finish();
        assert!(calls.by_dialog("d").is_some(), "late requests still find the call");
        let third = calls.open(key(3)).unwrap();
        drop((first, second, third));
        assert!(
            calls.by_dialog("d").is_none()
                && calls.by_media(CallId { shard: 0, number: 1 }).is_none()
        );
        assert_eq!(calls.counters.read().calls, 0);
        calls.all_gone().await;
    }
}
