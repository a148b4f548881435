//! The callers' ears and mouths: one socket for all of them, in a thread of its own.
//!
//! In: which call's far end has which port, who talks. Out: paced RTP to the service; how evenly
//! what it plays came. A packet's due time follows from its RTP timestamp, and when it came is the
//! kernel's word; the median of a call's delays is the measure, so that a constant one counts for
//! nothing.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam::channel::{self, Receiver, Sender};
use engine_core::codec::Codec;
use ingress::sys::addressed::{AddressedInbox, tell_arrivals, tell_local_ports};
use ingress::sys::mmsg::{self, Outgoing};
use rusuden_benches::figures::Samples;
use socket2::SockAddr;

/// Packets of the 20 ms period are spread over so many slots.
const SLOTS: usize = 20;
const SLOT: Duration = Duration::from_millis(1);
const POLL: Duration = Duration::from_micros(200);
const BATCH: usize = 64;
/// Deviations are counted in tenths of a millisecond up to here.
const BINS: usize = 2_000;
/// Fewer packets than this tell nothing of drift.
const DRIFT_PACKETS_MIN: usize = 500;
/// So many packets at each end are compared.
const DRIFT_PACKETS: usize = 50;
/// RTP ticks in a millisecond: PCMU.
const TICKS_PER_MS: f64 = 8.0;

/// What the callers' SIP wants of the media.
#[derive(Debug)]
pub(crate) enum Wish {
    /// What comes from this port is a call's.
    Listen(u16),
    /// Its caller talks.
    Talk(u16),
    /// It is over.
    Forget(u16),
    End,
}

/// What was heard and said, all calls together.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) sent: u64,
    pub(crate) unsent: u64,
    pub(crate) received: u64,
    /// Packets by how far from their time they came, in tenths of a millisecond.
    bins: Vec<u64>,
    /// Milliseconds that each long greeting's end came later than its beginning.
    pub(crate) drift: Samples,
    /// How late our own packets left, in milliseconds, a slot each.
    pub(crate) own_lateness: Samples,
}

impl Heard {
    pub(crate) fn paced(&self) -> u64 {
        self.bins.iter().sum()
    }

    /// Share of packets that came within so many milliseconds of their time.
    pub(crate) fn within(&self, millis: f64) -> f64 {
        let near: u64 = self.bins.iter().take((millis * 10.0) as usize + 1).sum();
        near as f64 / self.paced().max(1) as f64
    }
}

/// The media of all callers.
pub(crate) struct Media {
    wishes: Sender<Wish>,
    thread: JoinHandle<Heard>,
    pub(crate) address: SocketAddr,
}

impl Media {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        // As much as the kernel gives; what it drops is seen in the pacing's count.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(32 << 20);
        tell_local_ports(&socket).unwrap();
        tell_arrivals(&socket).unwrap();
        let address = socket.local_addr().unwrap();
        let (wishes, wanted) = channel::unbounded();
        let thread = std::thread::spawn(move || Floor::new(socket).run(&wanted));
        Self { wishes, thread, address }
    }

    pub(crate) fn wish(&self, wish: Wish) {
        self.wishes.send(wish).unwrap();
    }

    pub(crate) fn finish(self) -> Heard {
        self.wish(Wish::End);
        self.thread.join().unwrap()
    }
}

/// One call's media.
struct Line {
    to: SockAddr,
    packet: Vec<u8>,
    /// Packets sent; a caller who does not talk yet has none.
    said: Option<u32>,
    /// Where in the speech it began.
    from: usize,
    /// When each packet came, in milliseconds behind its own timestamp's time.
    offsets: Vec<f32>,
    first: Option<(SystemTime, u32)>,
}

struct Floor {
    socket: UdpSocket,
    inbox: AddressedInbox,
    lines: Vec<Option<Box<Line>>>,
    slots: Vec<Vec<u16>>,
    speech: Vec<Vec<u8>>,
    heard: Heard,
}

/// A shipped message as PCMU frames.
pub(crate) fn speech() -> Vec<Vec<u8>> {
    let wav = include_bytes!("../../assets/messages/late.wav");
    let file = bytes::Bytes::from_static(wav);
    let sound = engine_media::files::read_sound(file, Duration::from_mins(1)).unwrap();
    let frames = engine_media::codec::encode_frames(&sound, Codec::Pcmu).unwrap();
    frames.into_iter().map(|frame| frame.to_vec()).filter(|frame| frame.len() == 160).collect()
}

impl Floor {
    fn new(socket: UdpSocket) -> Self {
        let heard = Heard {
            sent: 0,
            unsent: 0,
            received: 0,
            bins: vec![0; BINS + 1],
            drift: Samples::default(),
            own_lateness: Samples::default(),
        };
        Self {
            socket,
            inbox: AddressedInbox::new(256, 256),
            lines: (0..=usize::from(u16::MAX)).map(|_| None).collect(),
            slots: vec![Vec::new(); SLOTS],
            speech: speech(),
            heard,
        }
    }

    fn run(mut self, wishes: &Receiver<Wish>) -> Heard {
        let (mut next, mut slot) = (Instant::now(), 0);
        loop {
            for wish in wishes.try_iter() {
                match wish {
                    Wish::Listen(port) => self.listen(port),
                    Wish::Talk(port) => self.talk(port, slot),
                    Wish::Forget(port) => self.forget(port),
                    Wish::End => {
                        (0..=u16::MAX).for_each(|port| self.forget(port));
                        return self.heard;
                    }
                }
            }
            self.receive();
            while Instant::now() >= next {
                self.send(slot);
                if !self.slots[slot].is_empty() {
                    self.heard.own_lateness.add(next.elapsed().as_secs_f64() * 1e3);
                }
                next += SLOT;
                slot = (slot + 1) % SLOTS;
            }
            std::thread::sleep(POLL.min(next.saturating_duration_since(Instant::now())));
        }
    }

    fn listen(&mut self, port: u16) {
        let mut packet = vec![0; 172];
        packet[0] = 0x80;
        packet[8..12].copy_from_slice(&u32::from(port).to_be_bytes());
        let to = mmsg::target((Ipv4Addr::LOCALHOST, port).into());
        let from = usize::from(port) * 37 % self.speech.len();
        let line = Line { to, packet, said: None, from, offsets: Vec::new(), first: None };
        self.lines[usize::from(port)] = Some(Box::new(line));
    }

    fn talk(&mut self, port: u16, slot: usize) {
        if let Some(line) = &mut self.lines[usize::from(port)] {
            line.said = Some(0);
            self.slots[(slot + usize::from(port)) % SLOTS].push(port);
        }
    }

    fn forget(&mut self, port: u16) {
        let Some(line) = self.lines[usize::from(port)].take() else { return };
        if line.said.is_some() {
            for slot in &mut self.slots {
                slot.retain(|talker| *talker != port);
            }
        }
        let middle = |part: &[f32]| {
            let mut sorted = part.to_vec();
            sorted.sort_unstable_by(f32::total_cmp);
            sorted.get(sorted.len() / 2).copied().map_or(0.0, f64::from)
        };
        let usual = middle(&line.offsets);
        for offset in &line.offsets {
            let tenths = ((f64::from(*offset) - usual).abs() * 10.0) as usize;
            self.heard.bins[tenths.min(BINS)] += 1;
        }
        if line.offsets.len() >= DRIFT_PACKETS_MIN {
            let end = &line.offsets[line.offsets.len() - DRIFT_PACKETS..];
            self.heard.drift.add(middle(end) - middle(&line.offsets[..DRIFT_PACKETS]));
        }
    }

    fn receive(&mut self) {
        while let Ok(came @ 1..) = self.inbox.receive(&self.socket, usize::MAX) {
            self.heard.received += came as u64;
            for (datagram, arrival) in self.inbox.datagrams().zip(self.inbox.arrivals()) {
                let now = arrival.unwrap_or_else(SystemTime::now);
                let line = &mut self.lines[usize::from(datagram.source.port())];
                let (Some(line), Some(ticks)) = (line, datagram.bytes.get(4..8)) else { continue };
                let ticks = u32::from_be_bytes(ticks.try_into().unwrap());
                let (first, base) = *line.first.get_or_insert((now, ticks));
                let due = f64::from(ticks.wrapping_sub(base).cast_signed()) / TICKS_PER_MS;
                // The civil clock may be set back meanwhile; that is seen as a deviation.
                let at = match now.duration_since(first) {
                    Ok(later) => later.as_secs_f64() * 1e3,
                    Err(earlier) => -earlier.duration().as_secs_f64() * 1e3,
                };
                line.offsets.push((at - due) as f32);
            }
        }
    }

    fn send(&mut self, slot: usize) {
        let Self { slots, lines, speech, .. } = self;
        for port in &slots[slot] {
            let Some(line) = &mut lines[usize::from(*port)] else { continue };
            let Some(said) = &mut line.said else { continue };
            line.packet[1] = if *said == 0 { 0x80 } else { 0 };
            line.packet[2..4].copy_from_slice(&(*said as u16).to_be_bytes());
            line.packet[4..8].copy_from_slice(&said.wrapping_mul(160).to_be_bytes());
            let frame = (line.from + *said as usize) % speech.len();
            line.packet[12..].copy_from_slice(&speech[frame]);
            *said += 1;
        }
        let talkers = slots[slot].iter().filter_map(|port| lines[usize::from(*port)].as_deref());
        let datagrams: Vec<_> =
            talkers.map(|line| Outgoing { to: &line.to, head: &line.packet, body: &[] }).collect();
        for batch in datagrams.chunks(BATCH) {
            let mut rest = batch;
            while !rest.is_empty() {
                // The kernel stops at one that it does not take: that one is passed over.
                let taken = mmsg::send(&self.socket, rest).unwrap_or(0);
                let stopped = usize::from(taken < rest.len());
                self.heard.sent += taken as u64;
                self.heard.unsent += stopped as u64;
                rest = &rest[taken + stopped..];
            }
        }
    }
}
