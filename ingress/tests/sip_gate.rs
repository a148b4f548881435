//! The SIP server's door: who may begin what, floods from outside, callers that are on hold from
//! the start.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod house;

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use house::{Did, House, NUMBER, PATIENCE, SDP, Wire, answer, config, invite, outcome, status};
use ingress::sip::{SipConfig, SipServer, Transport, TrunkConfig};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_are_no_trunk_are_refused() {
    let trunk = TrunkConfig {
        name: "carrier".to_owned(),
        addresses: vec!["192.0.2.0/24".parse().unwrap()],
        mailbox_sources: vec![],
    };
    let trunk = TrunkConfig {
        mailbox_sources: vec![ingress::sip::forwarding::MailboxSource::RequestUri],
        ..trunk
    };
    let house = House::open(SipConfig { trunks: vec![trunk], ..config() }).await;
    let wire = Wire::new(house.address(Transport::Udp));
    wire.send(invite(wire.local(), NUMBER, "stranger").as_bytes());
    assert_eq!(outcome(&wire, "stranger"), 403);
    assert_eq!(house.server.counters().refused.get("unknown peer"), Some(&1));
}

/// Only 127.0.0.1 is a trunk; all of 127.0.0.0/8 can reach the server.
fn one_trunk() -> SipConfig {
    let trunk = TrunkConfig {
        name: "carrier".to_owned(),
        addresses: vec!["127.0.0.1/32".parse().unwrap()],
        mailbox_sources: vec![ingress::sip::forwarding::MailboxSource::RequestUri],
    };
    SipConfig { trunks: vec![trunk], ..config() }
}

fn tagged(message: &str) -> String {
    let to = format!("To: <sip:{NUMBER}@127.0.0.1>");
    message.replacen(&to, &format!("{to};tag=nobody"), 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_what_belongs_to_no_call_leave_room_for_calls() {
    // More than are worked on at once, with T1 as in the field: none may wait for its ACK.
    const FLOOD: usize = 5_000;
    let house = House::open(one_trunk()).await;
    let wire = Wire::new(house.address(Transport::Udp));
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    for at in 0..FLOOD {
        wire.send(tagged(&invite(wire.local(), NUMBER, &format!("lost{at}"))).as_bytes());
        let message = invite(stranger.local_addr().unwrap(), NUMBER, &format!("strange{at}"));
        let message = if at % 2 == 0 { tagged(&message) } else { message };
        stranger.send_to(message.as_bytes(), wire.to).unwrap();
        if at % 40 == 39 {
            wire.ping(at);
        }
    }
    wire.send(invite(wire.local(), NUMBER, "good").as_bytes());
    assert_eq!(outcome(&wire, "good"), 200);
    let counters = house.server.counters();
    assert_eq!((counters.answered, counters.calls), (1, 1));
    let reasons: Vec<_> = counters.refused.keys().copied().collect();
    assert_eq!(reasons, ["no such call", "unknown peer"], "{counters:?}");
    assert_eq!(house.media.plans().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_are_no_trunk_begin_nothing_but_may_end_their_call() {
    let house = House::open(one_trunk()).await;
    let wire = Wire::new(house.address(Transport::Udp));
    let socket = UdpSocket::bind("127.0.0.2:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let stranger = Wire { socket, to: wire.to };
    for (at, method) in ["OPTIONS", "BYE", "UPDATE", "REGISTER"].into_iter().enumerate() {
        let id = format!("strange{at}");
        let message = invite(stranger.local(), NUMBER, &id).replace("INVITE", method);
        stranger.send(message.as_bytes());
        assert_eq!(status(&stranger.receive(&format!("{id}@test"))), 403, "{method}");
    }
    wire.send(invite(wire.local(), NUMBER, "known").as_bytes());
    let answer = answer(&wire, "known");
    let to = answer.lines().find(|line| line.starts_with("To:")).unwrap();
    let within = |method: &str, sequence: u8| {
        invite(stranger.local(), NUMBER, "known")
            .replace("1 INVITE", &format!("{sequence} INVITE"))
            .replace("INVITE", method)
            .replacen("z9hG4bKknown", &format!("z9hG4bK{method}"), 1)
            .replacen(&format!("To: <sip:{NUMBER}@127.0.0.1>"), to, 1)
    };
    // Another machine of the carrier: it knows both tags.
    stranger.send(within("ACK", 1).as_bytes());
    house.media.until("connected", |log| matches!(log.last(), Some(Did::Connected(_)))).await;
    stranger.send(within("BYE", 2).as_bytes());
    assert_eq!(status(&stranger.receive("2 BYE")), 200);
    house.until_quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_connections_of_unknown_peers_take_no_place() {
    let house = House::open(SipConfig { tcp_connections_max: 1, ..one_trunk() }).await;
    let to = house.address(Transport::Tcp);
    let mut strangers = Vec::new();
    for _ in 0..20 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stranger = timeout(PATIENCE, socket.connect(to)).await.unwrap().unwrap();
        let read = timeout(PATIENCE, stranger.read(&mut [0])).await.expect("closed at once");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        strangers.push(stranger);
    }
    assert_eq!(house.server.counters().connections_closed, 20);
    let trunk = TcpStream::connect(to).unwrap();
    trunk.set_read_timeout(Some(PATIENCE)).unwrap();
    let message = invite(trunk.local_addr().unwrap(), NUMBER, "trunk");
    (&trunk).write_all(message.replacen("SIP/2.0/UDP", "SIP/2.0/TCP", 1).as_bytes()).unwrap();
    let mut first = [0; 8];
    (&trunk).read_exact(&mut first).unwrap();
    assert_eq!(&first, b"SIP/2.0 ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_on_hold_from_the_start_is_answered_on_hold() {
    let house = House::open(config()).await;
    let wire = Wire::new(house.address(Transport::Udp));
    // What is offered, what media is told (sends, receives), what we answer.
    let cases = [
        ("a=sendonly", Some((true, false)), "a=recvonly"),
        ("a=recvonly", Some((false, true)), "a=sendonly"),
        ("a=inactive", Some((false, false)), "a=inactive"),
        ("a=sendrecv", None, "a=sendrecv"),
    ];
    for (at, (offered, told, answered)) in cases.into_iter().enumerate() {
        let id = format!("held{at}");
        let sdp = format!("{SDP}{offered}\r\n");
        let message = invite(wire.local(), NUMBER, &id).replacen(SDP, &sdp, 1).replacen(
            &format!("Content-Length: {}", SDP.len()),
            &format!("Content-Length: {}", sdp.len()),
            1,
        );
        let before = house.media.remotes().len();
        wire.send(message.as_bytes());
        let answer = answer(&wire, &id);
        assert!(answer.ends_with(&format!("{answered}\r\n")), "{answer}");
        // Media knows before the 200 leaves.
        let remotes = house.media.remotes();
        let change = remotes.get(before).map(|change| (change.sends, change.receives));
        assert_eq!(change, told, "{offered}");
    }
}
