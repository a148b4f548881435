//! Order, holes, copies, restarts: by example and against a naive model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const CONFIG: JitterConfig = JitterConfig { codec: Codec::Pcmu, payload_type: 0 };

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> Packet {
    let payload = Bytes::from(vec![sequence as u8; 160]);
    Packet { payload_type: 0, marker: false, sequence, timestamp, ssrc, payload }
}

/// Packet `n` of a stream that starts at the end of both wire numbers.
fn nth(n: u16) -> Packet {
    packet(1, n.wrapping_sub(3), (u32::MAX - 300).wrapping_add(u32::from(n) * 160))
}

fn drain(jitter: &mut Jitter) -> (Vec<Released>, Option<Instant>) {
    let mut released = Vec::new();
    loop {
        match jitter.poll() {
            Output::Packet(packet) => released.push(packet),
            Output::Idle { until } => return (released, until),
        }
    }
}

fn tell(jitter: &mut Jitter, millis: u64, input: Input) -> Vec<(u16, u64)> {
    jitter.handle(at(millis), input);
    let packets = drain(jitter).0;
    packets.iter().map(|r| (r.seq.0 as u16, r.ticks.0)).collect()
}

fn push(jitter: &mut Jitter, millis: u64, packet: Packet) -> Vec<(u16, u64)> {
    tell(jitter, millis, Input::Packet(packet))
}

#[test]
fn packets_in_order_go_straight_through_across_the_wrap() {
    let mut jitter = Jitter::new(CONFIG);
    for n in 0..10 {
        let got = push(&mut jitter, u64::from(n) * 20, nth(n));
        assert_eq!(got, [(n.wrapping_sub(3), u64::from(n) * 160)]);
    }
    assert_eq!(jitter.stats().highest_sequence, (1 << 16) + 6);
    assert_eq!(jitter.stats().jitter, 0);
}

#[test]
fn late_neighbour_is_waited_for_and_put_in_its_place() {
    let mut jitter = Jitter::new(CONFIG);
    push(&mut jitter, 0, nth(0));
    assert_eq!(push(&mut jitter, 40, nth(2)), []);
    assert_eq!(push(&mut jitter, 41, nth(1)).len(), 2);
    let stats = jitter.stats();
    assert_eq!((stats.reordered, stats.lost, stats.late), (1, 0, 0));
}

#[test]
fn missing_packet_is_given_up_at_the_limit_and_not_before() {
    let mut jitter = Jitter::new(CONFIG);
    let wait = REORDER_WAIT_MAX.as_millis() as u64;
    push(&mut jitter, 0, nth(0));
    jitter.handle(at(40), Input::Packet(nth(2)));
    assert_eq!(drain(&mut jitter).1, Some(at(40 + wait)));
    assert_eq!(tell(&mut jitter, 40 + wait - 1, Input::Tick), []);
    assert_eq!(tell(&mut jitter, 40 + wait, Input::Tick), [(u16::MAX, 320)]);
    assert_eq!(jitter.stats().lost, 1);
    assert_eq!(push(&mut jitter, 300, nth(1)), [], "packet after its release is dropped");
    assert_eq!((jitter.stats().lost, jitter.stats().late), (0, 1));
    push(&mut jitter, 301, nth(1));
    assert_eq!((jitter.stats().late, jitter.stats().duplicated), (1, 1));
}

#[test]
fn ring_holds_its_limit_behind_a_hole_and_one_more_closes_the_hole() {
    let mut jitter = Jitter::new(CONFIG);
    push(&mut jitter, 0, nth(0));
    for n in 2..=REORDER_PACKETS_MAX as u16 {
        assert_eq!(push(&mut jitter, 1, nth(n)), []);
    }
    let released = push(&mut jitter, 1, nth(REORDER_PACKETS_MAX as u16 + 1));
    assert_eq!(released.len(), REORDER_PACKETS_MAX);
    assert_eq!(jitter.stats().lost, 1);
}

#[test]
fn copies_are_dropped_whether_the_first_waits_or_is_gone() {
    let mut jitter = Jitter::new(CONFIG);
    push(&mut jitter, 0, nth(0));
    assert_eq!(push(&mut jitter, 1, nth(0)), []);
    push(&mut jitter, 2, nth(2));
    push(&mut jitter, 3, nth(2));
    assert_eq!(jitter.stats().duplicated, 2);
    assert_eq!(push(&mut jitter, 4, nth(1)).len(), 2);
}

#[test]
fn restarted_sender_goes_on_where_the_media_ended_and_loses_nothing() {
    let mut jitter = Jitter::new(CONFIG);
    push(&mut jitter, 0, packet(1, 100, 0));
    push(&mut jitter, 20, packet(1, 101, 160));
    assert_eq!(push(&mut jitter, 400, packet(1, 40_000, 77)), []);
    assert_eq!(push(&mut jitter, 420, packet(1, 40_001, 237)), [(40_000, 320), (40_001, 480)]);
    assert_eq!((jitter.stats().lost, jitter.stats().stray), (0, 0));
}

#[test]
fn one_packet_far_off_is_a_stray() {
    let mut jitter = Jitter::new(CONFIG);
    push(&mut jitter, 0, packet(1, 100, 0));
    push(&mut jitter, 20, packet(1, 40_000, 77));
    assert_eq!(push(&mut jitter, 20, packet(1, 101, 160)), [(101, 160)]);
    assert_eq!(push(&mut jitter, 40, packet(1, 40_002, 99)), []);
    assert_eq!(jitter.stats().stray, 1);
    tell(&mut jitter, 60, Input::Drain);
    assert_eq!(jitter.stats().stray, 2);
}

#[test]
fn sequence_jump_is_a_gap_below_the_limit_and_a_restart_at_it() {
    for (jump, released) in [(SEQUENCE_DROPOUT_MAX - 1, 1), (SEQUENCE_DROPOUT_MAX, 0)] {
        let mut jitter = Jitter::new(CONFIG);
        push(&mut jitter, 0, packet(1, 0, 0));
        push(&mut jitter, 20, packet(1, jump, 160));
        assert_eq!(tell(&mut jitter, 500, Input::Tick).len(), released, "jump {jump}");
    }
}

#[test]
fn new_ssrc_takes_over_at_its_second_packet_even_out_of_order() {
    let mut jitter = Jitter::new(CONFIG);
    push(&mut jitter, 0, packet(1, 5, 0));
    assert_eq!(push(&mut jitter, 20, packet(2, 9, 9_160)), []);
    assert_eq!(push(&mut jitter, 21, packet(2, 8, 9_000)), [(8, 160), (9, 320)]);
    assert_eq!(push(&mut jitter, 22, packet(1, 5, 0)), []);
    assert_eq!(push(&mut jitter, 22, packet(1, 4, 0)), [], "the old stream stays out");
    assert_eq!(jitter.stats().ssrc, Some(2));
    assert_eq!(jitter.stats().late, 2);
}

#[test]
fn oversized_payload_is_dropped_one_octet_past_the_limit() {
    let mut jitter = Jitter::new(CONFIG);
    for (octets, released) in [(PAYLOAD_BYTES_MAX, 1), (PAYLOAD_BYTES_MAX + 1, 0)] {
        let payload = vec![0; octets].into();
        let packet = Packet { payload, ..packet(1, octets as u16, 0) };
        assert_eq!(push(&mut jitter, 0, packet).len(), released);
    }
    assert_eq!(jitter.stats().oversized, 1);
}

#[test]
fn key_presses_take_a_number_but_no_media_time() {
    let mut jitter = Jitter::new(CONFIG);
    push(&mut jitter, 0, packet(1, 0, 0));
    for n in 1..4 {
        let key = Packet { payload_type: 101, ..packet(1, n, 160) };
        assert_eq!(push(&mut jitter, 20, key), [(n, 160)]);
    }
    assert_eq!(push(&mut jitter, 80, packet(1, 4, 640)), [(4, 640)]);
    assert_eq!(jitter.stats().lost, 0);
}

#[test]
fn interarrival_jitter_follows_the_integer_form() {
    let mut jitter = Jitter::new(CONFIG);
    let mut estimate = 0_i64;
    for (n, shift) in [0, 5, 0, 10, 3].into_iter().enumerate() {
        push(&mut jitter, n as u64 * 20 + shift, nth(n as u16));
    }
    for change in [5_i64, 5, 10, 7] {
        estimate += change * 8 - ((estimate + 8) >> 4);
    }
    assert_eq!(i64::from(jitter.stats().jitter), estimate >> 4);
}

fn next_of(jitter: &mut Jitter) -> Option<Released> {
    match jitter.poll() {
        Output::Packet(released) => Some(released),
        Output::Idle { .. } => None,
    }
}

#[derive(Debug, Clone)]
struct Sent {
    lost: bool,
    delay_ms: u64,
    copy_after_ms: Option<u64>,
    silence: u32,
}

fn sent() -> impl Strategy<Value = Sent> {
    let copy = prop::option::weighted(0.1, 0_u64..300);
    let silence = prop_oneof![9 => Just(0_u32), 1 => 1_u32..100];
    (prop::bool::weighted(0.1), 0_u64..180, copy, silence).prop_map(
        |(lost, delay_ms, copy_after_ms, silence)| Sent { lost, delay_ms, copy_after_ms, silence },
    )
}

proptest! {
    #[test]
    fn bounded_delay_loss_and_copies_give_what_was_sent(
        first_seq in any::<u16>(),
        first_stamp in any::<u32>(),
        mut packets in prop::collection::vec(sent(), 2..300),
    ) {
        // The first packet opens the stream; the model is about those after it.
        packets[0] = Sent { lost: false, delay_ms: 0, copy_after_ms: None, silence: 0 };
        let mut arrivals = BTreeMap::<u64, Vec<Packet>>::new();
        let mut want = Vec::new();
        let (mut clock, mut stamp) = (1_000, 0_u32);
        for (n, sent) in packets.iter().enumerate() {
            clock += 20 + u64::from(sent.silence) * 20;
            stamp += 160 + sent.silence * 160;
            if sent.lost {
                continue;
            }
            let seq = first_seq.wrapping_add(n as u16);
            want.push((seq, u64::from(stamp) - 160));
            let packet = packet(1, seq, first_stamp.wrapping_add(stamp));
            let due = clock + sent.delay_ms;
            if let Some(after) = sent.copy_after_ms {
                arrivals.entry(due + after).or_default().push(packet.clone());
            }
            arrivals.entry(due).or_default().insert(0, packet);
        }
        let mut jitter = Jitter::new(CONFIG);
        let mut got = Vec::new();
        for (millis, batch) in arrivals {
            for packet in batch {
                got.extend(push(&mut jitter, millis, packet));
            }
        }
        got.extend(tell(&mut jitter, u64::MAX / 2_000_000, Input::Drain));
        prop_assert_eq!(got, want);
        prop_assert_eq!(jitter.stats().late, 0);
    }

    #[test]
    fn what_passes_comes_out_as_if_it_had_been_handled(
        packets in prop::collection::vec((prop_oneof![30 => Just(0_u32), 1 => Just(1)], 0_u16..60, 0_u64..120), 0..200),
    ) {
        let (mut whole, mut passing) = (Jitter::new(CONFIG), Jitter::new(CONFIG));
        let (mut clock, mut next) = (0, 0);
        for (ssrc, off, pause) in packets {
            clock += pause;
            // Mostly the next one, so that some do pass.
            let seq = if off < 50 { next } else { off };
            next = seq.wrapping_add(1);
            let packet = packet(ssrc + 1, seq, u32::from(seq) * 160);
            whole.handle(at(clock), Input::Packet(packet.clone()));
            let mut got = Vec::new();
            match passing.pass(at(clock), packet) {
                Ok(released) => got.push(released),
                Err(packet) => passing.handle(at(clock), Input::Packet(packet)),
            }
            for released in std::iter::from_fn(|| next_of(&mut passing)) {
                got.push(released);
            }
            let want: Vec<_> = std::iter::from_fn(|| next_of(&mut whole)).collect();
            prop_assert_eq!(got, want);
            prop_assert_eq!(passing.stats(), whole.stats());
        }
    }

    #[test]
    fn any_packets_come_out_once_without_overlap_and_all_are_accounted_for(
        packets in prop::collection::vec((0_u32..3, any::<u16>(), any::<u32>(), 0_u64..400), 0..200),
        near in any::<bool>(),
    ) {
        let mut jitter = Jitter::new(CONFIG);
        let (mut clock, mut end, mut released) = (0, 0, 0);
        let total = packets.len() as u64;
        let mut check = |jitter: &mut Jitter| {
            for packet in drain(jitter).0 {
                assert!(packet.ticks.0 >= end);
                end = packet.ticks.0 + packet.duration.0;
                released += 1;
            }
        };
        for (ssrc, seq, stamp, pause) in packets {
            clock += pause;
            let seq = if near { seq % 200 } else { seq };
            jitter.handle(at(clock), Input::Packet(packet(ssrc, seq, stamp)));
            check(&mut jitter);
        }
        jitter.handle(at(clock), Input::Drain);
        check(&mut jitter);
        let stats = jitter.stats();
        let dropped = stats.duplicated + stats.late + stats.stray;
        prop_assert_eq!(released + u64::from(dropped), total);
    }
}
