//! The audit log: who changed what, each entry hashed together with the one before. Pure: entries
//! in; hashes, or the place where the chain breaks, out. Entries name ids and keyed hashes, never
//! a number, an address or a text, since nothing can be taken out of the log again.

use std::fmt;

use engine_core::time::WallTime;
use sha2::{Digest, Sha256};

use crate::contract::ContractId;
use crate::keys::KeyId;

/// What stands before the first entry.
pub const ORIGIN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Who changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// An operator's program with an API key.
    Key(KeyId),
    /// The subscriber of a contract.
    Subscriber(ContractId),
    /// Somebody at the command line.
    Command,
    /// The service by itself, when something was due.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "key:{key}"),
            Self::Subscriber(contract) => write!(f, "subscriber:{contract}"),
            Self::Command => f.write_str("command"),
            Self::System => f.write_str("system"),
        }
    }
}

/// A change: by whom and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// By whom.
    pub by: Actor,
    /// When.
    pub at: WallTime,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Stable name, `<noun>.<past verb>`, such as `contract.cancelled`.
    pub action: &'static str,
    /// What it was done to: `contract:<id>`, `line:<keyed hash>`, `number`, `terms:<version>`.
    pub subject: String,
    /// More about it, as JSON; nothing personal.
    pub detail: serde_json::Value,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 1 without gaps.
    pub seq: i64,
    /// When.
    pub at: WallTime,
    /// By whom: an [`Actor`] as text.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// JSON text, byte for byte as it was hashed.
    pub detail: String,
    /// Hash of the entry before.
    pub prev_hash: String,
    /// Hash of this entry, as hex.
    pub hash: String,
}

impl Entry {
    /// The entry behind `(seq, hash)` of the last one; `None` begins the log.
    pub fn behind(last: Option<(i64, String)>, change: Change, deed: &Deed) -> Self {
        let (seq, prev_hash) = last.unwrap_or((0, ORIGIN.to_owned()));
        let mut entry = Self {
            seq: seq + 1,
            at: change.at,
            actor: change.by.to_string(),
            action: deed.action.to_owned(),
            subject: deed.subject.clone(),
            detail: deed.detail.to_string(),
            prev_hash,
            hash: String::new(),
        };
        entry.hash = entry.computed();
        entry
    }

    /// SHA-256 over all fields, each behind its length, so that no two entries read the same.
    fn computed(&self) -> String {
        let mut hash = Sha256::new();
        let numbers = [self.seq.to_be_bytes(), self.at.as_unix_millis().to_be_bytes()];
        let texts = [&self.prev_hash, &self.actor, &self.action, &self.subject, &self.detail];
        let texts = texts.into_iter().map(String::as_bytes);
        for field in numbers.iter().map(<[u8; 8]>::as_slice).chain(texts) {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        hex::encode(hash.finalize())
    }
}

/// Where the chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit log is broken at entry {seq}: {what}")]
#[non_exhaustive]
pub struct Broken {
    /// At which entry.
    pub seq: i64,
    /// What is wrong.
    pub what: &'static str,
}

/// Follows the chain, entry by entry in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    last: (i64, String),
}

impl Default for Verifier {
    fn default() -> Self {
        Self { last: (0, ORIGIN.to_owned()) }
    }
}

impl Verifier {
    /// Takes the next entry.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Broken> {
        let broken = |what| Err(Broken { seq: entry.seq, what });
        if entry.seq != self.last.0 + 1 {
            return broken("an entry before it is missing");
        }
        if entry.prev_hash != self.last.1 {
            return broken("it does not follow the entry before");
        }
        if entry.hash != entry.computed() {
            return broken("it was changed after it was written");
        }
        self.last = (entry.seq, entry.hash.clone());
        Ok(())
    }

    /// Place and hash of the last entry taken. Whoever notes them elsewhere can later tell
    /// whether entries at the end were taken away.
    pub fn head(&self) -> (i64, &str) {
        (self.last.0, &self.last.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(len: i64) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for n in 1..=len {
            let last = entries.last().map(|entry| (entry.seq, entry.hash.clone()));
            let change = Change { by: Actor::System, at: WallTime::from_unix_millis(n) };
            let deed = Deed {
                action: "contract.ended",
                subject: format!("contract:{n}"),
                detail: serde_json::json!({ "n": n }),
            };
            entries.push(Entry::behind(last, change, &deed));
        }
        entries
    }

    fn verify(entries: &[Entry]) -> Result<i64, Broken> {
        let mut verifier = Verifier::default();
        entries.iter().try_for_each(|entry| verifier.take(entry))?;
        Ok(verifier.head().0)
    }

    #[test]
    fn a_whole_log_verifies() {
        assert_eq!(verify(&log(0)), Ok(0));
        assert_eq!(verify(&log(20)), Ok(20));
    }

    #[test]
    fn any_change_of_any_field_is_found() {
        let changes: [fn(&mut Entry); 7] = [
            |entry| entry.at = WallTime::from_unix_millis(99),
            |entry| entry.actor.push('x'),
            |entry| entry.action.push('x'),
            |entry| entry.subject.push('x'),
            |entry| entry.detail.push(' '),
            |entry| entry.prev_hash = ORIGIN.to_owned(),
            |entry| entry.hash.make_ascii_uppercase(),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut entries = log(5);
            change(&mut entries[2]);
            let found = verify(&entries).unwrap_err();
            assert_eq!(found.seq, 3, "change {n}: {found}");
        }
    }

    #[test]
    fn an_entry_that_was_changed_with_its_hash_breaks_the_next() {
        let mut entries = log(5);
        entries[2].subject.push('x');
        entries[2].hash = entries[2].computed();
        assert_eq!(verify(&entries).unwrap_err().seq, 4);
    }

    #[test]
    fn missing_swapped_and_doubled_entries_are_found() {
        let mut missing = log(5);
        missing.remove(1);
        let mut swapped = log(5);
        swapped.swap(1, 2);
        let mut doubled = log(5);
        doubled.insert(1, doubled[1].clone());
        for entries in [missing, swapped, doubled] {
            assert!(verify(&entries).is_err());
        }
    }

    #[test]
    fn text_that_moves_between_fields_changes_the_hash() {
        let mut entry = log(1).remove(0);
        let before = entry.computed();
        entry.action.push_str(&entry.subject.clone());
        entry.subject.clear();
        assert_ne!(entry.computed(), before);
    }
}
