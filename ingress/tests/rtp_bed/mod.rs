//! A test bed: real shards on loopback, real files, and a caller with real sockets.
#![allow(dead_code, reason = "each test binary uses its own part of the bed")]
#![allow(unreachable_pub, reason = "a module of a test binary")]
#![allow(clippy::unwrap_used, reason = "a bed that cannot be made fails its test")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam::channel::{Receiver, bounded};
use engine_core::call::{CallPlan, SenderStart};
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::event::{EventSink, MessageEvent, MessageState};
use engine_core::handoff::{Acks, Arrival, LiveLane};
use engine_core::id::{CallId, MailboxId, RecordingId};
use engine_core::packet::Packet;
use engine_core::recording::{Entry, Opened, chunks};
use engine_core::text::LanguageChoice;
use engine_core::time::WallTime;
use ingress::journal::Faults;
use ingress::media::{AdmissionError, MediaNotice, MediaPlane, Reservation};
use ingress::rtp::config::{FilesBy, ReceiveBy};
use ingress::rtp::{CountersSnapshot, RtpConfig, ShardDeps, Shards, wire};
use tokio::sync::mpsc::UnboundedReceiver;

/// Longest wait for anything; reached only by a failing test.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// Longest message of the test calls.
pub const LIMIT: Duration = Duration::from_mins(1);

/// Events, kept.
#[derive(Default)]
pub struct Events(Mutex<Vec<MessageEvent>>);

impl EventSink for Events {
    fn emit(&self, event: MessageEvent) {
        self.0.lock().unwrap().push(event);
    }
}

impl Events {
    pub fn states(&self, recording: RecordingId) -> Vec<MessageState> {
        let events = self.0.lock().unwrap();
        events.iter().filter(|e| e.recording == recording).map(|e| e.state).collect()
    }
}

/// Shards with everything around them.
pub struct Bed {
    pub shards: Arc<Shards>,
    pub arrivals: Receiver<Arrival>,
    pub acks: Acks,
    pub live: Arc<LiveLane>,
    pub events: Arc<Events>,
    pub notices: UnboundedReceiver<MediaNotice>,
}

impl Bed {
    pub fn start(dir: &Path, change: impl FnOnce(&mut RtpConfig)) -> Self {
        Self::start_with(dir, None, 1_024, change)
    }

    pub fn start_with(
        dir: &Path,
        faults: Option<Arc<dyn Faults>>,
        arrivals_max: usize,
        change: impl FnOnce(&mut RtpConfig),
    ) -> Self {
        let mut config = RtpConfig { receive_buffer_bytes: 1 << 20, ..way_of_this_binary() };
        change(&mut config);
        let (arrivals_in, arrivals) = bounded(arrivals_max);
        let (notices_in, notices) = tokio::sync::mpsc::unbounded_channel();
        let acks = Acks::default();
        let live = Arc::new(LiveLane::new(1_024));
        let events = Arc::new(Events::default());
        let deps = ShardDeps {
            journal_dir: dir.to_owned(),
            arrivals: arrivals_in,
            acks: Arc::clone(&acks),
            live: Arc::clone(&live),
            events: Arc::clone(&events) as Arc<dyn EventSink>,
            notices: notices_in,
        };
        let shards = match faults {
            Some(faults) => Shards::start_with_faults(config, deps, faults),
            None => Shards::start(config, deps),
        };
        Self { shards: shards.unwrap(), arrivals, acks, live, events, notices }
    }

    pub fn reserve(&self) -> Result<Reservation, AdmissionError> {
        block_on(self.shards.reserve(IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }

    /// Reserves and answers a call of `caller`.
    pub fn call(&self, caller: &Phone, change: impl FnOnce(&mut CallPlan)) -> Call {
        let reservation = self.reserve().unwrap();
        let mut plan = plan(caller.address());
        change(&mut plan);
        let recording = plan.opened.recording;
        self.shards.answer(reservation.call, plan);
        self.shards.connected(reservation.call);
        Call { id: reservation.call, recording, to: reservation.local_rtp }
    }

    /// The next arrival.
    pub fn arrival(&self) -> Arrival {
        self.arrivals.recv_timeout(PATIENCE).expect("an arrival comes")
    }

    pub fn count(&self) -> CountersSnapshot {
        self.shards.counters()[0]
    }

    /// Waits until the counters say so.
    pub fn until(&self, what: &str, holds: impl Fn(&CountersSnapshot) -> bool) {
        wait(what, || holds(&self.count()));
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.shards.stop();
    }
}

/// The way that the name of the test binary asks for: `…_portable` and `…_multishot` repeat the
/// tests of another, which take what `auto` finds (steering, where the machine allows it).
fn way_of_this_binary() -> RtpConfig {
    let name = env!("CARGO_CRATE_NAME");
    let (receive, files) = if name.ends_with("_portable") {
        (ReceiveBy::Epoll, FilesBy::Threads)
    } else if name.ends_with("_multishot") {
        (ReceiveBy::Uring, FilesBy::Uring)
    } else {
        (ReceiveBy::Auto, FilesBy::Uring)
    };
    RtpConfig { receive, files, ..RtpConfig::default() }
}

/// Waits until `holds`, looking again and again.
pub fn wait(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// Waits until `moment`: pacing of a stream, not waiting for an effect.
pub fn pace(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// An answered call as the caller knows it.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub id: CallId,
    pub recording: RecordingId,
    pub to: SocketAddr,
}

/// A caller's sockets: RTP on an even port, RTCP above.
pub struct Phone {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
}

impl Phone {
    pub fn new() -> Self {
        loop {
            let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let port = rtp.local_addr().unwrap().port();
            if port.is_multiple_of(2)
                && let Ok(rtcp) = UdpSocket::bind(("127.0.0.1", port + 1))
            {
                rtp.set_read_timeout(Some(PATIENCE)).unwrap();
                rtcp.set_read_timeout(Some(PATIENCE)).unwrap();
                return Self { rtp, rtcp };
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.rtp.local_addr().unwrap()
    }

    pub fn send(&self, call: &Call, packet: &Packet) {
        self.rtp.send_to(&wire::encode(packet), call.to).unwrap();
    }
}

pub fn plan(remote: SocketAddr) -> CallPlan {
    CallPlan {
        opened: Opened {
            recording: RecordingId::from_u128(uuid::Uuid::now_v7().as_u128()),
            mailbox: MailboxId::from_u128(2),
            caller: Caller::Withheld,
            codec: Codec::Pcmu,
            language: LanguageChoice::Detect,
            answered_at: WallTime::from_unix_millis(1_700_000_000_000),
        },
        payload_type: 0,
        digit_payload_type: Some(101),
        greeting: None,
        beep: None,
        closing: None,
        recording_limit: LIMIT,
        quiet_limit: None,
        silent_line_limit: Duration::from_secs(30),
        sender: SenderStart { ssrc: 77, sequence: 100, timestamp: 5_000 },
        remote: Some(remote),
    }
}

/// Packet `number` of a stream of 20 ms µ-law packets, each payload unlike all others.
pub fn packet(number: u32) -> Packet {
    let mut payload = vec![0x55; 160];
    payload[..4].copy_from_slice(&number.to_le_bytes());
    Packet {
        payload_type: 0,
        marker: number == 0,
        sequence: 65_000_u16.wrapping_add(number as u16),
        timestamp: 4_294_900_000_u32.wrapping_add(number * 160),
        ssrc: 0x1234,
        payload: payload.into(),
    }
}

/// The frames of a recording: media time and payload.
pub fn frames(sound: &Bytes) -> Vec<(u64, Bytes)> {
    let chunks: Vec<_> = chunks(sound.clone()).collect::<Result<_, _>>().unwrap();
    let numbers: Vec<u32> = chunks.iter().map(|chunk| chunk.number).collect();
    assert_eq!(numbers, (0..chunks.len() as u32).collect::<Vec<_>>());
    chunks
        .iter()
        .flat_map(|chunk| chunk.entries().map(Result::unwrap))
        .filter_map(|entry| match entry {
            Entry::Frame(frame) => Some((frame.ticks.0, frame.payload)),
            _ => None,
        })
        .collect()
}

/// What `count` packets of [`packet`] must become.
pub fn expected(count: u32) -> Vec<(u64, Bytes)> {
    (0..count).map(|n| (u64::from(n) * 160, packet(n).payload)).collect()
}
