//! 20,000 mutated RTP and RTCP packets: no panic, and the next call still works.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod rtp_bed;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use bytes::Bytes;
use ingress::media::MediaPlane;
use ingress::rtp::{CountersSnapshot, rtcp, wire};
use rtp_bed::{Bed, Phone, expected, frames, pace, packet};

/// A small generator, so that a failure can be repeated.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // xorshift64* (Vigna).
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn mutate(chance: &mut Chance, from: &[u8]) -> Vec<u8> {
    let mut bytes = from.to_vec();
    for _ in 0..chance.below(8) {
        let at = chance.below(bytes.len());
        match chance.below(5) {
            0 => bytes[at] ^= 1 << chance.below(8),
            // The header is where the traps are.
            1 | 2 => bytes[at % 16] = chance.next() as u8,
            3 => bytes.truncate(at.max(1)),
            _ => {
                let more = chance.below(3_000);
                bytes.extend(std::iter::repeat_n(chance.next() as u8, more));
            }
        }
    }
    bytes
}

fn seeds() -> Vec<Vec<u8>> {
    let mut extended = wire::encode(&packet(3)).to_vec();
    extended[0] |= 0x10;
    extended.splice(12..12, [0xbe, 0xde, 0, 2, 0x10, 0xff, 0x22, 1, 2, 3, 0, 0]);
    let mut report = vec![0x81, 200, 0, 12];
    report.extend(0x1234_u32.to_be_bytes());
    report.extend([7; 44]);
    report.extend([0x81, 202, 0, 3, 0, 0, 0x12, 0x34, 1, 4, b'a', b'b', b'c', b'd', 0, 0]);
    report.extend([0x81, 203, 0, 1, 0, 0, 0x12, 0x34]);
    vec![wire::encode(&packet(1)).to_vec(), extended, report]
}

fn seed_of<'a>(pick: &mut Chance, seeds: &'a [Vec<u8>]) -> &'a [u8] {
    &seeds[pick.below(seeds.len())]
}

#[test]
fn mutated_packets_do_no_harm() {
    let seed = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut chance = Chance(seed);
    let mut pick = Chance(seed + 1);
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |_| ());
    let phone = Phone::new();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let seeds = seeds();
    let mut call = bed.call(&phone, |_| ());
    let (mut sent, mut calls) = (0, 1);
    for _ in 0..20_000 {
        if sent % 16 == 0 {
            // Not faster than the shard reads, or the kernel drops what should be tried.
            bed.until("the shard keeps up", |count| seen(count) >= sent || count.calls == 0);
        }
        if bed.count().calls == 0 {
            // A mutated timestamp or key press ended it, as it may.
            assert_eq!(bed.arrival().opened.recording, call.recording, "seed {seed}");
            call = bed.call(&phone, |_| ());
            calls += 1;
            sent = seen(&bed.count());
        }
        let bytes = mutate(&mut chance, seed_of(&mut pick, &seeds));
        let rtcp_port = SocketAddr::new(call.to.ip(), call.to.port() + 1);
        let to = if chance.below(3) == 0 { rtcp_port } else { call.to };
        let from = match (chance.below(4), to == rtcp_port) {
            (0, _) => &stranger,
            (_, true) => &phone.rtcp,
            (_, false) => &phone.rtp,
        };
        from.send_to(&bytes, to).unwrap();
        sent += 1;
    }
    assert!(seen(&bed.count()) >= 18_000, "seed {seed}, {calls} calls: {:?}", bed.count());
    assert!(bed.count().malformed > 1_000, "seed {seed}, {calls} calls: {:?}", bed.count());
    bed.shards.hang_up(call.id);
    assert_eq!(bed.arrival().opened.recording, call.recording);

    let call = bed.call(&phone, |_| ());
    let started = std::time::Instant::now();
    for number in 0..20 {
        phone.send(&call, &packet(number));
        pace(started + Duration::from_millis(20) * (number + 1));
    }
    bed.shards.hang_up(call.id);
    assert_eq!(frames(&bed.arrival().sound), expected(20), "seed {seed}");
}

/// Datagrams that the shard has read.
fn seen(count: &CountersSnapshot) -> u64 {
    count.packets + count.rtcp
}

#[test]
fn mutated_datagrams_are_parsed_without_panic() {
    let (mut chance, mut pick) = (Chance(7), Chance(8));
    let seeds = seeds();
    for _ in 0..200_000 {
        let bytes = mutate(&mut chance, seed_of(&mut pick, &seeds));
        let _ = wire::parse(bytes.as_slice().into());
        let _ = rtcp::read(&Bytes::from(bytes));
    }
}
