//! The service under test: the release binary beside this program, and what it uses.
//!
//! In: the order. Out: mailboxes to call, samples of memory, processor and descriptors once a
//! second, its own counters, and how many messages there are at the end.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusuden_benches::process;
use serde_json::{Value, json};

use crate::Order;
use crate::mix::Mix;
use crate::texts::Texts;

const MAILBOXES: usize = 50;
/// How long texts may take after the last call.
const SETTLING_MAX: Duration = Duration::from_mins(15);

pub(crate) struct Service {
    child: Child,
    http: String,
    metrics: String,
    key: String,
    pub(crate) sip: SocketAddr,
    /// Removed with the service.
    _data: tempfile::TempDir,
}

/// Mailboxes with their numbers.
pub(crate) struct Mailboxes(Vec<(String, String)>);

impl Mailboxes {
    pub(crate) fn numbers(&self) -> Vec<String> {
        self.0.iter().map(|(_, number)| number.clone()).collect()
    }
}

/// What is there when all is read.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) messages: usize,
    pub(crate) by_state: BTreeMap<String, usize>,
    pub(crate) took: Duration,
    /// `/metrics`, sums over labels.
    pub(crate) counters: BTreeMap<String, f64>,
}

/// One look at the processes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    pub(crate) seconds: f64,
    pub(crate) rss_mib: f64,
    pub(crate) readers_mib: f64,
    pub(crate) descriptors: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) readers_cpu_seconds: f64,
}

fn binary() -> PathBuf {
    let path = std::env::current_exe().unwrap().parent().unwrap().join("rusuden");
    assert!(path.is_file(), "{} is not built; run this by `make load-calls`", path.display());
    path
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Service {
    pub(crate) fn start(order: &Order) -> Self {
        let data = tempfile::tempdir().unwrap();
        let metrics = free_port();
        let config = data.path().join("load.toml");
        let settings = format!(
            "log = \"warn\"\n{}\n[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n\
             [sip]\ncalls_max = {}\ninvites_per_second = 1000000\nreceive_buffer_bytes = 8388608\n\
             [rtp]\ncalls_max = {}\n",
            order.settings, order.calls_max, order.calls_max
        );
        std::fs::write(&config, settings).unwrap();
        let key = make_key(data.path());
        let mut child = Command::new(binary())
            .args(["serve", "--announce", "--http", "127.0.0.1:0", "--sip", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data.path())
            .arg("--config")
            .arg(&config)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).expect("the service starts");
        let http = format!("http://{}", announced["http"].as_str().unwrap());
        let sip = announced["sip_udp"][0].as_str().unwrap().parse().unwrap();
        let metrics = format!("http://127.0.0.1:{metrics}/metrics");
        Self { child, http, metrics, key, sip, _data: data }
    }

    fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Value {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.http))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", kind);
        let mut response = ureq::run(request.body(body.to_vec()).unwrap()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) fn make_mailboxes(&self, mix: Mix) -> Mailboxes {
        let make = |index: usize| {
            let greeting = if mix.greets() { "default" } else { "none" };
            let number = format!("0508{index:07}");
            let body = json!({
                "number": format!("+81{}", &number[1..]), "greeting": greeting, "beep": mix.greets(),
            });
            let made =
                self.ask("POST", "/v1/mailboxes", "application/json", body.to_string().as_bytes());
            let id = made["id"].as_str().unwrap().to_owned();
            if mix == Mix::Greeting {
                let path = format!("/v1/mailboxes/{id}/greeting");
                self.ask("PUT", &path, "audio/wav", &long_greeting());
            }
            (id, number)
        };
        Mailboxes((0..MAILBOXES).map(make).collect())
    }

    /// Waits until there are as many messages as answered calls, all with their text.
    pub(crate) fn settle(&self, mailboxes: &Mailboxes, answered: usize) -> Settled {
        let start = Instant::now();
        loop {
            let by_state = self.states(mailboxes);
            let messages = by_state.values().sum();
            let waiting = by_state.get("sealed").copied().unwrap_or_default();
            let is_over = messages >= answered && waiting == 0;
            if is_over || start.elapsed() > SETTLING_MAX {
                let counters = self.counters();
                return Settled { messages, by_state, took: start.elapsed(), counters };
            }
            println!("{messages} messages, {waiting} of them without text yet.");
            std::thread::sleep(Duration::from_secs(3));
        }
    }

    fn states(&self, mailboxes: &Mailboxes) -> BTreeMap<String, usize> {
        let mut states = BTreeMap::new();
        for (id, _) in &mailboxes.0 {
            let mut cursor = String::new();
            loop {
                let path = format!("/v1/mailboxes/{id}/messages?limit=100{cursor}");
                let page = self.ask("GET", &path, "application/json", b"");
                for item in page["items"].as_array().into_iter().flatten() {
                    let state = item["state"].as_str().unwrap_or("?").to_owned();
                    *states.entry(state).or_default() += 1;
                }
                let Some(next) = page["next"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
        }
        states
    }

    fn counters(&self) -> BTreeMap<String, f64> {
        let text = ureq::get(&self.metrics).call().unwrap().body_mut().read_to_string().unwrap();
        let mut sums = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let name = name.split('{').next().unwrap_or(name);
            *sums.entry(name.to_owned()).or_default() += value.parse().unwrap_or(0.0);
        }
        sums
    }

    /// Calls that it refused.
    pub(crate) fn refused(&self) -> usize {
        self.counters().get("rusuden_sip_refused_total").map_or(0, |count| *count as usize)
    }

    /// Waits until no call is left, at most so long.
    pub(crate) fn wait_until_quiet(&self, limit: Duration) {
        let until = Instant::now() + limit;
        while self.counters().get("rusuden_sip_calls").is_some_and(|calls| *calls > 0.0)
            && Instant::now() < until
        {
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Watches texts being made.
    pub(crate) fn texts(&self) -> Texts {
        Texts::watch(&self.http, &self.key)
    }

    /// Looks at the processes once a second until told to finish.
    pub(crate) fn watch(&self) -> Watch {
        let over = Arc::new(AtomicBool::new(false));
        let (pid, until) = (self.child.id(), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            let mut looks = Vec::new();
            while !until.load(Ordering::Relaxed) {
                looks.push(look(pid, start));
                std::thread::sleep(Duration::from_secs(1));
            }
            looks.push(look(pid, start));
            looks
        });
        Watch { over, thread }
    }

    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended when it was asked to; this is for panics.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who looks.
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Look>>,
}

impl Watch {
    pub(crate) fn finish(self) -> Vec<Look> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn make_key(data: &Path) -> String {
    let made = Command::new(binary())
        .args(["key", "create", "--name", "load", "--data-dir"])
        .arg(data)
        .output()
        .unwrap();
    let text = String::from_utf8(made.stdout).unwrap();
    text.split_whitespace().find(|word| word.starts_with("rsk_")).expect("a key").to_owned()
}

fn look(pid: u32, start: Instant) -> Look {
    let pid = pid.to_string();
    let mib = |pid: &str| process::rss_bytes(pid) as f64 / f64::from(1 << 20);
    let readers = process::children(&pid);
    Look {
        seconds: start.elapsed().as_secs_f64(),
        rss_mib: mib(&pid),
        readers_mib: readers.iter().map(|reader| mib(reader)).sum(),
        descriptors: process::descriptors(&pid) as f64,
        cpu_seconds: process::cpu_seconds(&pid),
        readers_cpu_seconds: readers.iter().map(|reader| process::cpu_seconds(reader)).sum(),
    }
}

/// 28 s of a wavering tone as WAV: what is paced is its packets, not its sense.
fn long_greeting() -> Vec<u8> {
    const RATE: u32 = 8_000;
    let samples = (0..28 * RATE).map(|n| {
        let t = f64::from(n) / f64::from(RATE);
        let wave = (t * 440.0 * std::f64::consts::TAU).sin() * (t * 0.5).sin();
        (wave * 8_000.0) as i16
    });
    let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let mut wav = Vec::with_capacity(44 + data.len());
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + data.len() as u32).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend_from_slice(&RATE.to_le_bytes());
    wav.extend_from_slice(&(2 * RATE).to_le_bytes());
    wav.extend_from_slice(b"\x02\0\x10\0data");
    wav.extend_from_slice(&(data.len() as u32).to_le_bytes());
    wav.extend_from_slice(&data);
    wav
}
