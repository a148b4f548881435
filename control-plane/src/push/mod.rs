//! Web push: browsers that asked to be told, and how they are (RFC 8030, 8188, 8291, 8292). Words
//! in; an encrypted POST to the browser's push service out. What is inside only the browser reads.

mod vapid;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use p256::PublicKey;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;
use sha2::{Digest, Sha256};
use web_push_native::Auth;

use self::vapid::Vapid;
use crate::clock;
use crate::limits::{PUSH_BODY_CHARS_MAX, PUSH_PAD_BYTES, PUSH_TTL, PUSH_TTL_MAX};
use crate::notice::Notice;
use crate::outbox::{Delivery, Outcome};
use crate::outgoing::{Answer, Outgoing, TargetError};
use crate::plane::ControlPlane;
use crate::secret_file::SecretFileError;
use crate::template::Words;

const AUTH_BYTES: usize = 16;

/// A browser that asked to be told: what `pushManager.subscribe` gave it.
#[derive(Clone, PartialEq, Eq)]
pub struct PushEndpoint {
    /// Its id: the same for the same URL.
    pub id: uuid::Uuid,
    /// Whose messages it is told of.
    pub mailbox: MailboxId,
    /// The signed-in app that it belongs to, if one.
    pub device: Option<String>,
    /// Where its push service takes messages; a secret between the browser and us.
    pub url: String,
    /// The browser's public key: base64url of an uncompressed point of P-256 (RFC 8291 §2).
    pub p256dh: String,
    /// The browser's authentication secret: base64url of 16 bytes.
    pub auth: String,
    /// When it was registered.
    pub created_at: WallTime,
}

impl std::fmt::Debug for PushEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushEndpoint").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is wrong with a subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The URL is never called.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Not a key.
    #[error("p256dh must be the base64url of an uncompressed point of the curve P-256")]
    Key,
    /// Not a secret.
    #[error("auth must be the base64url of {AUTH_BYTES} bytes")]
    Auth,
}

impl PushEndpoint {
    /// A subscription of a browser: URL, `p256dh`, `auth`. Its keys are checked; whether its URL
    /// may be called is checked by `ControlPlane::push_endpoint`, which knows the configuration.
    pub fn new(
        mailbox: MailboxId,
        device: Option<String>,
        (url, p256dh, auth): (&str, &str, &str),
        now: WallTime,
    ) -> Result<Self, PushError> {
        let endpoint = Self {
            id: id_of(url),
            mailbox,
            device,
            url: url.to_owned(),
            p256dh: p256dh.trim_end_matches('=').to_owned(),
            auth: auth.trim_end_matches('=').to_owned(),
            created_at: now,
        };
        endpoint.keys()?;
        Ok(endpoint)
    }

    fn keys(&self) -> Result<(PublicKey, Auth), PushError> {
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let key = decode(&self.p256dh).and_then(|bytes| PublicKey::from_sec1_bytes(&bytes).ok());
        let auth = decode(&self.auth).and_then(|bytes| <[u8; AUTH_BYTES]>::try_from(bytes).ok());
        let auth = auth.map(Auth::from);
        Ok((key.ok_or(PushError::Key)?, auth.ok_or(PushError::Auth)?))
    }
}

/// A browser that subscribes again is one endpoint still.
fn id_of(url: &str) -> uuid::Uuid {
    uuid::Uuid::from_u128(crate::notice::NoticeId::of("push endpoint", url).as_u128())
}

/// What the service worker reads.
#[derive(Serialize)]
struct Payload<'a> {
    kind: &'a str,
    /// Names the notification: one that comes twice replaces itself.
    id: String,
    title: &'a str,
    body: String,
}

/// How an attempt at a push went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// As any delivery.
    Went(Outcome),
    /// The browser asked no longer: the endpoint is to be dropped.
    Gone,
}

/// Sends pushes.
pub(crate) struct Push {
    vapid: Vapid,
    outgoing: Outgoing,
}

impl Push {
    /// Reads or makes our key in this file.
    pub(crate) fn open(
        key_file: &Path,
        contact: String,
        outgoing: Outgoing,
    ) -> Result<Self, SecretFileError> {
        Ok(Self { vapid: Vapid::open(key_file, contact)?, outgoing })
    }

    /// Our public key, for browsers that subscribe.
    pub(crate) fn public_key(&self) -> String {
        self.vapid.public_key()
    }

    /// Reads a browser's subscription and checks all of it.
    pub(crate) fn endpoint(
        &self,
        mailbox: MailboxId,
        device: Option<String>,
        (url, p256dh, auth): (&str, &str, &str),
    ) -> Result<PushEndpoint, PushError> {
        self.outgoing.check(url)?;
        PushEndpoint::new(mailbox, device, (url, p256dh, auth), clock::now())
    }

    /// Tells one browser.
    pub(crate) async fn send(
        &self,
        endpoint: &PushEndpoint,
        delivery: &Delivery,
        words: &Words,
    ) -> Pushed {
        let permanent = |why: String| Pushed::Went(Outcome::Permanent(why));
        let (key, auth) = match endpoint.keys() {
            Ok(keys) => keys,
            Err(why) => return permanent(why.to_string()),
        };
        let payload = payload(&delivery.notice, words);
        let body = match web_push_native::encrypt(payload, &key, &auth) {
            Ok(body) => body,
            Err(why) => return permanent(why.to_string()),
        };
        let url = match self.outgoing.check(&endpoint.url) {
            Ok(url) => url,
            Err(why) => return permanent(why.to_string()),
        };
        let now = clock::now();
        let origin = url.origin().ascii_serialization();
        let headers = headers(&delivery.notice, &self.vapid.authorization(&origin, now), now);
        match self.outgoing.post(&endpoint.url, headers, body.into()).await {
            Ok(answer) => judge(&answer),
            Err(why) => Pushed::Went(why.outcome()),
        }
    }
}

impl ControlPlane {
    /// Reads a browser's subscription (URL, `p256dh`, `auth`) and checks all of it.
    pub fn push_endpoint(
        &self,
        mailbox: MailboxId,
        device: Option<String>,
        subscription: (&str, &str, &str),
    ) -> Result<PushEndpoint, PushError> {
        self.shared.ways.push.endpoint(mailbox, device, subscription)
    }
}

/// RFC 8030 §5 and §7.3: 404 and 410 say that the subscription has ended.
fn judge(answer: &Answer) -> Pushed {
    match answer.status {
        404 | 410 => Pushed::Gone,
        400 | 401 | 403 | 413 => {
            Pushed::Went(Outcome::Permanent(format!("the push service answered {}", answer.status)))
        }
        _ => Pushed::Went(answer.outcome()),
    }
}

/// Padded with spaces, which JSON allows, so that its length tells nothing of the text.
fn payload(notice: &Notice, words: &Words) -> Vec<u8> {
    let body = words.body.trim();
    let mut cut: String = body.chars().take(PUSH_BODY_CHARS_MAX).collect();
    if cut.len() < body.len() {
        cut.push('…');
    }
    let payload = Payload {
        kind: notice.body.kind(),
        id: notice.id.to_string(),
        title: &words.subject,
        body: cut,
    };
    let mut bytes = serde_json::to_vec(&payload).expect("strings are always JSON");
    bytes.resize(bytes.len().next_multiple_of(PUSH_PAD_BYTES), b' ');
    bytes
}

fn headers(notice: &Notice, authorization: &str, now: WallTime) -> HeaderMap {
    let ttl = notice.expires_at.map_or(PUSH_TTL, |end| clock::until(now, end).min(PUSH_TTL_MAX));
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(AUTHORIZATION.as_str(), authorization);
    put(CONTENT_ENCODING.as_str(), "aes128gcm");
    put(CONTENT_TYPE.as_str(), "application/octet-stream");
    put("ttl", &ttl.as_secs().to_string());
    put("urgency", if ttl <= Duration::from_hours(1) { "high" } else { "normal" });
    put("topic", &topic(notice));
    headers
}

/// RFC 8030 §5.4: of two pushes with one topic only the last is kept, so one that is sent again
/// after a crash is shown once. 32 characters of base64url are the most.
fn topic(notice: &Notice) -> String {
    let hash = Sha256::digest(notice.id.to_string());
    BASE64_URL_SAFE_NO_PAD.encode(&hash[..24])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::{NoticeBody, NoticeId};

    const NOW: WallTime = WallTime::from_unix_millis(1_800_000_000_000);
    const KEY: &str =
        "BLn9b-VR0ca83knDNZ32dCHGyjJp-1riX9ZTN40MqV8K_LpQmLqxC_DoHvqvFXO_nGdAB4W9dogZb_sM-uV4JbY";
    const AUTH: &str = "_ordMnz7uTCmrpBTeUV4Bw";

    fn notice() -> Notice {
        Notice::new(NoticeId::from_u128(7), NoticeBody::NewMessage, "7", NOW)
    }

    #[test]
    fn a_subscription_with_wrong_keys_is_refused() {
        let new = |key, auth| {
            let url = "https://push.example/1";
            PushEndpoint::new(MailboxId::from_u128(1), None, (url, key, auth), NOW)
        };
        let endpoint = new(KEY, AUTH).unwrap();
        assert_eq!(endpoint.id, new(KEY, "_ordMnz7uTCmrpBTeUV4Bw==").unwrap().id);
        assert!(!format!("{endpoint:?}").contains("push.example"));
        let other = KEY.replace('B', "C");
        for key in ["", "AAAA", &KEY[..86], &other] {
            assert_eq!(new(key, AUTH), Err(PushError::Key), "{key}");
        }
        for auth in ["", "_ordMnz7uTCmrpBTeUV4", "_ordMnz7uTCmrpBTeUV4BwAA", "*"] {
            assert_eq!(new(KEY, auth), Err(PushError::Auth), "{auth}");
        }
    }

    #[test]
    fn s04_a_payload_is_small_and_its_length_tells_little() {
        let words = |body: &str| Words {
            subject: "090-1234-5678".to_owned(),
            file: String::new(),
            body: body.to_owned(),
        };
        let short = payload(&notice(), &words("はい"));
        let other = payload(&notice(), &words("いいえ、明日です"));
        assert_eq!((short.len(), other.len()), (PUSH_PAD_BYTES, PUSH_PAD_BYTES));
        let long = payload(&notice(), &words(&"長".repeat(5_000)));
        // RFC 8030 §7.2: 4,096 bytes are always taken; encryption adds 103.
        assert!(long.len() + 103 <= 4_096, "{}", long.len());
        let read: serde_json::Value = serde_json::from_slice(&long).unwrap();
        assert_eq!(read["body"].as_str().unwrap().chars().count(), PUSH_BODY_CHARS_MAX + 1);
    }

    #[test]
    fn the_same_notice_has_the_same_topic_and_its_time_to_live() {
        let first = headers(&notice(), "vapid", NOW);
        assert_eq!(first["topic"].len(), 32);
        assert_eq!(first["topic"], headers(&notice(), "vapid", NOW)["topic"]);
        assert_eq!(
            (&first["ttl"], &first["urgency"]),
            (&"86400".parse().unwrap(), &"normal".parse().unwrap())
        );
        let mut soon = notice();
        soon.expires_at = Some(clock::after(NOW, Duration::from_mins(10)));
        let soon = headers(&soon, "vapid", NOW);
        assert_eq!(
            (&soon["ttl"], &soon["urgency"]),
            (&"600".parse().unwrap(), &"high".parse().unwrap())
        );
    }

    #[test]
    fn a_subscription_that_ended_is_told_from_a_push_that_failed() {
        let judge = |status| judge(&Answer { status, rest: None });
        assert_eq!((judge(404), judge(410)), (Pushed::Gone, Pushed::Gone));
        assert_eq!(judge(201), Pushed::Went(Outcome::Delivered));
        assert!(matches!(judge(413), Pushed::Went(Outcome::Permanent(_))));
        assert!(matches!(judge(503), Pushed::Went(Outcome::Transient(_))));
    }
}
