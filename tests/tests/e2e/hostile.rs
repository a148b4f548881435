//! Twenty thousand broken SIP, SDP and RTP inputs against the running service: it answers
//! afterwards, has not grown, and has not panicked. Bad HTTP gets problem+json.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rusuden_tests::fleet::{Fleet, Plan};
use rusuden_tests::service::{PATIENCE, Service, wait_for};
use serde_json::json;

const INPUTS: usize = 20_000;
const NUMBER: &str = "05012121212";

fn invite(server: SocketAddr, local: SocketAddr, serial: usize) -> Vec<u8> {
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
        m=audio 40000 RTP/AVP 0 8 9 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    format!(
        "INVITE sip:{NUMBER}@{server} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {local};branch=z9hG4bKm{serial}\r\nMax-Forwards: 70\r\n\
         From: \"Caller\" <sip:09012345678@127.0.0.1>;tag=m{serial}\r\nTo: <sip:{NUMBER}@{server}>\r\n\
         Call-ID: mutant-{serial}\r\nCSeq: 1 INVITE\r\nContact: <sip:caller@{local}>\r\n\
         Diversion: <sip:{NUMBER}@carrier.example>;reason=no-answer;counter=1\r\n\
         History-Info: <sip:{NUMBER}@carrier.example?Reason=SIP%3Bcause%3D408>;index=1\r\n\
         P-Asserted-Identity: <tel:+819012345678>\r\nSession-Expires: 1800;refresher=uac\r\n\
         Supported: timer\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
    .into_bytes()
}

/// Cuts, flips, doubles, swaps, fills: one to four times.
fn mutate(chance: &mut StdRng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..chance.random_range(1..=4) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = chance.random_range(0..bytes.len());
        match chance.random_range(0..7) {
            0 => bytes.truncate(at),
            1 => bytes[at] = chance.random(),
            2 => {
                let end = (at + chance.random_range(1..40)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let end = (at + chance.random_range(1..80)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let filler = vec![b"9 \r\n:;<>\"%\0\xff"[chance.random_range(0..12)]; 300];
                bytes.splice(at..at, filler);
            }
            5 => {
                let digits: Vec<usize> =
                    (0..bytes.len()).filter(|&i| bytes[i].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    let digit = digits[chance.random_range(0..digits.len())];
                    bytes.splice(digit..=digit, *b"4294967296000");
                }
            }
            _ => {
                let other = chance.random_range(0..bytes.len());
                bytes.swap(at, other);
            }
        }
    }
    bytes
}

fn answers_options(service: &Service) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let (local, server) = (socket.local_addr().unwrap(), service.sip_udp);
    let options = format!(
        "OPTIONS sip:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKo{}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:o@127.0.0.1>;tag=o\r\nTo: <sip:{server}>\r\n\
         Call-ID: options-{local}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        local.port()
    );
    socket.send_to(options.as_bytes(), server).unwrap();
    let mut buffer = [0; 4_096];
    socket.recv(&mut buffer).is_ok_and(|bytes| buffer[..bytes].starts_with(b"SIP/2.0 200"))
}

fn good_call(service: &Service, mailbox: &str, from: &str, tag: &str) {
    let before = service.messages(mailbox).len();
    let plan = Plan {
        from: from.to_owned(),
        to: NUMBER.to_owned(),
        at: Duration::ZERO,
        frames: vec![vec![0x55; 160]; 50],
        hangs_up: true,
    };
    let outcome = Fleet::new(service.sip_udp, tag, vec![plan]).run(|_, _| false).remove(0);
    assert_eq!(outcome.status, Some(200), "a good call after bad ones");
    service.wait_for_messages(mailbox, before + 1, |_| true);
}

#[test]
fn twenty_thousand_broken_inputs_change_nothing() {
    let _alone = crate::alone();
    let seed: u64 = std::env::var("FUZZ_SEED").map_or(7, |text| text.parse().unwrap());
    println!("FUZZ_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let mailbox = service.make_mailbox(NUMBER, &json!({ "greeting": "none", "beep": false }));
    good_call(&service, &mailbox, "09000000001", "before");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let local = socket.local_addr().unwrap();
    let warm = service.resident_kib();
    for serial in 0..INPUTS / 2 {
        let input = mutate(&mut chance, invite(service.sip_udp, local, serial));
        let _ = socket.send_to(&input, service.sip_udp);
        if serial % 200 == 0 {
            wait_for("an answer to OPTIONS", || answers_options(&service).then_some(()));
        }
    }
    let media = media_ports(&service);
    assert!(!media.is_empty(), "some broken INVITEs are good enough to be answered");
    for serial in 0..INPUTS / 2 {
        let packet = [&[0x80, 0, 0, serial as u8][..], &[serial as u8; 168]].concat();
        let port = media[serial % media.len()];
        let _ = socket.send_to(&mutate(&mut chance, packet), ("127.0.0.1", port));
    }
    good_call(&service, &mailbox, "09000000002", "after");
    let log = std::fs::read_to_string(service.data().join("log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    let grown = service.resident_kib().saturating_sub(warm);
    assert!(grown < 200 * 1_024, "grown by {grown} KiB");
    service.stop();
}

/// The UDP ports that the service has open, from /proc: its media ports, its SIP port.
fn media_ports(service: &Service) -> Vec<u16> {
    let table = std::fs::read_to_string(format!("/proc/{}/net/udp", service.pid())).unwrap();
    let ports = table.lines().skip(1).filter_map(|line| {
        let (_, port) = line.split_whitespace().nth(1)?.split_once(':')?;
        u16::from_str_radix(port, 16).ok()
    });
    ports.filter(|port| *port != service.sip_udp.port() && *port > 1_024).collect()
}

/// Method, path, headers, body, and the statuses that may come back.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], &'a [u16]);

#[test]
fn bad_http_gets_a_problem() {
    let _alone = crate::alone();
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let json_type = [("content-type", "application/json")];
    let cases: [Case<'_>; 6] = [
        ("POST", "/v1/mailboxes", &json_type, b"{\"number\":", &[400]),
        ("POST", "/v1/mailboxes", &json_type, b"{\"number\":\"12\"}", &[422]),
        ("POST", "/v1/mailboxes", &[("content-type", "text/csv")], b"a,b", &[415]),
        ("GET", "/v1/messages/not-an-id", &[], b"", &[400, 404]),
        ("GET", "/v1/nothing-here", &[], b"", &[404]),
        ("PUT", "/v1/mailboxes", &json_type, b"{}", &[405]),
    ];
    for (method, path, headers, body, statuses) in cases {
        let answer = service.send(method, path, headers, body);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(statuses.contains(&answer.status), "{method} {path}: {} {text}", answer.status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{text}");
        assert_eq!(answer.json()["status"], answer.status, "{text}");
    }
    let refused = announce_huge_body(&service);
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    assert!(refused.contains("application/problem+json"), "{refused}");
    service.stop();
}

/// Announces a body of 80 MiB and gives the answer, which must come before the body does.
fn announce_huge_body(service: &Service) -> String {
    let address = service.http.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST /v1/mailboxes HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 83886080\r\nConnection: close\r\n\r\n",
        service.key
    )
    .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}
