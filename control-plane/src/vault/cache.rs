//! Data keys in use, bounded. Two generations: what is used moves to the young one; when that is
//! full it becomes the old one, and what was not used for a whole generation is forgotten and
//! wiped. Knows nothing of where keys come from.

use std::collections::HashMap;
use std::sync::Arc;

use engine_core::id::MailboxId;

use super::cipher::DataKey;

/// The keys. `per_generation` of them are kept at least, twice as many at most.
#[derive(Debug)]
pub(super) struct Cache {
    young: HashMap<MailboxId, Arc<DataKey>>,
    old: HashMap<MailboxId, Arc<DataKey>>,
    per_generation: usize,
    /// Counts destructions: a key that was read before one must not be kept after it.
    epoch: u64,
}

impl Cache {
    pub(super) fn new(per_generation: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), per_generation, epoch: 0 }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn get(&mut self, mailbox: MailboxId) -> Option<Arc<DataKey>> {
        if let Some(key) = self.young.get(&mailbox) {
            return Some(key.clone());
        }
        let key = self.old.remove(&mailbox)?;
        self.keep(mailbox, key.clone());
        Some(key)
    }

    /// Keeps a key that was read at `epoch`.
    pub(super) fn put(&mut self, mailbox: MailboxId, key: Arc<DataKey>, epoch: u64) {
        if epoch == self.epoch {
            self.keep(mailbox, key);
        }
    }

    /// Forgets keys for ever.
    pub(super) fn forget(&mut self, mailboxes: &[MailboxId]) {
        self.epoch += 1;
        for mailbox in mailboxes {
            self.young.remove(mailbox);
            self.old.remove(mailbox);
        }
    }

    fn keep(&mut self, mailbox: MailboxId, key: Arc<DataKey>) {
        if self.young.len() >= self.per_generation {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(mailbox, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;
    use zeroize::Zeroizing;

    fn key() -> Arc<DataKey> {
        Arc::new(DataKey::new(Uuid::nil(), Zeroizing::new([1; 32])))
    }

    fn mailbox(n: u128) -> MailboxId {
        MailboxId::from_u128(n)
    }

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let mut cache = Cache::new(4);
        for n in 0..100 {
            cache.put(mailbox(n), key(), 0);
            assert!(cache.get(mailbox(0)).is_some(), "used all the time: {n}");
            assert!(cache.young.len() + cache.old.len() <= 8);
        }
        assert!(cache.get(mailbox(1)).is_none());
    }

    #[test]
    fn a_key_that_was_read_before_a_destruction_is_not_kept_after_it() {
        let mut cache = Cache::new(4);
        cache.put(mailbox(1), key(), 0);
        let epoch = cache.epoch();
        cache.forget(&[mailbox(1)]);
        cache.put(mailbox(1), key(), epoch);
        assert!(cache.get(mailbox(1)).is_none());
        cache.put(mailbox(2), key(), cache.epoch());
        assert!(cache.get(mailbox(2)).is_some());
    }
}
