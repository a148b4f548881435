//! Webhooks: operators' programs that are told of events, as the Standard Webhooks convention
//! (1.0.0) asks. Pure but for the key file: endpoints, events, secrets and signatures.

mod send;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use engine_core::id::{IdError, RecordingId};
use engine_core::time::WallTime;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::clock::after;
use crate::limits::{WEBHOOK_DESCRIPTION_CHARS_MAX, WEBHOOK_SECRET_OVERLAP};
use crate::notice::NoticeId;
use crate::secret_file::{SecretFileError, read_or_make};

pub(crate) use self::send::{Called, Webhooks};

/// Every event, by its stable name.
pub const EVENTS: [&str; 9] = [
    CONTRACT_APPLIED,
    CONTRACT_ACTIVATED,
    CONTRACT_CANCELLED,
    CONTRACT_REINSTATED,
    CONTRACT_ENDED,
    MESSAGE_RECEIVED,
    MESSAGE_DELETED,
    NUMBER_LOW_WATER,
    WEBHOOK_TEST,
];

/// A contract was applied for.
pub const CONTRACT_APPLIED: &str = "contract.applied";
/// A serial was redeemed; the contract has its number.
pub const CONTRACT_ACTIVATED: &str = "contract.activated";
/// A contract will end.
pub const CONTRACT_CANCELLED: &str = "contract.cancelled";
/// A cancellation was taken back.
pub const CONTRACT_REINSTATED: &str = "contract.reinstated";
/// A contract ended and everything of it was deleted.
pub const CONTRACT_ENDED: &str = "contract.ended";
/// A message has its text, or it is known that there will be none.
pub const MESSAGE_RECEIVED: &str = "message.received";
/// A message was deleted.
pub const MESSAGE_DELETED: &str = "message.deleted";
/// Few free numbers are left.
pub const NUMBER_LOW_WATER: &str = "number.low_water";
/// Somebody tries the webhook out.
pub const WEBHOOK_TEST: &str = "webhook.test";

/// Id of a webhook.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookId(pub uuid::Uuid);

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for WebhookId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse::<RecordingId>().map(|id| Self(uuid::Uuid::from_u128(id.as_u128())))
    }
}

/// An operator's program that is told of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where it listens.
    pub url: String,
    /// What it is told of; empty: everything.
    pub events: Vec<String>,
    /// What people call it.
    pub description: String,
    /// Whether it is told at all.
    pub enabled: bool,
    /// Which of its secrets signs; counts up from 1.
    pub generation: u32,
    /// When the secret before was replaced; it signs, too, for a while.
    pub rotated_at: Option<WallTime>,
    /// When it was made.
    pub created_at: WallTime,
    /// When it was last changed.
    pub updated_at: WallTime,
}

/// What is wrong with a webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// Not an event.
    #[error("{given:?} is no event; choose from {}", EVENTS.join(", "))]
    Event {
        /// What was given.
        given: String,
    },
    /// An event twice.
    #[error("{given} is named twice")]
    Twice {
        /// Which.
        given: String,
    },
    /// Too long.
    #[error("a description has at most {WEBHOOK_DESCRIPTION_CHARS_MAX} characters")]
    Description,
}

impl WebhookError {
    /// Which field is wrong.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Event { .. } | Self::Twice { .. } => "events",
            Self::Description => "description",
        }
    }
}

impl Webhook {
    /// Checks what can be told without the network.
    pub fn check(&self) -> Result<(), WebhookError> {
        for (at, event) in self.events.iter().enumerate() {
            if !EVENTS.contains(&event.as_str()) {
                return Err(WebhookError::Event { given: event.chars().take(64).collect() });
            }
            if self.events[..at].contains(event) {
                return Err(WebhookError::Twice { given: event.clone() });
            }
        }
        if self.description.chars().count() > WEBHOOK_DESCRIPTION_CHARS_MAX {
            return Err(WebhookError::Description);
        }
        Ok(())
    }

    /// Whether it is told of an event. A test goes to it whatever it chose.
    pub fn wants(&self, event: &str) -> bool {
        let chosen = self.events.is_empty() || self.events.iter().any(|name| name == event);
        self.enabled && (chosen || event == WEBHOOK_TEST)
    }

    /// The secrets that sign at `now`, the newest first: two for a while after a rotation, so
    /// that the program can change over without losing anything.
    fn generations(&self, now: WallTime) -> Vec<u32> {
        let overlaps = self.rotated_at.is_some_and(|at| now < after(at, WEBHOOK_SECRET_OVERLAP));
        match self.generation.checked_sub(1) {
            Some(before @ 1..) if overlaps => vec![self.generation, before],
            _ => vec![self.generation],
        }
    }
}

/// The key that all secrets are made from, so that no secret stands in the database.
pub(crate) struct WebhookKey(Zeroizing<[u8; 32]>);

type HmacSha256 = Hmac<Sha256>;

impl WebhookKey {
    /// Reads or makes the key in this file.
    pub(crate) fn open(path: &Path) -> Result<Self, SecretFileError> {
        read_or_make(path).map(Self)
    }

    /// The secret as programs take it: `whsec_` and base64.
    pub(crate) fn secret_text(&self, id: WebhookId, generation: u32) -> String {
        format!("whsec_{}", BASE64_STANDARD.encode(*self.secret(id, generation)))
    }

    /// The header `webhook-signature`.
    pub(crate) fn signature(
        &self,
        webhook: &Webhook,
        now: WallTime,
        message: &str,
        body: &str,
    ) -> String {
        let timestamp = now.as_unix_millis() / 1_000;
        let sign = |generation| {
            let mut mac = mac(&*self.secret(webhook.id, generation));
            mac.update(format!("{message}.{timestamp}.{body}").as_bytes());
            format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
        };
        webhook.generations(now).into_iter().map(sign).collect::<Vec<_>>().join(" ")
    }

    fn secret(&self, id: WebhookId, generation: u32) -> Zeroizing<[u8; 32]> {
        let mut mac = mac(&*self.0);
        mac.update(b"webhook secret");
        mac.update(id.0.as_bytes());
        mac.update(&generation.to_be_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

fn mac(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// The header `webhook-id`: the same however often an event is sent.
pub(crate) fn message_id(notice: NoticeId) -> String {
    format!("msg_{notice}")
}

/// A line of the log of deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookDelivery {
    /// Id of what was told.
    pub notice: NoticeId,
    /// Which event.
    pub event: String,
    /// `pending`, `sent` or `given_up`.
    pub state: String,
    /// Attempts that failed.
    pub attempts: u32,
    /// When it happened.
    pub created_at: WallTime,
    /// When it is tried next, while it is pending.
    pub next_at: Option<WallTime>,
    /// When it was told or given up.
    pub settled_at: Option<WallTime>,
    /// What failed last.
    pub last_error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: WallTime = WallTime::from_unix_millis(1_800_000_000_999);

    fn webhook(events: &[&str]) -> Webhook {
        Webhook {
            id: WebhookId(uuid::Uuid::from_u128(1)),
            url: "https://example.jp/hook".to_owned(),
            events: events.iter().map(|&event| event.to_owned()).collect(),
            description: String::new(),
            enabled: true,
            generation: 1,
            rotated_at: None,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    #[test]
    fn a_webhook_is_told_of_what_it_chose() {
        let some = webhook(&[MESSAGE_RECEIVED]);
        assert!(some.wants(MESSAGE_RECEIVED) && some.wants(WEBHOOK_TEST));
        assert!(!some.wants(MESSAGE_DELETED));
        let mut all = webhook(&[]);
        assert!(EVENTS.iter().all(|event| all.wants(event)));
        all.enabled = false;
        assert!(!EVENTS.iter().any(|event| all.wants(event)));
    }

    #[test]
    fn unknown_and_repeated_events_and_long_words_are_refused() {
        assert!(webhook(&EVENTS).check().is_ok());
        let error = webhook(&["message.sung"]).check().unwrap_err();
        assert!(error.to_string().contains(MESSAGE_RECEIVED));
        let twice = [MESSAGE_DELETED, MESSAGE_DELETED];
        assert!(matches!(webhook(&twice).check(), Err(WebhookError::Twice { .. })));
        let mut long = webhook(&[]);
        long.description = "長".repeat(WEBHOOK_DESCRIPTION_CHARS_MAX);
        assert!(long.check().is_ok());
        long.description.push('い');
        assert_eq!(long.check(), Err(WebhookError::Description));
    }

    #[test]
    fn two_secrets_sign_for_a_while_after_a_rotation() {
        let mut webhook = webhook(&[]);
        assert_eq!(webhook.generations(NOW), [1]);
        (webhook.generation, webhook.rotated_at) = (3, Some(NOW));
        assert_eq!(webhook.generations(NOW), [3, 2]);
        let end = after(NOW, WEBHOOK_SECRET_OVERLAP);
        let just_before = WallTime::from_unix_millis(end.as_unix_millis() - 1);
        assert_eq!(webhook.generations(just_before), [3, 2]);
        assert_eq!(webhook.generations(end), [3]);
        assert_eq!(webhook.generations(after(end, Duration::from_hours(1))), [3]);
    }

    #[test]
    fn secrets_differ_and_signatures_follow_the_convention() {
        let folder = tempfile::tempdir().unwrap();
        let key = WebhookKey::open(&folder.path().join("webhook.key")).unwrap();
        let hook = webhook(&[]);
        let secret = key.secret_text(hook.id, 1);
        assert_ne!(secret, key.secret_text(hook.id, 2));
        assert_ne!(secret, key.secret_text(WebhookId(uuid::Uuid::from_u128(2)), 1));
        let bytes = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        assert!((24..=64).contains(&bytes.len()));
        // Signed apart, by hand.
        let mut mac = HmacSha256::new_from_slice(&bytes).unwrap();
        mac.update(b"msg_1.1800000000.{}");
        let wanted = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(key.signature(&hook, NOW, "msg_1", "{}"), wanted);
    }
}
