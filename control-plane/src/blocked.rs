//! Callers whom a mailbox's owner does not want to hear from. Pure: what a person typed, or who
//! called, in; what stands for that caller in the rows out. A number is kept as a keyed hash, bound
//! to its mailbox, with its last digits beside it so that the owner knows it again.

use std::fmt;
use std::str::FromStr;

use engine_core::caller::Caller;
use engine_core::id::{IdError, MailboxId};
use engine_core::private::Private;
use engine_core::time::WallTime;
use unicode_normalization::UnicodeNormalization;

use crate::limits::BLOCKED_CALLERS_MAX;
use crate::pepper::Pepper;

/// Digits of a number that its owner is shown.
const ENDING_DIGITS: usize = 4;

/// Id of a blocked caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockedId(pub uuid::Uuid);

impl fmt::Display for BlockedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BlockedId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        // Ids of all kinds are written alike.
        let id: MailboxId = text.parse()?;
        Ok(Self(uuid::Uuid::from_u128(id.as_u128())))
    }
}

/// A blocked caller as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedCaller {
    /// Its id.
    pub id: BlockedId,
    /// Whose owner blocked it.
    pub mailbox: MailboxId,
    /// `number`, `withheld`, `payphone` or `unavailable`.
    pub kind: String,
    /// What stands for the caller; see [`caller_hash`].
    pub hash: String,
    /// Last digits of the number, if it is one.
    pub ending: Option<String>,
    /// When it was blocked.
    pub created_at: WallTime,
}

impl BlockedCaller {
    /// A caller to be blocked.
    pub fn new(
        id: BlockedId,
        mailbox: MailboxId,
        caller: &Caller,
        pepper: &Pepper,
        now: WallTime,
    ) -> Self {
        let ending = caller.number().map(|number| {
            let hidden = number.chars().count().saturating_sub(ENDING_DIGITS);
            number.chars().skip(hidden).collect()
        });
        Self {
            id,
            mailbox,
            kind: caller.kind().to_owned(),
            hash: caller_hash(pepper, mailbox, caller),
            ending,
            created_at: now,
        }
    }
}

/// What stands for a caller in one mailbox's rows: nobody learns from it who it is, or that two
/// mailboxes blocked the same one.
pub fn caller_hash(pepper: &Pepper, mailbox: MailboxId, caller: &Caller) -> String {
    let number = caller.number().unwrap_or_default();
    pepper.hash("blocked caller", &format!("{mailbox} {} {number}", caller.kind()))
}

/// Why a caller cannot be blocked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockedError {
    /// Not a number.
    #[error("number must be a telephone number, such as 090-1234-5678 or +819012345678")]
    Number,
    /// None, or several.
    #[error("give exactly one of number, kind and message")]
    NotOne,
    /// Too many.
    #[error("a mailbox can block at most {BLOCKED_CALLERS_MAX} callers; unblock one first")]
    Full,
}

/// Reads a number as people type it, into E.164: national (`090-1234-5678`) or international
/// (`+81 90 1234 5678`), full width too, with any kind of dash, space or bracket between.
pub fn read_caller_number(text: &str) -> Result<Caller, BlockedError> {
    let mut digits = String::with_capacity(16);
    let mut plus = false;
    for c in text.trim().nfkc() {
        match c {
            '0'..='9' if digits.len() < 16 => digits.push(c),
            '+' if digits.is_empty() && !plus => plus = true,
            '-' | '.' | '(' | ')' | ' ' | '‐' | '‑' | '–' | '—' | '−' | 'ー' => {}
            _ => return Err(BlockedError::Number),
        }
    }
    // "+81 (0)90…": the trunk 0 has no place there, but people write it.
    if plus && let Some(rest) = digits.strip_prefix("810") {
        digits = format!("81{rest}");
    }
    let number = match digits.strip_prefix('0') {
        // E.164 §6: at most 15 digits, the first of them no 0.
        None if plus && (7..=15).contains(&digits.len()) => format!("+{digits}"),
        // A Japanese national number is 0 and nine or ten digits.
        Some(rest) if !plus && matches!(rest.len(), 9 | 10) => format!("+81{rest}"),
        _ => return Err(BlockedError::Number),
    };
    Ok(Caller::Number(Private::new(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_type_them() {
        for text in
            ["090-1234-5678", "+819012345678", "０９０ー１２３４ー５６７８", "+81 (0)90 1234 5678"]
        {
            let caller = read_caller_number(text).unwrap();
            assert_eq!(caller.number(), Some("+819012345678"), "{text}");
        }
        assert_eq!(read_caller_number("03-1234-5678").unwrap().number(), Some("+81312345678"));
        assert_eq!(read_caller_number("+12025550123").unwrap().number(), Some("+12025550123"));
        for text in ["", "+", "110", "9012345678", "090-1234-567x", "+0123456789", "0120"] {
            assert_eq!(read_caller_number(text), Err(BlockedError::Number), "{text}");
        }
        assert!(read_caller_number("+123456789012345").is_ok());
        assert!(read_caller_number("+1234567890123456").is_err());
    }

    #[test]
    fn what_stands_for_a_caller_tells_nothing_across_mailboxes() {
        let pepper = Pepper::from_bytes([7; 32]);
        let caller = read_caller_number("09012345678").unwrap();
        let hash = |mailbox| caller_hash(&pepper, MailboxId::from_u128(mailbox), &caller);
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
        assert!(!hash(1).contains("9012345678"));
        let mailbox = MailboxId::from_u128(1);
        assert_ne!(hash(1), caller_hash(&pepper, mailbox, &Caller::Withheld));
        let id = BlockedId(uuid::Uuid::from_u128(3));
        let now = WallTime::from_unix_millis(0);
        let entry = BlockedCaller::new(id, mailbox, &caller, &pepper, now);
        assert_eq!((entry.kind.as_str(), entry.ending.as_deref()), ("number", Some("5678")));
        let entry = BlockedCaller::new(id, mailbox, &Caller::Withheld, &pepper, now);
        assert_eq!((entry.kind.as_str(), entry.ending), ("withheld", None));
    }
}
