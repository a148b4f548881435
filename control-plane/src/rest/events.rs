//! Server-sent events: every step of calls and messages, as it happens.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use engine_core::event::PartialText;
use engine_core::id::MailboxId;
use futures::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use utoipa::{IntoParams, ToSchema};

use super::auth::{EventsRead, May};
use super::extract::QueryOf;
use super::problem::{Kind, Problem};
use crate::events::{Numbered, Told};
use crate::keys::Scope;
use crate::limits::EVENTS_KEEP_ALIVE;
use crate::plane::ControlPlane;
use crate::wording::time_utc;

/// How soon a client should come back when the line breaks.
const RETRY: Duration = Duration::from_secs(2);

/// Whose events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Only this mailbox's.
    #[param(format = Uuid)]
    mailbox: Option<String>,
}

/// The data of an event; its name is `state`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView {
    /// The message.
    #[schema(format = Uuid)]
    message: String,
    /// Its mailbox.
    #[schema(format = Uuid)]
    mailbox: String,
    /// `ringing`, `greeting`, `recording`, `sealed`, `transcribed`, `notified`, `abandoned`.
    #[schema(example = "transcribed")]
    state: &'static str,
    /// When. RFC 3339, UTC.
    #[schema(format = DateTime)]
    at: String,
    /// Milliseconds recorded so far.
    recorded_ms: u64,
}

/// The data of an event named `text`: what is read of a message so far. A later one replaces it,
/// the final one replaces all. It is told to keys that may read messages, too, and never again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TextEvent)]
pub(crate) struct TextEventView<'a> {
    /// The message.
    #[schema(format = Uuid)]
    message: String,
    /// Its mailbox.
    #[schema(format = Uuid)]
    mailbox: String,
    /// All that was read so far.
    text: &'a str,
    /// Milliseconds that were read so far.
    read_ms: u64,
    /// Whether the text is stored and stays.
    #[serde(rename = "final")]
    is_final: bool,
}

/// Streams events. `sealed` and later ones come once the message can be fetched. A client that
/// comes back with `Last-Event-ID` is told what it missed, as far as it is kept. A key with
/// `messages:read` is told texts, too, while callers speak: events named `text`.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(EventsQuery, ("Last-Event-ID" = Option<String>, Header,
        description = "Id of the last event that was seen")),
    responses((status = 200, body = EventView, content_type = "text/event-stream")),
    security(("key" = ["events:read"])))]
pub(crate) async fn watch(
    may: May<EventsRead>,
    State(plane): State<ControlPlane>,
    QueryOf(query): QueryOf<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let mailbox: Option<MailboxId> =
        query.mailbox.map(|text| text.parse()).transpose().map_err(
            |e: engine_core::id::IdError| Problem::new(Kind::MalformedQuery, e.to_string()),
        )?;
    let words = may.also(Scope::MessagesRead);
    Ok(stream_of(&plane, Whose { mailbox, words }, &headers))
}

/// Which events a watcher is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose {
    /// Those of this mailbox, or all.
    pub(crate) mailbox: Option<MailboxId>,
    /// Whether texts, too.
    pub(crate) words: bool,
}

impl Whose {
    fn has(self, told: &Told) -> bool {
        let (mailbox, is_text) = match told {
            Told::Step(step) => (step.event.mailbox, false),
            Told::Text { text, .. } => (text.mailbox, true),
        };
        self.mailbox.is_none_or(|id| id == mailbox) && (self.words || !is_text)
    }
}

/// Events as a watcher is told them.
pub(crate) fn stream_of(
    plane: &ControlPlane,
    whose: Whose,
    headers: &HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let process = plane.shared.process.clone();
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let (missed, live) = plane.shared.events.watch(last.map(|last| behind(last, &process)));
    let live = BroadcastStream::new(live);
    let missed = stream::iter(missed.into_iter().map(|step| Ok(Told::Step(step))));
    let events = missed.chain(live).filter_map(move |event| {
        let event = match event {
            Ok(event) => whose.has(&event).then(|| tell(&event, &process)),
            Err(BroadcastStreamRecvError::Lagged(count)) => Some(told_of_gap(count)),
        };
        std::future::ready(event.map(Ok))
    });
    let events = events.take_until(plane.shared.closing.clone().cancelled_owned());
    let first = stream::once(std::future::ready(Ok(Event::default().retry(RETRY))));
    let keep_alive = KeepAlive::new().interval(EVENTS_KEEP_ALIVE).text("alive");
    Sse::new(first.chain(events)).keep_alive(keep_alive)
}

/// Numbers are of one process: a client of an older one is told all that this one kept.
fn behind(last: &str, process: &str) -> u64 {
    let of_ours = last.split_once('-').filter(|(of, _)| *of == process);
    of_ours.and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

fn tell(told: &Told, process: &str) -> Event {
    match told {
        Told::Step(step) => tell_step(step, process),
        Told::Text { text, is_final } => tell_text(text, *is_final),
    }
}

/// Without an id: texts are not told again, so nobody can be behind them.
fn tell_text(text: &PartialText, is_final: bool) -> Event {
    let view = TextEventView {
        message: text.recording.to_string(),
        mailbox: text.mailbox.to_string(),
        text: text.text.reveal(),
        read_ms: text.read_ms,
        is_final,
    };
    let data = serde_json::to_string(&view).expect("strings and numbers are always JSON");
    Event::default().event("text").data(data)
}

fn tell_step(numbered: &Numbered, process: &str) -> Event {
    let event = &numbered.event;
    let view = EventView {
        message: event.recording.to_string(),
        mailbox: event.mailbox.to_string(),
        state: event.state.name(),
        at: time_utc(event.at),
        recorded_ms: event.recorded_ms,
    };
    let data = serde_json::to_string(&view).expect("strings and numbers are always JSON");
    Event::default().id(format!("{process}-{}", numbered.number)).event(view.state).data(data)
}

/// The watcher was too slow: it should look at the lists.
fn told_of_gap(count: u64) -> Event {
    Event::default().event("gap").data(format!("{{\"events\":{count}}}"))
}
