//! The demo as a REST client: requests, and the event stream as progress on the terminal.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

/// A REST client with its key.
#[derive(Clone)]
pub(crate) struct Client {
    base: String,
    key: String,
}

impl Client {
    pub(crate) fn new(base: &str, key: &str) -> Self {
        Self { base: base.to_owned(), key: key.to_owned() }
    }

    pub(crate) async fn get(self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base);
        tokio::task::spawn_blocking(move || {
            let answer = ureq::get(&url).header("authorization", bearer(&self.key)).call();
            let mut answer = answer.with_context(|| format!("{url} did not answer"))?;
            Ok(serde_json::from_str(&answer.body_mut().read_to_string()?)?)
        })
        .await?
    }

    pub(crate) async fn post(self, path: &str, body: Value) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base);
        tokio::task::spawn_blocking(move || {
            let answer = ureq::post(&url)
                .header("authorization", bearer(&self.key))
                .header("content-type", "application/json")
                .send(body.to_string());
            let mut answer = answer.with_context(|| format!("{url} refused"))?;
            Ok(serde_json::from_str(&answer.body_mut().read_to_string()?)?)
        })
        .await?
    }
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

/// Follows the events of one mailbox and prints them as they come.
pub(crate) struct Watcher {
    steps: Receiver<(String, Instant)>,
}

impl Watcher {
    /// Connects, so that nothing that happens afterwards is missed.
    pub(crate) fn start(base: &str, key: &str, mailbox: &str) -> anyhow::Result<Self> {
        let answer = ureq::get(format!("{base}/v1/events?mailbox={mailbox}"))
            .header("authorization", bearer(key))
            .call()
            .context("the event stream cannot be opened")?;
        let (steps_in, steps) = channel();
        let reader = BufReader::new(answer.into_body().into_reader());
        thread::Builder::new().name("events".to_owned()).spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let Some(data) = line.strip_prefix("data:") else { continue };
                let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
                if let Some(text) = event["text"].as_str() {
                    print_text(text);
                    continue;
                }
                let state = event["state"].as_str().unwrap_or_default().to_owned();
                print_step(&state, event["recorded_ms"].as_u64().unwrap_or(0));
                if steps_in.send((state, Instant::now())).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { steps })
    }

    /// Waits for this step; gives the moment at which it was seen.
    pub(crate) fn wait_for(&self, wanted: &str, limit: Duration) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + limit;
        tokio::task::block_in_place(|| {
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                match self.steps.recv_timeout(left) {
                    Ok((state, at)) if state == wanted => return Ok(at),
                    Ok(_) => {}
                    Err(RecvTimeoutError::Timeout) => {
                        anyhow::bail!("the message was not {wanted} within {limit:?}")
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        anyhow::bail!("the event stream broke before the message was {wanted}")
                    }
                }
            }
        })
    }
}

#[expect(clippy::print_stdout, reason = "the demo talks to the person at the terminal")]
fn print_step(state: &str, recorded_ms: u64) {
    let seconds = recorded_ms as f64 / 1_000.0;
    match state {
        "ringing" => println!("  ☎  ringing"),
        "greeting" => println!("  ♪  the caller hears the greeting and the beep"),
        "recording" => println!("  ●  recording {seconds:4.1} s"),
        "sealed" => println!("  ■  hung up, the recording is on disk; transcribing"),
        "transcribed" => println!("  ✎  text is there"),
        "notified" => println!("  ✉  the subscriber has been told"),
        other => println!("  ·  {other}"),
    }
}

/// What is read so far, while the caller still speaks.
#[expect(clippy::print_stdout, reason = "the demo talks to the person at the terminal")]
fn print_text(text: &str) {
    println!("  …  {text}");
}
