//! The call kit: callers by the thousand against the whole service, and an account of every call.
//!
//! In: a rate, a duration, a mix of callers, the service's limit. Out: a report as text, and as
//! JSON in a file: what became of each call, how long answers and refusals took, how evenly the
//! greetings were paced, what the service used, and whether the books balance. The service is the
//! release binary in a process of its own, on loopback; bounded in calls and time.
#![allow(clippy::unwrap_used, reason = "a load test that cannot be set up must end")]
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

mod callers;
mod media;
mod mix;
mod report;
mod service;
mod sip;
mod sipp;
mod texts;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use crate::callers::Callers;
use crate::media::Media;
use crate::mix::Mix;
use crate::report::Report;
use crate::service::Service;

/// The service's own allocator: a generator that allocates slowly saturates first.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CALLS_MAX: f64 = 200_000.0;

/// What is asked for.
#[derive(Debug, Clone, clap::Parser)]
#[command(about = "Callers against the whole service; every call is accounted for.")]
pub(crate) struct Order {
    /// Calls a second.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) rate: f64,
    /// How long calls are placed.
    #[arg(long, default_value_t = 30.0)]
    pub(crate) seconds: f64,
    /// Which callers.
    #[arg(long, value_enum, default_value_t = Mix::Busy)]
    pub(crate) mix: Mix,
    /// `[sip] calls_max` and `[rtp] calls_max` of the service.
    #[arg(long, default_value_t = 5_000)]
    pub(crate) calls_max: usize,
    /// Further settings of the service, as TOML.
    #[arg(long, default_value = "")]
    pub(crate) settings: String,
    /// Who calls.
    #[arg(long, value_enum, default_value_t = Who::Own)]
    pub(crate) callers: Who,
    /// Where the report is written; the plot lies beside it, ending with .svg.
    #[arg(long, default_value = "calls.json")]
    pub(crate) json: String,
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Who {
    /// Callers of our own, by the thousand.
    Own,
    /// SIPp, a peer that others know.
    Sipp,
}

impl Order {
    fn read() -> Self {
        let order = Self::parse();
        let calls = order.rate * order.seconds;
        if order.rate <= 0.0 || order.seconds <= 0.0 || calls.is_nan() || calls > CALLS_MAX {
            let text = format!(
                "{calls} calls cannot be placed: set --rate and --seconds above 0, and so that \
                 their product is at most {CALLS_MAX}"
            );
            Self::command().error(ErrorKind::ValueValidation, text).exit();
        }
        order
    }
}

fn main() {
    let order = Order::read();
    let service = Service::start(&order);
    let mailboxes = service.make_mailboxes(order.mix);
    let media = Media::start();
    let watch = service.watch();
    let texts = service.texts();
    println!("{} calls a second for {} s, {:?}.", order.rate, order.seconds, order.mix);
    let numbers = mailboxes.numbers();
    let books = if order.callers == Who::Sipp {
        sipp::run(&order, &service, &numbers)
    } else {
        Callers::new(&order, service.sip, &media, numbers).run()
    };
    let used = watch.finish();
    let heard = media.finish();
    let settled = service.settle(&mailboxes, books.answered());
    let texts = texts.samples();
    let report = Report { order, books, heard, settled, texts, used };
    let balanced = report.print();
    service.stop();
    // Whoever runs it in a script learns by the status.
    if !balanced {
        std::process::exit(1);
    }
}
