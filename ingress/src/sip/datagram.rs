//! UDP for rsipstack, with what its parser loses put right on the octets.
//!
//! In: datagrams. Out: the same, except: a message without Content-Length gets one (RFC 3261
//! §18.3: the body ends with the datagram; rsipstack would drop the body), a message that fills
//! the buffer is dropped as cut, and a request with an unknown method is answered 501 here
//! (RFC 3261 §21.5.2), since rsipstack drops what it cannot name.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use rsipstack::platform::net::UdpSocket;
use tracing::debug;

use super::counters::{Counters, count};

const METHODS: [&[u8]; 14] = [
    b"ACK",
    b"BYE",
    b"CANCEL",
    b"INFO",
    b"INVITE",
    b"MESSAGE",
    b"NOTIFY",
    b"OPTIONS",
    b"PRACK",
    b"PUBLISH",
    b"REFER",
    b"REGISTER",
    b"SUBSCRIBE",
    b"UPDATE",
];

type Result<T> = std::result::Result<T, rsipstack::Error>;

pub(crate) struct Datagrams {
    socket: tokio::net::UdpSocket,
    counters: Arc<Counters>,
}

impl Datagrams {
    pub(crate) fn new(socket: tokio::net::UdpSocket, counters: Arc<Counters>) -> Self {
        Self { socket, counters }
    }

    async fn receive(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        loop {
            let (octets, source) = self.socket.recv_from(buffer).await?;
            if octets == buffer.len() {
                count(&self.counters.oversize);
                debug!(octets, "Dropped a UDP message that is too large; it needs TCP.");
                continue;
            }
            if let Some(answer) = unknown_method(&buffer[..octets]) {
                // Best effort, as UDP is.
                let _ = self.socket.send_to(&answer, source).await;
                continue;
            }
            return Ok((with_length(buffer, octets), source));
        }
    }
}

type Receiving<'a> = Pin<Box<dyn Future<Output = Result<(usize, SocketAddr)>> + Send + 'a>>;
type Sending<'a> = Pin<Box<dyn Future<Output = Result<usize>> + Send + 'a>>;

impl UdpSocket for Datagrams {
    fn recv_from<'own, 'buffer, 'run>(&'own self, buffer: &'buffer mut [u8]) -> Receiving<'run>
    where
        'own: 'run,
        'buffer: 'run,
        Self: 'run,
    {
        Box::pin(self.receive(buffer))
    }

    fn send_to<'own, 'buffer, 'run>(
        &'own self,
        buffer: &'buffer [u8],
        to: SocketAddr,
    ) -> Sending<'run>
    where
        'own: 'run,
        'buffer: 'run,
        Self: 'run,
    {
        Box::pin(async move { Ok(self.socket.send_to(buffer, to).await?) })
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }
}

fn head_end(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|four| four == b"\r\n\r\n")
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn header_name(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|octet| *octet == b':').unwrap_or(line.len());
    line[..end].trim_ascii()
}

/// Inserts a Content-Length where there is a body and none is said. Returns the new length.
fn with_length(buffer: &mut [u8], octets: usize) -> usize {
    let Some(head) = head_end(&buffer[..octets]) else { return octets };
    let body = octets - head - 4;
    let said = lines(&buffer[..head]).skip(1).map(header_name).any(|name| {
        name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"l")
    });
    let header = format!("\r\nContent-Length: {body}");
    if body == 0 || said || octets + header.len() > buffer.len() {
        return octets;
    }
    buffer.copy_within(head..octets, head + header.len());
    buffer[head..head + header.len()].copy_from_slice(header.as_bytes());
    octets + header.len()
}

/// The 501 for a well-formed request whose method nobody knows.
fn unknown_method(message: &[u8]) -> Option<Vec<u8>> {
    let head = &message[..head_end(message)?];
    let first = lines(head).next()?;
    let (method, rest) = first.split_at(first.iter().position(|octet| *octet == b' ')?);
    let token = !method.is_empty()
        && method.len() <= 32
        && method.iter().all(|c| c.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(c));
    if !token || METHODS.contains(&method) || !rest.ends_with(b" SIP/2.0") {
        return None;
    }
    let mut answer = b"SIP/2.0 501 Not Implemented\r\n".to_vec();
    let mut copying = false;
    let mut via = false;
    for line in lines(head).skip(1) {
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            let name = header_name(line).to_ascii_lowercase();
            copying = matches!(
                name.as_slice(),
                b"via" | b"v" | b"from" | b"f" | b"to" | b"t" | b"call-id" | b"i" | b"cseq"
            );
            via |= matches!(name.as_slice(), b"via" | b"v");
        }
        if copying {
            answer.extend_from_slice(line);
            answer.extend_from_slice(b"\r\n");
        }
    }
    answer.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    via.then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(message: &str, room: usize) -> String {
        let mut buffer = message.as_bytes().to_vec();
        buffer.resize(room, 0);
        let octets = with_length(&mut buffer, message.len());
        String::from_utf8(buffer[..octets].to_vec()).unwrap()
    }

    #[test]
    fn a_body_without_length_gets_one() {
        assert_eq!(
            completed("INVITE x SIP/2.0\r\nA: b\r\n\r\nv=0", 100),
            "INVITE x SIP/2.0\r\nA: b\r\nContent-Length: 3\r\n\r\nv=0"
        );
        for message in [
            "INVITE x SIP/2.0\r\nl : 3\r\n\r\nv=0",
            "INVITE x SIP/2.0\r\ncontent-LENGTH: 3\r\n\r\nv=0",
            "INVITE x SIP/2.0\r\nA: b\r\n\r\n",
            "INVITE x SIP/2.0\r\nA: b\r\n",
        ] {
            assert_eq!(completed(message, 100), message);
        }
        let tight = "INVITE x SIP/2.0\r\n\r\nv=0";
        assert_eq!(completed(tight, tight.len() + 18), tight, "no room, nothing done");
        assert_ne!(completed(tight, tight.len() + 19), tight);
    }

    #[test]
    fn unknown_methods_are_answered_501() {
        let message = b"FLY sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>\r\n ;tag=1\r\nX: y\r\nCSeq: 1 FLY\r\n\r\n";
        let answer = String::from_utf8(unknown_method(message).unwrap()).unwrap();
        assert!(answer.starts_with("SIP/2.0 501 "), "{answer}");
        assert!(answer.contains(" ;tag=1\r\nCSeq: 1 FLY\r\n") && !answer.contains("X: y"));
        for message in [
            &b"OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n\r\n"[..],
            b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
            b"FLY sip:a@b SIP/2.0\r\n\r\n",
            b"FLY sip:a@b SIP/2.0",
            b"",
        ] {
            assert!(unknown_method(message).is_none());
        }
    }
}
