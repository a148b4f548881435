//! Notices: what is told to a subscriber, or to an operator's program. Pure: what a notice is, how
//! it reads in rows, and how long it makes sense. Who is told over which channel is in the outbox.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use engine_core::id::{IdError, MailboxId, RecordingId};
use engine_core::text::Language;
use engine_core::time::WallTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::after;
use crate::quiet::QuietHours;

/// Id of a notice. What is told of one thing for one reason has one id, so that it is told once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoticeId(u128);

impl NoticeId {
    /// The id with these 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// Its 128 bits.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// The one id for this reason and thing: asking twice tells once. A UUID of version 8.
    pub fn of(reason: &str, subject: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [reason, subject] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let bytes = hash.finalize();
        let mut bits = [0; 16];
        bits.copy_from_slice(&bytes[..16]);
        // RFC 9562 §5.8: version 8, variant 10.
        bits[6] = bits[6] & 0x0f | 0x80;
        bits[8] = bits[8] & 0x3f | 0x80;
        Self(u128::from_be_bytes(bits))
    }

    /// An id of its own, for what may be told many times.
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().as_u128())
    }

    /// The message of a notice about a new message.
    pub(crate) const fn message(self) -> RecordingId {
        RecordingId::from_u128(self.0)
    }
}

impl Default for NoticeId {
    fn default() -> Self {
        Self::new()
    }
}

impl From<RecordingId> for NoticeId {
    fn from(message: RecordingId) -> Self {
        Self(message.as_u128())
    }
}

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_u128(self.0).fmt(f)
    }
}

impl fmt::Debug for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NoticeId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse::<RecordingId>().map(Self::from)
    }
}

/// What a notice says, without the words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NoticeBody {
    /// A caller left a message (S09); its id is the notice's.
    NewMessage,
    /// The application is complete (S30).
    ApplicationComplete {
        /// Opens the set-up, as the subscriber types it.
        serial: String,
    },
    /// Proves that a number is the subscriber's own (S38).
    OneTimeCode {
        /// What is to be typed.
        code: String,
        /// How long it holds.
        minutes: u32,
    },
    /// Overseas roaming was set: forwarding may have to be set again (S06).
    Roaming {
        /// Where the forwarding guide is.
        guide_url: Option<String>,
    },
    /// The contract was cancelled and will end (S53).
    ContractEnding {
        /// The last day in Japan, yyyy-mm-dd.
        ends_on: String,
    },
    /// The contract ended and everything was deleted (S56).
    DataDeleted {
        /// The last day in Japan, yyyy-mm-dd.
        ended_on: String,
    },
    /// Something for webhooks only.
    Event {
        /// Stable name, such as `message.received`.
        event: String,
        /// Ids and states: never a text, a number or a name.
        data: serde_json::Value,
    },
}

impl NoticeBody {
    /// Stable name for rows, templates and push.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NewMessage => "new_message",
            Self::ApplicationComplete { .. } => "application_complete",
            Self::OneTimeCode { .. } => "one_time_code",
            Self::Roaming { .. } => "roaming",
            Self::ContractEnding { .. } => "contract_ending",
            Self::DataDeleted { .. } => "data_deleted",
            Self::Event { .. } => "event",
        }
    }

    /// Whether the subscriber waits for it: quiet hours do not hold it back.
    pub const fn is_awaited(&self) -> bool {
        matches!(self, Self::OneTimeCode { .. })
    }

    pub(crate) fn to_row(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and JSON are always JSON")
    }

    pub(crate) fn from_row(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl fmt::Debug for NoticeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Serials and codes never reach a log.
        f.write_str(self.kind())
    }
}

/// Something that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its id.
    pub id: NoticeId,
    /// What it says.
    pub body: NoticeBody,
    /// Id of what it speaks of.
    pub subject: String,
    /// The mailbox whose deletion takes the notice along; none for what is told of the deletion.
    pub mailbox: Option<MailboxId>,
    /// The contract that it belongs to.
    pub contract: Option<String>,
    /// Of its words.
    pub language: Language,
    /// When push and SMS wait.
    pub quiet_hours: Option<QuietHours>,
    /// When it was made.
    pub created_at: WallTime,
    /// When nobody needs it any more.
    pub expires_at: Option<WallTime>,
}

impl Notice {
    /// A notice in Japanese without mailbox, contract, quiet hours and end.
    pub fn new(
        id: NoticeId,
        body: NoticeBody,
        subject: impl Into<String>,
        created_at: WallTime,
    ) -> Self {
        let lifetime = match body {
            NoticeBody::OneTimeCode { minutes, .. } => Some(Duration::from_mins(minutes.into())),
            _ => None,
        };
        Self {
            id,
            body,
            subject: subject.into(),
            mailbox: None,
            contract: None,
            language: Language::Japanese,
            quiet_hours: None,
            created_at,
            expires_at: lifetime.map(|span| after(created_at, span)),
        }
    }

    /// A notice for webhooks: `data` holds ids and states only.
    pub fn event(id: NoticeId, event: &str, data: serde_json::Value, now: WallTime) -> Self {
        let body = NoticeBody::Event { event: event.to_owned(), data };
        Self::new(id, body, event, now)
    }

    /// Whether it makes no sense any more.
    pub fn is_expired(&self, now: WallTime) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_unix_millis(1_800_000_000_000);

    #[test]
    fn the_same_reason_and_thing_have_one_id() {
        let id = NoticeId::of("roaming", "a");
        assert_eq!(id, NoticeId::of("roaming", "a"));
        assert_ne!(id, NoticeId::of("roaming", "b"));
        assert_ne!(NoticeId::of("a", "bc"), NoticeId::of("ab", "c"));
        assert_eq!(id.to_string().parse::<NoticeId>().unwrap(), id);
        assert_eq!(uuid::Uuid::from_u128(id.as_u128()).get_version_num(), 8);
    }

    #[test]
    fn every_body_reads_back_from_its_row() {
        let text = || "x".to_owned();
        let bodies = [
            NoticeBody::NewMessage,
            NoticeBody::ApplicationComplete { serial: text() },
            NoticeBody::OneTimeCode { code: text(), minutes: 10 },
            NoticeBody::Roaming { guide_url: None },
            NoticeBody::ContractEnding { ends_on: text() },
            NoticeBody::DataDeleted { ended_on: text() },
            NoticeBody::Event { event: text(), data: serde_json::json!({"a": 1}) },
        ];
        for body in bodies {
            let row = body.to_row();
            assert!(row.contains(body.kind()), "{row}");
            assert_eq!(NoticeBody::from_row(&row), Some(body));
        }
    }

    #[test]
    fn a_code_ends_with_its_minutes_and_is_not_printed() {
        let body = NoticeBody::OneTimeCode { code: "4711".to_owned(), minutes: 10 };
        let notice = Notice::new(NoticeId::from_u128(1), body, "1", NOW);
        assert!(!notice.is_expired(after(NOW, Duration::from_millis(599_999))));
        assert!(notice.is_expired(after(NOW, Duration::from_mins(10))));
        assert!(!format!("{notice:?}").contains("4711"));
    }
}
