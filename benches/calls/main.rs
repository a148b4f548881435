//! The call kit: callers by the thousand against the whole service, and an account of every call.
//!
//! In: a rate, a duration, a mix of callers, the service's limit. Out: a report as text, and as
//! JSON in a file: what became of each call, how long answers and refusals took, how evenly the
//! greetings were paced, what the service used, and whether the books balance. The service is the
//! release binary in a process of its own, on loopback; bounded in calls and time.
#![allow(clippy::unwrap_used, reason = "a load test that cannot be set up must end")]
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

mod callers;
mod figures;
mod media;
mod mix;
mod report;
mod service;
mod sip;
mod sipp;
mod texts;

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
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// Calls a second.
    pub(crate) rate: f64,
    /// How long calls are placed.
    pub(crate) seconds: f64,
    pub(crate) mix: Mix,
    /// `[sip] calls_max` of the service.
    pub(crate) calls_max: usize,
    /// Further settings of the service, as TOML.
    pub(crate) settings: String,
    /// Whether SIPp calls, and not we.
    pub(crate) sipp: bool,
    pub(crate) json: String,
}

impl Order {
    fn read() -> Self {
        let mut order = Self {
            rate: 10.0,
            seconds: 30.0,
            mix: Mix::Busy,
            calls_max: 5_000,
            settings: String::new(),
            sipp: false,
            json: "calls.json".into(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
            match name.as_str() {
                "--rate" => order.rate = value.parse().expect("--rate is a number"),
                "--seconds" => order.seconds = value.parse().expect("--seconds is a number"),
                "--mix" => order.mix = Mix::from_name(&value),
                "--calls-max" => order.calls_max = value.parse().expect("--calls-max is a number"),
                "--settings" => order.settings = value,
                "--callers" => order.sipp = value == "sipp",
                "--json" => order.json = value,
                _ => panic!(
                    "{name} is not known: --rate --seconds --mix --calls-max --settings --callers --json"
                ),
            }
        }
        assert!(order.rate > 0.0 && order.seconds > 0.0, "--rate and --seconds are above 0");
        assert!(order.rate * order.seconds <= CALLS_MAX, "at most {CALLS_MAX} calls");
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
    let books = if order.sipp {
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
