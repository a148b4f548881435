//! Which format and language a client wants (RFC 9110 §12.5). Pure: the header in, one of what
//! there is out.

use axum::http::HeaderValue;
use engine_core::text::Language;

use crate::billing_export::Format;

/// The language that the client likes best (RFC 9110 §12.5.4); English when it is all the same.
/// `ja-JP` is content with `ja` (RFC 4647 §3.4).
pub(crate) fn language(accept: Option<&HeaderValue>) -> Language {
    let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut best = (0.0, Language::English);
    for range in accept.split(',') {
        let (tag, weight) = weighted(range);
        let primary = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
        let language = match primary.as_str() {
            "*" => Some(Language::English),
            code => Language::from_code(code),
        };
        if let Some(language) = language
            && weight > best.0
        {
            best = (weight, language);
        }
    }
    best.1
}

/// A range of a list with its weight.
fn weighted(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    (name, weight.map_or(1.0, |text| text.trim().parse().unwrap_or(0.0)))
}

/// The format that the client likes best (RFC 9110 §12.5.1); JSON when it is all the same.
pub(crate) fn accepted(accept: Option<&str>) -> Option<Format> {
    let Some(accept) = accept else { return Some(Format::Json) };
    let json = quality(accept, "application", "json");
    let csv = quality(accept, "text", "csv");
    match (json > 0.0, csv > 0.0) {
        (false, false) => None,
        _ if csv > json => Some(Format::Csv),
        _ => Some(Format::Json),
    }
}

/// What `Accept` gives a media type: the weight of the range that names it most exactly.
fn quality(accept: &str, kind: &str, subkind: &str) -> f32 {
    let mut best = (0, 0.0);
    for range in accept.split(',') {
        let (named, weight) = weighted(range);
        let named = named.to_ascii_lowercase();
        let exactness = match named.split_once('/') {
            Some((a, b)) if a == kind && b == subkind => 3,
            Some((a, "*")) if a == kind => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        if exactness > best.0 {
            best = (exactness, weight);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_the_language() {
        use Language::{English, Japanese};
        let table = [
            ("", English),
            ("ja", Japanese),
            ("JA-jp", Japanese),
            ("ja,en-US;q=0.9,en;q=0.8", Japanese),
            ("en;q=0.8, ja;q=0.9", Japanese),
            ("en, ja", English),
            ("*", English),
            ("*;q=0.5, ja", Japanese),
            ("ja;q=0", English),
            ("fr, ja;q=0.1", Japanese),
            ("fr", English),
            ("jav", English),
        ];
        for (accept, wanted) in table {
            let header = HeaderValue::from_static(accept);
            assert_eq!(language(Some(&header)), wanted, "{accept:?}");
        }
        assert_eq!(language(None), English);
    }

    #[test]
    fn the_client_chooses_the_format() {
        let table = [
            (None, Some(Format::Json)),
            (Some("*/*"), Some(Format::Json)),
            (Some("text/csv"), Some(Format::Csv)),
            (Some("text/*"), Some(Format::Csv)),
            (Some("Text/CSV; charset=utf-8"), Some(Format::Csv)),
            (Some("application/json, text/csv"), Some(Format::Json)),
            (Some("application/json;q=0.5, text/csv"), Some(Format::Csv)),
            (Some("text/csv;q=0, */*;q=0.1"), Some(Format::Json)),
            (Some("application/json;q=0, */*"), Some(Format::Csv)),
            (Some("image/png"), None),
            (Some("text/csv;q=x"), None),
            (Some(""), None),
        ];
        for (accept, format) in table {
            assert_eq!(accepted(accept), format, "{accept:?}");
        }
    }
}
