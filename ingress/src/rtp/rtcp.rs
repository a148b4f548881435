//! RTCP of one call: our reports, and what the caller's reports tell us.
//!
//! In: what the call has seen, the caller's RTCP datagrams, time. Out: compound packets to send.
//! Two parties only, so the RFC's interval is its minimum, randomised. Knows nothing of sockets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use engine_core::call::CallStats;
use engine_core::time::Instant;
use rtcp::goodbye::Goodbye;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::source_description::{
    SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
};
use webrtc_util::marshal::{Marshal, Unmarshal};

use crate::limits::RTCP_INTERVAL;

/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_UNIX_SECONDS: u64 = 2_208_988_800;
/// RFC 3550 §6.3.1: timer reconsideration makes the average shorter by this, undo it.
const COMPENSATION: f64 = 1.218_28;
/// Cumulative loss is a signed 24-bit number (RFC 3550 §6.4.1).
const LOST_MAX: u32 = 0x7f_ffff;

const TYPE_SENDER_REPORT: u8 = 200;
const TYPE_RECEIVER_REPORT: u8 = 201;
const TYPE_GOODBYE: u8 = 203;

/// Why a datagram is no RTCP that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtcpError {
    /// It fails the header checks of RFC 3550 appendix A.2.
    #[error("the datagram is no RTCP compound packet")]
    NotCompound,
    /// A report in it is shorter than it says.
    #[error("an RTCP report is cut off")]
    Short,
}

/// What a caller's compound packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Who reports.
    pub ssrc: u32,
    /// NTP time of its sender report, if it is one.
    pub sender_report: Option<u64>,
    /// It leaves. Hanging up is SIP's affair, so this is only noted.
    pub goodbye: bool,
}

/// Makes one call's reports.
#[derive(Debug)]
pub struct Reporter {
    ssrc: u32,
    cname: Bytes,
    next: Instant,
    expected_before: u64,
    received_before: u64,
    sent_before: u32,
    last_sent: Option<(Instant, u32)>,
    heard: Option<(u32, Instant)>,
}

impl Reporter {
    /// A reporter for our stream `ssrc`; `cname` is random per call (RFC 7022 §4.2).
    pub fn new(now: Instant, ssrc: u32, cname: Bytes) -> Self {
        // RFC 3550 §6.2: the first report comes after half the interval.
        let next = now + interval() / 2;
        let (expected_before, received_before, sent_before) = (0, 0, 0);
        let (last_sent, heard) = (None, None);
        Self { ssrc, cname, next, expected_before, received_before, sent_before, last_sent, heard }
    }

    /// Whether a report is due.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Notes that we sent a packet with this RTP timestamp.
    pub fn sent(&mut self, now: Instant, timestamp: u32) {
        self.last_sent = Some((now, timestamp));
    }

    /// Notes what the caller reported about its own stream, for LSR and DLSR.
    pub fn heard(&mut self, now: Instant, heard: &Heard, stats: &CallStats) {
        if let (Some(ntp), Some(ssrc)) = (heard.sender_report, stats.ssrc)
            && ssrc == heard.ssrc
        {
            // RFC 3550 §6.4.1: the middle 32 bits.
            self.heard = Some(((ntp >> 16) as u32, now));
        }
    }

    /// The report that is due: SR while we send, RR otherwise, each with our name.
    pub fn report(
        &mut self,
        now: Instant,
        wall: SystemTime,
        stats: &CallStats,
        clock_hz: u32,
    ) -> Bytes {
        self.next = now + interval();
        let mut compound = BytesMut::from(self.first(now, wall, stats, clock_hz).as_ref());
        compound.extend_from_slice(&self.name());
        self.sent_before = stats.sent_packets;
        compound.freeze()
    }

    /// The last report, with BYE (RFC 3550 §6.6).
    pub fn goodbye(
        &mut self,
        now: Instant,
        wall: SystemTime,
        stats: &CallStats,
        clock_hz: u32,
    ) -> Bytes {
        let mut compound = BytesMut::from(self.report(now, wall, stats, clock_hz).as_ref());
        let goodbye = Goodbye { sources: vec![self.ssrc], reason: Bytes::new() };
        compound.extend_from_slice(&goodbye.marshal().expect("one source fits a BYE"));
        compound.freeze()
    }

    fn first(&mut self, now: Instant, wall: SystemTime, stats: &CallStats, hz: u32) -> Bytes {
        let reports = self.reception(now, stats).into_iter().collect();
        let ssrc = self.ssrc;
        let profile_extensions = Bytes::new();
        let Some((at, timestamp)) =
            self.last_sent.filter(|_| stats.sent_packets > self.sent_before)
        else {
            let report = ReceiverReport { ssrc, reports, profile_extensions };
            return report.marshal().expect("one report block fits an RR");
        };
        let since = now.since(at).as_nanos() * u128::from(hz) / 1_000_000_000;
        let report = SenderReport {
            ssrc,
            ntp_time: ntp(wall),
            rtp_time: timestamp.wrapping_add(since as u32),
            packet_count: stats.sent_packets,
            octet_count: stats.sent_octets,
            reports,
            profile_extensions,
        };
        report.marshal().expect("one report block fits an SR")
    }

    /// The block about the caller's stream, if it sent since the last report.
    fn reception(&mut self, now: Instant, stats: &CallStats) -> Option<ReceptionReport> {
        let ssrc = stats.ssrc.filter(|_| stats.packets > self.received_before)?;
        let expected = stats.packets + u64::from(stats.lost);
        // RFC 3550 appendix A.3: the fraction is over the interval, in 1/256.
        let expected_now = expected.saturating_sub(self.expected_before);
        let received_now = stats.packets - self.received_before;
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction_lost = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8;
        self.expected_before = expected;
        self.received_before = stats.packets;
        let (last_sender_report, delay) = match self.heard {
            Some((middle, at)) => {
                (middle, (now.since(at).as_nanos() * 65_536 / 1_000_000_000) as u32)
            }
            None => (0, 0),
        };
        Some(ReceptionReport {
            ssrc,
            fraction_lost,
            total_lost: stats.lost.min(LOST_MAX),
            last_sequence_number: stats.highest_sequence,
            jitter: stats.jitter,
            last_sender_report,
            delay,
        })
    }

    fn name(&self) -> Bytes {
        let item =
            SourceDescriptionItem { sdes_type: SdesType::SdesCname, text: self.cname.clone() };
        let chunk = SourceDescriptionChunk { source: self.ssrc, items: vec![item] };
        SourceDescription { chunks: vec![chunk] }.marshal().expect("a CNAME is under 256 bytes")
    }
}

/// A random name for one call's stream: 96 bits (RFC 7022 §4.2).
pub fn random_cname() -> Bytes {
    format!("{:024x}", rand::random::<u128>() >> 32).into()
}

/// RFC 3550 §6.2 and §6.3.1: half to one and a half times the interval.
fn interval() -> Duration {
    RTCP_INTERVAL.mul_f64(rand::random_range(0.5..1.5) / COMPENSATION)
}

fn ntp(wall: SystemTime) -> u64 {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs() + NTP_UNIX_SECONDS) << 32 | fraction
}

/// Reads a compound packet. Only sender reports are handed to the `rtcp` crate: nothing else that
/// a caller may send is of use, so nothing else is parsed.
pub fn read(datagram: &[u8]) -> Result<Heard, RtcpError> {
    let mut heard = None;
    let mut rest = datagram;
    while !rest.is_empty() {
        let header = rest.first_chunk::<4>().ok_or(RtcpError::NotCompound)?;
        let (first, kind) = (header[0], header[1]);
        let words = u16::from_be_bytes([header[2], header[3]]);
        let bytes = (usize::from(words) + 1) * 4;
        if first >> 6 != 2 || bytes > rest.len() {
            return Err(RtcpError::NotCompound);
        }
        let (packet, behind) = rest.split_at(bytes);
        rest = behind;
        match (&mut heard, kind) {
            (None, TYPE_SENDER_REPORT | TYPE_RECEIVER_REPORT) => {
                heard = Some(first_report(packet)?);
            }
            // RFC 3550 appendix A.2: the first packet is SR or RR without padding.
            (None, _) => return Err(RtcpError::NotCompound),
            (Some(heard), TYPE_GOODBYE) => heard.goodbye = true,
            (Some(_), _) => {}
        }
    }
    heard.ok_or(RtcpError::NotCompound)
}

fn first_report(packet: &[u8]) -> Result<Heard, RtcpError> {
    if packet[0] & 0x20 != 0 {
        return Err(RtcpError::NotCompound);
    }
    let blocks = usize::from(packet[0] & 0x1f) * 24;
    if packet[1] == TYPE_RECEIVER_REPORT {
        let ssrc =
            packet.get(4..8).filter(|_| packet.len() >= 8 + blocks).ok_or(RtcpError::Short)?;
        let ssrc = u32::from_be_bytes([ssrc[0], ssrc[1], ssrc[2], ssrc[3]]);
        return Ok(Heard { ssrc, sender_report: None, goodbye: false });
    }
    if packet.len() < 28 + blocks {
        return Err(RtcpError::Short);
    }
    let report = SenderReport::unmarshal(&mut &*packet).map_err(|_| RtcpError::Short)?;
    Ok(Heard { ssrc: report.ssrc, sender_report: Some(report.ntp_time), goodbye: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_nanos(100_000_000_000);

    fn stats() -> CallStats {
        CallStats {
            ssrc: Some(7),
            packets: 75,
            lost: 25,
            highest_sequence: 0x1_0063,
            jitter: 12,
            ..CallStats::default()
        }
    }

    fn reporter() -> Reporter {
        Reporter::new(NOW, 9, random_cname())
    }

    fn report_of(compound: &Bytes) -> ReceiverReport {
        ReceiverReport::unmarshal(&mut compound.slice(..32)).unwrap()
    }

    #[test]
    fn a_receiver_report_says_what_was_seen() {
        let mut reporter = reporter();
        let sr = Heard { ssrc: 7, sender_report: Some(0x1111_2222_3333_4444), goodbye: false };
        reporter.heard(NOW, &sr, &stats());
        let now = NOW + Duration::from_millis(1_500);
        let compound = reporter.report(now, SystemTime::now(), &stats(), 8_000);
        let block = &report_of(&compound).reports[0];
        assert_eq!((block.ssrc, block.fraction_lost, block.total_lost), (7, 64, 25));
        assert_eq!((block.last_sequence_number, block.jitter), (0x1_0063, 12));
        assert_eq!((block.last_sender_report, block.delay), (0x2222_3333, 98_304));
        assert_eq!(read(&compound), Ok(Heard { ssrc: 9, sender_report: None, goodbye: false }));
    }

    #[test]
    fn a_silent_interval_has_no_block() {
        let mut reporter = reporter();
        reporter.report(NOW, SystemTime::now(), &stats(), 8_000);
        let compound = reporter.report(NOW, SystemTime::now(), &stats(), 8_000);
        let report = ReceiverReport::unmarshal(&mut compound.slice(..8)).unwrap();
        assert!(report.reports.is_empty());
    }

    #[test]
    fn while_we_send_the_report_is_a_sender_report() {
        let mut reporter = reporter();
        let mut stats = stats();
        (stats.sent_packets, stats.sent_octets) = (10, 1_600);
        reporter.sent(NOW, 5_000);
        let now = NOW + Duration::from_millis(10);
        let compound = reporter.report(now, UNIX_EPOCH, &stats, 8_000);
        let report = SenderReport::unmarshal(&mut compound.slice(..52)).unwrap();
        assert_eq!((report.packet_count, report.octet_count), (10, 1_600));
        assert_eq!((report.rtp_time, report.ntp_time), (5_080, NTP_UNIX_SECONDS << 32));
        // Nothing more was sent: a receiver report follows.
        let compound = reporter.report(now, UNIX_EPOCH, &stats, 8_000);
        assert_eq!(read(&compound).unwrap().sender_report, None);
    }

    #[test]
    fn the_last_report_ends_with_bye() {
        let compound = reporter().goodbye(NOW, UNIX_EPOCH, &stats(), 8_000);
        assert!(read(&compound).unwrap().goodbye);
    }

    #[test]
    fn reports_of_another_stream_do_not_count() {
        let mut reporter = reporter();
        let sr = Heard { ssrc: 8, sender_report: Some(u64::MAX), goodbye: false };
        reporter.heard(NOW, &sr, &stats());
        let compound = reporter.report(NOW, UNIX_EPOCH, &stats(), 8_000);
        assert_eq!(report_of(&compound).reports[0].last_sender_report, 0);
    }

    #[test]
    fn what_is_no_compound_packet_is_refused() {
        let good = reporter().goodbye(NOW, UNIX_EPOCH, &stats(), 8_000);
        assert!(read(&good).is_ok());
        for cut in 1..good.len() {
            // A cut on a packet's border leaves a shorter compound packet.
            let borders = [32, 68];
            assert_eq!(read(&good[..cut]).is_ok(), borders.contains(&cut), "cut at {cut}");
        }
        assert_eq!(read(&good[32..]), Err(RtcpError::NotCompound));
        assert_eq!(read(&[]), Err(RtcpError::NotCompound));
        let mut wrong = good.to_vec();
        wrong[0] |= 0x20;
        assert_eq!(read(&wrong), Err(RtcpError::NotCompound));
        wrong[0] = 0x9f;
        assert_eq!(read(&wrong), Err(RtcpError::Short));
    }

    #[test]
    fn the_interval_is_between_two_and_six_and_a_half_seconds() {
        for _ in 0..1_000 {
            let millis = interval().as_millis();
            assert!((2_051..=6_157).contains(&millis), "{millis}");
        }
    }
}
