//! `rusuden`: configuration and wiring, nothing else. Every subcommand reads its settings, makes
//! the queues, starts the parts that it needs and waits for them.

mod audit;
mod call;
mod cli;
mod config;
mod demo;
mod demo_client;
mod embedded;
mod key;
mod log;
mod metrics;
mod output;
mod reader;
mod receipt;
mod serve;
mod transcribe;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator touches a little of many places: in pages of 2 MiB a service with 60 calls was
    // 240 MB instead of 70, and ingest was no faster for it (benches/README.md). A kernel without
    // the setting goes on as it is.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let cli = cli::Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::say_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: cli::Cli) -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("TLS could not be set up: a provider is installed already"))?;
    match cli.command {
        cli::Command::Serve(arguments) => serve::run(&arguments),
        cli::Command::Demo(arguments) => demo::run(&arguments),
        cli::Command::Transcribe(arguments) => transcribe::run(&arguments),
        cli::Command::Call(arguments) => call::run(&arguments),
        cli::Command::CheckConfig(arguments) => config::check(&arguments),
        cli::Command::Key(arguments) => key::run(&arguments),
        cli::Command::Receipt(arguments) => receipt::run(&arguments),
        cli::Command::Audit(arguments) => audit::run(&arguments),
        cli::Command::Reader => reader::run(),
    }
}
