//! Puts a caller's packets in order.
//!
//! In: packets as they arrive, time. Out: each packet once, in order of sequence, at its place in
//! media time; holes are waited for, but not long. Follows a sender that restarts or changes its
//! SSRC. Knows nothing of addresses (that is `latch`) or of what is recorded (that is `call`).
//! Holds at most [`REORDER_PACKETS_MAX`] packets and, once it was made, allocates only for packets
//! that do not fit the stream: its own state is small, since with thousands of calls it is cold
//! whenever a packet comes.

mod stats;
mod stream;

use bytes::Bytes;

use crate::codec::Codec;
use crate::limits::{
    PAYLOAD_BYTES_MAX, REORDER_PACKETS_MAX, REORDER_WAIT_MAX, SEQUENCE_DROPOUT_MAX,
    SEQUENCE_MISORDER_MAX,
};
use crate::packet::Packet;
use crate::time::{Instant, RtpTicks};
use crate::timeline::Timeline;

pub use self::stats::JitterStats;
use self::stream::{FIRST_CYCLE, Held, Parked, Previous, Stream};

/// A sequence number, widened so that it never wraps. It starts in its second cycle, so that
/// packets from before the first one have a number too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// What the jitter must know of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitterConfig {
    /// How the sound is coded.
    pub codec: Codec,
    /// Payload type of the sound; every other type takes a sequence number, but no media time.
    pub payload_type: u8,
}

/// What a jitter may be told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A packet of the latched sender.
    Packet(Packet),
    /// The caller is back from hold: its sound goes on where it ended.
    Resumed,
    /// No more packets will come: nothing is waited for any longer.
    Drain,
    /// Nothing but time has passed.
    Tick,
}

/// What a jitter wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The next packet in order.
    Packet(Released),
    /// Nothing to do until then, or until the next input.
    Idle {
        /// When to wake; `None`: nothing waits.
        until: Option<Instant>,
    },
}

/// A packet at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Its number within its stream.
    pub seq: Seq,
    /// When it arrived.
    pub arrival: Instant,
    /// Payload type.
    pub payload_type: u8,
    /// Marker bit.
    pub marker: bool,
    /// RTP timestamp as it was on the wire.
    pub timestamp: u32,
    /// Media time since the first packet.
    pub ticks: RtpTicks,
    /// Media time that it covers; 0 if it is not sound.
    pub duration: RtpTicks,
    /// The hole before it is silence, not loss.
    pub after_silence: bool,
    /// The payload.
    pub payload: Bytes,
}

/// The jitter core.
#[derive(Debug)]
pub struct Jitter {
    config: JitterConfig,
    now: Instant,
    slots: Box<[Option<Held>]>,
    held: usize,
    stream: Option<Stream>,
    parked: Parked,
    suspect: Option<Box<Held>>,
    previous: Option<Previous>,
    draining: bool,
    timeline: Timeline,
    stats: JitterStats,
    transit: Option<u32>,
    sixteenths: u64,
}

impl Jitter {
    /// A jitter that has seen nothing.
    pub fn new(config: JitterConfig) -> Self {
        Self {
            config,
            now: Instant::default(),
            slots: (0..REORDER_PACKETS_MAX).map(|_| None).collect(),
            held: 0,
            stream: None,
            parked: Parked::None,
            suspect: None,
            previous: None,
            draining: false,
            timeline: Timeline::new(config.codec),
            stats: JitterStats::default(),
            transit: None,
            sixteenths: 0,
        }
    }

    /// Lets a packet through whose turn it is while nothing waits, which is almost every one:
    /// the same as telling it by [`Jitter::handle`] and polling it out again, but without memory
    /// that was not touched for long. `Err` gives back any other.
    pub fn pass(&mut self, now: Instant, packet: Packet) -> Result<Released, Packet> {
        let waits = self.held > 0 || self.suspect.is_some();
        let nothing_waits = !waits && matches!(self.parked, Parked::None);
        let Some(stream) = self.stream.as_mut().filter(|_| nothing_waits) else {
            return Err(packet);
        };
        let in_order = packet.ssrc == stream.ssrc
            && packet.sequence == stream.next as u16
            && packet.payload.len() <= PAYLOAD_BYTES_MAX;
        if !in_order || stream.next < stream.highest {
            return Err(packet);
        }
        let held = Held { seq: stream.next, arrival: now, packet };
        stream.highest = held.seq;
        stream.next += 1;
        stream.came = stream.came << 1 | 1;
        self.now = now;
        self.stats.packets += 1;
        self.stats.octets += held.packet.payload.len() as u64;
        self.observe(&held);
        Ok(self.release(held))
    }

    /// Tells the jitter something. Drain [`Jitter::poll`] to `Idle` afterwards.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = now;
        match input {
            Input::Packet(packet) => self.take(packet),
            Input::Resumed => self.timeline.rejoin(),
            Input::Drain => {
                self.draining = true;
                self.drop_suspect();
            }
            Input::Tick => {}
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Output {
        loop {
            if let Some(held) = self.next_in_order() {
                return Output::Packet(self.release(held));
            }
            if !self.unpark() {
                let until = (self.held > 0).then(|| self.waiting_since() + REORDER_WAIT_MAX);
                return Output::Idle { until };
            }
        }
    }

    /// What it has seen so far.
    pub fn stats(&self) -> JitterStats {
        let highest = self.stream.map_or(0, |stream| stream.highest - FIRST_CYCLE);
        JitterStats {
            ssrc: self.stream.map(|stream| stream.ssrc),
            highest_sequence: highest as u32,
            jitter: u32::try_from(self.sixteenths >> 4).unwrap_or(u32::MAX),
            ..self.stats
        }
    }

    fn take(&mut self, packet: Packet) {
        if packet.payload.len() > PAYLOAD_BYTES_MAX {
            self.stats.oversized += 1;
            return;
        }
        self.stats.packets += 1;
        self.stats.octets += packet.payload.len() as u64;
        let arrival = self.now;
        let Some(stream) = self.stream else {
            let seq = FIRST_CYCLE + u64::from(packet.sequence);
            self.begin(packet.ssrc, seq);
            self.fit(Held { seq, arrival, packet });
            return;
        };
        if packet.ssrc != stream.ssrc {
            self.doubt(Box::new(Held { seq: 0, arrival, packet }));
            return;
        }
        let ahead = packet.sequence.wrapping_sub(stream.highest as u16);
        let seq = if ahead < SEQUENCE_DROPOUT_MAX {
            stream.highest + u64::from(ahead)
        } else if ahead.wrapping_neg() <= SEQUENCE_MISORDER_MAX {
            stream.highest - u64::from(ahead.wrapping_neg())
        } else {
            self.doubt(Box::new(Held { seq: 0, arrival, packet }));
            return;
        };
        self.drop_suspect();
        self.fit(Held { seq, arrival, packet });
    }

    /// Takes a packet of the current stream.
    fn fit(&mut self, held: Held) {
        let stream = self.stream.as_mut().expect("callers begin a stream first");
        if let Some(back) = stream.next.checked_sub(held.seq + 1) {
            let bit = 1_u128.checked_shl(back as u32).unwrap_or(0);
            if stream.came & bit != 0 {
                self.stats.duplicated += 1;
            } else {
                stream.came |= bit;
                self.stats.late += 1;
                if held.seq >= stream.first {
                    // It did come, if too late; it was counted as lost when it was given up.
                    self.stats.lost = self.stats.lost.saturating_sub(1);
                }
            }
            return;
        }
        if held.seq - stream.next >= REORDER_PACKETS_MAX as u64 {
            assert!(matches!(self.parked, Parked::None), "poll is drained before the next input");
            stream.highest = stream.highest.max(held.seq);
            self.observe(&held);
            self.parked = Parked::Far(Box::new(held));
            return;
        }
        if self.held > 0 && self.slots[held.seq as usize % REORDER_PACKETS_MAX].is_some() {
            self.stats.duplicated += 1;
            return;
        }
        if held.seq < stream.highest {
            self.stats.reordered += 1;
        }
        stream.highest = stream.highest.max(held.seq);
        self.observe(&held);
        self.hold(held);
    }

    fn hold(&mut self, held: Held) {
        let slot = held.seq as usize % REORDER_PACKETS_MAX;
        self.slots[slot] = Some(held);
        self.held += 1;
    }

    /// The packet whose turn it is, if it may go.
    fn next_in_order(&mut self) -> Option<Held> {
        // Almost always: then the ring, which was not touched for long, is not touched now.
        if self.held == 0 && matches!(self.parked, Parked::None) {
            return None;
        }
        let stream = self.stream?;
        let due_before = match &self.parked {
            Parked::Restart(..) => u64::MAX,
            _ if self.draining => u64::MAX,
            Parked::Far(held) => held.seq + 1 - REORDER_PACKETS_MAX as u64,
            Parked::None => 0,
        };
        if self.held > 0 && self.slots[stream.next as usize % REORDER_PACKETS_MAX].is_none() {
            let first = self.first_held(stream.next);
            let overdue = self.waiting_since() + REORDER_WAIT_MAX <= self.now;
            if first >= due_before && !overdue {
                return None;
            }
            self.give_up_before(first);
        }
        let stream = self.stream.as_mut()?;
        let held = self.slots[stream.next as usize % REORDER_PACKETS_MAX].take()?;
        stream.next += 1;
        stream.came = stream.came << 1 | 1;
        self.held -= 1;
        Some(held)
    }

    fn give_up_before(&mut self, seq: u64) {
        let stream = self.stream.as_mut().expect("packets are held only of a stream");
        let missing = seq.saturating_sub(stream.next);
        stream.next += missing;
        stream.came =
            u32::try_from(missing).ok().and_then(|n| stream.came.checked_shl(n)).unwrap_or(0);
        self.stats.lost = self.stats.lost.saturating_add(missing as u32);
        self.timeline.lost(missing);
    }

    fn first_held(&self, next: u64) -> u64 {
        (next..next + REORDER_PACKETS_MAX as u64)
            .find(|&seq| self.slots[seq as usize % REORDER_PACKETS_MAX].is_some())
            .expect("at least one packet is held")
    }

    /// Since when a hole has been known: the first arrival behind it.
    fn waiting_since(&self) -> Instant {
        self.slots.iter().flatten().map(|held| held.arrival).min().unwrap_or(self.now)
    }

    fn release(&mut self, held: Held) -> Released {
        let Held { seq, arrival, packet } = held;
        let (ticks, duration, after_silence) = if packet.payload_type == self.config.payload_type {
            let place = self.timeline.place(packet.timestamp, &packet.payload, arrival);
            (place.ticks, place.duration, place.after_silence)
        } else {
            (self.timeline.locate(packet.timestamp, arrival), RtpTicks(0), false)
        };
        Released {
            seq: Seq(seq),
            arrival,
            payload_type: packet.payload_type,
            marker: packet.marker,
            timestamp: packet.timestamp,
            ticks,
            duration,
            after_silence,
            payload: packet.payload,
        }
    }
}

#[cfg(test)]
mod tests {
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
            |(lost, delay_ms, copy_after_ms, silence)| Sent {
                lost,
                delay_ms,
                copy_after_ms,
                silence,
            },
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
}
