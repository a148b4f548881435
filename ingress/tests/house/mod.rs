//! A house for the SIP server to stand in: a directory with three numbers, a media plane that
//! writes down what it is told, and SIPp as the caller.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use engine_core::call::CallPlan;
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::directory::{Directory, DirectoryError, Lookup, Mailbox, Screening};
use engine_core::event::{EventSink, MessageEvent, MessageState};
use engine_core::id::{CallId, MailboxId};
use engine_core::sound::{Frames, SoundBank, SoundError, SoundId};
use engine_core::text::{Language, LanguageChoice};
use ingress::media::{
    AdmissionError, MediaNotice, MediaPlane, RemoteChange, Reservation, Reserving,
};
use ingress::sip::{SipConfig, SipDeps, SipHandle, SipServer, Transport, serve};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// The mailbox number that exists.
pub(crate) const NUMBER: &str = "05012345678";
/// A caller whom the owner of [`NUMBER`] blocked.
pub(crate) const BLOCKED: &str = "+819099990000";
/// A number whose lookup never ends.
pub(crate) const SLOW: &str = "05000000001";
/// A number whose lookup fails.
pub(crate) const BROKEN: &str = "05000000002";
/// Longer than anything here takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the media plane was told.
#[derive(Debug, Clone)]
pub(crate) enum Did {
    Reserve(IpAddr),
    Answer(CallId, Box<CallPlan>),
    Connected(CallId),
    Remote(CallId, RemoteChange),
    HangUp(CallId),
    Drain,
}

/// A media plane that opens no ports and keeps a record.
pub(crate) struct Records {
    log: watch::Sender<Vec<Did>>,
    next: AtomicU64,
    pub(crate) refuse: Mutex<Option<AdmissionError>>,
    /// Where the next calls receive RTP, instead of a port that nobody listens on.
    pub(crate) rtp: Mutex<Option<SocketAddr>>,
}

impl Records {
    fn did(&self, did: Did) {
        // The newest only: a test that watches memory must not grow by its own notes.
        self.log.send_modify(|log| {
            log.push(did);
            if log.len() > 2_000 {
                log.drain(..1_000);
            }
        });
    }

    /// Everything so far.
    pub(crate) fn log(&self) -> Vec<Did> {
        self.log.borrow().clone()
    }

    /// Waits until the record satisfies `wanted`.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&[Did]) -> bool) -> Vec<Did> {
        let mut log = self.log.subscribe();
        let found = timeout(PATIENCE, log.wait_for(|log| wanted(log))).await;
        let Ok(log) = found else { panic!("never: {what}; {:?}", self.log()) };
        log.expect("the record lives as long as the test").clone()
    }

    /// The plans of all answered calls.
    pub(crate) fn plans(&self) -> Vec<CallPlan> {
        let plan = |did: &Did| match did {
            Did::Answer(_, plan) => Some((**plan).clone()),
            _ => None,
        };
        self.log().iter().filter_map(plan).collect()
    }

    pub(crate) fn remotes(&self) -> Vec<RemoteChange> {
        let change = |did: &Did| match did {
            Did::Remote(_, change) => Some(*change),
            _ => None,
        };
        self.log().iter().filter_map(change).collect()
    }
}

impl MediaPlane for Records {
    fn reserve(&self, local: IpAddr) -> Reserving<'_> {
        Box::pin(async move {
            self.did(Did::Reserve(local));
            if let Some(error) = self.refuse.lock().unwrap().clone() {
                return Err(error);
            }
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let port = 40_000 + 2 * (number % 5_000) as u16;
            let call = CallId { shard: 0, number };
            let local_rtp = *self.rtp.lock().unwrap();
            let local_rtp = local_rtp.unwrap_or_else(|| SocketAddr::new(local, port));
            Ok(Reservation { call, local_rtp })
        })
    }

    fn answer(&self, call: CallId, plan: CallPlan) {
        self.did(Did::Answer(call, Box::new(plan)));
    }

    fn connected(&self, call: CallId) {
        self.did(Did::Connected(call));
    }

    fn remote(&self, call: CallId, change: RemoteChange) {
        self.did(Did::Remote(call, change));
    }

    fn hang_up(&self, call: CallId) {
        self.did(Did::HangUp(call));
    }

    fn drain(&self, _limit: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move { self.did(Did::Drain) })
    }
}

struct Numbers;

impl Directory for Numbers {
    fn mailbox<'a>(&'a self, number: &'a str) -> Lookup<'a> {
        Box::pin(async move {
            match number {
                "+815012345678" => Ok(Some(Mailbox {
                    id: MailboxId::from_u128(7),
                    number: number.to_owned(),
                    language: LanguageChoice::Fixed(Language::Japanese),
                    greeting: SoundId::OwnGreeting(MailboxId::from_u128(7)),
                    beep: true,
                    quiet_limit: Some(Duration::from_secs(10)),
                    recording_limit: Duration::from_mins(1),
                })),
                "+815000000001" => std::future::pending().await,
                "+815000000002" => Err(DirectoryError { why: "the test says so".to_owned() }),
                _ => Ok(None),
            }
        })
    }

    fn refuses<'a>(&'a self, mailbox: MailboxId, caller: &'a Caller) -> Screening<'a> {
        Box::pin(async move {
            match caller.number() {
                Some(BLOCKED) => Ok(mailbox.as_u128() == 7),
                Some("+819000000002") => Err(DirectoryError { why: "the test says so".to_owned() }),
                Some(_) => Ok(false),
                None => Ok(matches!(caller, Caller::Withheld)),
            }
        })
    }
}

/// Has every sound but own greetings, 20 ms each.
struct Sounds(Arc<Mutex<()>>);

impl SoundBank for Sounds {
    fn frames(&self, sound: SoundId, codec: Codec) -> Option<Arc<Frames>> {
        let _held = self.0.lock().unwrap();
        (!matches!(sound, SoundId::OwnGreeting(_) | SoundId::Silence))
            .then(|| Arc::new(Frames { codec, payloads: vec![Bytes::from_static(&[0; 160])] }))
    }

    fn read_greeting(&self, _file: &[u8]) -> Result<Bytes, SoundError> {
        Err(SoundError::Empty)
    }

    fn put(&self, _sound: SoundId, _wav: &[u8]) -> Result<(), SoundError> {
        Err(SoundError::Empty)
    }

    fn remove(&self, _sound: SoundId) {}
}

#[derive(Default)]
pub(crate) struct Events(Mutex<Vec<MessageEvent>>);

impl Events {
    pub(crate) fn states(&self) -> Vec<MessageState> {
        self.0.lock().unwrap().iter().map(|event| event.state).collect()
    }
}

impl EventSink for Events {
    fn emit(&self, event: MessageEvent) {
        self.0.lock().unwrap().push(event);
    }
}

/// A running server with everything that it talks to.
pub(crate) struct House {
    pub(crate) server: SipHandle,
    pub(crate) media: Arc<Records>,
    pub(crate) events: Arc<Events>,
    pub(crate) notices: mpsc::UnboundedSender<MediaNotice>,
    /// Sounds are not ready while this is held.
    pub(crate) sounds: Arc<Mutex<()>>,
}

/// A configuration on free loopback ports.
pub(crate) fn config() -> SipConfig {
    SipConfig {
        udp: vec!["127.0.0.1:0".parse().unwrap()],
        tcp: vec!["127.0.0.1:0".parse().unwrap()],
        ..SipConfig::default()
    }
}

impl House {
    pub(crate) async fn open(config: SipConfig) -> Self {
        let media = Arc::new(Records {
            log: watch::Sender::new(Vec::new()),
            next: AtomicU64::new(1),
            refuse: Mutex::new(None),
            rtp: Mutex::new(None),
        });
        let events = Arc::new(Events::default());
        let sounds = Arc::new(Mutex::new(()));
        let (notices, receiver) = mpsc::unbounded_channel();
        let deps = SipDeps {
            media: Arc::clone(&media) as Arc<dyn MediaPlane>,
            notices: receiver,
            directory: Arc::new(Numbers),
            sounds: Arc::new(Sounds(Arc::clone(&sounds))),
            events: Arc::clone(&events) as Arc<dyn EventSink>,
        };
        let server = serve(config, deps).await.unwrap();
        Self { server, media, events, notices, sounds }
    }

    pub(crate) fn address(&self, transport: Transport) -> SocketAddr {
        let of = |local: &&ingress::sip::LocalAddress| local.transport == transport;
        self.server.local_addresses().iter().find(of).unwrap().address
    }

    /// Waits until no call is up.
    pub(crate) async fn until_quiet(&self) {
        let waiting = async {
            while self.server.counters().calls > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("calls end");
    }
}

/// A SIPp run.
pub(crate) struct Sipp {
    scenario: &'static str,
    to: SocketAddr,
    arguments: Vec<String>,
}

impl Sipp {
    pub(crate) fn new(scenario: &'static str, to: SocketAddr) -> Self {
        Self { scenario, to, arguments: Vec::new() }.with(&["-s", NUMBER])
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&a| a.to_owned()));
        self
    }

    /// Runs to the end; panics with SIPp's own words when a call fails.
    pub(crate) async fn run(self) {
        let folder = tempfile::tempdir().unwrap();
        let scenarios = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/sipp");
        let scenario = scenarios.join(self.scenario).canonicalize().unwrap();
        let local = if self.to.is_ipv4() { "127.0.0.1" } else { "[::1]" };
        // SIPp takes the last of an option that stands twice.
        let output = tokio::process::Command::new("sipp")
            .arg(self.to.to_string())
            .arg("-sf")
            .arg(scenario)
            .args(["-i", local, "-m", "1", "-nostdin", "-timeout", "40s", "-timeout_error"])
            .args(["-recv_timeout", "20000", "-trace_err", "-error_file", "errors.log"])
            .args(&self.arguments)
            .env("TERM", "dumb")
            .current_dir(folder.path())
            .kill_on_drop(true)
            .output()
            .await
            .expect("sipp is installed (apt-get install sip-tester)");
        if !output.status.success() {
            let errors = std::fs::read_to_string(folder.path().join("errors.log"));
            panic!(
                "{} failed: {:?}\n{}\n{}",
                self.scenario,
                output.status,
                errors.unwrap_or_default(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

/// A caller by hand: raw datagrams.
pub(crate) struct Wire {
    pub(crate) socket: UdpSocket,
    pub(crate) to: SocketAddr,
}

impl Wire {
    pub(crate) fn new(to: SocketAddr) -> Self {
        let local = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(local).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Self { socket, to }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn send(&self, message: &[u8]) {
        self.socket.send_to(message, self.to).unwrap();
    }

    /// The next message whose text holds `marker`.
    pub(crate) fn receive(&self, marker: &str) -> String {
        self.receive_or(marker, || {})
    }

    /// The same; calls `again` each time that it was quiet for a tenth of a second.
    fn receive_or(&self, marker: &str, again: impl Fn()) -> String {
        let mut buffer = vec![0; 65_536];
        let start = std::time::Instant::now();
        while start.elapsed() < PATIENCE {
            let Ok(octets) = self.socket.recv(&mut buffer) else {
                again();
                continue;
            };
            let text = String::from_utf8_lossy(&buffer[..octets]).into_owned();
            if text.contains(marker) {
                return text;
            }
        }
        panic!("nothing came with {marker:?}");
    }

    /// Sends OPTIONS and waits for its 200: the server is alive and has read what came before.
    pub(crate) fn ping(&self, number: usize) {
        let id = format!("ping-{number}@test");
        let local = self.local();
        let message = format!(
            "OPTIONS sip:ping@{} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bKping{number}\r\nFrom: <sip:ping@test>;tag=p{number}\r\nTo: <sip:ping@test>\r\nCall-ID: {id}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            self.to
        );
        self.send(message.as_bytes());
        // Datagrams get lost when a socket's buffer is full; senders repeat (RFC 3261 §17.1.2).
        let answer = self.receive_or(&id, || self.send(message.as_bytes()));
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    }
}

/// The status of a response.
pub(crate) fn status(response: &str) -> u16 {
    response.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// What a plain phone offers.
pub(crate) const SDP: &str = "v=0\r\no=u 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n";

/// A sound INVITE to `number` as `local` would send it.
pub(crate) fn invite(local: SocketAddr, number: &str, id: &str) -> String {
    format!(
        "INVITE sip:{number}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{id}\r\nFrom: <sip:+819012345678@127.0.0.1>;tag=f{id}\r\nTo: <sip:{number}@127.0.0.1>\r\nCall-ID: {id}@test\r\nCSeq: 1 INVITE\r\nContact: <sip:c@{local}>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
        SDP.len()
    )
}

/// The final response to `id`.
pub(crate) fn answer(wire: &Wire, id: &str) -> String {
    loop {
        let answer = wire.receive(&format!("{id}@test"));
        if status(&answer) >= 200 {
            return answer;
        }
    }
}

/// Its status.
pub(crate) fn outcome(wire: &Wire, id: &str) -> u16 {
    status(&answer(wire, id))
}
