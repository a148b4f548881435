//! The SIP server under hostile and broken datagrams: RFC 4475-style torture, seeded mutations,
//! retransmissions, floods. After each the server answers OPTIONS and nothing has panicked.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod house;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engine_core::codec::Codec;
use house::{House, NUMBER, PATIENCE, SDP, SLOW, Wire, config, invite, outcome, status};
use ingress::sip::sdp::{Local, Remote};
use ingress::sip::{SipConfig, SipServer, Transport};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

static PANICS: AtomicUsize = AtomicUsize::new(0);
static HOOK: Once = Once::new();

/// Counts panics in the servers' threads from now on; a failing test panics in its own.
fn watch_for_panics() {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name().is_some_and(|name| name.starts_with("tokio")) {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            before(info);
        }));
    });
}

fn no_panics() {
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "something panicked; see above");
}

fn hasty() -> SipConfig {
    SipConfig { t1_milliseconds: 10, invites_per_second: 1_000_000, calls_max: 200, ..config() }
}

/// Name, what is replaced in a sound INVITE, by what, and the expected status (0: no answer).
type Torture = (&'static str, &'static str, &'static str, u16);

const TORTURE: [Torture; 40] = [
    ("a short tortuous INVITE: odd case, folding, compact forms", "Call-ID:", "i\t:", 200),
    ("folded header", "Max-Forwards: 70", "Subject: a\r\n b\r\n\tc\r\nMax-Forwards: 70", 200),
    (
        "unusual but valid header names",
        "Max-Forwards",
        "NewFangledHeader: x y\r\nmAX-fORWARDS",
        200,
    ),
    ("escapes in the Request-URI", "INVITE sip:0", "INVITE sip:%30", 200),
    ("no LWS between name and brackets", "From: <sip", "From:\"caller\"<sip", 200),
    ("quoted pairs in the display name", "From: <sip", "From: \"=\\\"\" <sip", 200),
    ("utf-8 in the display name", "From: <sip", "From: \"太郎\" <sip", 200),
    ("long values", "Max-Forwards: 70", "Subject: LONG\r\nMax-Forwards: 70", 200),
    ("zero Max-Forwards at the last hop", "Max-Forwards: 70", "Max-Forwards: 0", 200),
    ("no Max-Forwards at all", "Max-Forwards: 70\r\n", "", 200),
    ("multiple routes", "Max-Forwards", "Route: <sip:127.0.0.1;lr>\r\nMax-Forwards", 200),
    (
        "unknown Content-Disposition",
        "Max-Forwards",
        "Content-Disposition: x;handling=optional\r\nMax-Forwards",
        200,
    ),
    ("tel Request-URI", "INVITE sip:05012345678@127.0.0.1", "INVITE tel:+81-50-1234-5678", 200),
    ("user parameters", "INVITE sip:05012345678@", "INVITE sip:+815012345678;npdi;rn=+8190@", 200),
    ("unknown URI scheme", "INVITE sip:", "INVITE nobodyKnowsThisScheme:", 416),
    ("wrong SIP version", " SIP/2.0\r\nVia", " SIP/7.0\r\nVia", 505),
    ("CSeq method mismatch", "1 INVITE", "1 OPTIONS", 400),
    ("CSeq number out of range", "CSeq: 1 ", "CSeq: 36893488147419103232 ", 400),
    ("CSeq number missing", "CSeq: 1 ", "CSeq: ", 400),
    ("Content-Length larger than the body", "Content-Length: ", "Content-Length: 9", 400),
    ("negative Content-Length", "Content-Length: ", "Content-Length: -", 400),
    ("unreadable Content-Length", "Content-Length: ", "Content-Length: x", 400),
    ("two Call-IDs", "Call-ID:", "Call-ID: other@x\r\nCall-ID:", 400),
    ("two From headers", "From:", "From: <sip:a@b>;tag=9\r\nFrom:", 400),
    ("two To headers", "To:", "To: <sip:a@b>\r\nTo:", 400),
    ("no From", "From:", "X-From:", 400),
    ("no To", "To:", "X-To:", 400),
    ("no Contact", "Contact:", "X-Contact:", 400),
    ("Contact with a star", "Contact: <", "Contact: *, <", 400),
    ("unterminated quote in To", "To: <sip", "To: \"x <sip", 400),
    ("unterminated quote in From", "From: <sip", "From: \"Mr. X <sip", 400),
    ("too many brackets in Contact, forgiven", "Contact: <sip:c@", "Contact: <<<sip:c@", 200),
    (
        "unknown extension required",
        "Max-Forwards",
        "Require: nothingSupportsThis\r\nMax-Forwards",
        420,
    ),
    ("unknown body type", "application/sdp", "application/unknownformat", 415),
    ("encoded body", "Max-Forwards", "Content-Encoding: gzip\r\nMax-Forwards", 415),
    ("body without type", "Content-Type: application/sdp\r\n", "", 400),
    ("SDP that is none", "v=0\r\no=u", "x=0\r\no=u", 400),
    ("SDP without media", "m=audio", "x=audio", 488),
    (
        "forwarded too often",
        "Max-Forwards",
        "Diversion: <sip:1@h>;counter=4000000000\r\nMax-Forwards",
        482,
    ),
    (
        "session timer that is no number",
        "Max-Forwards",
        "Session-Expires: soon\r\nMax-Forwards",
        400,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tortured_requests_get_the_answer_of_the_rfcs() {
    watch_for_panics();
    let house = House::open(hasty()).await;
    let wire = Wire::new(house.address(Transport::Udp));
    for (at, (name, from, to, expected)) in TORTURE.iter().enumerate() {
        let id = format!("torture{at:02}");
        let sound = invite(wire.local(), NUMBER, &id);
        let to = to.replace("LONG", &"x".repeat(5_000));
        let tortured = sound.replacen(from, &to, 1);
        assert_ne!(sound, tortured, "{name}");
        wire.send(tortured.as_bytes());
        let code = loop {
            let code = status(&wire.receive(&format!("bK{id}")));
            if code >= 200 {
                break code;
            }
        };
        assert_eq!(code, *expected, "{name}");
        wire.ping(at);
    }
    no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_survived_in_silence() {
    watch_for_panics();
    let house = House::open(hasty()).await;
    let wire = Wire::new(house.address(Transport::Udp));
    let sound = invite(wire.local(), NUMBER, "garbage");
    let mut huge = sound.replacen("Max-Forwards", "X: y\r\nMax-Forwards", 1).into_bytes();
    huge.resize(9_000, b'x');
    let pieces: Vec<Vec<u8>> = vec![
        vec![],
        vec![0; 100],
        vec![0xff; 1_400],
        b"\r\n\r\n".to_vec(),
        b"\r\n".to_vec(),
        b"INVITE".to_vec(),
        b"INVITE  SIP/2.0\r\n\r\n".to_vec(),
        b"SIP/2.0 200 OK\r\n\r\n".to_vec(),
        b"SIP/2.0 99999 OK\r\nVia: x\r\n\r\n".to_vec(),
        sound.replacen("Via: SIP/2.0/UDP", "Via: SIP / 2.0 / UDP", 1).into_bytes(),
        sound.replacen("Via:", "Via: ,,,", 1).into_bytes(),
        sound.replacen("Via:", "X-Via:", 1).into_bytes(),
        sound.replacen("INVITE", "ACK", 2).into_bytes(),
        sound.replacen("INVITE", "CANCEL", 2).into_bytes(),
        sound.replace("\r\n", "\n").into_bytes(),
        sound.replace("\r\n", "\r").into_bytes(),
        sound.replacen("sip:", "sip:\u{0}", 1).into_bytes(),
        sound.into_bytes()[..200].to_vec(),
        huge,
    ];
    for (at, piece) in pieces.iter().enumerate() {
        wire.send(piece);
        wire.ping(at);
    }
    assert_eq!(house.server.counters().oversize, 1);
    no_panics();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_methods_are_answered_as_the_rfcs_say() {
    let house = House::open(hasty()).await;
    let wire = Wire::new(house.address(Transport::Udp));
    let cases = [
        ("REGISTER", "", 405),
        ("SUBSCRIBE", "", 405),
        ("MESSAGE", "", 405),
        ("REFER", "", 405),
        ("BYE", "", 481),
        ("UPDATE", "", 481),
        ("BYE", ";tag=nobody", 481),
        ("INVITE", ";tag=nobody", 481),
        ("CANCEL", "", 481),
        ("FLY", "", 501),
    ];
    for (at, (method, tag, expected)) in cases.into_iter().enumerate() {
        let id = format!("method{at}");
        let message = invite(wire.local(), NUMBER, &id).replace("INVITE", method).replacen(
            &format!("To: <sip:{NUMBER}@127.0.0.1>"),
            &format!("To: <sip:{NUMBER}@127.0.0.1>{tag}"),
            1,
        );
        wire.send(message.as_bytes());
        let answer = wire.receive(&format!("{id}@test"));
        assert_eq!(status(&answer), expected, "{method}{tag}: {answer}");
        assert_eq!(answer.contains("\r\nAllow: INVITE"), expected == 405, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retransmitted_and_merged_invites_make_one_call() {
    let house = House::open(config()).await;
    let wire = Wire::new(house.address(Transport::Udp));
    let message = invite(wire.local(), NUMBER, "twice");
    for _ in 0..5 {
        wire.send(message.as_bytes());
    }
    assert_eq!(outcome(&wire, "twice"), 200);
    wire.send(message.as_bytes());
    // The same call on another path: another branch, all else equal (RFC 3261 §8.2.2.2).
    wire.send(message.replacen("z9hG4bKtwice", "z9hG4bKother", 1).as_bytes());
    let merged = loop {
        let answer = wire.receive("z9hG4bKother");
        if status(&answer) >= 200 {
            break status(&answer);
        }
    };
    assert_eq!(merged, 482);
    let counters = house.server.counters();
    assert_eq!((counters.answered, counters.calls), (1, 1));
    assert_eq!(counters.offered, 2, "a retransmission is not offered again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_content_length_is_read() {
    let house = House::open(config()).await;
    let wire = Wire::new(house.address(Transport::Udp));
    let message = invite(wire.local(), NUMBER, "lengthless");
    let header = format!("Content-Length: {}\r\n", SDP.len());
    wire.send(message.replacen(&header, "", 1).as_bytes());
    assert_eq!(outcome(&wire, "lengthless"), 200);
    assert!(house.media.plans()[0].remote.is_some(), "the offer was read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_calls_are_taken_up_to_the_rate() {
    let house = House::open(SipConfig { invites_per_second: 1, ..config() }).await;
    let wire = Wire::new(house.address(Transport::Udp));
    let start = Instant::now();
    for at in 0..50 {
        wire.send(invite(wire.local(), "05099999999", &format!("rate{at}")).as_bytes());
    }
    wire.ping(0);
    let counters = house.server.counters();
    let taken = 50 - counters.refused.get("rate").copied().unwrap_or(0);
    assert_eq!(counters.offered, 50);
    // One at once, and one more for every second that the fifty took.
    let most = 1 + start.elapsed().as_secs();
    assert!((1..=most).contains(&taken), "{taken} of at most {most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_answers_503_with_retry_after() {
    let house = House::open(config()).await;
    let wire = Wire::new(house.address(Transport::Udp));
    // A call whose mailbox is being looked up keeps the server up for the stop's grace.
    wire.send(invite(wire.local(), SLOW, "slow").as_bytes());
    wire.receive("slow@test");
    let server = std::sync::Arc::new(house.server);
    let stopping = tokio::spawn({
        let server = std::sync::Arc::clone(&server);
        async move { server.stop(Duration::from_secs(5)).await }
    });
    house.media.until("drained", |log| !log.is_empty()).await;
    wire.send(invite(wire.local(), NUMBER, "late").as_bytes());
    let answer = wire.receive("late@test");
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("\r\nRetry-After: 5\r\n"));
    stopping.await.unwrap();
    assert_eq!(server.counters().refused.get("stopping"), Some(&1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_streams_may_hold_anything() {
    watch_for_panics();
    let house = House::open(SipConfig { tcp_connections_max: 2, ..hasty() }).await;
    let to = house.address(Transport::Tcp);
    let udp = Wire::new(house.address(Transport::Udp));
    for (at, garbage) in [
        vec![0_u8; 70_000],
        b"INVITE sip:x SIP/2.0\r\nContent-Length: 99999999999999999999\r\n\r\n".to_vec(),
        b"INVITE sip:x SIP/2.0\r\nContent-Length: 60000\r\n\r\n".to_vec(),
        vec![b'\n'; 4_000],
    ]
    .into_iter()
    .enumerate()
    {
        let mut stream = TcpStream::connect(to).unwrap();
        // The server may close while we write; that is its right.
        let _ = stream.write_all(&garbage);
        drop(stream);
        udp.ping(at);
    }
    // A large message comes over TCP whole.
    let mut stream = loop {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let local = stream.local_addr().unwrap();
        let message =
            invite(local, NUMBER, "large").replacen("SIP/2.0/UDP", "SIP/2.0/TCP", 1).replacen(
                "Max-Forwards",
                &format!("Subject: {}\r\nMax-Forwards", "x".repeat(20_000)),
                1,
            );
        // The connections above may still be closing, and then this one is over the limit.
        if stream.write_all(message.as_bytes()).is_ok()
            && stream.peek(&mut [0]).is_ok_and(|n| n > 0)
        {
            break stream;
        }
    };
    let mut text = String::new();
    while !text.contains("SIP/2.0 200 ") {
        let mut buffer = [0; 4_096];
        let octets = stream.read(&mut buffer).unwrap();
        assert_ne!(octets, 0, "closed after {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..octets]));
    }
    no_panics();
}

fn number_from(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Says how to replay a run that fails.
struct Replay(u64);

impl Drop for Replay {
    #[allow(clippy::print_stderr, reason = "a failing test's seed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("FUZZ_SEED={} replays this run", self.0);
        }
    }
}

fn mutate(random: &mut StdRng, message: &mut Vec<u8>) {
    const WORDS: [&[u8]; 24] = [
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b"<",
        b">",
        b"\"",
        b";",
        b",",
        b"=",
        b":",
        b"@",
        b"%",
        b"?",
        b"sip:",
        b"tag=",
        b"4294967296",
        b"-1",
        b"SIP/2.0",
        b"Via: ",
        b"z9hG4bK",
        b"\xff\xfe",
        b"Content-Length: 5\r\n",
        b"To: x;tag=1\r\n",
        "あ".as_bytes(),
    ];
    for _ in 0..random.random_range(1..=6) {
        if message.is_empty() {
            return;
        }
        let at = random.random_range(0..message.len());
        match random.random_range(0..6) {
            0 => message[at] = random.random(),
            1 => drop(message.remove(at)),
            2 => {
                let word = WORDS[random.random_range(0..WORDS.len())];
                message.splice(at..at, word.iter().copied());
            }
            3 => {
                let end = (at + random.random_range(1..80)).min(message.len());
                message.drain(at..end);
            }
            4 => {
                let end = (at + random.random_range(1..80)).min(message.len());
                let copied = message[at..end].to_vec();
                message.splice(at..at, copied);
            }
            _ => message.truncate(message.len() - message.len() / 8),
        }
    }
    message.truncate(8_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_sip_is_survived() {
    watch_for_panics();
    let cases = number_from("FUZZ_CASES", 20_000) as usize;
    let seed = number_from("FUZZ_SEED", 4_475);
    let _replay = Replay(seed);
    let mut random = StdRng::seed_from_u64(seed);
    let house = House::open(hasty()).await;
    let wire = Wire::new(house.address(Transport::Udp));
    let local = wire.local();
    for at in 0..cases {
        let id = format!("fuzz{at}");
        let mut text = invite(local, NUMBER, &id);
        match at % 10 {
            0 => text = text.replace("INVITE", "OPTIONS"),
            1 => text = text.replacen("1 INVITE", "2 BYE", 1).replacen("INVITE", "BYE", 1),
            2 => text = text.replace("INVITE", "CANCEL"),
            3 => text = text.replace("INVITE", "UPDATE"),
            4 => {
                text = text.replacen(
                    "Max-Forwards",
                    "Diversion: <sip:05012345678@h>;reason=no-answer\r\nHistory-Info: <sip:1@h>;index=1, <sip:2@h;cause=302>;index=1.1;mp=1\r\nP-Asserted-Identity: <tel:+8190>\r\nPrivacy: id\r\nSession-Expires: 1800;refresher=uas\r\nSupported: timer\r\nRequire: 100rel\r\nMax-Forwards",
                    1,
                );
            }
            _ => {}
        }
        let mut message = text.into_bytes();
        mutate(&mut random, &mut message);
        wire.send(&message);
        // The socket's buffer is finite: let the server keep up.
        if at % 40 == 39 {
            wire.ping(at);
        }
    }
    wire.ping(cases);
    no_panics();
    // What became a call ends by itself: nobody acknowledges, so BYE follows and all is freed.
    house.until_quiet().await;
    // A fresh socket: the old one is full of repeated responses.
    let wire = Wire::new(wire.to);
    wire.send(invite(wire.local(), NUMBER, "afterwards").as_bytes());
    assert_eq!(outcome(&wire, "afterwards"), 200);
}

#[test]
fn mutated_sdp_is_survived() {
    let cases = number_from("FUZZ_CASES", 20_000);
    let seed = number_from("FUZZ_SEED", 3_264);
    let _replay = Replay(seed);
    let mut random = StdRng::seed_from_u64(seed);
    let local = Local { rtp: "192.0.2.1:40000".parse().unwrap(), session: 1, version: 1 };
    let mut read = 0;
    for _ in 0..cases {
        let mut octets = format!("{SDP}m=video 6000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 usedtx=1\r\na=sendonly\r\n").into_bytes();
        mutate(&mut random, &mut octets);
        if let Ok(remote) = Remote::parse(&octets)
            && let Ok(agreed) = remote.choose(&Codec::ALL)
        {
            // What we answer can always be read back and keeps what was agreed.
            let answer = remote.answer(&agreed, &local);
            let reread = Remote::parse(answer.as_bytes()).expect("our answer is SDP");
            assert_eq!(
                reread.choose(&[agreed.codec]).map(|a| a.payload_type),
                Ok(agreed.payload_type)
            );
            read += 1;
        }
    }
    assert!(read > cases / 10, "the mutations are too wild to test anything: {read}");
}
