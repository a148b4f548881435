//! Plays sounds to the caller, one packet every 20 ms.
//!
//! In: sounds, time. Out: RTP packets with right sequence, timestamp and marker, never drifting:
//! packet n of a sound is due exactly n × 20 ms after its start. Knows nothing of why a sound is
//! played or where it goes.

use std::sync::Arc;
use std::time::Duration;

use crate::call::SenderStart;
use crate::codec::Codec;
use crate::limits::PLAYER_BEHIND_MAX;
use crate::packet::Packet;
use crate::sound::Frames;
use crate::time::Instant;

/// Our side of one call's RTP stream.
#[derive(Debug)]
pub struct Player {
    codec: Codec,
    payload_type: u8,
    ssrc: u32,
    sequence: u16,
    timestamp_at_origin: u32,
    origin: Instant,
    sound: Option<Playing>,
    holding: bool,
    sent: Sent,
}

#[derive(Debug)]
struct Playing {
    frames: Arc<Frames>,
    next: usize,
    /// When frame 0 was due.
    start: Instant,
    /// The next packet is the first of a talk spurt.
    spurt: bool,
}

/// What was sent, for RTCP sender reports (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Packets.
    pub packets: u32,
    /// Payload octets.
    pub octets: u32,
    /// RTP timestamp of the last packet.
    pub timestamp: u32,
}

impl Player {
    /// A silent player; timestamps count from `now`.
    pub const fn new(now: Instant, codec: Codec, payload_type: u8, start: SenderStart) -> Self {
        Self {
            codec,
            payload_type,
            ssrc: start.ssrc,
            sequence: start.sequence,
            timestamp_at_origin: start.timestamp,
            origin: now,
            sound: None,
            holding: false,
            sent: Sent { packets: 0, octets: 0, timestamp: start.timestamp },
        }
    }

    /// Starts a sound whose first packet is due at `now`. Frames in another codec than the
    /// call's are not played: the caller could not hear them.
    pub fn play(&mut self, now: Instant, frames: Arc<Frames>) {
        let fits = frames.codec == self.codec && !frames.payloads.is_empty();
        self.sound = fits.then_some(Playing { frames, next: 0, start: now, spurt: true });
    }

    /// Stops playing.
    pub fn stop(&mut self) {
        self.sound = None;
    }

    /// The caller does not want to hear us for now: the sound waits where it is.
    pub const fn hold(&mut self) {
        self.holding = true;
    }

    /// The caller listens again; the sound goes on at `now`.
    pub fn resume(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.holding, false) {
            return;
        }
        if let Some(sound) = &mut self.sound {
            sound.go_on(now);
        }
    }

    /// When the next packet is due, or when the last one will have been heard.
    pub fn due(&self) -> Option<Instant> {
        if self.holding { None } else { self.sound.as_ref().map(Playing::due) }
    }

    /// The next packet if it is due.
    pub fn next_packet(&mut self, now: Instant) -> Option<Packet> {
        if self.holding {
            return None;
        }
        let sound = self.sound.as_mut()?;
        if sound.due() > now || sound.next >= sound.frames.payloads.len() {
            return None;
        }
        if now.since(sound.due()) > PLAYER_BEHIND_MAX {
            sound.go_on(now);
        }
        // RFC 3550 §5.1: the timestamp is the sampling instant, so it runs on between sounds.
        let ticks = self.codec.ticks_per_20ms();
        let micros = sound.start.since(self.origin).as_micros();
        let start = (micros * u128::from(self.codec.clock_hz()) / 1_000_000) as u32;
        let payload = sound.frames.payloads[sound.next].clone();
        let timestamp = self
            .timestamp_at_origin
            .wrapping_add(start)
            .wrapping_add(ticks.wrapping_mul(sound.next as u32));
        let sequence = self.sequence;
        let marker = std::mem::replace(&mut sound.spurt, false);
        sound.next += 1;
        self.sequence = sequence.wrapping_add(1);
        self.sent.packets = self.sent.packets.wrapping_add(1);
        self.sent.octets = self.sent.octets.wrapping_add(payload.len() as u32);
        self.sent.timestamp = timestamp;
        let payload_type = self.payload_type;
        Some(Packet { payload_type, marker, sequence, timestamp, ssrc: self.ssrc, payload })
    }

    /// Whether the sound has been played to its end; it is taken out.
    pub fn take_finished(&mut self, now: Instant) -> bool {
        let finished = !self.holding
            && self
                .sound
                .as_ref()
                .is_some_and(|s| s.next >= s.frames.payloads.len() && s.due() <= now);
        if finished {
            self.sound = None;
        }
        finished
    }

    /// Whether nothing is played.
    pub const fn is_silent(&self) -> bool {
        self.sound.is_none()
    }

    /// Whether the caller does not want to hear us for now.
    pub const fn is_holding(&self) -> bool {
        self.holding
    }

    /// What was sent so far.
    pub const fn sent(&self) -> Sent {
        self.sent
    }
}

impl Playing {
    fn due(&self) -> Instant {
        self.start + FRAME * u32::try_from(self.next).unwrap_or(u32::MAX)
    }

    /// Moves the start so that the next frame is due now.
    fn go_on(&mut self, now: Instant) {
        self.start = now - FRAME * u32::try_from(self.next).unwrap_or(u32::MAX);
        self.spurt = true;
    }
}

const FRAME: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn sound(codec: Codec, count: u8) -> Arc<Frames> {
        let payloads = (0..count).map(|n| Bytes::from(vec![n; 160])).collect();
        Arc::new(Frames { codec, payloads })
    }

    fn player(codec: Codec) -> Player {
        let start = SenderStart { ssrc: 5, sequence: u16::MAX, timestamp: u32::MAX - 100 };
        Player::new(at(1_000), codec, 9, start)
    }

    #[test]
    fn packets_are_due_every_20_ms_however_late_the_shell_wakes() {
        let mut player = player(Codec::G722);
        player.play(at(1_000), sound(Codec::G722, 4));
        let mut sent = Vec::new();
        for now in [1_000, 1_019, 1_033, 1_041, 1_060] {
            while let Some(packet) = player.next_packet(at(now)) {
                sent.push((now, packet.sequence, packet.timestamp, packet.marker));
            }
        }
        let stamp = |n: u32| (u32::MAX - 100).wrapping_add(n * 160);
        assert_eq!(
            sent,
            [
                (1_000, u16::MAX, stamp(0), true),
                (1_033, 0, stamp(1), false),
                (1_041, 1, stamp(2), false),
                (1_060, 2, stamp(3), false),
            ]
        );
        assert!(!player.take_finished(at(1_079)));
        assert!(player.take_finished(at(1_080)), "the last packet has been heard");
    }

    #[test]
    fn timestamps_run_on_between_sounds_in_the_codecs_clock() {
        for (codec, ticks) in [(Codec::Pcmu, 8), (Codec::G722, 8), (Codec::Opus, 48)] {
            let mut player = player(codec);
            player.play(at(1_000), sound(codec, 1));
            let first = player.next_packet(at(1_000)).unwrap();
            assert!(player.take_finished(at(1_020)));
            player.play(at(3_000), sound(codec, 1));
            let second = player.next_packet(at(3_000)).unwrap();
            assert_eq!(second.timestamp.wrapping_sub(first.timestamp), 2_000 * ticks);
            assert_eq!(second.sequence, first.sequence.wrapping_add(1));
            assert!(second.marker);
        }
    }

    #[test]
    fn hold_stops_the_sound_and_resume_goes_on_where_it_was() {
        let mut player = player(Codec::Pcmu);
        player.play(at(1_000), sound(Codec::Pcmu, 2));
        assert!(player.next_packet(at(1_000)).is_some());
        player.hold();
        assert_eq!(player.due(), None);
        assert_eq!(player.next_packet(at(5_000)), None);
        player.resume(at(6_000));
        let packet = player.next_packet(at(6_000)).unwrap();
        assert_eq!((packet.payload[0], packet.marker), (1, true));
        assert!(player.take_finished(at(6_020)));
    }

    #[test]
    fn long_sleep_makes_a_pause_and_no_burst() {
        let mut player = player(Codec::Pcmu);
        player.play(at(1_000), sound(Codec::Pcmu, 100));
        let behind = PLAYER_BEHIND_MAX.as_millis() as u64;
        let mut burst = 0;
        while player.next_packet(at(1_000 + behind + 1)).is_some() {
            burst += 1;
        }
        assert_eq!(burst, 1);
    }

    #[test]
    fn sound_in_another_codec_is_not_played() {
        let mut player = player(Codec::Pcmu);
        player.play(at(1_000), sound(Codec::Opus, 2));
        assert!(player.is_silent());
    }
}
