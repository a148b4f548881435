//! Overload manners: who may still come in, and that calls under way are not touched by it.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod rtp_bed;

use std::time::{Duration, Instant};

use ingress::media::{AdmissionError, MediaPlane};
use rtp_bed::{Bed, Phone, expected, frames, pace, packet, wait};

#[test]
fn beyond_the_packets_a_second_new_calls_are_refused_and_the_old_stay_whole() {
    let dir = tempfile::tempdir().unwrap();
    // Three calls of 50 packets a second fit, a fourth does not.
    let bed = Bed::start(dir.path(), |config| config.packets_per_second_max = 150);
    let phones: Vec<Phone> = (0..3).map(|_| Phone::new()).collect();
    let calls: Vec<_> = phones.iter().map(|phone| bed.call(phone, |_| ())).collect();
    let refusal = AdmissionError::TooManyPackets { packets_per_second_max: 150 };
    assert_eq!(bed.reserve(), Err(refusal.clone()));
    let started = Instant::now();
    for number in 0..40 {
        for (phone, call) in phones.iter().zip(&calls) {
            phone.send(call, &packet(number));
        }
        pace(started + Duration::from_millis(12) * (number + 1));
    }
    assert_eq!(bed.reserve(), Err(refusal));
    for call in &calls {
        bed.shards.hang_up(call.id);
    }
    for _ in &calls {
        assert_eq!(frames(&bed.arrival().sound), expected(40));
    }
    bed.until("the rate has fallen", |count| (count.calls, count.packet_rate) == (0, 0));
    bed.reserve().unwrap();
}

#[test]
fn while_nobody_takes_recordings_new_calls_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start_with(dir.path(), None, 1, |config| config.sealed_waiting_max = 2);
    let phone = Phone::new();
    // All are admitted before the first is over: one recording then fits into the queue, the
    // others wait in the shard.
    let calls: Vec<_> = (0..3).map(|_| bed.call(&phone, |_| ())).collect();
    for call in &calls {
        bed.shards.hang_up(call.id);
    }
    wait("two wait", || bed.count().sealed_waiting == 2 && bed.arrivals.len() == 1);
    wait("it refuses", || bed.reserve() == Err(AdmissionError::EngineBehind { waiting: 2 }));
    for _ in 0..3 {
        bed.acks.push(bed.arrival().opened.recording);
    }
    bed.until("all were taken", |count| count.sealed_waiting == 0);
    bed.reserve().unwrap();
}

#[test]
fn what_the_kernel_drops_is_counted_as_ours() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |config| {
        config.receive_buffer_bytes = 4_096;
        config.shard_buffer_bytes = 64 << 10;
    });
    let phone = Phone::new();
    let call = bed.call(&phone, |_| ());
    // Faster than any tick: the smallest buffer cannot hold them.
    for number in 0..2_000 {
        phone.send(&call, &packet(number));
    }
    bed.until("some came", |count| count.packets > 0);
    bed.shards.hang_up(call.id);
    bed.until("all are accounted for", |count| count.packets + count.kernel_dropped == 2_000);
    assert!(bed.count().kernel_dropped > 0);
}

#[test]
fn two_hundred_greetings_are_paced_without_drift() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |_| ());
    let phones: Vec<Phone> = (0..20).map(|_| Phone::new()).collect();
    let sound = engine_core::sound::Frames {
        codec: engine_core::codec::Codec::Pcmu,
        payloads: vec![vec![0x55; 160].into(); 50],
    };
    let sound = std::sync::Arc::new(sound);
    let calls: Vec<_> = (0..200)
        .map(|n| bed.call(&phones[n % 20], |plan| plan.greeting = Some(sound.clone())))
        .collect();
    let started = Instant::now();
    bed.until("all are sent", |count| count.sent + count.unsent == 200 * 50);
    // The last of 50 packets is due 980 ms after the first.
    assert!(started.elapsed() > Duration::from_millis(700));
    assert_eq!(bed.count().unsent, 0);
    for call in &calls {
        bed.shards.hang_up(call.id);
    }
}
