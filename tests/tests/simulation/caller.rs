//! A caller: what it sends, when each packet arrives, and where its sound belongs.

use std::net::SocketAddr;

use bytes::Bytes;
use engine_core::codec::Codec;
use engine_core::packet::Packet;
use rand::Rng;
use rand::rngs::StdRng;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const AUDIO: u8 = 96;
pub(crate) const KEYS: u8 = 101;

/// One packet as the caller sent it, in order of sending.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) packet: Packet,
    /// Media time in ticks; what a key press has is of no interest.
    pub(crate) position: u64,
    /// Which of the caller's streams it belongs to, from 0.
    pub(crate) stream: u64,
    /// When it is first taken; `None`: never.
    pub(crate) arrival: Option<u64>,
}

impl Sent {
    pub(crate) fn is_pound(&self) -> bool {
        self.packet.payload_type == KEYS && self.packet.payload[0] == 11
    }
}

/// A caller's whole call.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) codec: Codec,
    pub(crate) announced: SocketAddr,
    pub(crate) sent: Vec<Sent>,
    /// What reaches our port, by time.
    pub(crate) arrivals: Vec<(u64, SocketAddr, Packet)>,
    pub(crate) bye: u64,
    /// Delays without bound and wire numbers without sense: only what must always hold is checked.
    pub(crate) wild: bool,
    pub(crate) restarts: u64,
    pub(crate) lost: u64,
}

struct Sender<'a> {
    rng: &'a mut StdRng,
    script: Script,
    source: SocketAddr,
    clock: u64,
    seq: u16,
    stamp: u32,
    ssrc: u32,
    /// Ticks of the media position that `stamp` stands for.
    position: u64,
    /// End of the last sound that will be taken.
    taken_end: u64,
    loss: f64,
    /// Packets that the network must not touch: the start of a stream.
    gentle: u32,
    /// Packets that are needed before the source is believed.
    unbelieved: u32,
}

impl Script {
    /// A call that is answered at `start`.
    pub(crate) fn new(rng: &mut StdRng, number: u16, start: u64) -> Self {
        let codec = if rng.random_bool(0.5) { Codec::Pcmu } else { Codec::Opus };
        let announced = SocketAddr::from(([192, 0, 2, 1], number));
        // Behind NAT: another port than the SDP says.
        let nat = rng.random_bool(0.2);
        let source = SocketAddr::from(([192, 0, 2, 1], if nat { 60_000 } else { number }));
        let wild = rng.random_bool(0.1);
        let script = Self {
            codec,
            announced,
            sent: Vec::new(),
            arrivals: Vec::new(),
            bye: 0,
            wild,
            restarts: 0,
            lost: 0,
        };
        let loss = if rng.random_bool(0.5) { rng.random_range(0.0..0.15) } else { 0.0 };
        let (seq, stamp, ssrc) = (rng.random(), rng.random(), rng.random());
        let clock = start + rng.random_range(1..300) * MS;
        let unbelieved = if nat { 2 } else { 0 };
        Sender {
            rng,
            script,
            source,
            clock,
            seq,
            stamp,
            ssrc,
            position: 0,
            taken_end: 0,
            loss,
            gentle: 3,
            unbelieved,
        }
        .call()
    }
}

impl Sender<'_> {
    fn call(mut self) -> Script {
        let packets = match self.rng.random_range(0..100) {
            0..3 => self.rng.random_range(2_900..3_400),
            3..10 => self.rng.random_range(0..20),
            _ => self.rng.random_range(20..250),
        };
        let mut pound = self.rng.random_bool(0.1).then(|| self.rng.random_range(0..=packets));
        for n in 0..packets {
            // A stream starts with its sound; the rest comes once it is under way.
            if self.gentle == 0 {
                if pound.is_some_and(|at| at <= n) {
                    pound = None;
                    self.key(11);
                }
                match self.rng.random_range(0..1_000) {
                    0..10 => self.silence(),
                    10..14 => self.restart(false),
                    14..18 => self.restart(true),
                    18..23 => self.key(5),
                    _ => {}
                }
            }
            self.sound();
        }
        let tail = self.rng.random_range(0..500 * MS);
        self.script.bye = self.clock + tail;
        self.hijack();
        self.script.arrivals.sort_by_key(|arrival| arrival.0);
        self.script
    }

    fn ticks(&self) -> u32 {
        self.script.codec.ticks_per_20ms()
    }

    fn silence(&mut self) {
        let frames = self.rng.random_range(1..100);
        self.clock += u64::from(frames) * 20 * MS;
        self.stamp = self.stamp.wrapping_add(frames * self.ticks());
        self.position += u64::from(frames * self.ticks());
    }

    /// The sender starts anew: its sound goes on where what we have of it ended.
    fn restart(&mut self, change_ssrc: bool) {
        self.clock += 400 * MS;
        self.seq = self.seq.wrapping_add(self.rng.random_range(4_000..60_000));
        self.stamp = self.rng.random();
        if change_ssrc {
            self.ssrc = self.ssrc.wrapping_add(1);
        }
        self.position = self.taken_end;
        self.gentle = 3;
        self.script.restarts += 1;
    }

    fn key(&mut self, code: u8) {
        let stamp = self.stamp;
        for n in 0..6_u16 {
            let duration = (n + 1) * 160;
            let [high, low] = duration.to_be_bytes();
            let payload = Bytes::from(vec![code, if n > 2 { 0x8a } else { 10 }, high, low]);
            self.send(KEYS, stamp, payload);
        }
        self.stamp = self.stamp.wrapping_add(6 * self.ticks());
        self.position += u64::from(6 * self.ticks());
    }

    fn sound(&mut self) {
        let mut payload = match self.script.codec {
            Codec::Opus => vec![0; self.rng.random_range(20..120)],
            _ => vec![0; 160],
        };
        // Every payload is another one, so that no two can be taken for each other; the first
        // octet makes it 20 ms of Opus.
        payload[0] = 0b0000_1000;
        payload[1..17].copy_from_slice(&self.rng.random::<u128>().to_le_bytes());
        let stamp = if self.script.wild && self.rng.random_bool(0.02) {
            self.rng.random()
        } else {
            self.stamp
        };
        self.send(AUDIO, stamp, payload.into());
        self.stamp = self.stamp.wrapping_add(self.ticks());
        self.position += u64::from(self.ticks());
    }

    /// Puts one packet on the wire; 20 ms pass.
    fn send(&mut self, payload_type: u8, timestamp: u32, payload: Bytes) {
        let packet = Packet {
            payload_type,
            marker: false,
            sequence: self.seq,
            timestamp,
            ssrc: self.ssrc,
            payload,
        };
        let gentle = self.gentle > 0;
        self.gentle = self.gentle.saturating_sub(1);
        let lost = !gentle && self.rng.random_bool(self.loss);
        let delay_max = if self.script.wild { 500 } else { 150 };
        let delay = match self.rng.random_range(0..10) {
            _ if gentle => 0,
            0..2 => self.rng.random_range(0..delay_max * MS),
            _ => self.rng.random_range(0..5 * MS),
        };
        let arrival = self.clock + delay;
        let believed = self.unbelieved == 0;
        self.unbelieved = self.unbelieved.saturating_sub(1);
        if lost {
            self.script.lost += 1;
        } else {
            self.script.arrivals.push((arrival, self.source, packet.clone()));
            if !gentle && self.rng.random_bool(0.03) {
                let again = arrival + self.rng.random_range(0..100 * MS);
                self.script.arrivals.push((again, self.source, packet.clone()));
            }
        }
        let taken = !lost && believed;
        if taken && payload_type == AUDIO {
            self.taken_end = self.position + u64::from(self.ticks());
        }
        let arrival = taken.then_some(arrival);
        let stream = self.script.restarts;
        self.script.sent.push(Sent { packet, position: self.position, stream, arrival });
        self.seq = self.seq.wrapping_add(1);
        self.clock += 20 * MS;
    }

    /// Somebody else sends to the same port, with the caller's own numbers.
    fn hijack(&mut self) {
        if !self.rng.random_bool(0.2) {
            return;
        }
        let stranger = SocketAddr::from(([203, 0, 113, 5], 5_000));
        let forged: Vec<_> = self
            .script
            .arrivals
            .iter()
            .skip(3)
            .map(|(at, _, packet)| {
                let payload = Bytes::from_static(&[0x66; 160]);
                (at + 1, stranger, Packet { payload, payload_type: AUDIO, ..packet.clone() })
            })
            .collect();
        self.script.arrivals.extend(forged);
    }
}
