//! Whole calls through real loopback sockets, real shards and a real journal.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod rtp_bed;

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine_core::codec::Codec;
use engine_core::event::MessageState;
use engine_core::recording::EndReason;
use engine_core::sound::Frames;
use ingress::media::{AdmissionError, MediaNotice, MediaPlane, RemoteChange};
use ingress::rtp::{rtcp, wire};
use rtp_bed::{Bed, Call, PATIENCE, Phone, block_on, expected, frames, pace, packet, wait};

/// Sends packets `from..to`, 12 ms apart: a little faster than they play.
fn stream(phone: &Phone, call: &Call, from: u32, to: u32) {
    let started = Instant::now();
    for number in from..to {
        phone.send(call, &packet(number));
        pace(started + Duration::from_millis(12) * (number - from + 1));
    }
}

#[test]
fn five_hundred_packets_become_a_byte_identical_recording() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |_| ());
    let phone = Phone::new();
    let call = bed.call(&phone, |_| ());
    stream(&phone, &call, 0, 500);
    bed.shards.hang_up(call.id);
    let arrival = bed.arrival();
    assert_eq!(frames(&arrival.sound), expected(500));
    assert_eq!((arrival.sealed.reason, arrival.sealed.frames), (EndReason::HungUp, 500));
    assert_eq!((arrival.sealed.lost, arrival.sealed.duration.0), (0, 80_000));
    assert_eq!(arrival.opened.recording, call.recording);

    let states = bed.events.states(call.recording);
    assert_eq!(states[..2], [MessageState::Greeting, MessageState::Recording]);
    assert!(states.iter().filter(|&&state| state == MessageState::Recording).count() >= 4);
    wait("the seal is told", || {
        bed.events.states(call.recording).last() == Some(&MessageState::Sealed)
    });
    assert!(bed.live.take().is_some());

    // Acknowledged, nothing stays on disk.
    assert!(journal_bytes(dir.path()) > 80_000);
    bed.acks.push(call.recording);
    // The segment being written to stays until it is closed; a restart shows that it is empty.
    drop(bed);
    assert!(dir.path().exists());
}

fn journal_bytes(dir: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn a_third_party_is_not_recorded_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |_| ());
    let phone = Phone::new();
    let call = bed.call(&phone, |_| ());
    stream(&phone, &call, 0, 20);
    bed.until("the caller is latched", |count| count.packets == 20);
    let thief = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..40 {
        let mut forged = packet(20 + number);
        forged.payload = Bytes::from_static(&[0xee; 160]);
        thief.send_to(&wire::encode(&forged), call.to).unwrap();
    }
    bed.until("the forged packets came", |count| count.packets == 60);
    stream(&phone, &call, 20, 40);
    bed.shards.hang_up(call.id);
    let arrival = bed.arrival();
    assert_eq!(frames(&arrival.sound), expected(40));
    bed.until("they are counted", |count| count.hijacks == 40);
}

#[test]
fn reordered_doubled_and_lost_packets_are_put_right() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |_| ());
    let phone = Phone::new();
    let call = bed.call(&phone, |_| ());
    stream(&phone, &call, 0, 10);
    for number in [11, 10, 12, 12, 14, 13, 13, 16] {
        phone.send(&call, &packet(number));
    }
    stream(&phone, &call, 17, 30);
    bed.shards.hang_up(call.id);
    let arrival = bed.arrival();
    let mut want = expected(30);
    want.remove(15);
    assert_eq!(frames(&arrival.sound), want);
    assert_eq!(arrival.sealed.lost, 1);
    bed.until("it is counted", |count| {
        (count.lost, count.duplicated) == (1, 2) && count.reordered >= 2
    });
}

#[test]
fn the_caller_gets_receiver_reports_and_a_goodbye() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |_| ());
    let phone = Phone::new();
    let call = bed.call(&phone, |_| ());
    let rtcp_port = (call.to.ip(), call.to.port() + 1);
    stream(&phone, &call, 0, 50);
    let ours = webrtc_report(0x1234, 0x0102_0304_0506_0708);
    phone.rtcp.send_to(&ours, rtcp_port).unwrap();
    bed.until("our report was read", |count| (count.rtcp, count.malformed) == (1, 0));
    // A report from another address is not believed.
    let other = std::net::UdpSocket::bind("127.0.0.2:0").unwrap();
    other.send_to(&ours, rtcp_port).unwrap();
    bed.until("the foreign report was refused", |count| (count.rtcp, count.malformed) == (2, 1));

    let mut buffer = [0; 1_500];
    let (len, from) = phone.rtcp.recv_from(&mut buffer).unwrap();
    assert_eq!(from.port(), rtcp_port.1);
    assert_eq!(rtcp::read(&buffer[..len]).unwrap().ssrc, 77);
    let block = &buffer[8..32];
    assert_eq!(block[..4], 0x1234_u32.to_be_bytes());
    assert_eq!(block[4..8], [0; 4], "nothing was lost");
    let last_report = u32::from_be_bytes(block[16..20].try_into().unwrap());
    assert_eq!(last_report, 0x0304_0506);

    bed.shards.hang_up(call.id);
    loop {
        let (len, _) = phone.rtcp.recv_from(&mut buffer).unwrap();
        if rtcp::read(&buffer[..len]).unwrap().goodbye {
            break;
        }
    }
}

/// A sender report without blocks.
fn webrtc_report(ssrc: u32, ntp: u64) -> Vec<u8> {
    let mut bytes = vec![0x80, 200, 0, 6];
    bytes.extend_from_slice(&ssrc.to_be_bytes());
    bytes.extend_from_slice(&ntp.to_be_bytes());
    bytes.extend_from_slice(&[0; 12]);
    bytes
}

#[test]
fn a_full_message_hears_the_closing_announcement_before_we_hang_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut bed = Bed::start(dir.path(), |_| ());
    let phone = Phone::new();
    let sound = |byte: u8, packets: usize| {
        let payloads = (0..packets).map(|n| Bytes::from(vec![byte + n as u8; 160])).collect();
        Some(Arc::new(Frames { codec: Codec::Pcmu, payloads }))
    };
    let call = bed.call(&phone, |plan| {
        plan.greeting = sound(10, 5);
        plan.beep = sound(20, 2);
        plan.closing = sound(30, 3);
        plan.recording_limit = Duration::from_secs(1);
    });
    let hear = || {
        let mut buffer = [0; 1_500];
        let (len, from) = phone.rtp.recv_from(&mut buffer).unwrap();
        assert_eq!(from, call.to);
        wire::parse(buffer[..len].into()).unwrap()
    };
    let heard: Vec<_> = (0..7).map(|_| hear()).collect();
    let sounds: Vec<u8> = heard.iter().map(|packet| packet.payload[0]).collect();
    assert_eq!(sounds, [10, 11, 12, 13, 14, 20, 21]);
    let numbers: Vec<u16> = heard.iter().map(|packet| packet.sequence).collect();
    assert_eq!(numbers, (100..107).collect::<Vec<_>>());
    assert_eq!((heard[0].ssrc, heard[0].timestamp, heard[1].timestamp), (77, 5_000, 5_160));

    wait("recording starts", || {
        bed.events.states(call.recording).contains(&MessageState::Recording)
    });
    stream(&phone, &call, 0, 60);
    let sounds: Vec<u8> = (0..3).map(|_| hear().payload[0]).collect();
    assert_eq!(sounds, [30, 31, 32]);
    let notice = block_on(async {
        tokio::time::timeout(PATIENCE, bed.notices.recv()).await.unwrap().unwrap()
    });
    assert_eq!(notice, MediaNotice::HangUp { call: call.id, reason: EndReason::Full });
    let arrival = bed.arrival();
    assert_eq!(arrival.sealed.duration.0, 8_000, "one second, exactly");
    assert_eq!(frames(&arrival.sound), expected(50));
}

#[test]
fn on_hold_a_silent_line_is_not_ended_and_a_new_address_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |_| ());
    let (phone, moved) = (Phone::new(), Phone::new());
    let call = bed.call(&phone, |plan| plan.silent_line_limit = Duration::from_secs(2));
    stream(&phone, &call, 0, 10);
    bed.until("they came", |count| count.packets == 10);
    let change = |sends| RemoteChange { address: Some(moved.address()), sends, receives: true };
    bed.shards.remote(call.id, change(false));
    let held = Instant::now();
    wait("the hold has lasted", || held.elapsed() > Duration::from_millis(2_500));
    assert_eq!(bed.count().calls, 1);
    bed.shards.remote(call.id, change(true));
    stream(&moved, &call, 10, 20);
    bed.shards.hang_up(call.id);
    assert_eq!(bed.arrival().sealed.frames, 20);
}

#[test]
fn the_last_place_is_given_and_one_more_is_refused_until_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |config| config.calls_max = 2);
    let first = bed.reserve().unwrap();
    let second = bed.reserve().unwrap();
    assert_eq!(first.local_rtp.port() % 2, 0);
    assert_ne!(first.local_rtp, second.local_rtp);
    assert_eq!(bed.reserve(), Err(AdmissionError::Full { calls_max: 2 }));
    bed.shards.hang_up(first.call);
    bed.until("the place is free", |count| count.calls == 1);
    bed.reserve().unwrap();
}

#[test]
fn packets_before_the_answer_are_not_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |_| ());
    let phone = Phone::new();
    let reservation = bed.reserve().unwrap();
    let early = wire::encode(&packet(0));
    phone.rtp.send_to(&early, reservation.local_rtp).unwrap();
    bed.until("it was refused", |count| count.refused == 1);
    bed.shards.hang_up(reservation.call);
    bed.until("the ports are free", |count| count.calls == 0);
    assert!(bed.arrivals.is_empty());
}

#[test]
fn a_drain_waits_for_calls_until_its_limit_and_seals_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |_| ());
    let phone = Phone::new();
    let call = bed.call(&phone, |_| ());
    stream(&phone, &call, 0, 20);
    block_on(bed.shards.drain(Duration::from_millis(300)));
    assert_eq!(bed.reserve(), Err(AdmissionError::Stopping));
    let arrival = bed.arrival();
    assert_eq!(arrival.sealed.reason, EndReason::Stopped);
    assert_eq!(frames(&arrival.sound), expected(20));
}

#[test]
fn two_shards_share_calls_and_acknowledgements() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |config| config.shards = 2);
    let phones: Vec<Phone> = (0..6).map(|_| Phone::new()).collect();
    let calls: Vec<Call> = phones.iter().map(|phone| bed.call(phone, |_| ())).collect();
    assert_eq!(calls.iter().filter(|call| call.id.shard == 0).count(), 3);
    for (phone, call) in phones.iter().zip(&calls) {
        stream(phone, call, 0, 10);
    }
    for call in &calls {
        bed.shards.hang_up(call.id);
    }
    let mut arrived: Vec<_> = (0..6).map(|_| bed.arrival().opened.recording).collect();
    arrived.sort_unstable();
    let mut want: Vec<_> = calls.iter().map(|call| call.recording).collect();
    want.sort_unstable();
    assert_eq!(arrived, want);
}

#[test]
fn an_ipv6_caller_is_recorded_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |_| ());
    let local = std::net::Ipv6Addr::LOCALHOST;
    let phone = UdpSocket::bind((local, 0)).unwrap();
    let reservation = block_on(bed.shards.reserve(local.into())).unwrap();
    bed.shards.answer(reservation.call, rtp_bed::plan(phone.local_addr().unwrap()));
    bed.shards.connected(reservation.call);
    let started = Instant::now();
    for number in 0..20 {
        phone.send_to(&wire::encode(&packet(number)), reservation.local_rtp).unwrap();
        pace(started + Duration::from_millis(12) * (number + 1));
    }
    bed.shards.hang_up(reservation.call);
    assert_eq!(frames(&bed.arrival().sound), expected(20));
}
