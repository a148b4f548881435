//! What became of every packet, as text and as JSON.
//!
//! In: what the generator sent and what the ingest counted before, during and after. Out: a page
//! on stdout and a file. Every packet is either recorded or lost in a named place.

use std::path::Path;

use rusuden_benches::plot::{self, Line, Panel};
use rusuden_benches::process::machine_load;
use serde_json::{Value, json};

use crate::Order;
use crate::generator::Sent;

/// Everything that was seen.
pub(crate) struct Report {
    pub(crate) order: Order,
    pub(crate) idle: Value,
    pub(crate) listening: Value,
    pub(crate) recorded: Value,
    pub(crate) done: Value,
    /// Way → packets and nanoseconds a packet.
    pub(crate) floors: Value,
    pub(crate) sent: Sent,
}

const MIB: f64 = (1_u64 << 20) as f64;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

impl Report {
    fn counter(&self, name: &str) -> u64 {
        number(&self.done["counters"][name])
    }

    fn floors_by(&self, of: impl Fn(u64) -> f64) -> Value {
        let floors = self.floors.as_object().into_iter().flatten();
        let each = floors.map(|(way, floor)| {
            (way.clone(), ((of(number(&floor["nanos"])) * 100.0).round() / 100.0).into())
        });
        each.collect::<serde_json::Map<_, _>>().into()
    }

    fn late(&self, share: f64) -> u64 {
        let late = &self.sent.late_micros;
        let at = (late.len() as f64 * share) as usize;
        late.get(at.min(late.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    fn json(&self) -> Value {
        let planned = u64::from(self.sent.per_call) * u64::from(self.order.calls);
        let calls = u64::from(self.order.calls);
        let packets = self.counter("packets");
        let cpu = number(&self.recorded["cpu_nanos"]) - number(&self.listening["cpu_nanos"]);
        let rss = |value: &Value| number(&value["rss_bytes"]);
        let grown = |after: &Value, before: &Value| rss(after).saturating_sub(rss(before)) / calls;
        let seconds = self.sent.took.as_secs_f64();
        json!({
            "calls": calls,
            "seconds": seconds,
            "disk_stood_still_seconds": self.order.stall,
            "receive": self.order.receive,
            "files": self.order.files,
            "machine_load": machine_load(),
            "packets_planned": planned,
            "packets_sent": self.sent.packets,
            "packets_per_second": self.sent.packets as f64 / seconds,
            "packets_received": packets,
            "lost_generator": planned - self.sent.packets,
            "lost_kernel": self.counter("kernel_dropped"),
            "lost_us": self.sent.packets.saturating_sub(packets + self.counter("kernel_dropped")),
            "frames_missing": number(&self.done["frames_missing"]),
            "recordings_exact": number(&self.done["recordings_exact"]),
            "recordings_damaged": number(&self.done["recordings_damaged"]),
            "recordings_never_came": number(&self.done["recordings_never_came"]),
            "generator_late_micros": {
                "p50": self.late(0.5), "p99": self.late(0.99), "max": self.late(1.0),
            },
            "generator_cpu_share": self.sent.cpu.as_secs_f64() / seconds,
            "cpu_nanos_per_packet": cpu / packets.max(1),
            "cpu_share": cpu as f64 / 1e9 / seconds,
            "cpu_micros_per_call_second": cpu as f64 / 1e3 / seconds / calls as f64,
            "memory_per_listening_call": grown(&self.listening, &self.idle),
            "memory_per_recording_call": grown(&self.recorded, &self.idle),
            "commit_p50_micros": self.recorded["commit_p50_micros"],
            "commit_p99_micros": self.recorded["commit_p99_micros"],
            "commit_max_micros": self.counter("commit_micros_max"),
            "floor_nanos_per_packet": self.floors_by(|nanos| nanos as f64),
            "ratio_to_floor": self.floors_by(|nanos| (cpu / packets.max(1)) as f64 / nanos as f64),
            "counters": self.done["counters"],
        })
    }

    fn plot(&self, path: &Path) {
        let looks = self.done["looks"].as_array().map_or(&[][..], Vec::as_slice);
        let over_time = |of: &'static str, unit: f64| {
            let seconds = |look: &Value| look["seconds"].as_f64().unwrap_or_default();
            looks.iter().map(move |look| (seconds(look), number(&look[of]) as f64 / unit))
        };
        let processor = Line::rate("shard, ring, journal", over_time("cpu_nanos", 1e9));
        let memory = vec![
            Line::seen("resident", over_time("rss_bytes", MIB)),
            Line::seen("waits for the disk", over_time("backlog_bytes", MIB)),
        ];
        let packets = Line::rate("received", over_time("packets", 1.0));
        let panels = [
            Panel { unit: "packets/s", lines: vec![packets] },
            Panel { unit: "cores", lines: vec![processor] },
            Panel { unit: "MiB", lines: memory },
        ];
        let title = format!("{} calls for {} s", self.order.calls, self.order.seconds);
        plot::write(path, &title, &panels).unwrap();
    }

    pub(crate) fn print(&self) {
        let json = self.json();
        std::fs::write(&self.order.json, format!("{json:#}\n")).unwrap();
        let show = |title: &str, names: &[&str]| {
            let values = names.iter().map(|name| match &json[name] {
                Value::Number(value) if value.is_f64() => {
                    format!("{name} {:.3}", value.as_f64().unwrap_or_default())
                }
                value => format!("{name} {value}"),
            });
            println!("{title}: {}", values.collect::<Vec<_>>().join(", "));
        };
        show("load", &["calls", "seconds", "receive", "files", "machine_load"]);
        show("packets", &["packets_planned", "packets_sent", "packets_received"]);
        show("rate", &["packets_per_second"]);
        show("lost", &["lost_generator", "lost_kernel", "lost_us", "frames_missing"]);
        show("recordings", &["recordings_exact", "recordings_damaged", "recordings_never_came"]);
        show("generator", &["generator_late_micros", "generator_cpu_share"]);
        show("cpu", &["cpu_nanos_per_packet", "cpu_share", "cpu_micros_per_call_second"]);
        show("floors", &["floor_nanos_per_packet", "ratio_to_floor"]);
        show("memory (bytes)", &["memory_per_listening_call", "memory_per_recording_call"]);
        show("fsync", &["commit_p50_micros", "commit_p99_micros", "commit_max_micros"]);
        let svg = Path::new(&self.order.json).with_extension("svg");
        self.plot(&svg);
        println!("all of it as JSON: {}; over time: {}", self.order.json, svg.display());
    }
}
