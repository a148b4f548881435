//! What reaches a log while calls come and go: never a caller's number, never a message.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod house;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use house::{House, Sipp, config};
use ingress::sip::{SipServer, Transport};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Keeps everything that the server's filter lets through: ours whole, rsipstack's warnings.
struct Log(Arc<Mutex<String>>);

struct Words<'a>(&'a mut String);

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What `LOG_DIRECTIVES` says; everything else at its most talkative.
        !metadata.target().starts_with("rsipstack") || *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut log = self.0.lock().unwrap();
        event.record(&mut Words(&mut log));
        log.push('\n');
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_and_messages_never_reach_the_log() {
    let log = Arc::new(Mutex::new(String::new()));
    tracing::subscriber::set_global_default(Log(Arc::clone(&log))).unwrap();
    assert_eq!(ingress::sip::LOG_DIRECTIVES, "rsipstack=warn");
    let house = House::open(config()).await;
    let to = house.address(Transport::Udp);
    for scenario in
        ["basic.xml", "hold.xml", "no_codec.xml", "wrong_version.xml", "unknown_require.xml"]
    {
        Sipp::new(scenario, to).run().await;
    }
    Sipp::new("forwarded.xml", to).with(&["-s", "voicemail"]).run().await;
    Sipp::new("prefix.xml", to).with(&["-s", "00376805012345678"]).run().await;
    house.until_quiet().await;
    assert_eq!(house.server.counters().answered, 3);
    let log = log.lock().unwrap();
    assert!(log.contains("Answering a call."), "{log}");
    for private in ["9012345678", "312345678", "12345678@", "INVITE sip", "Via:", "v=0"] {
        assert!(!log.contains(private), "{private} in {log}");
    }
}
