//! Mailboxes' hotwords at hand, for the engine.
//!
//! In: mailboxes as they are met, by a call or a message that is to be read. Out: the words of each
//! as one text. Only mailboxes that have some are held. A mailbox is always met before its words are
//! asked for, so what is told is never older than the call.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use engine_core::hotwords::Hotwords;
use engine_core::id::MailboxId;
use engine_core::private::Private;
use engine_core::text::{Language, LanguageChoice};

use crate::mailbox::StoredMailbox;

/// The words of mailboxes that were met.
#[derive(Default)]
pub(crate) struct HotwordBook(RwLock<HashMap<MailboxId, Private<String>>>);

impl HotwordBook {
    /// A mailbox as it is now.
    pub(crate) fn meet(&self, mailbox: &StoredMailbox) {
        let settings = &mailbox.settings;
        let has_words = !settings.hotwords.is_empty() && mailbox.deleted_at.is_none();
        if !has_words && self.of(mailbox.id).is_none() {
            return;
        }
        let mut book = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if has_words {
            let is_english = settings.language == LanguageChoice::Fixed(Language::English);
            let words = settings.hotwords.join(if is_english { ", " } else { "、" });
            book.insert(mailbox.id, Private::new(words));
        } else {
            book.remove(&mailbox.id);
        }
    }
}

impl Hotwords for HotwordBook {
    fn of(&self, mailbox: MailboxId) -> Option<Private<String>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&mailbox).cloned()
    }
}

#[cfg(test)]
mod tests {
    use engine_core::time::WallTime;

    use super::*;
    use crate::mailbox::MailboxSettings;

    #[test]
    fn words_are_told_as_they_were_last_met() {
        let book = HotwordBook::default();
        let id = MailboxId::from_u128(1);
        let met = |words: &[&str], language, deleted_at| {
            let hotwords = words.iter().map(|&word| word.to_owned()).collect();
            let settings = MailboxSettings { language, hotwords, ..MailboxSettings::default() };
            let now = WallTime::from_unix_millis(0);
            let made = StoredMailbox::new(id, "+815012345678", settings, now).unwrap();
            book.meet(&StoredMailbox { deleted_at, ..made });
            book.of(id).map(Private::into_inner)
        };
        let (japanese, english) =
            (LanguageChoice::Fixed(Language::Japanese), LanguageChoice::Fixed(Language::English));
        assert_eq!(met(&[], japanese, None), None);
        assert_eq!(met(&["齋藤", "緑川"], japanese, None).as_deref(), Some("齋藤、緑川"));
        assert_eq!(met(&["Smyth", "Lea"], english, None).as_deref(), Some("Smyth, Lea"));
        assert_eq!(met(&["Smyth"], english, Some(WallTime::from_unix_millis(1))), None);
    }
}
