//! The test caller against the real SIP server, with a peer on the RTP port that counts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod house;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use engine_core::codec::Codec;
use engine_core::recording::EndReason;
use house::{BLOCKED, Did, House, NUMBER, SLOW, config};
use ingress::caller::{CallError, CallOptions, EndedBy, Progress, Talk, place_call};
use ingress::media::MediaNotice;
use ingress::sip::{SipConfig, SipServer, Transport};
use tokio::net::UdpSocket;

fn payloads(count: u8) -> Vec<Bytes> {
    (0..count).map(|at| Bytes::from(vec![at; 160])).collect()
}

fn options(house: &House, number: &str) -> CallOptions {
    let target = format!("sip:{number}@{}", house.address(Transport::Udp));
    CallOptions {
        from: "sip:+819012345678@127.0.0.1".to_owned(),
        talk: Talk::After(Duration::ZERO),
        stay: Duration::ZERO,
        ..CallOptions::new(target, [127, 0, 0, 1].into(), Codec::Pcmu, payloads(10))
    }
}

fn rtp(sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&[1, 2, 3, 4]);
    packet.extend_from_slice(&[0xff; 160]);
    packet
}

/// A receiver report that says a quarter was lost.
fn receiver_report() -> Vec<u8> {
    let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 64, 0, 0, 5];
    report.extend_from_slice(&[0, 0, 0, 9, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_greets_talks_and_is_reported() {
    let house = House::open(config()).await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    *house.media.rtp.lock().unwrap() = Some(peer.local_addr().unwrap());
    let said = payloads(60);
    let told = Arc::new(Mutex::new(Vec::new()));
    let options = CallOptions {
        payloads: said.clone(),
        talk: Talk::AfterGreeting {
            quiet: Duration::from_millis(300),
            at_most: Duration::from_secs(20),
        },
        stay: Duration::from_millis(300),
        headers: vec![(
            "Diversion".to_owned(),
            "<sip:+819000000000@h>;reason=no-answer".to_owned(),
        )],
        on_progress: Some(Arc::new({
            let told = Arc::clone(&told);
            move |progress| told.lock().unwrap().push(progress)
        })),
        ..options(&house, NUMBER)
    };
    let calling = tokio::spawn(place_call(options));
    let log =
        house.media.until("connected", |log| matches!(log.last(), Some(Did::Connected(_)))).await;
    assert_eq!(log.len(), 3);
    let plan = house.media.plans().pop().unwrap();
    let caller = plan.remote.unwrap();
    // The greeting: 25 packets, one of them lost, two of them crossed.
    for sequence in (0..25).filter(|sequence| *sequence != 7) {
        let sequence = match sequence {
            10 => 11,
            11 => 10,
            other => other,
        };
        peer.send_to(&rtp(sequence), caller).await.unwrap();
    }
    let mut heard = Vec::new();
    let mut buffer = [0; 2_048];
    while heard.len() < said.len() {
        let (octets, source) = peer.recv_from(&mut buffer).await.unwrap();
        assert_eq!(source, caller, "sound leaves from where it is received");
        assert_eq!(buffer[1] & 0x80 != 0, heard.is_empty(), "the marker starts the talk");
        heard.push(Bytes::copy_from_slice(&buffer[12..octets]));
    }
    assert_eq!(heard, said);
    let mut rtcp = caller;
    rtcp.set_port(caller.port() + 1);
    peer.send_to(&receiver_report(), rtcp).await.unwrap();

    let report = calling.await.unwrap().unwrap();
    assert_eq!(report.status(), 200);
    assert!(report.statuses.contains(&180), "{:?}", report.statuses);
    assert!(report.answered_after.is_some() && report.ended_by == EndedBy::Us);
    assert_eq!(report.packets_sent, 60);
    assert!(report.lasted >= Duration::from_millis(1_200), "60 packets take 1.2 s");
    let heard = &report.heard;
    assert_eq!((heard.packets, heard.lost, heard.out_of_order), (24, 1, 1));
    assert_eq!(report.reports.len(), 1);
    let block = report.reports[0];
    assert_eq!((block.fraction_lost, block.total_lost, block.jitter), (64, 5, 7));
    house.until_quiet().await;
    let told = told.lock().unwrap();
    assert!(told.contains(&Progress::Answered));
    assert!(told.contains(&Progress::Talking { sent: 50, of: 60 }));
    assert_eq!(told.last(), Some(&Progress::Ended(EndedBy::Us)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_side_may_hang_up_first() {
    let house = House::open(config()).await;
    let options = CallOptions { stay: Duration::from_mins(1), ..options(&house, NUMBER) };
    let calling = tokio::spawn(place_call(options));
    let log =
        house.media.until("connected", |log| matches!(log.last(), Some(Did::Connected(_)))).await;
    let Some(Did::Connected(call)) = log.last().cloned() else { unreachable!() };
    house.notices.send(MediaNotice::HangUp { call, reason: EndReason::Full }).unwrap();
    assert_eq!(calling.await.unwrap().unwrap().ended_by, EndedBy::Them);
    house.until_quiet().await;
}

/// S07: an unknown number is 404.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_reported() {
    let house = House::open(config()).await;
    let report = place_call(options(&house, "05099999999")).await.unwrap();
    assert_eq!((report.status(), report.ended_by), (404, EndedBy::Refused));
    assert_eq!((report.packets_sent, report.answered_after), (0, None));
}

/// RFC 3261 §21.6.2, RFC 5079 §5. No media is reserved and no watcher is told: there is no message
/// and nothing to charge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_caller_is_declined_before_the_call_costs_anything() {
    let house = House::open(config()).await;
    let anonymous = "sip:anonymous@anonymous.invalid";
    let blocked = format!("sip:{BLOCKED}@127.0.0.1");
    let table = [(blocked.as_str(), 603), (anonymous, 433), ("sip:+819000000002@127.0.0.1", 503)];
    for (from, status) in table {
        let options = CallOptions { from: from.to_owned(), ..options(&house, NUMBER) };
        let report = place_call(options).await.unwrap();
        assert_eq!((report.status(), report.ended_by), (status, EndedBy::Refused), "{from}");
    }
    house.until_quiet().await;
    assert!(house.media.log().is_empty(), "no media was reserved");
    assert!(house.events.states().is_empty());
    let counters = house.server.counters();
    assert_eq!((counters.answered, counters.refused.get("blocked caller")), (0, Some(&2)));
    let report = place_call(options(&house, NUMBER)).await.unwrap();
    assert_eq!(report.status(), 200, "others are answered");
    house.until_quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_answering_in_time_is_cancelled() {
    let house = House::open(config()).await;
    let options = CallOptions { ring_limit: Duration::from_millis(200), ..options(&house, SLOW) };
    let report = place_call(options).await.unwrap();
    assert_eq!((report.status(), report.ended_by), (487, EndedBy::Cancelled));
    house.until_quiet().await;
    assert_eq!(house.server.counters().abandoned, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_is_the_target_is_named() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = format!("sip:1@{}", socket.local_addr().unwrap());
    let options = CallOptions {
        ring_limit: Duration::from_millis(100),
        ..CallOptions::new(target.clone(), [127, 0, 0, 1].into(), Codec::Pcmu, Vec::new())
    };
    let error = place_call(options).await.unwrap_err();
    assert!(matches!(&error, CallError::NoResponse { target: named } if *named == target));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_over_tcp_and_ipv6_and_to_names() {
    let mut config: SipConfig = config();
    config.udp.push("[::1]:0".parse().unwrap());
    let house = House::open(config).await;
    let tcp = format!("sip:{NUMBER}@{};transport=tcp", house.address(Transport::Tcp));
    let six = house.server.local_addresses().iter().find(|local| local.address.is_ipv6()).unwrap();
    let six = format!("sip:{NUMBER}@{}", six.address);
    let name = format!("sip:{NUMBER}@localhost:{}", house.address(Transport::Udp).port());
    for (target, local) in [(tcp, "127.0.0.1"), (six, "::1"), (name, "127.0.0.1")] {
        let options = CallOptions {
            target: target.clone(),
            local: local.parse().unwrap(),
            ..options(&house, NUMBER)
        };
        let report = place_call(options).await.unwrap();
        assert_eq!((report.status(), report.packets_sent), (200, 10), "{target}");
        house.until_quiet().await;
    }
    assert_eq!(house.server.counters().answered, 3);
}
