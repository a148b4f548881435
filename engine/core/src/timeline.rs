//! Where a packet lies in media time.
//!
//! In: the codec, and packets in order of sequence with their arrival. Out: ticks since the first
//! packet that never wrap, never overlap and never run backwards, and whether a hole before a
//! packet is silence or loss. Knows nothing of sequence numbers, sources or recordings.

use crate::codec::Codec;
use crate::limits::TIMESTAMP_AHEAD_MAX;
use crate::time::{Instant, RtpTicks};

/// A packet's place in media time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Media time of its first sample.
    pub ticks: RtpTicks,
    /// What it covers.
    pub duration: RtpTicks,
    /// The hole before it is silence, not loss.
    pub after_silence: bool,
}

/// Media time of one call, across restarts and changes of the sender.
#[derive(Debug)]
pub struct Timeline {
    codec: Codec,
    last: Option<Last>,
    rejoin: bool,
    lost_packets: u64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    timestamp: u32,
    ticks: u64,
    duration: u64,
    arrival: Instant,
}

impl Last {
    const fn end(self) -> u64 {
        self.ticks + self.duration
    }
}

impl Timeline {
    /// A timeline whose first packet lies at 0.
    pub const fn new(codec: Codec) -> Self {
        Self { codec, last: None, rejoin: false, lost_packets: 0 }
    }

    /// The next sound continues where the last one ended, whatever its timestamp says: another
    /// sender, the same one after a restart, or after a hold.
    pub const fn rejoin(&mut self) {
        self.rejoin = true;
    }

    /// Packets are missing before the next one.
    pub const fn lost(&mut self, packets: u64) {
        self.lost_packets = self.lost_packets.saturating_add(packets);
    }

    /// Places the next packet of sound.
    pub fn place(&mut self, timestamp: u32, payload: &[u8], arrival: Instant) -> Place {
        let duration =
            u64::from(self.codec.payload_ticks(payload).unwrap_or(self.codec.ticks_per_20ms()));
        let (ticks, after_silence) = match self.last {
            None => (0, true),
            Some(last) => {
                let end = last.end();
                // Sound is never laid over sound: a timestamp that runs backwards or too slowly
                // would otherwise keep a recording from ever reaching its limit.
                let ticks = match self.stamped(last, timestamp, arrival) {
                    Some(ticks) if !self.rejoin => ticks.max(end),
                    _ => end,
                };
                // RFC 3550 §5.1: ticks jump without a sequence gap: silence, not loss. With a
                // gap it is silence when the missing packets cover at most half of the hole.
                let hole = ticks - end;
                let missing = self.lost_packets.saturating_mul(last.duration);
                (ticks, hole > 0 && missing.saturating_mul(2) <= hole)
            }
        };
        self.last = Some(Last { timestamp, ticks, duration, arrival });
        self.rejoin = false;
        self.lost_packets = 0;
        Place { ticks: RtpTicks(ticks), duration: RtpTicks(duration), after_silence }
    }

    /// Where something without sound of its own lies, such as a key press (RFC 4733 §2.2.1: its
    /// timestamp is the moment at which it began).
    pub fn locate(&self, timestamp: u32, arrival: Instant) -> RtpTicks {
        let Some(last) = self.last else { return RtpTicks(0) };
        let stamped = if self.rejoin { None } else { self.stamped(last, timestamp, arrival) };
        RtpTicks(stamped.unwrap_or(last.end()))
    }

    /// Timestamp of the last sound as it was on the wire.
    pub fn timestamp(&self) -> u32 {
        self.last.map_or(0, |last| last.timestamp)
    }

    /// End of the last sound.
    pub fn end(&self) -> RtpTicks {
        RtpTicks(self.last.map_or(0, Last::end))
    }

    /// What the timestamp says, if it can be believed: media cannot have passed much faster than
    /// the time between the arrivals.
    fn stamped(&self, last: Last, timestamp: u32, arrival: Instant) -> Option<u64> {
        let ahead = timestamp.wrapping_sub(last.timestamp).cast_signed();
        let Ok(forward) = u64::try_from(ahead) else {
            return last.ticks.checked_sub(u64::from(ahead.unsigned_abs()));
        };
        let limit = arrival.since(last.arrival) + TIMESTAMP_AHEAD_MAX;
        (RtpTicks(forward).to_duration(self.codec.clock_hz()) <= limit)
            .then_some(last.ticks + forward)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn ticks(place: Place) -> u64 {
        place.ticks.0
    }

    #[test]
    fn timestamps_wrap_without_a_trace() {
        let mut line = Timeline::new(Codec::Pcmu);
        let start = u32::MAX - 200;
        for n in 0..5_u32 {
            let place = line.place(start.wrapping_add(n * 160), &[0; 160], at(u64::from(n) * 20));
            assert_eq!(ticks(place), u64::from(n) * 160);
        }
    }

    #[test]
    fn jump_without_missing_packets_is_silence() {
        let mut line = Timeline::new(Codec::Pcmu);
        line.place(0, &[0; 160], at(0));
        let place = line.place(160 + 8_000, &[0; 160], at(1_020));
        assert_eq!((ticks(place), place.after_silence), (8_160, true));
    }

    #[test]
    fn hole_of_missing_packets_is_loss() {
        let mut line = Timeline::new(Codec::Pcmu);
        line.place(0, &[0; 160], at(0));
        line.lost(2);
        let place = line.place(480, &[0; 160], at(60));
        assert_eq!((ticks(place), place.after_silence), (480, false));
        line.lost(1);
        let place = line.place(640 + 16_000, &[0; 160], at(2_080));
        assert!(place.after_silence, "one missing packet does not explain two seconds");
    }

    #[test]
    fn timestamp_may_run_ahead_of_arrival_by_the_limit_and_not_more() {
        let limit = TIMESTAMP_AHEAD_MAX.as_millis() as u32 * 8;
        for (ahead, want) in [(limit, u64::from(limit)), (limit + 1, 160)] {
            let mut line = Timeline::new(Codec::Pcmu);
            line.place(0, &[0; 160], at(5));
            assert_eq!(ticks(line.place(ahead, &[0; 160], at(5))), want);
        }
    }

    #[test]
    fn backward_or_slow_timestamps_do_not_overlap() {
        let mut line = Timeline::new(Codec::Pcmu);
        line.place(10_000, &[0; 160], at(0));
        assert_eq!(ticks(line.place(9_000, &[0; 160], at(20))), 160);
        assert_eq!(ticks(line.place(9_001, &[0; 160], at(40))), 320);
        assert_eq!(ticks(line.place(9_161, &[0; 160], at(60))), 480);
        assert_eq!(line.end(), RtpTicks(640));
    }

    #[test]
    fn rejoin_continues_without_hole_or_overlap() {
        let mut line = Timeline::new(Codec::Opus);
        line.place(7, &[0b0000_1000], at(0));
        line.rejoin();
        let place = line.place(3_000_000_000, &[0b0000_1000], at(9_000));
        assert_eq!((ticks(place), place.after_silence), (960, false));
    }

    #[test]
    fn key_press_lies_where_it_began() {
        let mut line = Timeline::new(Codec::Pcmu);
        assert_eq!(line.locate(99, at(0)), RtpTicks(0));
        line.place(1_000, &[0; 160], at(0));
        assert_eq!(line.locate(1_160, at(Duration::from_millis(20).as_millis() as u64)).0, 160);
        assert_eq!(line.locate(1_160 + 1_000_000_000, at(20)).0, 160);
    }
}
