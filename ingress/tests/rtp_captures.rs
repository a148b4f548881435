//! Captures as tcpdump and Wireshark write them, read into recordings.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod rtp_bed;

use std::net::{IpAddr, SocketAddr};

use engine_core::codec::Codec;
use engine_core::packet::Packet;
use engine_core::recording::{Entry, chunks};
use engine_core::text::LanguageChoice;
use ingress::capture::{CaptureError, CaptureOptions, read};
use ingress::rtp::wire;
use rtp_bed::{expected, frames, packet};

const OPTIONS: CaptureOptions = CaptureOptions { dynamic: None, language: LanguageChoice::Detect };

fn udp(source: SocketAddr, target: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut udp = Vec::new();
    udp.extend(source.port().to_be_bytes());
    udp.extend(target.port().to_be_bytes());
    udp.extend((payload.len() as u16 + 8).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    let mut ip = Vec::new();
    match (source.ip(), target.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            ip.extend([0x45, 0]);
            ip.extend((udp.len() as u16 + 20).to_be_bytes());
            ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
            ip.extend(source.octets());
            ip.extend(target.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            ip.extend([0x60, 0, 0, 0]);
            ip.extend((udp.len() as u16).to_be_bytes());
            ip.extend([17, 64]);
            ip.extend(source.octets());
            ip.extend(target.octets());
        }
        _ => unreachable!("addresses of one family"),
    }
    ip.extend(udp);
    ip
}

/// Puts a link-layer header of `linktype` in front.
fn framed(linktype: u16, ip: &[u8]) -> Vec<u8> {
    let ether_type: [u8; 2] = if ip[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    let mut frame = match linktype {
        1 => [&[2; 12][..], &[0x81, 0, 0, 5], &ether_type].concat(),
        113 => [&[0; 14][..], &ether_type].concat(),
        276 => [&ether_type[..], &[0; 18]].concat(),
        0 => vec![2, 0, 0, 0],
        _ => Vec::new(),
    };
    frame.extend(ip);
    if linktype == 1 {
        frame.extend([0; 6]); // Ethernet's own padding is not payload.
    }
    frame
}

fn pcap(linktype: u16, packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend([2, 0, 4, 0]);
    file.extend([0; 8]);
    file.extend(65_535_u32.to_le_bytes());
    file.extend(u32::from(linktype).to_le_bytes());
    for (micros, ip) in packets {
        let frame = framed(linktype, ip);
        file.extend(((micros / 1_000_000) as u32 + 1_700_000_000).to_le_bytes());
        file.extend(((micros % 1_000_000) as u32).to_le_bytes());
        file.extend((frame.len() as u32).to_le_bytes());
        file.extend((frame.len() as u32).to_le_bytes());
        file.extend(frame);
    }
    file
}

fn pcapng(linktype: u16, packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let block = |kind: u32, mut body: Vec<u8>| {
        body.resize(body.len().next_multiple_of(4), 0);
        let len = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, &body, &len].concat()
    };
    let mut file = block(
        0x0a0d_0d0a,
        [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat(),
    );
    file.extend(block(1, [&linktype.to_le_bytes()[..], &[0; 6]].concat()));
    for (micros, ip) in packets {
        let frame = framed(linktype, ip);
        let at = micros + 1_700_000_000_000_000;
        let mut body = vec![0; 4];
        body.extend(((at >> 32) as u32).to_le_bytes());
        body.extend((at as u32).to_le_bytes());
        body.extend((frame.len() as u32).to_le_bytes());
        body.extend((frame.len() as u32).to_le_bytes());
        body.extend(frame);
        file.extend(block(6, body));
    }
    file
}

fn addresses(v6: bool) -> (SocketAddr, SocketAddr) {
    if v6 {
        ("[2001:db8::1]:4000".parse().unwrap(), "[2001:db8::2]:5000".parse().unwrap())
    } else {
        ("192.0.2.1:4000".parse().unwrap(), "192.0.2.2:5000".parse().unwrap())
    }
}

/// A call of `count` packets, 20 ms apart.
fn call(v6: bool, count: u32) -> Vec<(u64, Vec<u8>)> {
    let (source, target) = addresses(v6);
    (0..count)
        .map(|n| (u64::from(n) * 20_000, udp(source, target, &wire::encode(&packet(n)))))
        .collect()
}

#[test]
fn every_link_layer_and_both_formats_give_the_same_recording() {
    for (linktype, v6) in
        [(1, false), (1, true), (113, false), (276, true), (0, false), (101, false), (101, true)]
    {
        for write in [pcap, pcapng] {
            let streams = read(&write(linktype, &call(v6, 100)), OPTIONS).unwrap();
            assert_eq!(streams.len(), 1, "link type {linktype}");
            let stream = &streams[0];
            assert_eq!(frames(&stream.sound), expected(100), "link type {linktype}");
            assert_eq!((stream.ssrc, stream.codec), (0x1234, Codec::Pcmu));
            assert_eq!((stream.packets, stream.lost), (100, 0));
            assert_eq!(stream.source, addresses(v6).0);
        }
    }
}

#[test]
fn a_long_call_spans_many_chunks() {
    let streams = read(&pcap(1, &call(false, 5_000)), OPTIONS).unwrap();
    assert_eq!(frames(&streams[0].sound), expected(5_000));
    assert!(chunks(streams[0].sound.clone()).count() > 1);
}

#[test]
fn disorder_and_loss_are_treated_as_in_a_live_call() {
    let mut packets = call(false, 50);
    packets.swap(10, 11);
    packets.remove(30);
    let streams = read(&pcap(1, &packets), OPTIONS).unwrap();
    let mut want = expected(50);
    want.remove(30);
    assert_eq!(frames(&streams[0].sound), want);
    assert_eq!(streams[0].lost, 1);
    let last = chunks(streams[0].sound.clone()).last().unwrap().unwrap().entries().last();
    let Some(Ok(Entry::Sealed(sealed))) = last else { panic!("{last:?}") };
    assert_eq!((sealed.frames, sealed.lost, sealed.duration.0), (49, 1, 8_000));
}

fn opus_call() -> Vec<(u64, Vec<u8>)> {
    let (source, target) = addresses(false);
    let of = |n: u32| Packet {
        payload_type: 111,
        timestamp: n * 960,
        payload: vec![0x48, n as u8].into(), // SILK, 20 ms
        ..packet(n)
    };
    (0..20).map(|n| (u64::from(n) * 20_000, udp(source, target, &wire::encode(&of(n))))).collect()
}

#[test]
fn a_dynamic_payload_type_is_known_from_sdp_or_from_the_option() {
    assert_eq!(read(&pcap(1, &opus_call()), OPTIONS).unwrap_err(), CaptureError::NoStream);
    let given = CaptureOptions { dynamic: Some(Codec::Opus), ..OPTIONS };
    let streams = read(&pcap(1, &opus_call()), given).unwrap();
    assert_eq!((streams[0].codec, streams[0].packets), (Codec::Opus, 20));

    let sip = "SIP/2.0 200 OK\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\
               o=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n\
               m=audio 5000 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2\r\n";
    let (source, target) = addresses(false);
    let mut packets = vec![(0, udp(source, target, sip.as_bytes()))];
    packets.extend(opus_call());
    let streams = read(&pcap(1, &packets), OPTIONS).unwrap();
    assert_eq!((streams[0].codec, streams[0].packets), (Codec::Opus, 20));
}

#[test]
fn two_streams_come_apart_and_other_traffic_is_passed_over() {
    let (source, target) = addresses(false);
    let mut packets = call(false, 30);
    for n in 0..30 {
        let back = Packet { ssrc: 9, payload_type: 8, ..packet(n) };
        packets.push((u64::from(n) * 20_000, udp(target, source, &wire::encode(&back))));
        packets.push((u64::from(n) * 20_000, udp(source, target, b"not RTP at all, by no means")));
    }
    packets.sort_by_key(|(at, _)| *at);
    let streams = read(&pcap(1, &packets), OPTIONS).unwrap();
    let seen: Vec<_> = streams.iter().map(|s| (s.ssrc, s.codec, s.packets)).collect();
    assert_eq!(seen, [(0x1234, Codec::Pcmu, 30), (9, Codec::Pcma, 30)]);
}

#[test]
fn what_is_no_capture_is_refused_and_a_torn_one_gives_what_it_has() {
    for bytes in [&b""[..], b"RIFF....WAVE", &[0xd4, 0xc3, 0xb2, 0xa1]] {
        assert!(matches!(read(bytes, OPTIONS), Err(CaptureError::Unreadable { .. })));
    }
    for write in [pcap, pcapng] {
        let file = write(1, &call(false, 50));
        let streams = read(&file[..file.len() - 10], OPTIONS).unwrap();
        assert_eq!(frames(&streams[0].sound), expected(49));
    }
}

#[test]
fn damaged_captures_do_no_harm() {
    let file = pcapng(1, &call(true, 20));
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0xff;
        let _ = read(&damaged, OPTIONS);
    }
}
