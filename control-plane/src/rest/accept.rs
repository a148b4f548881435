//! Which format a client wants (RFC 9110 §12.5.1). Pure: the header in, a format out.

use crate::billing_export::Format;

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
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().unwrap_or_default().to_ascii_lowercase();
        let exactness = match named.split_once('/') {
            Some((a, b)) if a == kind && b == subkind => 3,
            Some((a, "*")) if a == kind => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(1.0, |text| text.trim().parse().unwrap_or(0.0));
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
