//! Where logs go and which: sentences with fields on standard error.
//!
//! `RUST_LOG` changes the levels. rsipstack's own `info` and `debug` lines hold whole SIP
//! messages with callers' numbers; they stay off unless `RUST_LOG` names rsipstack itself.

use tracing_subscriber::EnvFilter;

/// Starts logging at this level for our own crates.
pub(crate) fn start(level: &str) {
    let asked = std::env::var("RUST_LOG").unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::try_new(format!("{},{asked}", ingress::sip::LOG_DIRECTIVES))
        .unwrap_or_else(|_| EnvFilter::new(ingress::sip::LOG_DIRECTIVES));
    // A second start (tests, demo) keeps the first: the error says only that.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
