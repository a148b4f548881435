//! Who calls, and if that may not be shown, why not.
//!
//! In: From, P-Asserted-Identity and Privacy as text, and whether the peer is a trunk that may
//! assert identities. Out: a [`Caller`]. Pure. 非通知, 公衆電話 and 表示圏外 are told apart by
//! the display name that Japanese networks put on `<sip:anonymous@anonymous.invalid>`
//! (TTC JJ-90.30).

use engine_core::caller::Caller;
use engine_core::private::Private;

use super::address::Address;
use super::limits::CALLER_CHARACTERS_MAX;
use super::number::to_e164;

/// The headers that say who calls.
#[derive(Debug, Clone, Default)]
pub struct CallerHeaders<'a> {
    /// From.
    pub from: &'a str,
    /// Every P-Asserted-Identity header.
    pub asserted: Vec<&'a str>,
    /// Every Privacy header.
    pub privacy: Vec<&'a str>,
}

/// The caller as the subscriber may see it.
pub fn caller(headers: &CallerHeaders<'_>, trusted: bool) -> Caller {
    let from = Address::parse(headers.from).unwrap_or_default();
    if let Some(reason) = anonymous_reason(&from) {
        return reason;
    }
    let asserted: Vec<Address> = if trusted {
        headers.asserted.iter().flat_map(|line| Address::parse_list(line)).collect()
    } else {
        Vec::new()
    };
    if wants_privacy(&headers.privacy) {
        let payphone = asserted.iter().chain([&from]).any(is_payphone);
        return if payphone { Caller::Payphone } else { Caller::Withheld };
    }
    // RFC 3325 §9.1: up to two values, a SIP and a tel URI. The first that is a number wins.
    let number = asserted.iter().find_map(|address| to_e164(&address.user).ok());
    if let Some(number) = number {
        return shown(number);
    }
    match to_e164(&from.user) {
        Ok(number) => shown(number),
        Err(_) => match asserted.iter().chain([&from]).find(|address| !address.user.is_empty()) {
            Some(address) => shown(address.user.chars().take(CALLER_CHARACTERS_MAX).collect()),
            None => Caller::Unavailable,
        },
    }
}

fn shown(number: String) -> Caller {
    Caller::Number(Private::new(number))
}

/// The reason in the display name of an anonymous From, `None` when From is not anonymous.
fn anonymous_reason(from: &Address) -> Option<Caller> {
    let user = from.user.to_ascii_lowercase();
    let host = from.host.split(':').next().unwrap_or_default();
    // RFC 3323 §4.1.1.3 and RFC 3261 §8.1.1.3.
    let anonymous =
        host == "anonymous.invalid" || matches!(user.as_str(), "anonymous" | "restricted");
    let reason = match from.display.trim().to_ascii_lowercase().as_str() {
        "coin line/payphone" => Caller::Payphone,
        "unavailable" | "interaction with other service" => Caller::Unavailable,
        "anonymous" => Caller::Withheld,
        _ if matches!(user.as_str(), "unavailable" | "unknown") => {
            return Some(Caller::Unavailable);
        }
        _ if anonymous => return Some(Caller::Withheld),
        _ => return None,
    };
    // A display name alone is the caller's own text: it counts only without a number beside it.
    (anonymous || to_e164(&from.user).is_err()).then_some(reason)
}

/// RFC 3323 §4.2, RFC 3325 §9.3: `none` overrides everything else.
fn wants_privacy(lines: &[&str]) -> bool {
    let tokens: Vec<String> = lines
        .iter()
        .flat_map(|line| line.split([';', ',']))
        .map(|token| token.trim().to_ascii_lowercase())
        .collect();
    let has = |wanted: &str| tokens.iter().any(|token| token == wanted);
    !has("none") && (has("id") || has("user") || has("header"))
}

/// `cpc=payphone` (draft-mahy-iptel-cpc), beside the number or behind the URI.
fn is_payphone(address: &Address) -> bool {
    let category = address.uri_parameter("cpc").or_else(|| address.parameter("cpc"));
    category.is_some_and(|value| value.eq_ignore_ascii_case("payphone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Caller {
        Caller::Number(Private::new(text.to_owned()))
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "one table")]
    fn callers_are_told_apart() {
        type Case = (String, Vec<&'static str>, Vec<&'static str>, Caller);
        let anonymous = "<sip:anonymous@anonymous.invalid>;tag=1";
        let named = |name: &str| format!("\"{name}\" {anonymous}");
        let asserted = "\"x\" <sip:+819012345678@ims.example>";
        let cases: Vec<Case> = vec![
            (named("Anonymous"), vec![asserted], vec!["id"], Caller::Withheld),
            (anonymous.to_owned(), vec![], vec![], Caller::Withheld),
            (named("Coin line/payphone"), vec![], vec!["id"], Caller::Payphone),
            (named("Unavailable"), vec![], vec![], Caller::Unavailable),
            (named("Interaction with other service"), vec![], vec![], Caller::Unavailable),
            (
                "Anonymous <sip:anonymous@anonymous.invalid>".to_owned(),
                vec![],
                vec![],
                Caller::Withheld,
            ),
            (
                "<sip:+81311112222@h>;tag=1".to_owned(),
                vec![asserted],
                vec![],
                number("+819012345678"),
            ),
            (
                "<sip:+81311112222@h>".to_owned(),
                vec![asserted],
                vec!["id;critical"],
                Caller::Withheld,
            ),
            (
                "<sip:+81311112222@h>".to_owned(),
                vec![asserted],
                vec!["user", "header"],
                Caller::Withheld,
            ),
            (
                "<sip:+81311112222@h>".to_owned(),
                vec![asserted],
                vec!["id;none"],
                number("+819012345678"),
            ),
            ("<sip:+81311112222@h>".to_owned(), vec![], vec!["history"], number("+81311112222")),
            ("<sip:0311112222@h;user=phone>".to_owned(), vec![], vec![], number("+81311112222")),
            (
                "<sip:03-1111-2222;cpc=ordinary@h>".to_owned(),
                vec![],
                vec![],
                number("+81311112222"),
            ),
            ("<sip:alice@h>".to_owned(), vec![], vec![], number("alice")),
            (
                "<sip:alice@h>".to_owned(),
                vec!["<sip:x@h>, <tel:+819012345678>"],
                vec![],
                number("+819012345678"),
            ),
            ("<sip:h>".to_owned(), vec![], vec![], Caller::Unavailable),
            ("garbage".to_owned(), vec![], vec![], Caller::Unavailable),
            ("<sip:unavailable@h>".to_owned(), vec![], vec![], Caller::Unavailable),
            ("<tel:+819012345678;cpc=payphone>".to_owned(), vec![], vec!["id"], Caller::Payphone),
            (
                "\"Unavailable\" <sip:+81311112222@h>".to_owned(),
                vec![],
                vec![],
                number("+81311112222"),
            ),
        ];
        for (from, asserted, privacy, expected) in cases {
            let headers = CallerHeaders { from: &from, asserted, privacy };
            let found = caller(&headers, true);
            assert_eq!(
                (found.kind(), found.number()),
                (expected.kind(), expected.number()),
                "{from}"
            );
        }
    }

    #[test]
    fn assertions_of_untrusted_peers_are_ignored() {
        let headers = CallerHeaders {
            from: "<sip:+81311112222@h>",
            asserted: vec!["<sip:+819012345678@h>"],
            privacy: vec![],
        };
        assert_eq!(caller(&headers, false), number("+81311112222"));
    }

    #[test]
    fn names_are_cut_to_the_limit() {
        let from = format!("<sip:{}@h>", "a".repeat(CALLER_CHARACTERS_MAX + 1));
        let found = caller(&CallerHeaders { from: &from, ..Default::default() }, true);
        assert_eq!(found.number().unwrap().len(), CALLER_CHARACTERS_MAX);
    }
}
