//! The load kit: thousands of RTP streams against real shards, and a report of what became of
//! every packet.
//!
//! In: `--calls`, `--seconds` and the ways to receive and write. Out: a report as text, and as
//! JSON in a file. Two processes: this one generates, a child of it is the ingest under test, so
//! that its CPU and memory are its own. Loopback only; bounded in calls and time.
#![allow(clippy::unwrap_used, reason = "a load test that cannot be set up must end")]
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

mod floor;
mod generator;
mod report;
mod sink;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use engine_core::packet::Packet;

/// The service's own allocator, so that it is the one measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Most calls: what a port range of 60,000 holds with room for everybody else.
const CALLS_MAX: usize = 10_000;
/// A recording holds a minute; longer streams would be cut by design.
const SECONDS_MAX: u64 = 58;
const PERIOD: Duration = Duration::from_millis(20);

/// What is asked for.
#[derive(Debug, Clone)]
struct Order {
    calls: usize,
    seconds: u64,
    receive: String,
    files: String,
    /// How long the disk stands still in the middle.
    stall: u64,
    /// How long each floor is measured; 0: not at all.
    floor_seconds: u64,
    json: String,
}

impl Order {
    fn read() -> Self {
        let mut order = Self {
            calls: 500,
            seconds: 10,
            receive: "auto".into(),
            files: "auto".into(),
            stall: 0,
            floor_seconds: 5,
            json: "load.json".into(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
            match name.as_str() {
                "--calls" => order.calls = value.parse().expect("--calls is a number"),
                "--seconds" => order.seconds = value.parse().expect("--seconds is a number"),
                "--receive" => order.receive = value,
                "--files" => order.files = value,
                "--stall" => order.stall = value.parse().expect("--stall is in seconds"),
                "--floor" => order.floor_seconds = value.parse().expect("--floor is in seconds"),
                "--json" => order.json = value,
                _ => panic!(
                    "{name} is not known: --calls --seconds --receive --files --stall --floor --json"
                ),
            }
        }
        assert!((1..=CALLS_MAX).contains(&order.calls), "set --calls 1 to {CALLS_MAX}");
        assert!((1..=SECONDS_MAX).contains(&order.seconds), "set --seconds 1 to {SECONDS_MAX}");
        order
    }
}

/// Packet `number` of call `call`: no two payloads are alike.
fn packet(call: u32, number: u32) -> Packet {
    let mut payload = vec![0x55; 160];
    payload[..4].copy_from_slice(&call.to_le_bytes());
    payload[4..8].copy_from_slice(&number.to_le_bytes());
    Packet {
        payload_type: 0,
        marker: number == 0,
        sequence: number as u16,
        timestamp: number.wrapping_mul(160),
        ssrc: call,
        payload: payload.into(),
    }
}

/// The child, spoken to by lines.
struct Child {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Child {
    fn start(order: &Order) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env("RUSUDEN_LOAD_SINK", format!("{} {}", order.receive, order.files))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// One question, one line of JSON.
    fn ask(&mut self, question: &str) -> serde_json::Value {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{question}").unwrap();
        stdin.flush().unwrap();
        let line = self.lines.next().expect("the child answers").unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Child {
    /// Lets it end by itself: it takes its files with it.
    fn finish(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It has ended when it was asked to; this is for panics.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() {
    // As the service does (server/src/main.rs).
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    if let Ok(ways) = std::env::var("RUSUDEN_LOAD_SINK") {
        return sink::run(&ways);
    }
    let order = Order::read();
    let mut child = Child::start(&order);
    let idle = child.ask("snapshot");
    let generator = generator::Generator::new();
    let opened = child.ask(&format!("open {} {}", order.calls, generator.port()));
    let ports: Vec<u16> = serde_json::from_value(opened["ports"].clone()).unwrap();
    let listening = child.ask("snapshot");
    println!("{} calls for {} s.", order.calls, order.seconds);
    let sent = generator.run(&ports, order.seconds, &mut || {
        if order.stall > 0 {
            println!("The disk stands still for {} s.", order.stall);
            child.ask(&format!("stall {}", order.stall));
        }
    });
    // What is still under way on loopback is there within a tick of the shard.
    std::thread::sleep(Duration::from_millis(200));
    let recorded = child.ask("snapshot");
    let done = child.ask(&format!("close {}", sent.per_call));
    let floors = floors(&order, &generator, &mut child);
    child.finish();
    let report = report::Report { order, idle, listening, recorded, done, floors, sent };
    report.print();
}

/// CPU nanoseconds a packet of each way to receive and do nothing, with as many streams.
fn floors(order: &Order, generator: &generator::Generator, child: &mut Child) -> serde_json::Value {
    let mut floors = serde_json::Map::new();
    for way in floor::WAYS.iter().filter(|_| order.floor_seconds > 0) {
        println!("Floor: {way} for {} s.", order.floor_seconds);
        let opened = child.ask(&format!("floor {way} {}", order.calls));
        let ports: Vec<u16> = serde_json::from_value(opened["ports"].clone()).unwrap();
        generator.run(&ports, order.floor_seconds, &mut || ());
        child.ask("floor-stop");
        // Wakes those that wait for a datagram before they end.
        generator.run_round(&ports);
        floors.insert((*way).to_owned(), child.ask("floor-result"));
    }
    floors.into()
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
