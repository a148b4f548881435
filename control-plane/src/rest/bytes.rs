//! Whole bytes as an answer: entity tags and ranges (RFC 9110 §13, §14). Pure but for making the
//! response.

use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::problem::Problem;

/// Answers with `bytes`, a part of them, or that the client has them. `tag` names these bytes.
pub(crate) fn answer(
    request: &HeaderMap,
    bytes: &Bytes,
    content_type: &'static str,
    tag: &str,
) -> Response {
    let tag = format!("\"{tag}\"");
    let mut response = respond(request, bytes, &tag);
    let headers = response.headers_mut();
    let is_whole_or_part = !headers.contains_key(CONTENT_TYPE);
    if is_whole_or_part {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

fn respond(request: &HeaderMap, bytes: &Bytes, tag: &str) -> Response {
    let text = |name| request.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(IF_NONE_MATCH).is_some_and(|tags| matches_any(tags, tag)) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    // RFC 9110 §13.1.5: a tag that differs, or a date, means: send it whole.
    let is_wanted_part = text(IF_RANGE).is_none_or(|condition| condition.trim() == tag);
    let range = text(RANGE).filter(|_| is_wanted_part);
    match read_range(range, bytes.len()) {
        Asked::Whole => (StatusCode::OK, untyped(bytes.clone())).into_response(),
        Asked::Nothing => Problem::range_not_satisfiable(bytes.len()).into_response(),
        Asked::Part { first, last } => {
            let content_range = format!("bytes {first}-{last}/{}", bytes.len());
            let part = untyped(bytes.slice(first..=last));
            (StatusCode::PARTIAL_CONTENT, [(CONTENT_RANGE, content_range)], part).into_response()
        }
    }
}

/// A body without the media type that `Bytes` would bring.
fn untyped(bytes: Bytes) -> axum::body::Body {
    axum::body::Body::from(bytes)
}

/// Weak comparison (RFC 9110 §8.8.3.2) with each tag of an If-None-Match.
pub(crate) fn matches_any(tags: &str, tag: &str) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag)
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part { first: usize, last: usize },
    Nothing,
}

/// Reads a Range of one part. Several parts, other units and malformed ranges are answered whole,
/// as RFC 9110 §14.2 allows.
fn read_range(range: Option<&str>, len: usize) -> Asked {
    let parsed = range.and_then(|text| {
        let spec = text.trim().strip_prefix("bytes=")?;
        let (first, last) = spec.trim().split_once('-')?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            // Too many digits: beyond any end.
            digits.then(|| text.parse::<usize>().unwrap_or(usize::MAX))
        };
        match (first, last) {
            ("", suffix) => {
                let suffix = number(suffix)?;
                Some((len.saturating_sub(suffix), if suffix == 0 { 0 } else { usize::MAX }))
            }
            (first, "") => Some((number(first)?, usize::MAX)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some((first, last))
            }
        }
    });
    match parsed {
        None => Asked::Whole,
        Some((first, last)) if first >= len || last < first => Asked::Nothing,
        Some((first, last)) => Asked::Part { first, last: last.min(len - 1) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let part = |first, last| Asked::Part { first, last };
        let table = [
            ("bytes=0-0", part(0, 0)),
            ("bytes=0-99", part(0, 99)),
            ("bytes=0-100", part(0, 99)),
            ("bytes=99-", part(99, 99)),
            ("bytes=100-", Asked::Nothing),
            ("bytes=-1", part(99, 99)),
            ("bytes=-100", part(0, 99)),
            ("bytes=-101", part(0, 99)),
            ("bytes=-0", Asked::Nothing),
            ("bytes=5-4", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=99999999999999999999999-", Asked::Nothing),
            ("lines=1-2", Asked::Whole),
        ];
        for (range, asked) in table {
            assert_eq!(read_range(Some(range), 100), asked, "{range}");
        }
        assert_eq!(read_range(None, 100), Asked::Whole);
        assert_eq!(read_range(Some("bytes=0-"), 0), Asked::Nothing);
        assert_eq!(read_range(Some("bytes=-1"), 0), Asked::Nothing);
    }

    #[test]
    fn tags_are_compared_weakly() {
        assert!(matches_any("\"a\", W/\"b\"", "\"b\""));
        assert!(matches_any("*", "\"b\""));
        assert!(!matches_any("\"a\"", "\"b\""));
    }
}
