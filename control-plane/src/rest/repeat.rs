//! The Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header-07): the same key with
//! the same body is the same request, however often it comes.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Serialize;

use super::problem::{Kind, Problem};
use crate::limits::REPEAT_KEY_CHARS_MAX;
use crate::pepper::Pepper;
use crate::store::Repeat;

const HEADER: &str = "idempotency-key";

/// The header, if the client sent one.
pub(crate) struct RepeatKey(Option<String>);

impl RepeatKey {
    /// An id for what the request makes: the same for the same key of the same client, else new.
    pub(crate) fn id(&self, client: &str, pepper: &Pepper) -> uuid::Uuid {
        let Some(key) = &self.0 else { return uuid::Uuid::now_v7() };
        let mac = pepper.mac("idempotency-id", format!("{client} {key}").as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&mac[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// How this request is known again, with the body that came with the key.
    pub(crate) fn with(&self, body: &impl Serialize, pepper: &Pepper) -> Option<Repeat> {
        let key = self.0.as_deref()?;
        let body = serde_json::to_string(body).expect("a body that was read from JSON is JSON");
        Some(Repeat {
            key_hash: pepper.hash("idempotency-key", key),
            body_hash: pepper.hash("idempotency-body", &body),
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RepeatKey {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let key = value.to_str().ok().and_then(read).filter(|_| values.next().is_none());
        let detail = format!(
            "send one Idempotency-Key of 1 to {REPEAT_KEY_CHARS_MAX} visible ASCII characters, \
             such as a UUID, in quotes or without"
        );
        key.map(|key| Self(Some(key))).ok_or_else(|| Problem::new(Kind::MalformedHeader, detail))
    }
}

/// Reads a key: a string of RFC 9651 §3.3.3, or the bare characters that many clients send.
fn read(value: &str) -> Option<String> {
    let value = value.trim();
    let key = match value.strip_prefix('"') {
        Some(rest) => unquoted(rest.strip_suffix('"')?)?,
        None => value.to_owned(),
    };
    let is_plain = key.bytes().all(|b| b.is_ascii_graphic());
    ((1..=REPEAT_KEY_CHARS_MAX).contains(&key.len()) && is_plain).then_some(key)
}

fn unquoted(text: &str) -> Option<String> {
    let mut key = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        key.push(match letter {
            '\\' => letters.next().filter(|&next| next == '"' || next == '\\')?,
            '"' => return None,
            other => other,
        });
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_quoted_or_bare() {
        assert_eq!(read("\"8e03978e-40d5\"").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(read(" 8e03978e-40d5 ").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(read(r#""a\"b\\""#).as_deref(), Some(r#"a"b\"#));
        assert!(read(&"k".repeat(REPEAT_KEY_CHARS_MAX)).is_some());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "k".repeat(REPEAT_KEY_CHARS_MAX + 1);
        for value in ["", "\"", "\"\"", "\"a", "a b", "\"a\"b\"", r#""a\n""#, "鍵", &long] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
