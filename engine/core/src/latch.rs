//! Whom a call listens to.
//!
//! In: the address of the caller's SDP, and each packet's source. Out: take it or refuse it.
//! Behind NAT the packets come from another address than the SDP says, so the first plausible
//! source is believed (symmetric RTP, RFC 4961), and from then on only that one: a third party
//! that sends to our port is counted, never recorded. Knows nothing of order or sound.

use std::net::SocketAddr;

use crate::limits::{LATCH_FOREIGN_PACKETS, LATCH_PACKETS, LATCH_SILENCE};
use crate::packet::Packet;
use crate::time::Instant;

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the caller's.
    Take,
    /// It is the caller's, and from now on only this source is.
    TakeAndLatch,
    /// Its source is not believed yet.
    Wait,
    /// It is somebody else's.
    Refuse,
}

/// The latch of one call.
#[derive(Debug)]
pub struct Latch {
    payload_types: [Option<u8>; 2],
    announced: Option<SocketAddr>,
    latched: Option<Latched>,
    /// The caller has announced a new address since the latch closed.
    moving: bool,
    /// At most [`CANDIDATES`]; most callers never need one.
    candidates: Vec<Candidate>,
    hijacks: u32,
}

#[derive(Debug, Clone, Copy)]
struct Latched {
    source: SocketAddr,
    ssrc: u32,
    heard: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    packets: u32,
}

/// Sources that are watched at a time; more would only help who floods us.
const CANDIDATES: usize = 4;

impl Latch {
    /// An open latch. `payload_types` are those negotiated; `announced` is the SDP's address.
    pub const fn new(payload_types: [Option<u8>; 2], announced: Option<SocketAddr>) -> Self {
        Self {
            payload_types,
            announced,
            latched: None,
            moving: false,
            candidates: Vec::new(),
            hijacks: 0,
        }
    }

    /// Judges a packet.
    pub fn judge(&mut self, now: Instant, source: SocketAddr, packet: &Packet) -> Verdict {
        if let Some(latched) = &mut self.latched
            && latched.source == source
        {
            latched.heard = now;
            latched.ssrc = packet.ssrc;
            return Verdict::Take;
        }
        let Some(needed) = self.needed(now, source, packet) else {
            self.hijacks = self.hijacks.saturating_add(1);
            return Verdict::Refuse;
        };
        if self.streak(source, packet) < needed {
            return Verdict::Wait;
        }
        self.latched = Some(Latched { source, ssrc: packet.ssrc, heard: now });
        self.moving = false;
        self.candidates = Vec::new();
        Verdict::TakeAndLatch
    }

    /// The caller's SDP names this address now. Until something comes from there, the latched
    /// source is still listened to.
    pub fn announce(&mut self, address: Option<SocketAddr>) {
        if address.is_some() && address != self.announced {
            self.announced = address;
            self.moving = self.latched.is_some_and(|latched| Some(latched.source) != address);
            self.candidates.clear();
        }
    }

    /// Who is listened to.
    pub fn source(&self) -> Option<SocketAddr> {
        self.latched.map(|latched| latched.source)
    }

    /// Where our own sound goes: back to where the caller's comes from, else where its SDP says.
    pub fn destination(&self) -> Option<SocketAddr> {
        if self.moving { self.announced } else { self.source().or(self.announced) }
    }

    /// Packets that were refused.
    pub const fn hijacks(&self) -> u32 {
        self.hijacks
    }

    /// How many packets in a row make this source believed; `None`: none do.
    fn needed(&self, now: Instant, source: SocketAddr, packet: &Packet) -> Option<u32> {
        if !self.payload_types.contains(&Some(packet.payload_type)) {
            return None;
        }
        let is_announced = self.announced == Some(source);
        let open = self.latched.is_none() || self.moving;
        if is_announced {
            // Whoever raced the caller to the latch loses it when the announced address speaks.
            return Some(if open { 1 } else { LATCH_PACKETS });
        }
        if open {
            let near = self.announced.is_none_or(|announced| announced.ip() == source.ip());
            return Some(if near { LATCH_PACKETS } else { LATCH_FOREIGN_PACKETS });
        }
        let latched = self.latched?;
        // A NAT may give the caller another port or address; a third party that cannot see the
        // stream does not know its SSRC, and none gets in while the caller is heard.
        let silent = now.since(latched.heard) >= LATCH_SILENCE;
        let related = latched.source.ip() == source.ip() || latched.ssrc == packet.ssrc;
        (silent && related).then_some(LATCH_PACKETS)
    }

    /// Packets in a row from this source, this one included.
    fn streak(&mut self, source: SocketAddr, packet: &Packet) -> u32 {
        let fresh = Candidate { source, ssrc: packet.ssrc, sequence: packet.sequence, packets: 1 };
        let known = self.candidates.iter_mut().find(|known| known.source == source);
        if let Some(known) = known {
            let follows = packet.sequence == known.sequence.wrapping_add(1);
            let packets = if follows && known.ssrc == packet.ssrc { known.packets + 1 } else { 1 };
            *known = Candidate { packets, ..fresh };
            return packets;
        }
        if self.candidates.len() < CANDIDATES {
            self.candidates.push(fresh);
        } else if let Some(weakest) = self.candidates.iter_mut().min_by_key(|known| known.packets) {
            *weakest = fresh;
        }
        1
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SDP: &str = "192.0.2.1:4000";

    fn packet(ssrc: u32, sequence: u16) -> Packet {
        Packet {
            payload_type: 0,
            marker: false,
            sequence,
            timestamp: u32::from(sequence) * 160,
            ssrc,
            payload: Bytes::from_static(&[0; 160]),
        }
    }

    fn latch() -> Latch {
        Latch::new([Some(0), Some(101)], Some(SDP.parse().unwrap()))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn tell(latch: &mut Latch, millis: u64, source: &str, ssrc: u32, sequence: u16) -> Verdict {
        latch.judge(at(millis), source.parse().unwrap(), &packet(ssrc, sequence))
    }

    #[test]
    fn announced_address_is_believed_at_once_and_then_alone() {
        let mut latch = latch();
        assert_eq!(tell(&mut latch, 0, SDP, 1, 0), Verdict::TakeAndLatch);
        assert_eq!(tell(&mut latch, 20, SDP, 1, 1), Verdict::Take);
        for n in 0..100 {
            assert_eq!(tell(&mut latch, 20, "203.0.113.9:9", 1, n), Verdict::Refuse);
        }
        assert_eq!(latch.hijacks(), 100);
        assert_eq!(latch.destination(), Some(SDP.parse().unwrap()));
    }

    #[test]
    fn other_port_of_the_announced_address_needs_a_short_run() {
        let mut latch = latch();
        for n in 0..LATCH_PACKETS as u16 - 1 {
            assert_eq!(tell(&mut latch, 0, "192.0.2.1:4002", 1, n), Verdict::Wait);
        }
        let last = LATCH_PACKETS as u16 - 1;
        assert_eq!(tell(&mut latch, 0, "192.0.2.1:4002", 1, last), Verdict::TakeAndLatch);
    }

    #[test]
    fn foreign_address_needs_a_longer_run_without_gaps() {
        let mut latch = latch();
        let foreign = "203.0.113.9:9";
        for n in 0..LATCH_FOREIGN_PACKETS as u16 - 1 {
            assert_eq!(tell(&mut latch, 0, foreign, 1, n), Verdict::Wait);
        }
        assert_eq!(tell(&mut latch, 0, foreign, 1, 500), Verdict::Wait, "a gap starts anew");
        for n in 501..500 + LATCH_FOREIGN_PACKETS as u16 - 1 {
            assert_eq!(tell(&mut latch, 0, foreign, 1, n), Verdict::Wait);
        }
        let last = 500 + LATCH_FOREIGN_PACKETS as u16 - 1;
        assert_eq!(tell(&mut latch, 0, foreign, 1, last), Verdict::TakeAndLatch);
    }

    #[test]
    fn flood_of_one_packet_sources_does_not_keep_the_caller_out() {
        let mut latch = latch();
        let mut verdict = Verdict::Wait;
        for n in 0..LATCH_PACKETS as u16 {
            verdict = tell(&mut latch, 0, "192.0.2.1:4002", 1, n);
            for port in 1..3 {
                tell(&mut latch, 0, &format!("203.0.113.9:{}", n * 10 + port), 7, 1);
            }
        }
        assert_eq!(verdict, Verdict::TakeAndLatch);
    }

    #[test]
    fn announced_address_takes_the_latch_back_from_who_was_faster() {
        let mut latch = latch();
        for n in 0..LATCH_FOREIGN_PACKETS as u16 {
            tell(&mut latch, 0, "203.0.113.9:9", 66, n);
        }
        assert_eq!(latch.source(), Some("203.0.113.9:9".parse().unwrap()));
        assert_eq!(tell(&mut latch, 1, SDP, 1, 0), Verdict::Wait);
        assert_eq!(tell(&mut latch, 2, SDP, 1, 1), Verdict::Wait);
        assert_eq!(tell(&mut latch, 3, SDP, 1, 2), Verdict::TakeAndLatch);
        assert_eq!(tell(&mut latch, 4, "203.0.113.9:9", 66, 99), Verdict::Refuse);
    }

    #[test]
    fn wrong_payload_type_never_latches() {
        let mut latch = latch();
        let wrong = Packet { payload_type: 96, ..packet(1, 0) };
        assert_eq!(latch.judge(at(0), SDP.parse().unwrap(), &wrong), Verdict::Refuse);
        assert_eq!(latch.source(), None);
    }

    #[test]
    fn new_port_is_followed_once_the_old_one_was_silent_long_enough() {
        let silence = LATCH_SILENCE.as_millis() as u64;
        for (when, followed) in [(silence - 1, false), (silence, true)] {
            let mut latch = latch();
            tell(&mut latch, 0, SDP, 1, 0);
            for n in 1..=LATCH_PACKETS as u16 {
                tell(&mut latch, when, "192.0.2.1:4444", 2, n);
            }
            assert_eq!(latch.source() == Some("192.0.2.1:4444".parse().unwrap()), followed);
        }
    }

    #[test]
    fn stranger_is_not_followed_even_after_silence_unless_it_has_the_ssrc() {
        let mut latch = latch();
        tell(&mut latch, 0, SDP, 1, 0);
        for n in 1..100 {
            assert_eq!(tell(&mut latch, 9_000, "203.0.113.9:9", 2, n), Verdict::Refuse);
        }
        for n in 1..LATCH_PACKETS as u16 {
            assert_eq!(tell(&mut latch, 9_000, "203.0.113.9:9", 1, n), Verdict::Wait);
        }
        let last = LATCH_PACKETS as u16;
        assert_eq!(tell(&mut latch, 9_000, "203.0.113.9:9", 1, last), Verdict::TakeAndLatch);
    }

    #[test]
    fn new_announcement_moves_the_latch_and_keeps_listening_meanwhile() {
        let mut latch = latch();
        tell(&mut latch, 0, SDP, 1, 0);
        let moved: SocketAddr = "198.51.100.7:5000".parse().unwrap();
        latch.announce(Some(moved));
        assert_eq!(latch.destination(), Some(moved));
        assert_eq!(tell(&mut latch, 20, SDP, 1, 1), Verdict::Take);
        assert_eq!(tell(&mut latch, 40, "198.51.100.7:5000", 9, 0), Verdict::TakeAndLatch);
        assert_eq!(tell(&mut latch, 60, SDP, 1, 2), Verdict::Refuse);
    }
}
