//! Whether a request is one that RFC 3261 lets us work on.
//!
//! In: a request as rsipstack parsed it, which is lenient. Out: nothing, or the refusal that the
//! RFC asks for. Pure; looks at one message alone, never at calls or peers.

use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::{Header, Method, Request, Scheme, Version};

use super::address::quotes_close;
use super::limits::HEADERS_MAX;
use super::refusal::{REQUIRABLE, Refusal, SUPPORTED};

/// Largest `CSeq` number (RFC 3261 §8.1.1.5).
const CSEQ_MAX: u32 = i32::MAX as u32;

/// Checks what every request must have, whatever its method.
pub(crate) fn screen(request: &Request) -> Result<(), Refusal> {
    if request.version != Version::V2 {
        return Err(Refusal::new(505, "version"));
    }
    if request.headers.len() > HEADERS_MAX {
        return Err(bad("too many headers"));
    }
    once(request, "From", |h| matches!(h, Header::From(_)), true)?;
    once(request, "To", |h| matches!(h, Header::To(_)), true)?;
    once(request, "Call-ID", |h| matches!(h, Header::CallId(_)), true)?;
    once(request, "CSeq", |h| matches!(h, Header::CSeq(_)), true)?;
    once(request, "Max-Forwards", |h| matches!(h, Header::MaxForwards(_)), false)?;
    once(request, "Content-Length", |h| matches!(h, Header::ContentLength(_)), false)?;
    once(request, "Content-Type", |h| matches!(h, Header::ContentType(_)), false)?;
    via(request)?;
    identity(request)?;
    sequence(request)?;
    length(request)?;
    if let Ok(hops) = request.max_forwards_header()
        && hops.value().trim().parse::<u8>().is_err()
    {
        return Err(bad("Max-Forwards cannot be read"));
    }
    // RFC 3261 §8.2.2.1. A tel: Request-URI is how some networks name the called number.
    match &request.uri.scheme {
        Some(Scheme::Sip | Scheme::Sips) => {}
        Some(Scheme::Other(scheme)) if scheme.eq_ignore_ascii_case("tel") => {}
        Some(_) => return Err(Refusal::new(416, "URI scheme")),
        None => return Err(bad("the Request-URI has no scheme")),
    }
    if request.method == Method::Invite {
        contact(request)?;
    }
    required(request)
}

fn bad(text: &str) -> Refusal {
    Refusal::new(400, "malformed").warn(text)
}

fn once(
    request: &Request,
    name: &str,
    is: impl Fn(&Header) -> bool,
    needed: bool,
) -> Result<(), Refusal> {
    match request.headers.iter().filter(|header| is(header)).count() {
        0 if needed => Err(bad(&format!("{name} is missing"))),
        0 | 1 => Ok(()),
        _ => Err(bad(&format!("{name} stands there more than once"))),
    }
}

fn via(request: &Request) -> Result<(), Refusal> {
    let readable = request.top_via_header().is_ok_and(|via| via.typed().is_ok());
    if readable { Ok(()) } else { Err(bad("Via cannot be read")) }
}

fn identity(request: &Request) -> Result<(), Refusal> {
    let from = request.from_header().is_ok_and(|from| {
        from.tag().is_ok_and(|tag| tag.is_some_and(|tag| !tag.value().is_empty()))
    });
    if !from {
        return Err(bad("From has no tag"));
    }
    if request.to_header().is_ok_and(|to| to.tag().is_err()) {
        return Err(bad("To cannot be read"));
    }
    // RFC 4475 §3.1.2.6: an unterminated quoted string.
    let names = request.headers.iter().filter_map(|header| match header {
        Header::From(from) => Some(from.value()),
        Header::To(to) => Some(to.value()),
        Header::Contact(contact) => Some(contact.value()),
        _ => None,
    });
    if !names.into_iter().all(quotes_close) {
        return Err(bad("a quoted name does not end"));
    }
    let call_id = request.call_id_header().is_ok_and(|id| !id.value().trim().is_empty());
    if call_id { Ok(()) } else { Err(bad("Call-ID is empty")) }
}

/// RFC 3261 §8.1.1.5: the `CSeq` method is the request's; the number is below 2³¹.
fn sequence(request: &Request) -> Result<(), Refusal> {
    let cseq = request.cseq_header().ok();
    let number = cseq.and_then(|cseq| cseq.seq().ok()).filter(|number| *number <= CSEQ_MAX);
    let method = cseq.and_then(|cseq| cseq.method().ok());
    match (number, method) {
        (Some(_), Some(method)) if method == request.method => Ok(()),
        (Some(_), _) => Err(bad("CSeq names another method")),
        (None, _) => Err(bad("CSeq cannot be read")),
    }
}

/// RFC 3261 §18.3: fewer octets than Content-Length says is an error; more are cut.
fn length(request: &Request) -> Result<(), Refusal> {
    let Some(value) = request.headers.iter().find_map(|header| match header {
        Header::ContentLength(value) => Some(value.value()),
        _ => None,
    }) else {
        return Ok(());
    };
    match value.trim().parse::<usize>() {
        Ok(said) if said <= request.body.len() => Ok(()),
        Ok(_) => Err(bad("the body is shorter than Content-Length")),
        Err(_) => Err(bad("Content-Length cannot be read")),
    }
}

/// RFC 3261 §8.1.1.8: exactly one SIP or SIPS URI, where we send BYE.
fn contact(request: &Request) -> Result<(), Refusal> {
    let contacts = request.typed_contact_headers().unwrap_or_default();
    match contacts.as_slice() {
        [contact] if matches!(contact.uri.scheme, Some(Scheme::Sip | Scheme::Sips)) => Ok(()),
        _ => Err(bad("Contact must hold one SIP URI")),
    }
}

/// RFC 3261 §8.2.2.3.
fn required(request: &Request) -> Result<(), Refusal> {
    if matches!(request.method, Method::Ack | Method::Cancel) {
        return Ok(());
    }
    let unknown: Vec<&str> = request
        .headers
        .iter()
        .filter_map(|header| match header {
            Header::Require(value) => Some(value.value()),
            _ => None,
        })
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .filter(|tag| !REQUIRABLE.iter().any(|known| known.eq_ignore_ascii_case(tag)))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(420, "extension")
        .with("Unsupported", unknown.join(", "))
        .with("Supported", SUPPORTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:05012345678@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:05012345678@192.0.2.1>\r\nCall-ID: 1@b\r\nCSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.2:5060>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

    fn status(text: &str) -> Option<u16> {
        let request = Request::try_from(text).unwrap();
        screen(&request).err().map(|refusal| refusal.status)
    }

    #[test]
    fn a_sound_request_passes() {
        assert_eq!(status(INVITE), None);
    }

    #[test]
    fn what_is_wrong_is_refused_as_the_rfc_says() {
        let cases: [(&str, &str, u16); 23] = [
            ("SIP/2.0\r\nVia", "SIP/7.0\r\nVia", 505),
            ("CSeq: 1 INVITE", "CSeq: 1 BYE", 400),
            ("CSeq: 1 INVITE", "CSeq: 2147483648 INVITE", 400),
            ("CSeq: 1 INVITE", "CSeq: x INVITE", 400),
            ("CSeq: 1 INVITE", "X: 1", 400),
            ("From: <sip:a@b>;tag=1", "From: <sip:a@b>", 400),
            ("From: <sip:a@b>;tag=1", "X: y", 400),
            ("Call-ID: 1@b", "Call-ID: 1@b\r\nCall-ID: 2@b", 400),
            ("Call-ID: 1@b", "Call-ID: ", 400),
            ("Content-Length: 0", "Content-Length: 1", 400),
            ("Content-Length: 0", "Content-Length: -1", 400),
            ("Content-Length: 0", "Content-Length: 0\r\nContent-Length: 0", 400),
            ("Max-Forwards: 70", "Max-Forwards: 256", 400),
            ("Max-Forwards: 70", "Max-Forwards: x", 400),
            ("Contact: <sip:a@192.0.2.2:5060>", "X: y", 400),
            ("Contact: <sip:a@192.0.2.2:5060>", "Contact: *", 400),
            ("Contact: <sip:a@192.0.2.2:5060>", "Contact: <tel:+81>", 400),
            ("Contact: <sip:a@192.0.2.2:5060>", "Contact: <sip:a@b>, <sip:c@d>", 400),
            ("INVITE sip:05012345678@", "INVITE http:05012345678@", 416),
            ("Max-Forwards: 70", "Require: nothing, 100rel", 420),
            ("Max-Forwards: 70", "Require: timer\r\nRequire: foo", 420),
            ("To: <", "To: \"x <", 400),
            ("Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK1\r\n", "", 400),
        ];
        for (from, to, expected) in cases {
            let text = INVITE.replacen(from, to, 1);
            assert_ne!(text, INVITE, "{from}");
            assert_eq!(status(&text), Some(expected), "{to}");
        }
    }

    #[test]
    fn unsupported_tags_are_named() {
        let text = INVITE.replacen("Max-Forwards: 70", "Require: foo, timer, bar", 1);
        let refusal = screen(&Request::try_from(text.as_str()).unwrap()).unwrap_err();
        assert_eq!(refusal.headers[0], ("Unsupported", "foo, bar".to_owned()));
    }

    #[test]
    fn extensions_that_we_meet_may_be_required() {
        for tag in ["100rel", "timer", "TIMER, 100Rel"] {
            let text = INVITE.replacen("Max-Forwards: 70", &format!("Require: {tag}"), 1);
            assert_eq!(status(&text), None, "{tag}");
        }
    }

    #[test]
    fn zero_hops_left_is_enough_for_the_last_hop() {
        // RFC 4475 §3.3.11: an endpoint works on it; only a proxy answers 483.
        assert_eq!(status(&INVITE.replacen("70", "0", 1)), None);
    }

    #[test]
    fn headers_are_taken_up_to_the_limit() {
        let count = Request::try_from(INVITE).unwrap().headers.len();
        for (extra, expected) in [(HEADERS_MAX - count, None), (HEADERS_MAX - count + 1, Some(400))]
        {
            let text =
                INVITE.replacen("\r\n\r\n", &format!("\r\n{}\r\n", "X: y\r\n".repeat(extra)), 1);
            assert_eq!(status(&text), expected);
        }
    }
}
