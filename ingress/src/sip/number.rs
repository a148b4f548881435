//! Telephone numbers as Japanese networks write them, to E.164.
//!
//! In: the user part of a URI, or what a person typed. Out: `+81…`, or why it is no number we
//! can use. Pure; knows nothing of SIP or of who owns a number.

/// Why a text is no usable number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// No digits, letters among them, or too many of them (E.164 §6: at most 15).
    #[error("this is not a telephone number")]
    NotANumber,
    /// A carrier's dialling prefix stands before the number (S24).
    #[error(
        "the forwarding target carries the dialling prefix {prefix}; register the 050 number alone"
    )]
    DiallingPrefix {
        /// Which.
        prefix: &'static str,
    },
}

/// Carrier selection and relay prefixes that a forwarding target must not carry. Forwarding
/// through Rakuten Denwa (0037-68) does not work (S24); the others are of the same kind.
const DIALLING_PREFIXES: [&str; 10] =
    ["003768", "003769", "003766", "0063", "006765", "0077", "0078", "0088", "0033", "0036"];

/// Caller-id prefixes: 184 withholds the number for one call, 186 shows it. They say nothing
/// about whom the call is for.
const CALLER_ID_PREFIXES: [&str; 2] = ["184", "186"];

/// E.164 form (`+815012345678`) of a number as it stands in a URI.
///
/// Takes `+81…`, `050…`, `8150…`, `tel:` and `sip:` URIs, with `-`, `.`, `(`, `)` and spaces as
/// visual separators (RFC 3966 §3), parameters (`;npdi`, `;rn=`, `;cpc=`, `;phone-context=`) cut
/// off, 184/186 removed.
pub fn to_e164(text: &str) -> Result<String, NumberError> {
    let text = text.trim();
    let text = ["tel:", "sip:", "sips:"]
        .iter()
        .find_map(|scheme| strip_prefix_ignoring_case(text, scheme))
        .unwrap_or(text);
    let text = text.split(['@', ';', '?']).next().unwrap_or_default();
    let (international, text) = match text.trim_start().strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut digits = String::with_capacity(16);
    for c in text.chars() {
        match c {
            '0'..='9' if digits.len() < 32 => digits.push(c),
            '-' | '.' | '(' | ')' | ' ' => {}
            _ => return Err(NumberError::NotANumber),
        }
    }
    if international {
        return e164(&digits);
    }
    national(&digits)
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn national(digits: &str) -> Result<String, NumberError> {
    let digits = CALLER_ID_PREFIXES
        .iter()
        .find_map(|prefix| digits.strip_prefix(prefix).filter(|rest| rest.starts_with('0')))
        .unwrap_or(digits);
    if let Some(prefix) = DIALLING_PREFIXES.into_iter().find(|prefix| digits.starts_with(prefix)) {
        return Err(NumberError::DiallingPrefix { prefix });
    }
    // 010: the international prefix of Japan.
    if let Some(rest) = digits.strip_prefix("010") {
        return e164(rest);
    }
    if let Some(rest) = digits.strip_prefix('0') {
        // A Japanese national number is 0 and nine or ten digits.
        return if (9..=10).contains(&rest.len()) {
            e164(&format!("81{rest}"))
        } else {
            Err(NumberError::NotANumber)
        };
    }
    if digits.starts_with("81") && (11..=12).contains(&digits.len()) {
        return e164(digits);
    }
    Err(NumberError::NotANumber)
}

fn e164(digits: &str) -> Result<String, NumberError> {
    // "+81 (0)50 …" is a common mistake: the trunk 0 has no place behind the country code.
    let repaired = digits.strip_prefix("810").map(|rest| format!("81{rest}"));
    let digits = repaired.as_deref().unwrap_or(digits);
    if !(7..=15).contains(&digits.len()) || digits.starts_with('0') {
        return Err(NumberError::NotANumber);
    }
    Ok(format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_e164() {
        for text in [
            "+815012345678",
            "05012345678",
            "815012345678",
            "050-1234-5678",
            "tel:+81-50-1234-5678",
            "TEL:+815012345678;npdi;rn=+8190",
            "sip:+815012345678@trunk.example;user=phone",
            "+81(0)5012345678",
            "+815012345678;cpc=ordinary",
            "18405012345678",
            "18605012345678",
            "010815012345678",
            " 050 1234 5678 ",
            "050.1234.5678",
        ] {
            assert_eq!(to_e164(text).as_deref(), Ok("+815012345678"), "{text}");
        }
        assert_eq!(to_e164("0312345678").as_deref(), Ok("+81312345678"));
        assert_eq!(to_e164("+12025550123").as_deref(), Ok("+12025550123"));
    }

    /// S24.
    #[test]
    fn a_dialling_prefix_is_refused_with_its_name() {
        assert_eq!(
            to_e164("00376805012345678"),
            Err(NumberError::DiallingPrefix { prefix: "003768" })
        );
        let said = to_e164("0037-68-050-1234-5678").unwrap_err().to_string();
        assert!(said.contains("003768") && said.contains("050"), "{said}");
        assert_eq!(
            to_e164("18400376805012345678"),
            Err(NumberError::DiallingPrefix { prefix: "003768" })
        );
    }

    #[test]
    fn other_text_is_no_number() {
        for text in [
            "",
            "+",
            "anonymous",
            "110",
            "0",
            "050123456",
            "050123456789",
            "+123456",
            "+0501234567",
            "１２３",
            "tel:",
            "12345",
        ] {
            assert_eq!(to_e164(text), Err(NumberError::NotANumber), "{text}");
        }
    }

    #[test]
    fn fifteen_digits_are_the_most() {
        assert!(to_e164("+123456789012345").is_ok());
        assert!(to_e164("+1234567890123456").is_err());
    }
}
