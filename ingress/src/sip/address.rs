//! Addresses in SIP headers, read without trust: name-addr, addr-spec, `tel:` (RFC 3261 §25.1,
//! RFC 3966).
//!
//! In: one header value. Out: display name, URI parts and parameters, percent-decoded where the
//! grammar says so. Unreadable pieces are left out; nothing here fails or allocates beyond the
//! length of its input. Knows nothing of what an address means.

/// A URI taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// Display name, unquoted; empty when there is none.
    pub display: String,
    /// `sip`, `sips`, `tel`, … in lower case; empty when there is none.
    pub scheme: String,
    /// User part (`sip:`) or the number (`tel:`), percent-decoded, with its parameters cut off.
    pub user: String,
    /// Host in lower case; empty for `tel:`.
    pub host: String,
    /// URI parameters, names in lower case, values percent-decoded.
    pub uri_parameters: Vec<(String, String)>,
    /// URI headers (`?Reason=…`), names in lower case, values percent-decoded.
    pub uri_headers: Vec<(String, String)>,
    /// Header parameters behind the `>`, names in lower case, values unquoted.
    pub parameters: Vec<(String, String)>,
}

impl Address {
    /// Reads one header value; `None` when there is no URI in it.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let (display, uri, rest) = match find_unquoted(value, '<') {
            Some(open) => {
                let close = open + value[open..].find('>')?;
                (unquote(&value[..open]), &value[open + 1..close], &value[close + 1..])
            }
            // RFC 3261 §20: without angle brackets every parameter is the header's.
            None => match value.find(';') {
                Some(at) if !value[..at].is_empty() => (String::new(), &value[..at], &value[at..]),
                _ => (String::new(), value, ""),
            },
        };
        let mut address = Self::parse_uri(uri)?;
        address.display = display;
        address.parameters =
            split_unquoted(rest, ';').iter().filter_map(|p| header_pair(p)).collect();
        Some(address)
    }

    /// Reads a bare URI, such as a Request-URI.
    pub fn parse_uri(uri: &str) -> Option<Self> {
        let uri = uri.trim();
        let (scheme, rest) = uri.split_once(':')?;
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+') {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "tel" {
            let mut pieces = rest.split(';');
            let user = percent_decode(pieces.next().unwrap_or_default());
            let uri_parameters = pieces.filter_map(uri_pair).collect();
            return Some(Self { scheme, user, uri_parameters, ..Self::default() });
        }
        // The user part may hold `;` and `?` itself, so the `@` is looked for first.
        let (user, hostpart) = match rest.rsplit_once('@') {
            Some((user, host)) => (user, host),
            None => ("", rest),
        };
        let user = user.split(';').next().unwrap_or_default();
        let user = user.split(':').next().unwrap_or_default();
        let (hostpart, headers) = hostpart.split_once('?').unwrap_or((hostpart, ""));
        let mut pieces = hostpart.split(';');
        let host = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
        Some(Self {
            scheme,
            user: percent_decode(user),
            host,
            uri_parameters: pieces.filter_map(uri_pair).collect(),
            uri_headers: headers.split('&').filter_map(uri_pair).collect(),
            ..Self::default()
        })
    }

    /// Every address of a header that may hold several, comma-separated.
    pub fn parse_list(value: &str) -> Vec<Self> {
        split_unquoted(value, ',').iter().filter_map(|one| Self::parse(one)).collect()
    }

    /// A URI parameter by its lower-case name.
    pub fn uri_parameter(&self, name: &str) -> Option<&str> {
        find(&self.uri_parameters, name)
    }

    /// A URI header by its lower-case name.
    pub fn uri_header(&self, name: &str) -> Option<&str> {
        find(&self.uri_headers, name)
    }

    /// A header parameter by its lower-case name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.parameters, name)
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn uri_pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let name = name.trim();
    (!name.is_empty()).then(|| (name.to_ascii_lowercase(), percent_decode(value.trim())))
}

fn header_pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let name = name.trim();
    (!name.is_empty()).then(|| (name.to_ascii_lowercase(), unquote(value)))
}

/// Where `wanted` stands outside quotes.
fn find_unquoted(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == wanted && !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Whether every quoted string in a header value ends.
pub fn quotes_close(text: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}

/// Splits at `separator` outside quotes and angle brackets.
pub fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            c if c == separator && !quoted && !angle => {
                pieces.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

fn unquote(text: &str) -> String {
    let text = text.trim();
    let Some(inner) = text.strip_prefix('"') else { return text.to_owned() };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut plain = String::with_capacity(inner.len());
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    plain
}

/// Percent-decoding; what is no valid escape or no UTF-8 stays as it was.
pub fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair =
            (bytes.get(at + 1).copied().and_then(hex), bytes.get(at + 2).copied().and_then(hex));
        if let (b'%', (Some(high), Some(low))) = (bytes[at], pair) {
            plain.push(high << 4 | low);
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_addr_comes_apart() {
        let address = Address::parse(
            "\"O \\\"Brien\\\", <X>\" <sip:+815012345678;npdi@Trunk.example:5070;user=phone?Reason=SIP%3Bcause%3D302>;reason=\"no-answer\";counter=1",
        )
        .unwrap();
        assert_eq!(address.display, "O \"Brien\", <X>");
        assert_eq!(address.scheme, "sip");
        assert_eq!(address.user, "+815012345678");
        assert_eq!(address.host, "trunk.example:5070");
        assert_eq!(address.uri_parameter("user"), Some("phone"));
        assert_eq!(address.uri_header("reason"), Some("SIP;cause=302"));
        assert_eq!(address.parameter("reason"), Some("no-answer"));
        assert_eq!(address.parameter("counter"), Some("1"));
    }

    #[test]
    fn parameters_without_angle_brackets_are_the_headers() {
        let address = Address::parse("sip:a@b;tag=7").unwrap();
        assert_eq!(address.parameter("tag"), Some("7"));
        assert_eq!(address.uri_parameter("tag"), None);
    }

    #[test]
    fn tel_uris_keep_number_and_parameters() {
        let address = Address::parse("<tel:+81-50-1234-5678;cpc=payphone>").unwrap();
        assert_eq!((address.scheme.as_str(), address.user.as_str()), ("tel", "+81-50-1234-5678"));
        assert_eq!(address.uri_parameter("cpc"), Some("payphone"));
    }

    #[test]
    fn lists_split_outside_quotes_and_brackets() {
        let list = Address::parse_list("\"a,b\" <sip:1@h>, <sip:2,3@h>;x=\"p,q\",sip:4@h");
        let users: Vec<_> = list.iter().map(|a| a.user.as_str()).collect();
        assert_eq!(users, ["1", "2,3", "4"]);
    }

    #[test]
    fn nonsense_is_no_address_and_never_panics() {
        for text in ["", "<", "<>", "\"", "日本", "<sip", "a@b", ":x", "<:>", "\"<sip:a@b>", "%:%"]
        {
            assert!(Address::parse(text).is_none(), "{text}");
        }
        for text in ["sip:", "sip:%zz%4@%", "<sip:;;;=;@>;=;\"", "tel:;", "<sip:é@ü>"] {
            assert!(Address::parse(text).is_some(), "{text}");
        }
        assert_eq!(percent_decode("%E3%81%82%ff%"), "%E3%81%82%ff%");
    }
}
