//! Words that a mailbox's owner expects to be said: names, places, things. Whoever keeps them
//! answers; the engine gives them to the model before it reads.

use crate::id::MailboxId;
use crate::private::Private;

/// Knows mailboxes' words.
pub trait Hotwords: Send + Sync + 'static {
    /// A mailbox's words as one text; `None` where it has none. Must not block.
    fn of(&self, mailbox: MailboxId) -> Option<Private<String>>;
}
