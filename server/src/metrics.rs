//! `/metrics` for Prometheus, on an address of its own: counters are for who runs the service.
//!
//! In: `[metrics] listen`. Out: the parts' counters as text. What each means stands in
//! `ingress/METRICS.md`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use ingress::rtp::{Shards, metrics};
use ingress::sip::SipCounters;
use tokio::net::TcpListener;
use tracing::info;

/// `[metrics]`.
#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MetricsConfig {
    /// Where `/metrics` is served; nowhere if not set.
    pub(crate) listen: Option<SocketAddr>,
}

/// Where the figures come from.
#[derive(Clone)]
pub(crate) struct Sources<S, R> {
    /// RTP and the journal.
    pub(crate) shards: Arc<Shards>,
    /// Calls.
    pub(crate) sip: S,
    /// Readers' processes that were lost.
    pub(crate) readers_lost: R,
}

/// Serves until the process ends. Does nothing without an address.
pub(crate) async fn serve<S, R>(
    config: &MetricsConfig,
    sources: Sources<S, R>,
) -> anyhow::Result<Option<tokio::task::JoinHandle<()>>>
where
    S: Fn() -> SipCounters + Clone + Send + Sync + 'static,
    R: Fn() -> u64 + Clone + Send + Sync + 'static,
{
    let Some(address) = config.listen else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("metrics cannot be served on {address}; choose a free one with [metrics] listen")
    })?;
    info!(address = %listener.local_addr()?, "Metrics are served at /metrics.");
    let page = get(move || {
        let mut text = metrics::prometheus(&sources.shards.counters());
        calls(&mut text, &(sources.sip)());
        engine(&mut text, (sources.readers_lost)());
        async move { ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text) }
    });
    let router = Router::new().route("/metrics", page);
    Ok(Some(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "Metrics have ended.");
        }
    })))
}

/// What became of the calls offered.
fn calls(text: &mut String, counters: &SipCounters) {
    let mut line = |name: &str, kind: &str, labels: &str, value: u64| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name}{labels} {value}");
    };
    line("rusuden_sip_offered_total", "counter", "", counters.offered);
    line("rusuden_sip_answered_total", "counter", "", counters.answered);
    line("rusuden_sip_abandoned_total", "counter", "", counters.abandoned);
    line("rusuden_sip_unacknowledged_total", "counter", "", counters.unacknowledged);
    line("rusuden_sip_oversize_total", "counter", "", counters.oversize);
    line("rusuden_sip_connections_closed_total", "counter", "", counters.connections_closed);
    line("rusuden_sip_calls", "gauge", "", counters.calls as u64);
    let _ = writeln!(text, "# TYPE rusuden_sip_refused_total counter");
    for (reason, count) in &counters.refused {
        let _ = writeln!(text, "rusuden_sip_refused_total{{reason=\"{reason}\"}} {count}");
    }
}

/// How the engine does.
fn engine(text: &mut String, readers_lost: u64) {
    // Writing to a String cannot fail.
    let name = "rusuden_engine_readers_lost_total";
    let _ = writeln!(text, "# TYPE {name} counter\n{name} {readers_lost}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_by_reason() {
        let mut counters = SipCounters { offered: 3, ..SipCounters::default() };
        counters.refused.insert("full", 2);
        let mut text = String::new();
        calls(&mut text, &counters);
        assert!(text.contains("rusuden_sip_offered_total 3\n"));
        assert!(text.contains("rusuden_sip_refused_total{reason=\"full\"} 2\n"));
    }
}
