//! Sends events to webhooks. A delivery in, an outcome out.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::{Webhook, WebhookKey, message_id};
use crate::clock;
use crate::notice::{Notice, NoticeBody};
use crate::outbox::Outcome;
use crate::outgoing::{Outgoing, TargetError};
use crate::wording::time_utc;

/// How an attempt at a webhook went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// As any delivery.
    Went(Outcome),
    /// 410: it wants to hear nothing any more.
    Gone,
}

/// Sends events.
pub(crate) struct Webhooks {
    key: WebhookKey,
    outgoing: Outgoing,
}

impl Webhooks {
    pub(crate) const fn new(key: WebhookKey, outgoing: Outgoing) -> Self {
        Self { key, outgoing }
    }

    /// The secret of a webhook as its program takes it.
    pub(crate) fn secret(&self, webhook: &Webhook) -> String {
        self.key.secret_text(webhook.id, webhook.generation)
    }

    /// Whether a URL may be called.
    pub(crate) fn check_url(&self, url: &str) -> Result<(), TargetError> {
        self.outgoing.check(url).map(drop)
    }

    /// Tells one program of one event.
    pub(crate) async fn send(&self, webhook: &Webhook, notice: &Notice) -> Called {
        let NoticeBody::Event { event, data } = &notice.body else {
            let why = "only events go to webhooks".to_owned();
            return Called::Went(Outcome::Permanent(why));
        };
        let body = serde_json::json!({
            "type": event,
            "timestamp": time_utc(notice.created_at),
            "data": data,
        });
        let (id, body, now) = (message_id(notice.id), body.to_string(), clock::now());
        let signature = self.key.signature(webhook, now, &id, &body);
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        put(CONTENT_TYPE.as_str(), "application/json");
        put("webhook-id", &id);
        put("webhook-timestamp", &(now.as_unix_millis() / 1_000).to_string());
        put("webhook-signature", &signature);
        match self.outgoing.post(&webhook.url, headers, body.into()).await {
            Ok(answer) if answer.status == 410 => Called::Gone,
            Ok(answer) => Called::Went(answer.outcome()),
            Err(why) => Called::Went(why.outcome()),
        }
    }
}
