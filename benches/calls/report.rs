//! The account of all calls, as text and as JSON, and whether it balances.

use std::collections::BTreeMap;
use std::path::Path;

use rusuden_benches::figures::{Samples, slope};
use rusuden_benches::plot::{self, Line, Panel};
use rusuden_benches::process::machine_load;
use serde_json::{Value, json};

use crate::Order;
use crate::callers::{Books, Fate};
use crate::media::Heard;
use crate::service::{Look, Settled};

/// Everything that was seen.
pub(crate) struct Report {
    pub(crate) order: Order,
    pub(crate) books: Books,
    pub(crate) heard: Heard,
    pub(crate) settled: Settled,
    pub(crate) texts: Samples,
    pub(crate) used: Vec<Look>,
}

impl Report {
    /// One of the service's counters; a number that equals none if it is not told.
    fn counter(&self, name: &str) -> f64 {
        self.settled.counters.get(name).copied().unwrap_or(f64::NAN)
    }

    fn calls(&self) -> Value {
        let mut refused: BTreeMap<String, usize> = BTreeMap::new();
        for fate in self.books.fates.iter().flatten() {
            if let Fate::Refused(status) = fate {
                *refused.entry(status.to_string()).or_default() += 1;
            }
        }
        json!({
            "offered": self.books.fates.len(),
            "answered": self.books.answered(),
            "refused": refused,
            "abandoned": self.books.count(|fate| fate == Fate::Abandoned),
            "never_heard_of": self.books.count(|fate| fate == Fate::Unheard),
            "ended_by_the_service": self.books.hung_up_on,
            "end_unconfirmed": self.books.unconfirmed,
            "most_at_once": self.books.peak,
            "answer_ms": self.books.answer_ms.json(),
            "refusal_ms": self.books.refusal_ms.json(),
        })
    }

    /// Each of these must be true of a good run.
    fn balance(&self) -> BTreeMap<&'static str, bool> {
        let answered = self.books.answered();
        let refused = self.books.count(|fate| matches!(fate, Fate::Refused(_)));
        let abandoned = self.books.count(|fate| fate == Fate::Abandoned);
        let counted = self.counter("rusuden_sip_answered_total");
        BTreeMap::from([
            (
                "offered = answered + refused + abandoned",
                self.books.fates.len() == answered + refused + abandoned,
            ),
            ("the service counts as many answers", counted as usize == answered),
            ("answered = messages", answered == self.settled.messages),
            (
                "no message failed or waits",
                ["sealed", "failed", "orphaned"]
                    .iter()
                    .all(|state| !self.settled.by_state.contains_key(*state)),
            ),
            ("the kernel dropped nothing", self.counter("rusuden_rtp_kernel_dropped_total") == 0.0),
            ("no packet was lost", self.counter("rusuden_rtp_lost_total") == 0.0),
            ("every end was confirmed", self.books.unconfirmed == 0),
            (
                "no call is left",
                self.counter("rusuden_rtp_calls") == 0.0
                    && self.counter("rusuden_sip_calls") == 0.0,
            ),
        ])
    }

    fn use_of_machine(&self) -> Value {
        let first = self.used.first().copied().unwrap_or_default();
        let last = self.used.last().copied().unwrap_or_default();
        let peak = |of: fn(&Look) -> f64| self.used.iter().map(of).fold(0.0, f64::max);
        // Warming up is no leak: the second half tells.
        let half = &self.used[self.used.len() / 2..];
        let points: Vec<_> = half.iter().map(|look| (look.seconds, look.rss_mib)).collect();
        let calls = self.books.answered().max(1) as f64;
        let placed = self.books.took.as_secs_f64().max(1.0);
        json!({
            "rss_mib": { "first": first.rss_mib, "peak": peak(|l| l.rss_mib), "last": last.rss_mib },
            "rss_slope_mib_per_minute_second_half": 60.0 * slope(&points),
            "readers_rss_mib": { "peak": peak(|l| l.readers_mib), "last": last.readers_mib },
            "descriptors": {
                "first": first.descriptors, "peak": peak(|l| l.descriptors), "last": last.descriptors,
            },
            "cpu_share": (last.cpu_seconds - first.cpu_seconds) / placed,
            "cpu_ms_per_answered_call": 1e3 * (last.cpu_seconds - first.cpu_seconds) / calls,
            "readers_cpu_ms_per_answered_call": 1e3 * (last.readers_cpu_seconds - first.readers_cpu_seconds) / calls,
        })
    }

    fn json(&self) -> Value {
        json!({
            "rate": self.order.rate,
            "seconds": self.order.seconds,
            "mix": format!("{:?}", self.order.mix).to_lowercase(),
            "calls_max": self.order.calls_max,
            "machine_load": machine_load(),
            "calls": self.calls(),
            "heard": {
                "packets": self.heard.received,
                "paced": self.heard.paced(),
                "within_1_ms": self.heard.within(1.0),
                "within_2_ms": self.heard.within(2.0),
                "within_5_ms": self.heard.within(5.0),
                "drift_ms": self.heard.drift.json(),
            },
            "said": {
                "packets": self.heard.sent,
                "not_taken": self.heard.unsent,
                "own_lateness_ms": self.heard.own_lateness.json(),
            },
            "messages": { "by_state": self.settled.by_state,
                "sealed_to_text_ms": self.texts.json(),
                "settled_after_s": self.settled.took.as_secs_f64() },
            "machine": self.use_of_machine(),
            "counters": self.settled.counters,
            "balance": self.balance(),
        })
    }

    fn plot(&self, path: &Path) {
        let over_time =
            |of: fn(&Look) -> f64| self.used.iter().map(move |look| (look.seconds, of(look)));
        let up = self.books.timeline.iter().map(|(seconds, _, up)| (*seconds, *up as f64));
        let memory = vec![
            Line::seen("service", over_time(|look| look.rss_mib)),
            Line::seen("readers", over_time(|look| look.readers_mib)),
        ];
        let processor = vec![
            Line::rate("service", over_time(|look| look.cpu_seconds)),
            Line::rate("readers", over_time(|look| look.readers_cpu_seconds)),
        ];
        let descriptors = vec![Line::seen("open", over_time(|look| look.descriptors))];
        let panels = [
            Panel { unit: "calls", lines: vec![Line::seen("calls up", up)] },
            Panel { unit: "MiB", lines: memory },
            Panel { unit: "cores", lines: processor },
            Panel { unit: "descriptors", lines: descriptors },
        ];
        let Order { rate, mix, .. } = &self.order;
        plot::write(path, &format!("{rate} calls a second, {mix:?}"), &panels).unwrap();
    }

    /// Prints it; whether all balances.
    pub(crate) fn print(&self) -> bool {
        let json = self.json();
        std::fs::write(&self.order.json, format!("{json:#}\n")).unwrap();
        for part in ["calls", "heard", "said", "messages", "machine"] {
            println!("{part}: {}", json[part]);
        }
        let balance = self.balance();
        for (sentence, holds) in &balance {
            println!("{} {sentence}", if *holds { "yes" } else { "NO " });
        }
        let svg = Path::new(&self.order.json).with_extension("svg");
        self.plot(&svg);
        println!("all of it as JSON: {}; over time: {}", self.order.json, svg.display());
        balance.values().all(|holds| *holds)
    }
}
