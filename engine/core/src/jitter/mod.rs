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
mod tests;
