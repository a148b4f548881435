//! Mailboxes: settings and their rules. Pure: text and numbers in, a checked mailbox out.

use std::time::Duration;

use engine_core::directory::Mailbox;
use engine_core::id::MailboxId;
use engine_core::sound::SoundId;
use engine_core::text::{Language, LanguageChoice};
use engine_core::time::WallTime;

use crate::limits::{
    ADDRESS_BYTES_MAX, ADDRESSES_MAX, HOTWORD_CHARS_MAX, HOTWORDS_MAX, QUIET_LIMIT_S_MIN,
    RECORDING_LIMIT_S_MAX,
};
use crate::telephone::national_digits;

/// What callers hear first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GreetingChoice {
    /// The greeting we ship, in the mailbox's language.
    Default,
    /// The sound that was uploaded.
    Own,
    /// Nothing.
    None,
}

impl GreetingChoice {
    const ALL: [Self; 3] = [Self::Default, Self::Own, Self::None];

    /// Stable name for APIs and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Own => "own",
            Self::None => "none",
        }
    }

    /// Reads [`GreetingChoice::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.name() == name)
    }
}

/// Stable name of a choice of language for APIs and rows: `ja`, `en`, `detect`.
pub const fn language_name(choice: LanguageChoice) -> &'static str {
    match choice {
        LanguageChoice::Fixed(language) => language.code(),
        LanguageChoice::Detect => "detect",
    }
}

/// Reads [`language_name`] back.
pub fn language_from_name(name: &str) -> Option<LanguageChoice> {
    match name {
        "detect" => Some(LanguageChoice::Detect),
        code => Language::from_code(code).map(LanguageChoice::Fixed),
    }
}

/// What the owner of a mailbox may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxSettings {
    /// Language of announcements, recognition and mails.
    pub language: LanguageChoice,
    /// What callers hear first.
    pub greeting: GreetingChoice,
    /// Whether a beep comes before recording.
    pub beep: bool,
    /// Quiet that ends a recording, in seconds; `None`: quiet never ends it.
    pub quiet_limit_s: Option<u32>,
    /// Longest message, in seconds.
    pub recording_limit_s: u32,
    /// Who is told of new messages by mail.
    pub addresses: Vec<String>,
    /// Words that the owner expects to be said, which the model is told before it reads.
    pub hotwords: Vec<String>,
}

impl Default for MailboxSettings {
    fn default() -> Self {
        Self {
            language: LanguageChoice::Fixed(Language::Japanese),
            greeting: GreetingChoice::Default,
            beep: true,
            quiet_limit_s: None,
            recording_limit_s: RECORDING_LIMIT_S_MAX,
            addresses: Vec::new(),
            hotwords: Vec::new(),
        }
    }
}

/// A mailbox as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMailbox {
    /// Its id.
    pub id: MailboxId,
    /// Its 050 number in E.164.
    pub number: String,
    /// Its settings.
    pub settings: MailboxSettings,
    /// Whether a greeting was uploaded and kept.
    pub own_greeting: bool,
    /// Counts changes; a change is refused when another came between.
    pub version: i64,
    /// When it was made.
    pub created_at: WallTime,
    /// When it was last changed.
    pub updated_at: WallTime,
    /// When it was deleted.
    pub deleted_at: Option<WallTime>,
}

impl StoredMailbox {
    /// A new mailbox; `number` and `settings` are checked.
    pub fn new(
        id: MailboxId,
        number: &str,
        settings: MailboxSettings,
        now: WallTime,
    ) -> Result<Self, MailboxError> {
        let number = read_number(number)?;
        let own_greeting = false;
        let mailbox = Self {
            id,
            number,
            settings,
            own_greeting,
            version: 1,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        mailbox.check()?;
        Ok(mailbox)
    }

    /// Checks the settings against the limits and against each other.
    pub fn check(&self) -> Result<(), MailboxError> {
        let settings = &self.settings;
        if !(1..=RECORDING_LIMIT_S_MAX).contains(&settings.recording_limit_s) {
            return Err(MailboxError::RecordingLimit { given: settings.recording_limit_s });
        }
        if let Some(quiet) = settings.quiet_limit_s
            && !(QUIET_LIMIT_S_MIN..=RECORDING_LIMIT_S_MAX).contains(&quiet)
        {
            return Err(MailboxError::QuietLimit { given: quiet });
        }
        if settings.addresses.len() > ADDRESSES_MAX {
            return Err(MailboxError::TooManyAddresses { given: settings.addresses.len() });
        }
        for (at, address) in settings.addresses.iter().enumerate() {
            check_address(address)?;
            if settings.addresses[..at].contains(address) {
                return Err(MailboxError::AddressTwice);
            }
        }
        check_hotwords(&settings.hotwords)?;
        if settings.greeting == GreetingChoice::Own && !self.own_greeting {
            return Err(MailboxError::NoOwnGreeting);
        }
        Ok(())
    }

    /// What a call needs to know.
    pub fn for_call(&self) -> Mailbox {
        let settings = &self.settings;
        let seconds = |s: u32| Duration::from_secs(u64::from(s));
        Mailbox {
            id: self.id,
            number: self.number.clone(),
            language: settings.language,
            greeting: match settings.greeting {
                GreetingChoice::Default => {
                    SoundId::DefaultGreeting(settings.language.announcements())
                }
                GreetingChoice::Own => SoundId::OwnGreeting(self.id),
                GreetingChoice::None => SoundId::Silence,
            },
            beep: settings.beep,
            quiet_limit: settings.quiet_limit_s.map(seconds),
            recording_limit: seconds(settings.recording_limit_s),
        }
    }
}

/// Why a mailbox cannot be as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MailboxError {
    /// Not an 050 number.
    #[error(
        "number must be an 050 number in E.164, such as +815012345678 (+8150 and eight digits)"
    )]
    Number,
    /// Out of range.
    #[error("recording_limit_s must be 1 to {RECORDING_LIMIT_S_MAX}, not {given}")]
    RecordingLimit {
        /// What was given.
        given: u32,
    },
    /// Out of range.
    #[error(
        "quiet_limit_s must be {QUIET_LIMIT_S_MIN} to {RECORDING_LIMIT_S_MAX} or null, not {given}"
    )]
    QuietLimit {
        /// What was given.
        given: u32,
    },
    /// Too many.
    #[error("addresses may hold at most {ADDRESSES_MAX} mail addresses, not {given}")]
    TooManyAddresses {
        /// How many were given.
        given: usize,
    },
    /// Not an address.
    #[error("addresses[] holds something that is no mail address; write user@example.jp")]
    Address,
    /// Twice the same.
    #[error("addresses[] holds the same address twice; each is told once")]
    AddressTwice,
    /// Too many.
    #[error("hotwords may hold at most {HOTWORDS_MAX} words, not {given}")]
    TooManyHotwords {
        /// How many were given.
        given: usize,
    },
    /// Not a word.
    #[error(
        "hotwords[] holds something that is no word: give 1 to {HOTWORD_CHARS_MAX} characters each, \
         without line breaks, without commas, none twice"
    )]
    Hotword,
    /// Nothing was uploaded.
    #[error("greeting \"own\" needs a greeting; upload one with PUT …/greeting first")]
    NoOwnGreeting,
}

impl MailboxError {
    /// Name of the field that is wrong.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::RecordingLimit { .. } => "recording_limit_s",
            Self::QuietLimit { .. } => "quiet_limit_s",
            Self::TooManyAddresses { .. } | Self::Address | Self::AddressTwice => "addresses",
            Self::TooManyHotwords { .. } | Self::Hotword => "hotwords",
            Self::NoOwnGreeting => "greeting",
        }
    }
}

/// Reads an 050 number, in E.164 or as it is written in Japan (`050-1234-5678`), into E.164.
pub fn read_number(text: &str) -> Result<String, MailboxError> {
    let digits = if let Some(international) = text.strip_prefix("+8150") {
        international.to_owned()
    } else {
        let national = national_digits(text).ok_or(MailboxError::Number)?;
        national.strip_prefix("050").ok_or(MailboxError::Number)?.to_owned()
    };
    let whole = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit());
    if whole { Ok(format!("+8150{digits}")) } else { Err(MailboxError::Number) }
}

/// Checks a list of hotwords; commas part them before the model.
fn check_hotwords(words: &[String]) -> Result<(), MailboxError> {
    if words.len() > HOTWORDS_MAX {
        return Err(MailboxError::TooManyHotwords { given: words.len() });
    }
    let is_word = |(at, word): (usize, &String)| {
        let plain = !word.contains(|c: char| c.is_control() || [',', '、', '<', '>'].contains(&c));
        let length = word.chars().count();
        plain
            && (1..=HOTWORD_CHARS_MAX).contains(&length)
            && word.trim() == word
            && !words[..at].contains(word)
    };
    if words.iter().enumerate().all(is_word) { Ok(()) } else { Err(MailboxError::Hotword) }
}

/// Checks that a text is a mail address that can stand in a header.
pub(crate) fn check_address(address: &str) -> Result<(), MailboxError> {
    let plain = address.len() <= ADDRESS_BYTES_MAX
        && address.is_ascii()
        && !address.contains(|c: char| c.is_ascii_control() || c == ' ');
    let read: Result<lettre::Address, _> = address.parse();
    if plain && read.is_ok() { Ok(()) } else { Err(MailboxError::Address) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(change: impl FnOnce(&mut MailboxSettings)) -> Result<StoredMailbox, MailboxError> {
        let mut settings = MailboxSettings::default();
        change(&mut settings);
        let now = WallTime::from_unix_millis(0);
        StoredMailbox::new(MailboxId::from_u128(1), "+815012345678", settings, now)
    }

    #[test]
    fn an_050_number_is_read_in_both_spellings() {
        for text in ["+815012345678", "05012345678", "050-1234-5678"] {
            assert_eq!(read_number(text).as_deref(), Ok("+815012345678"), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_refused() {
        let wrong = ["", "+81501234567", "+8150123456789", "+819012345678", "0501234567a", "050"];
        for text in wrong.into_iter().chain(["+815012345６78", "+8150-1234-5678"]) {
            assert_eq!(read_number(text), Err(MailboxError::Number), "{text}");
        }
    }

    #[test]
    fn limits_hold_at_the_limit_and_not_one_past_it() {
        for good in [1, 60] {
            assert!(mailbox(|s| s.recording_limit_s = good).is_ok(), "{good}");
        }
        for given in [0, 61] {
            let error = mailbox(|s| s.recording_limit_s = given).unwrap_err();
            assert_eq!(error, MailboxError::RecordingLimit { given });
        }
        assert!(mailbox(|s| s.quiet_limit_s = Some(2)).is_ok());
        assert_eq!(
            mailbox(|s| s.quiet_limit_s = Some(1)),
            Err(MailboxError::QuietLimit { given: 1 })
        );
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        assert!(mailbox(|s| s.hotwords = words(&["齋藤", "Smith & Sons", "み"])).is_ok());
        for wrong in ["", " 齋藤", "あ\nい", "甲、乙", "<|ja|>", &"長".repeat(31)] {
            let error = mailbox(|s| s.hotwords = words(&[wrong])).unwrap_err();
            assert_eq!((error.field(), error), ("hotwords", MailboxError::Hotword), "{wrong}");
        }
        assert!(mailbox(|s| s.hotwords = words(&["齋藤", "齋藤"])).is_err());
        let many: Vec<String> = (0..51).map(|n| n.to_string()).collect();
        assert_eq!(
            mailbox(|s| s.hotwords.clone_from(&many)),
            Err(MailboxError::TooManyHotwords { given: 51 })
        );
        let addresses = |n| (0..n).map(|i| format!("a{i}@example.jp")).collect();
        assert!(mailbox(|s| s.addresses = addresses(10)).is_ok());
        assert_eq!(
            mailbox(|s| s.addresses = addresses(11)),
            Err(MailboxError::TooManyAddresses { given: 11 })
        );
    }

    #[test]
    fn addresses_that_could_break_a_mail_are_refused() {
        for address in ["", "a", "a@", "a b@example.jp", "a@example.jp\r\nBcc: b@example.jp"] {
            let given = mailbox(|s| s.addresses = vec![address.to_owned()]);
            assert_eq!(given, Err(MailboxError::Address), "{address:?}");
        }
        let twice = vec!["a@example.jp".to_owned(); 2];
        assert_eq!(mailbox(|s| s.addresses = twice), Err(MailboxError::AddressTwice));
    }

    #[test]
    fn an_own_greeting_must_be_there() {
        let error = mailbox(|s| s.greeting = GreetingChoice::Own).unwrap_err();
        assert_eq!((error.field(), error), ("greeting", MailboxError::NoOwnGreeting));
    }

    #[test]
    fn a_call_hears_what_the_mailbox_chose() {
        let english = mailbox(|s| s.language = LanguageChoice::Fixed(Language::English)).unwrap();
        assert_eq!(english.for_call().greeting, SoundId::DefaultGreeting(Language::English));
        let silent = mailbox(|s| s.greeting = GreetingChoice::None).unwrap();
        assert_eq!(silent.for_call().greeting, SoundId::Silence);
        let quiet = mailbox(|s| s.quiet_limit_s = Some(5)).unwrap();
        assert_eq!(quiet.for_call().quiet_limit, Some(Duration::from_secs(5)));
    }
}
