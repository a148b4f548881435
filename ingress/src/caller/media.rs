//! The caller's sound: RTP out at its pace, RTP and RTCP in.
//!
//! In: payloads with their codec, packets from the network. Out: packets on time, and a count of
//! what was heard. Packets are read leniently: what is no RTP is not counted.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use engine_core::codec::Codec;
use engine_core::time::RtpTicks;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Tries to find an even port with its odd neighbour free.
const PORT_TRIES_MAX: u32 = 64;
/// Most packets that are kept: ten minutes of 20 ms.
const HEARD_PACKETS_MAX: usize = 30_000;

/// One packet that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardPacket {
    /// Sequence number, widened.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// RTP payload type.
    pub payload_type: u8,
    /// Its payload.
    pub payload: Bytes,
}

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// RTP packets.
    pub packets: u64,
    /// Sequence numbers that never came.
    pub lost: u64,
    /// Packets that came behind a later one.
    pub out_of_order: u64,
    /// Packets that came twice.
    pub duplicated: u64,
    /// The packets, in the order of their sequence numbers.
    pub kept: Vec<HeardPacket>,
}

/// One RTCP report block on what we sent (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceptionReport {
    /// Share lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Lost in all.
    pub total_lost: u32,
    /// Interarrival jitter in ticks.
    pub jitter: u32,
}

/// A pair of sockets for RTP and RTCP.
pub(super) struct Sockets {
    pub(super) rtp: Arc<UdpSocket>,
    rtcp: UdpSocket,
}

impl Sockets {
    /// An even port and the odd one above it.
    pub(super) async fn open(local: IpAddr) -> io::Result<Self> {
        let mut failed = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..PORT_TRIES_MAX {
            let rtp = UdpSocket::bind((local, 0)).await?;
            let port = rtp.local_addr()?.port();
            if port % 2 != 0 {
                continue;
            }
            match UdpSocket::bind((local, port + 1)).await {
                Ok(rtcp) => return Ok(Self { rtp: Arc::new(rtp), rtcp }),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.rtp.local_addr()
    }
}

/// Listens to both sockets until dropped.
pub(super) struct Listener {
    shared: Arc<Mutex<Ears>>,
    last: watch::Receiver<Option<Instant>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Ears {
    highest: Option<u64>,
    lowest: u64,
    heard: Heard,
    reports: Vec<ReceptionReport>,
}

impl Listener {
    pub(super) fn start(sockets: Sockets) -> Self {
        let shared = Arc::new(Mutex::new(Ears::default()));
        let (sender, last) = watch::channel(None);
        let task = tokio::spawn(listen(sockets, Arc::clone(&shared), sender));
        Self { shared, last, task }
    }

    /// Resolves when nothing was heard for `quiet` after something was, or at `latest`.
    pub(super) async fn greeting_over(&self, quiet: Duration, latest: Instant) {
        let mut last = self.last.clone();
        loop {
            let heard = *last.borrow_and_update();
            let until = heard.map_or(latest, |heard| (heard + quiet).min(latest));
            tokio::select! {
                () = sleep_until(until) => return,
                changed = last.changed() => if changed.is_err() {
                    return sleep_until(latest).await;
                },
            }
        }
    }

    /// What was heard so far.
    pub(super) fn finish(self) -> (Heard, Vec<ReceptionReport>) {
        let ears = std::mem::take(&mut *self.shared.lock().expect("nothing panics while hearing"));
        ears.finish()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ears {
    fn hear(&mut self, octets: &[u8]) -> bool {
        let Some((sequence, timestamp, payload_type, payload)) = rtp(octets) else { return false };
        // RFC 3550 appendix A.1: the cycle that brings the number nearest to the highest.
        let sequence = match self.highest {
            None => u64::from(sequence) + (1 << 16),
            Some(highest) => {
                let step = sequence.wrapping_sub(highest as u16) as i16;
                highest.saturating_add_signed(i64::from(step))
            }
        };
        self.heard.packets += 1;
        if self.heard.kept.iter().rev().take(1_000).any(|packet| packet.sequence == sequence) {
            self.heard.duplicated += 1;
            return true;
        }
        match self.highest {
            None => {
                self.highest = Some(sequence);
                self.lowest = sequence;
            }
            Some(highest) if sequence < highest => {
                self.heard.out_of_order += 1;
                self.lowest = self.lowest.min(sequence);
            }
            Some(_) => self.highest = Some(sequence),
        }
        if self.heard.kept.len() < HEARD_PACKETS_MAX {
            let payload = Bytes::copy_from_slice(payload);
            self.heard.kept.push(HeardPacket { sequence, timestamp, payload_type, payload });
        }
        true
    }

    fn report(&mut self, octets: &[u8]) {
        let mut octets = octets;
        let Ok(packets) = rtcp::packet::unmarshal(&mut octets) else { return };
        for packet in packets {
            let any = packet.as_any();
            let blocks = if let Some(report) =
                any.downcast_ref::<rtcp::receiver_report::ReceiverReport>()
            {
                &report.reports
            } else if let Some(report) = any.downcast_ref::<rtcp::sender_report::SenderReport>() {
                &report.reports
            } else {
                continue;
            };
            self.reports.extend(blocks.iter().map(|block| ReceptionReport {
                fraction_lost: block.fraction_lost,
                total_lost: block.total_lost,
                jitter: block.jitter,
            }));
        }
    }

    fn finish(mut self) -> (Heard, Vec<ReceptionReport>) {
        if let Some(highest) = self.highest {
            let distinct = self.heard.packets - self.heard.duplicated;
            self.heard.lost = (highest - self.lowest + 1).saturating_sub(distinct);
        }
        self.heard.kept.sort_by_key(|packet| packet.sequence);
        (self.heard, self.reports)
    }
}

async fn listen(sockets: Sockets, ears: Arc<Mutex<Ears>>, last: watch::Sender<Option<Instant>>) {
    let mut sound = [0_u8; 2_048];
    let mut reports = [0_u8; 2_048];
    loop {
        tokio::select! {
            received = sockets.rtp.recv_from(&mut sound) => {
                let Ok((octets, _)) = received else { continue };
                let mut ears = ears.lock().expect("nothing panics while hearing");
                if ears.hear(&sound[..octets]) {
                    last.send_replace(Some(Instant::now()));
                }
            }
            received = sockets.rtcp.recv_from(&mut reports) => {
                let Ok((octets, _)) = received else { continue };
                ears.lock().expect("nothing panics while hearing").report(&reports[..octets]);
            }
        }
    }
}

/// Sequence number, timestamp, payload type and payload of an RTP packet (RFC 3550 §5.1).
fn rtp(octets: &[u8]) -> Option<(u16, u32, u8, &[u8])> {
    let (&first, &second) = (octets.first()?, octets.get(1)?);
    if first >> 6 != 2 {
        return None;
    }
    let mut start = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let extension = octets.get(start..start + 4)?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    let padding = if first & 0x20 == 0 { 0 } else { usize::from(*octets.last()?) };
    let payload = octets.get(start..octets.len().checked_sub(padding)?)?;
    let sequence = u16::from_be_bytes([octets[2], octets[3]]);
    let timestamp = u32::from_be_bytes([octets[4], octets[5], octets[6], octets[7]]);
    Some((sequence, timestamp, second & 0x7f, payload))
}

/// Who is talked to, and how.
pub(super) struct Mouth {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) to: SocketAddr,
    pub(super) codec: Codec,
    pub(super) payload_type: u8,
}

/// How talking went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spoken {
    pub(super) packets: u64,
    pub(super) pace_error_max: Duration,
}

impl Mouth {
    /// Sends every payload at its time, counted from the first: no error adds up. `spoken` is
    /// kept current, for when the other side hangs up in between.
    pub(super) async fn say(&self, payloads: &[Bytes], spoken: &Mutex<Spoken>, told: impl Fn(u64)) {
        let ssrc: u32 = rand::random();
        let first_timestamp: u32 = rand::random();
        let mut sequence: u16 = rand::random();
        let start = Instant::now();
        let mut ticks = 0_u64;
        let mut packet = BytesMut::new();
        for (at, payload) in payloads.iter().enumerate() {
            let due = start + RtpTicks(ticks).to_duration(self.codec.clock_hz());
            sleep_until(due).await;
            // RFC 3551 §4.1: the marker starts a talkspurt.
            let marker = if at == 0 { 0x80 } else { 0 };
            packet.clear();
            packet.put_u8(0x80);
            packet.put_u8(marker | self.payload_type);
            packet.put_u16(sequence);
            packet.put_u32(first_timestamp.wrapping_add(ticks as u32));
            packet.put_u32(ssrc);
            packet.put_slice(payload);
            // A port that is closed shows as an error of the next send: the packet is lost then,
            // which is what RTP does.
            let _ = self.socket.send_to(&packet, self.to).await;
            sequence = sequence.wrapping_add(1);
            let step = self.codec.payload_ticks(payload).filter(|ticks| *ticks > 0);
            ticks += u64::from(step.unwrap_or_else(|| self.codec.ticks_per_20ms()));
            let packets = {
                let mut spoken = spoken.lock().expect("nothing panics while talking");
                spoken.packets += 1;
                spoken.pace_error_max = spoken.pace_error_max.max(due.elapsed());
                spoken.packets
            };
            if packets % 50 == 0 {
                told(packets);
            }
        }
        sleep_until(start + RtpTicks(ticks).to_duration(self.codec.clock_hz())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16) -> Vec<u8> {
        let mut octets = vec![0x80, 0];
        octets.extend_from_slice(&sequence.to_be_bytes());
        octets.extend_from_slice(&[0; 8]);
        octets.push(sequence as u8);
        octets
    }

    #[test]
    fn what_is_heard_is_counted() {
        let mut ears = Ears::default();
        for sequence in [65_534, 65_535, 1, 0, 0, 4] {
            assert!(ears.hear(&packet(sequence)));
        }
        assert!(!ears.hear(b"OPTIONS") && !ears.hear(&[]) && !ears.hear(&[0x80; 5]));
        let (heard, _) = ears.finish();
        assert_eq!((heard.packets, heard.lost, heard.out_of_order, heard.duplicated), (6, 2, 1, 1));
        let order: Vec<_> = heard.kept.iter().map(|packet| packet.payload[0]).collect();
        assert_eq!(order, [254, 255, 0, 1, 4]);
    }

    #[test]
    fn headers_of_every_shape_are_read() {
        let mut octets = vec![0xb1, 0x80, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9, 9, 9];
        octets.extend_from_slice(&[0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        octets.extend_from_slice(&[7, 8, 0, 2]);
        assert_eq!(rtp(&octets), Some((1, 2, 0, &[7, 8][..])));
        for cut in 0..24 {
            let _ = rtp(&octets[..cut]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn packets_leave_on_time_without_drift() {
        let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mouth = Mouth {
            socket: Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap()),
            to: receiver.local_addr().unwrap(),
            codec: Codec::Pcmu,
            payload_type: 0,
        };
        let start = Instant::now();
        let spoken = Mutex::default();
        mouth.say(&vec![Bytes::from_static(&[0; 160]); 500], &spoken, |_| {}).await;
        assert_eq!(start.elapsed().as_millis(), 10_000);
        assert_eq!(spoken.lock().unwrap().packets, 500);
    }
}
