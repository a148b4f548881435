//! SMS through an HTTP gateway of the operator's choice. An SMS in; a POST of JSON with a bearer
//! token out:
//!
//! `{"id": "…", "to": "+8190…", "from": "…", "text": "…", "validity_s": 600}`
//!
//! `id`, also sent as `Idempotency-Key`, is the same when an SMS is sent again.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use super::{Sms, SmsError};
use crate::config::SmsHttpConfig;
use crate::outbox::Outcome;
use crate::outgoing::client;

/// The gateway.
pub(crate) struct Gateway {
    config: SmsHttpConfig,
    http: reqwest::Client,
}

impl Gateway {
    pub(super) fn new(config: SmsHttpConfig) -> Result<Self, SmsError> {
        Ok(Self { config, http: client().build()? })
    }

    pub(super) async fn send(&self, sms: &Sms<'_>) -> Outcome {
        let body = serde_json::json!({
            "id": sms.name,
            "to": sms.to,
            "from": self.config.from,
            "text": sms.text,
            "validity_s": sms.validity.map(|span| span.as_secs()),
        });
        let mut request = self
            .http
            .post(&self.config.url)
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", sms.name)
            .body(body.to_string());
        if let Some(token) = &self.config.token {
            let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}")) else {
                return Outcome::Transient("sms.token is no header value".to_owned());
            };
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        match request.send().await {
            Ok(response) => {
                let rest = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok());
                let rest = rest.and_then(|text| text.parse().ok()).map(Duration::from_secs);
                judge(response.status().as_u16(), rest)
            }
            // Nothing left before there was a connection.
            Err(error) if error.is_connect() => Outcome::Transient("no connection".to_owned()),
            Err(_) => Outcome::Unknown("the gateway did not answer in time".to_owned()),
        }
    }
}

/// A refused login speaks of our settings, not of the SMS: it waits for the operator.
fn judge(status: u16, rest: Option<Duration>) -> Outcome {
    let why = format!("the gateway answered {status}");
    match (status, rest) {
        (200..=299, _) => Outcome::Delivered,
        (_, Some(rest)) => Outcome::Busy { why, rest },
        (401 | 403 | 404 | 408 | 425 | 429, None) => Outcome::Transient(why),
        (400..=499, None) => Outcome::Permanent(why),
        // RFC 9110 §15.6.3 and §15.6.5: what stands behind the gateway may have taken it.
        (502 | 504, None) => Outcome::Unknown(why),
        _ => Outcome::Transient(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(judge(202, None), Outcome::Delivered);
        assert!(matches!(judge(422, None), Outcome::Permanent(_)));
        assert!(matches!(judge(401, None), Outcome::Transient(_)));
        assert!(matches!(judge(503, None), Outcome::Transient(_)));
        assert!(matches!(judge(504, None), Outcome::Unknown(_)));
        let rest = Duration::from_secs(9);
        assert!(matches!(judge(429, Some(rest)), Outcome::Busy { rest: r, .. } if r == rest));
    }
}
