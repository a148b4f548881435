//! The callers' side of SIP over UDP, as text: requests out, what matters of answers in.
//!
//! Knows RFC 3261 as far as a caller over loopback needs it; no state.

use std::net::SocketAddr;

use crate::mix::Forwarding;

/// One call's names.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    pub(crate) index: usize,
    /// The mailbox's number, national.
    pub(crate) to: String,
    /// As the far end wrote it, once it has.
    pub(crate) to_header: String,
    pub(crate) forwarding: Forwarding,
}

/// Where everybody is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    pub(crate) local: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) media: SocketAddr,
}

/// What came from the service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// An answer to a request of ours.
    Status { method: &'a str, status: u16 },
    /// The service hangs up.
    Bye,
    /// Anything else.
    Other,
}

impl Dialog {
    pub(crate) fn new(index: usize, to: &str, forwarding: Forwarding) -> Self {
        Self { index, to: to.to_owned(), to_header: String::new(), forwarding }
    }

    pub(crate) fn invite(&self, places: &Places) -> String {
        let port = places.media.port();
        let ip = places.media.ip();
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\n"
        );
        let carrier = "carrier.example";
        let to = &self.to;
        let forwarded = match self.forwarding {
            Forwarding::No => String::new(),
            Forwarding::Diversion => {
                format!("Diversion: <sip:{to}@{carrier}>;reason=no-answer;counter=1\r\n")
            }
            Forwarding::HistoryInfo => {
                format!("History-Info: <sip:{to}@{carrier}?Reason=SIP%3Bcause%3D408>;index=1\r\n")
            }
        };
        self.request(("INVITE", 1, 'i'), places, &forwarded, &sdp)
    }

    /// The ACK of a 200, a transaction of its own.
    pub(crate) fn ack(&self, places: &Places) -> String {
        self.request(("ACK", 1, 'a'), places, "", "")
    }

    /// The ACK of a refusal, which belongs to the INVITE's transaction.
    pub(crate) fn ack_refusal(&self, places: &Places) -> String {
        self.request(("ACK", 1, 'i'), places, "", "")
    }

    pub(crate) fn cancel(&self, places: &Places) -> String {
        self.request(("CANCEL", 1, 'i'), places, "", "")
    }

    pub(crate) fn bye(&self, places: &Places) -> String {
        self.request(("BYE", 2, 'b'), places, "", "")
    }

    fn request(
        &self,
        (method, sequence, branch): (&str, u32, char),
        places: &Places,
        headers: &str,
        body: &str,
    ) -> String {
        let Places { local, server, .. } = places;
        let Self { index, to, to_header, .. } = self;
        let to_line =
            if to_header.is_empty() { format!("<sip:{to}@{server}>") } else { to_header.clone() };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let caller = 90_0000_0000_u64 + *index as u64;
        format!(
            "{method} sip:{to}@{server} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};branch=z9hG4bK{branch}{index}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:0{caller}@{}>;tag=f{index}\r\n\
             To: {to_line}\r\n\
             Call-ID: load-{index}\r\n\
             CSeq: {sequence} {method}\r\n\
             Contact: <sip:load@{local}>\r\n\
             {headers}{kind}Content-Length: {}\r\n\r\n{body}",
            local.ip(),
            body.len()
        )
    }
}

/// Answers a request of the service's with 200.
pub(crate) fn ok(request: &str) -> String {
    let mut reply = "SIP/2.0 200 OK\r\n".to_owned();
    for line in request.lines() {
        let name = line.split(':').next().unwrap_or_default();
        if ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|n| name.eq_ignore_ascii_case(n)) {
            reply.push_str(line);
            reply.push_str("\r\n");
        }
    }
    reply.push_str("Content-Length: 0\r\n\r\n");
    reply
}

/// Which call a message belongs to, and what it says.
pub(crate) fn read(text: &str) -> Option<(usize, Heard<'_>)> {
    let index = header(text, "Call-ID")?.strip_prefix("load-")?.parse().ok()?;
    let heard = if text.starts_with("BYE ") {
        Heard::Bye
    } else if let Some(rest) = text.strip_prefix("SIP/2.0 ") {
        let status = rest.get(..3)?.parse().ok()?;
        let method = header(text, "CSeq")?.split(' ').nth(1)?;
        Heard::Status { method, status }
    } else {
        Heard::Other
    };
    Some((index, heard))
}

/// The port in an answer's SDP.
pub(crate) fn audio_port(text: &str) -> Option<u16> {
    let line = text.lines().find_map(|line| line.strip_prefix("m=audio "))?;
    line.split(' ').next()?.parse().ok()
}

/// A header's value.
pub(crate) fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}
