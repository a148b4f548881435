//! Events as a watcher gets them.

use engine_core::caller::Caller;
use engine_core::event::{MessageEvent, MessageState};
use engine_core::id::{MailboxId, RecordingId};
use engine_core::time::WallTime;
use serde_json::Value;

use crate::support::{Centre, arrival};

/// Reads a stream of server-sent events.
struct Watcher {
    response: reqwest::Response,
    buffer: String,
}

impl Watcher {
    async fn open(centre: &Centre, query: &str, last: Option<&str>) -> Self {
        let mut request = centre.request("GET", &format!("/v1/events{query}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new() }
    }

    /// The next event: id, name, data. `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        loop {
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name));
                    line.map(|value| value.trim().to_owned())
                };
                let found = field("event:").map(|name| {
                    let data = serde_json::from_str(&field("data:").unwrap()).unwrap();
                    (field("id:").unwrap_or_default(), name, data)
                });
                let consumed = self.buffer.len() - rest.len();
                self.buffer.drain(..consumed);
                if found.is_some() {
                    return found;
                }
            }
            let more = self.response.chunk().await.unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&more).unwrap());
        }
    }
}

fn step(mailbox: MailboxId, recording: u128, state: MessageState) -> MessageEvent {
    let recording = RecordingId::from_u128(recording);
    MessageEvent { recording, mailbox, state, at: WallTime::from_unix_millis(0), recorded_ms: 40 }
}

#[tokio::test]
async fn a_watcher_sees_a_call_become_a_message() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &["a@example.jp"]).await;
    let other = centre.mailbox("+815087654321", &[]).await;
    let mut watcher = Watcher::open(&centre, &format!("?mailbox={mailbox}"), None).await;
    let sink = centre.plane.events();
    let call = [MessageState::Ringing, MessageState::Greeting, MessageState::Recording];
    for state in call {
        sink.emit(step(other, 2, state));
        sink.emit(step(mailbox, 1, state));
    }
    sink.emit(step(mailbox, 1, MessageState::Sealed));
    centre.arrive(&arrival(1, mailbox, Caller::Withheld)).await;
    let wanted = ["ringing", "greeting", "recording", "sealed", "transcribed", "notified"];
    for state in wanted {
        let (_, name, data) = watcher.next().await.unwrap();
        assert_eq!((name.as_str(), &data["state"]), (state, &state.into()));
        assert_eq!(data["mailbox"], mailbox.to_string());
        if state == "sealed" {
            let message = data["message"].as_str().unwrap();
            let (status, _) = centre.get(&format!("/v1/messages/{message}")).await;
            assert_eq!(status, 200, "who is told can fetch");
        }
    }
    centre.stop().await;
    assert_eq!(watcher.next().await, None, "a stop ends the stream");
}

#[tokio::test]
async fn a_watcher_who_comes_back_is_told_what_it_missed() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let sink = centre.plane.events();
    let mut watcher = Watcher::open(&centre, "", None).await;
    sink.emit(step(mailbox, 1, MessageState::Ringing));
    let (seen, ..) = watcher.next().await.unwrap();
    drop(watcher);
    sink.emit(step(mailbox, 1, MessageState::Greeting));
    let mut back = Watcher::open(&centre, "", Some(&seen)).await;
    assert_eq!(back.next().await.unwrap().1, "greeting");
    // An id of another process: everything that this one kept.
    let mut stranger = Watcher::open(&centre, "", Some("0-99")).await;
    assert_eq!(stranger.next().await.unwrap().1, "ringing");
    assert_eq!(stranger.next().await.unwrap().1, "greeting");
    centre.stop().await;
}
