//! The session description in a request's body: plain, or a part of multipart/mixed (RFC 5621).
//!
//! In: Content-Type and body. Out: the SDP's octets, nothing when there is no body, or 415.

use rsipstack::sip::{Header, Request};

use super::address::{Address, split_unquoted};
use super::refusal::Refusal;

const ACCEPT: &str = "application/sdp, multipart/mixed";

/// The SDP of a request, `None` when it has no body.
pub(crate) fn sdp(request: &Request) -> Result<Option<&[u8]>, Refusal> {
    if request.body.is_empty() {
        return Ok(None);
    }
    let encoded = request.headers.iter().any(|header| {
        matches!(header, Header::ContentEncoding(encoding)
            if !encoding.value().trim().eq_ignore_ascii_case("identity"))
    });
    if encoded {
        return Err(refuse().with("Accept-Encoding", "identity"));
    }
    let Some(content_type) = request.headers.iter().find_map(|header| match header {
        Header::ContentType(value) => Some(value.value()),
        _ => None,
    }) else {
        // RFC 3261 §20.15: a body must say what it is.
        return Err(Refusal::new(400, "malformed").warn("the body has no Content-Type"));
    };
    let media_type = media_type(content_type);
    match media_type.as_str() {
        "application/sdp" => Ok(Some(&request.body)),
        "multipart/mixed" => part(content_type, &request.body).map(Some).ok_or_else(refuse),
        _ => Err(refuse()),
    }
}

/// RFC 3261 §21.4.13.
fn refuse() -> Refusal {
    Refusal::new(415, "body type").with("Accept", ACCEPT)
}

fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The first SDP part.
fn part<'a>(content_type: &str, body: &'a [u8]) -> Option<&'a [u8]> {
    let boundary = split_unquoted(content_type, ';').into_iter().skip(1).find_map(|parameter| {
        // `x` stands in for a URI, so that the header-parameter reader unquotes the value.
        let address = Address::parse(&format!("<x:y>;{parameter}"))?;
        address.parameter("boundary").map(str::to_owned)
    })?;
    if boundary.is_empty() || boundary.len() > 70 {
        return None;
    }
    let delimiter = format!("--{boundary}");
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(found) = find(&body[at..], delimiter.as_bytes()) {
        starts.push(at + found);
        at += found + delimiter.len();
    }
    starts.windows(2).find_map(|pair| {
        let one = body[pair[0] + delimiter.len()..pair[1]].strip_prefix(b"\r\n")?;
        let head = find(one, b"\r\n\r\n")?;
        let is_sdp = std::str::from_utf8(&one[..head]).ok()?.split("\r\n").any(|line| {
            line.split_once(':').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("content-type")
                    && media_type(value) == "application/sdp"
            })
        });
        is_sdp.then(|| one[head + 4..].strip_suffix(b"\r\n").unwrap_or(&one[head + 4..]))
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &str, body: &str) -> Request {
        let text = format!(
            "INVITE sip:a@b SIP/2.0\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Request::try_from(text).unwrap()
    }

    #[test]
    fn plain_and_mixed_bodies_are_read() {
        let plain = request("Content-Type: application/SDP;charset=utf-8\r\n", "v=0\r\n");
        assert_eq!(sdp(&plain), Ok(Some(&b"v=0\r\n"[..])));
        assert_eq!(sdp(&request("", "")), Ok(None));
        let body = "--b1\r\nContent-Type: application/isup\r\n\r\nxx\r\n--b1\r\nContent-Type: application/sdp\r\nX: y\r\n\r\nv=0\r\n\r\n--b1--\r\n";
        for boundary in ["b1", "\"b1\""] {
            let mixed =
                request(&format!("Content-Type: multipart/mixed;boundary={boundary}\r\n"), body);
            assert_eq!(sdp(&mixed), Ok(Some(&b"v=0\r\n"[..])));
        }
    }

    #[test]
    fn other_bodies_are_refused_with_what_is_accepted() {
        for headers in [
            "Content-Type: text/plain\r\n",
            "Content-Type: multipart/mixed\r\n",
            "Content-Type: multipart/mixed;boundary=zz\r\n",
            "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n",
        ] {
            let refusal = sdp(&request(headers, "v=0\r\n")).unwrap_err();
            assert_eq!(refusal.status, 415, "{headers}");
            assert_eq!(refusal.headers[0], ("Accept", ACCEPT.to_owned()));
        }
        assert_eq!(sdp(&request("", "v=0")).unwrap_err().status, 400);
    }
}
