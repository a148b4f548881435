//! `rusuden reader`: a model in a process of its own, for the service that started it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Reads until the service closes the line. Signals that may be sent to all processes of a service
/// at once are for the service alone: it still has callers to read for.
pub(crate) fn run() -> anyhow::Result<()> {
    let noted = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&noted))?;
    }
    engine_media::reader::serve()
        .context("this command is started by `rusuden serve`, with a line to it")
}
