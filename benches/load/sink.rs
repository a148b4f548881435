//! The ingest under test, in a process of its own: real shards, a real journal, calls made
//! directly through the media plane.
//!
//! In: lines on stdin: `open CALLS PORT`, `snapshot`, `stall SECONDS`, `close PACKETS`, and for
//! floors `floor WAY STREAMS`, `floor-stop`, `floor-result`. Out: a line of JSON for
//! each. Every recording is compared with what was sent, octet by octet.

use std::collections::HashMap;
use std::io::BufRead;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use engine_core::call::{CallPlan, SenderStart};
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::event::{EventSink, MessageEvent};
use engine_core::handoff::{Acks, Arrival, LiveLane};
use engine_core::id::{CallId, MailboxId, RecordingId};
use engine_core::recording::{Entry, Opened, chunks};
use engine_core::text::LanguageChoice;
use engine_core::time::WallTime;
use ingress::journal::{DiskOp, Faults, Verdict};
use ingress::media::{MediaNotice, MediaPlane};
use ingress::rtp::{RtpConfig, ShardDeps, Shards};
use rusuden_benches::process::{cpu_of_threads, rss_bytes};
use serde_json::{Value, json};

use crate::floor::Floor;
use crate::{CALLS_MAX, packet};

/// What belongs to us alone, by the names of its threads.
const THREADS: [&str; 3] = ["rtp-", "iou-", "journal"];
/// Longest wait for a recording after its call has ended.
const PATIENCE: Duration = Duration::from_mins(2);

struct Nobody;

impl EventSink for Nobody {
    fn emit(&self, _: MessageEvent) {}
}

/// A disk that can be told to stand still.
#[derive(Default)]
struct StallingDisk(Mutex<Option<Instant>>);

impl Faults for StallingDisk {
    fn before(&self, _: DiskOp) -> Verdict {
        let until = *self.0.lock().unwrap();
        Box::pin(async move {
            if let Some(until) = until {
                tokio::time::sleep_until(until.into()).await;
            }
            Ok(())
        })
    }
}

struct Sink {
    disk: Arc<StallingDisk>,
    floor: Option<Floor>,
    shards: Arc<Shards>,
    arrivals: Receiver<Arrival>,
    acks: Acks,
    calls: HashMap<RecordingId, (u32, CallId)>,
    /// What was seen once a second since the calls were opened.
    looks: Arc<Mutex<Vec<Value>>>,
    _dir: tempfile::TempDir,
    _notices: tokio::sync::mpsc::UnboundedReceiver<MediaNotice>,
}

pub(crate) fn run(ways: &str) {
    let mut sink = Sink::start(ways);
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["open", calls, port] => sink.open(calls.parse().unwrap(), port.parse().unwrap()),
            ["snapshot"] => sink.snapshot(),
            ["stall", seconds] => sink.stall(seconds.parse().unwrap()),
            ["floor", way, streams] => sink.floor(way, streams.parse().unwrap()),
            ["floor-stop"] => sink.stop_floor(),
            ["floor-result"] => sink.floor.take().unwrap().result(),
            ["close", packets] => sink.close(packets.parse().unwrap()),
            _ => panic!("{line} is not known"),
        };
        println!("{answer}");
    }
    sink.shards.stop();
}

impl Sink {
    fn start(ways: &str) -> Self {
        let dir = tempfile::tempdir_in(".").unwrap();
        let (arrivals_in, arrivals) = crossbeam::channel::bounded(1_024);
        let (notices_in, notices) = tokio::sync::mpsc::unbounded_channel();
        let acks = Acks::default();
        let deps = ShardDeps {
            journal_dir: dir.path().to_owned(),
            arrivals: arrivals_in,
            acks: Arc::clone(&acks),
            live: Arc::new(LiveLane::new(8_192)),
            events: Arc::new(Nobody),
            notices: notices_in,
        };
        let (receive, files) = ways.split_once(' ').unwrap();
        let text = json!({"receive": receive, "files": files, "calls_max": CALLS_MAX,
            "port_first": 10_000, "port_last": 31_999, "sealed_waiting_max": 0});
        let config: RtpConfig = serde_json::from_value(text).unwrap();
        let disk = Arc::new(StallingDisk::default());
        let faults: Arc<dyn Faults> = Arc::clone(&disk) as _;
        let shards = Shards::start_with_faults(config, deps, faults).unwrap();
        Self {
            disk,
            floor: None,
            shards,
            arrivals,
            acks,
            calls: HashMap::new(),
            looks: Arc::default(),
            _dir: dir,
            _notices: notices,
        }
    }

    fn open(&mut self, calls: u32, port: u16) -> Value {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ports: Vec<u16> = (0..calls)
            .map(|call| {
                let reserving = self.shards.reserve(Ipv4Addr::LOCALHOST.into());
                let reservation = runtime.block_on(reserving).unwrap();
                let plan = plan(u128::from(call), (Ipv4Addr::LOCALHOST, port).into());
                self.calls.insert(plan.opened.recording, (call, reservation.call));
                self.shards.answer(reservation.call, plan);
                self.shards.connected(reservation.call);
                reservation.local_rtp.port()
            })
            .collect();
        self.looks = watch(&self.shards);
        json!({"ports": ports})
    }

    fn stall(&self, seconds: u64) -> Value {
        *self.disk.0.lock().unwrap() = Some(Instant::now() + Duration::from_secs(seconds));
        json!({})
    }

    fn floor(&mut self, way: &str, streams: usize) -> Value {
        let floor = self.floor.insert(Floor::start(way, streams));
        json!({"ports": floor.ports})
    }

    fn stop_floor(&self) -> Value {
        self.floor.as_ref().unwrap().stop();
        json!({})
    }

    fn snapshot(&self) -> Value {
        let commits = self.shards.counters()[0].commit_times;
        json!({
            "counters": sums(&self.shards),
            "cpu_nanos": cpu_of_threads(&THREADS).as_nanos() as u64,
            "rss_bytes": rss_bytes("self"),
            "commit_p50_micros": commits.quantile_micros(0.5),
            "commit_p99_micros": commits.quantile_micros(0.99),
        })
    }

    fn close(&mut self, packets: u32) -> Value {
        let looks = std::mem::take(&mut *self.looks.lock().unwrap());
        for (_, call) in self.calls.values() {
            self.shards.hang_up(*call);
        }
        let (mut exact, mut damaged, mut missing) = (0_u64, 0_u64, 0_u64);
        let mut left = self.calls.len();
        while left > 0 {
            let Ok(arrival) = self.arrivals.recv_timeout(PATIENCE) else { break };
            left -= 1;
            let (call, _) = self.calls[&arrival.opened.recording];
            let (right, wrong) = compare(call, &arrival);
            let short = u64::from(packets) - right.min(u64::from(packets));
            missing += short;
            exact += u64::from(wrong == 0 && short == 0);
            damaged += u64::from(wrong > 0);
            self.acks.push(arrival.opened.recording);
        }
        let mut answer = self.snapshot();
        answer["looks"] = looks.into();
        answer["recordings_exact"] = exact.into();
        answer["recordings_damaged"] = damaged.into();
        answer["recordings_never_came"] = left.into();
        answer["frames_missing"] = missing.into();
        answer
    }
}

/// Counters of all shards together.
fn sums(shards: &Shards) -> HashMap<&'static str, u64> {
    let mut sums = HashMap::new();
    for counters in shards.counters() {
        for (name, _, value) in counters.described() {
            *sums.entry(name).or_default() += value;
        }
    }
    sums
}

/// Looks once a second, as long as the shards are there.
fn watch(shards: &Arc<Shards>) -> Arc<Mutex<Vec<Value>>> {
    let looks = Arc::new(Mutex::new(Vec::new()));
    let (shards, told) = (Arc::downgrade(shards), Arc::clone(&looks));
    let started = Instant::now();
    std::thread::spawn(move || {
        while let Some(shards) = shards.upgrade() {
            let sums = sums(&shards);
            drop(shards);
            told.lock().unwrap().push(json!({
                "seconds": started.elapsed().as_secs_f64(),
                "packets": sums["packets"],
                "backlog_bytes": sums["backlog_bytes"],
                "cpu_nanos": cpu_of_threads(&THREADS).as_nanos() as u64,
                "rss_bytes": rss_bytes("self"),
            }));
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    looks
}

/// Frames that are what was sent, and frames that are not.
fn compare(call: u32, arrival: &Arrival) -> (u64, u64) {
    let (mut right, mut wrong) = (0, 0);
    for chunk in chunks(arrival.sound.clone()) {
        for entry in chunk.unwrap().entries() {
            let Entry::Frame(frame) = entry.unwrap() else { continue };
            let number = frame.payload.get(4..8).and_then(|bytes| bytes.try_into().ok());
            let number = number.map_or(u32::MAX, u32::from_le_bytes);
            let same = frame.payload == packet(call, number).payload
                && frame.ticks.0 == u64::from(number) * 160;
            right += u64::from(same);
            wrong += u64::from(!same);
        }
    }
    (right, wrong)
}

fn plan(recording: u128, remote: SocketAddr) -> CallPlan {
    CallPlan {
        opened: Opened {
            recording: RecordingId::from_u128(recording),
            mailbox: MailboxId::from_u128(1),
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
        recording_limit: Duration::from_mins(1),
        quiet_limit: None,
        silent_line_limit: Duration::from_mins(2),
        sender: SenderStart { ssrc: 1, sequence: 0, timestamp: 0 },
        remote: Some(remote),
    }
}
