//! Events as a watcher gets them.

use control_plane::Scope;
use engine_core::caller::Caller;
use engine_core::event::{MessageEvent, MessageState, PartialText};
use engine_core::id::{MailboxId, RecordingId};
use engine_core::private::Private;
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
        Self::open_with(centre, query, last, &centre.key).await
    }

    async fn open_with(centre: &Centre, query: &str, last: Option<&str>, key: &str) -> Self {
        let mut request = centre.with(key).request("GET", &format!("/v1/events{query}"));
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
    let wanted = ["ringing", "greeting", "recording", "sealed", "transcribed", "text", "notified"];
    for state in wanted {
        let (_, name, data) = watcher.next().await.unwrap();
        if state == "text" {
            assert_eq!((name.as_str(), &data["final"]), ("text", &true.into()));
            assert_eq!(data["text"], "明日の会議は十時からです。");
            continue;
        }
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

#[tokio::test]
async fn texts_are_told_while_callers_speak_to_keys_that_may_read_messages() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let (steps, sink) = (centre.plane.events(), centre.plane.partials());
    let mut reader = Watcher::open(&centre, "", None).await;
    let (_, only_events) =
        centre.plane.keys().create_key("watcher", &[Scope::EventsRead]).await.unwrap();
    let mut watcher = Watcher::open_with(&centre, "", None, &only_events).await;
    steps.emit(step(mailbox, 1, MessageState::Recording));
    for text in ["明日", "明日の会議は"] {
        sink.partial(PartialText {
            recording: RecordingId::from_u128(1),
            mailbox,
            text: Private::new(text.to_owned()),
            read_ms: 1_000,
        });
    }
    let (seen, ..) = reader.next().await.unwrap();
    for text in ["明日", "明日の会議は"] {
        let (id, name, data) = reader.next().await.unwrap();
        assert_eq!((id.as_str(), name.as_str()), ("", "text"));
        assert_eq!((&data["text"], &data["final"]), (&text.into(), &false.into()));
        assert_eq!(data["read_ms"], 1_000);
    }
    steps.emit(step(mailbox, 2, MessageState::Ringing));
    assert_eq!(watcher.next().await.unwrap().1, "recording");
    assert_eq!(watcher.next().await.unwrap().1, "ringing", "no text for who may not read it");
    // Who comes back is not told texts again: they are kept nowhere.
    let mut back = Watcher::open(&centre, "", Some(&seen)).await;
    assert_eq!(back.next().await.unwrap().1, "ringing");
    centre.stop().await;
}
