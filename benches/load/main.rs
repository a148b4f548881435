//! The load kit: thousands of RTP streams against real shards, and a report of what became of
//! every packet.
//!
//! In: `--calls`, `--seconds` and the ways to receive and write. Out: a report as text, as JSON
//! in a file, and a plot over time. Two processes: this one generates, a child of it is the ingest under test, so
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

use clap::Parser as _;
use engine_core::packet::Packet;

/// The service's own allocator, so that it is the one measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Most calls: what a port range of 60,000 holds with room for everybody else.
const CALLS_MAX: u32 = 10_000;
/// A recording holds a minute; longer streams would be cut by design.
const SECONDS_MAX: u64 = 58;
const PERIOD: Duration = Duration::from_millis(20);

/// What is asked for.
#[derive(Debug, Clone, clap::Parser)]
#[command(about = "RTP streams against real shards, and a report of every packet.")]
struct Order {
    /// Streams at once.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=i64::from(CALLS_MAX)))]
    calls: u32,
    /// How long each of them lasts.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: u64,
    /// `[rtp] receive`.
    #[arg(long, default_value = "auto")]
    receive: String,
    /// `[rtp] files`.
    #[arg(long, default_value = "auto")]
    files: String,
    /// For how many seconds the disk stands still in the middle.
    #[arg(long, default_value_t = 0)]
    stall: u64,
    /// For how many seconds each floor is measured; 0: not at all.
    #[arg(long = "floor", default_value_t = 5)]
    floor_seconds: u64,
    /// Where the report is written; the plot lies beside it, ending with .svg.
    #[arg(long, default_value = "load.json")]
    json: String,
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
    let order = Order::parse();
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
