//! Where logs go and which: sentences with fields on standard error.
//!
//! `RUST_LOG` changes the levels, but for one: what rsipstack says below `warn` holds whole SIP
//! messages with callers' numbers, and is never printed.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// symphonia complains of every upload that is no sound; the client is told in the answer.
const QUIET: &str = "symphonia_core=off,symphonia=off";

/// Starts logging at this level for our own crates.
pub(crate) fn start(level: &str) {
    let asked = std::env::var("RUST_LOG").unwrap_or_else(|_| level.to_owned());
    let ours = ingress::sip::LOG_DIRECTIVES;
    let filter = EnvFilter::try_new(format!("{asked},{ours},{QUIET}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{level},{ours},{QUIET}")));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_filter(filter)
        .with_filter(filter_fn(may_be_printed));
    // A second start (tests, demo) keeps the first: the error says only that.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

/// False for lines that hold SIP messages.
fn may_be_printed(line: &Metadata<'_>) -> bool {
    !line.target().starts_with("rsipstack") || *line.level() <= Level::WARN
}
