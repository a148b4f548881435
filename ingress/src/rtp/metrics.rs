//! Counters as Prometheus reads them (text format 0.0.4).
//!
//! In: what each shard has counted. Out: text. Every counter carries its own description, so the
//! page that explains them and the code cannot part. Knows nothing of HTTP.

use std::fmt::Write as _;

use super::counters::CountersSnapshot;
use super::histogram::BUCKETS_MICROS;

/// What the text is, for a Content-Type header.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Values that go up and down; all others only grow.
const GAUGES: [&str; 8] = [
    "calls",
    "backlog_bytes",
    "commit_micros_max",
    "packet_rate",
    "sealed_waiting",
    "slabs_made",
    "slabs_pinned",
    "turn_late_micros",
];
/// Counted once for all shards; shown for the first only.
const COMMON: [&str; 1] = ["live_skipped"];

/// All shards' counters as text.
pub fn prometheus(shards: &[CountersSnapshot]) -> String {
    let mut text = String::new();
    let described: Vec<_> = shards.iter().map(CountersSnapshot::described).collect();
    for (at, (name, description, _)) in described.first().into_iter().flatten().enumerate() {
        let is_gauge = GAUGES.contains(name);
        let (kind, ending) = if is_gauge { ("gauge", "") } else { ("counter", "_total") };
        let full = format!("rusuden_rtp_{name}{ending}");
        line(&mut text, format_args!("# HELP {full} {}", description.trim()));
        line(&mut text, format_args!("# TYPE {full} {kind}"));
        let shown = if COMMON.contains(name) { 1 } else { described.len() };
        for (shard, counters) in described.iter().take(shown).enumerate() {
            line(&mut text, format_args!("{full}{{shard=\"{shard}\"}} {}", counters[at].2));
        }
    }
    commits(&mut text, shards);
    text
}

fn commits(text: &mut String, shards: &[CountersSnapshot]) {
    let full = "rusuden_rtp_commit_seconds";
    line(text, format_args!("# HELP {full} How long journal syncs took."));
    line(text, format_args!("# TYPE {full} histogram"));
    for (shard, counters) in shards.iter().enumerate() {
        let histogram = &counters.commit_times;
        let mut below = 0;
        for (end, count) in BUCKETS_MICROS.iter().zip(histogram.counts) {
            below += count;
            let end = *end as f64 / 1e6;
            let labels = format_args!("shard=\"{shard}\",le=\"{end}\"").to_string();
            line(text, format_args!("{full}_bucket{{{labels}}} {below}"));
        }
        let (count, sum) = (histogram.count(), histogram.sum_micros as f64 / 1e6);
        line(text, format_args!("{full}_bucket{{shard=\"{shard}\",le=\"+Inf\"}} {count}"));
        line(text, format_args!("{full}_sum{{shard=\"{shard}\"}} {sum}"));
        line(text, format_args!("{full}_count{{shard=\"{shard}\"}} {count}"));
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_help_type_and_a_value_for_each_shard() {
        let mut shards = [CountersSnapshot::default(); 2];
        shards[1].packets = 7;
        shards[1].kernel_dropped = 3;
        shards[0].commit_times.counts[1] = 2;
        shards[0].commit_times.sum_micros = 1_500;
        let text = prometheus(&shards);
        for (name, _, _) in shards[0].described() {
            assert!(text.contains(&format!("# HELP rusuden_rtp_{name}")), "{name}");
        }
        for want in [
            "# TYPE rusuden_rtp_packets_total counter\n",
            "rusuden_rtp_packets_total{shard=\"0\"} 0\n",
            "rusuden_rtp_packets_total{shard=\"1\"} 7\n",
            "rusuden_rtp_kernel_dropped_total{shard=\"1\"} 3\n",
            "# TYPE rusuden_rtp_calls gauge\n",
            "rusuden_rtp_commit_seconds_bucket{shard=\"0\",le=\"0.0005\"} 0\n",
            "rusuden_rtp_commit_seconds_bucket{shard=\"0\",le=\"0.001\"} 2\n",
            "rusuden_rtp_commit_seconds_bucket{shard=\"0\",le=\"+Inf\"} 2\n",
            "rusuden_rtp_commit_seconds_sum{shard=\"0\"} 0.0015\n",
        ] {
            assert!(text.contains(want), "{want} in {text}");
        }
        assert!(!text.contains("live_skipped_total{shard=\"1\"}"));
    }

    #[test]
    fn the_page_explains_every_counter() {
        let page = include_str!("../../METRICS.md");
        for (name, _, _) in CountersSnapshot::default().described() {
            assert!(page.contains(&format!("`{name}`")), "{name} is missing in METRICS.md");
        }
    }

    #[test]
    fn gauges_are_counters_that_exist() {
        let names: Vec<_> =
            CountersSnapshot::default().described().into_iter().map(|(name, ..)| name).collect();
        assert!(GAUGES.iter().chain(&COMMON).all(|name| names.contains(name)));
    }
}
