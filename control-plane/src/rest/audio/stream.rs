//! A file's text as server-sent events while it is read, as OpenAI's API names them. In: what the
//! engine tells. Out: `transcript.text.delta` for each passage, `transcript.text.done` with the
//! whole text. What is refused before the first word is an ordinary refusal.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use engine_core::file_work::FileTold;
use engine_core::words::join;
use futures::stream::{self, StreamExt};
use serde::Serialize;

use super::refusal::OpenAiError;
use super::{Reading, refused};
use crate::limits::EVENTS_KEEP_ALIVE;
use crate::plane::ControlPlane;
use crate::rest::problem::{Problem, ProblemBody};
use engine_core::text::Language;

/// What is sent; its kind stands in the data.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
enum TextEvent<'a> {
    #[serde(rename = "transcript.text.delta")]
    Delta { delta: &'a str },
    #[serde(rename = "transcript.text.done")]
    Done { text: &'a str },
}

/// A refusal that came too late for a status.
#[derive(Debug, Serialize)]
struct LateRefusal<'a> {
    error: OpenAiError<'a>,
}

/// Marks the end, for clients that wait for it.
const END: &str = "[DONE]";

/// Answers passage by passage.
pub(super) async fn answer(
    plane: &ControlPlane,
    mut reading: Reading,
) -> Result<Response, Problem> {
    // What is wrong with the file is known before its first passage.
    let first = match reading.next().await? {
        FileTold::Done(Err(why)) => return Err(refused(&why)),
        told => told,
    };
    let start = Sending { reading, next: Some(first), is_first: true };
    let events = stream::unfold(start, step).flat_map(stream::iter);
    let events = events.take_until(plane.shared.closing.clone().cancelled_owned());
    let keep_alive = KeepAlive::new().interval(EVENTS_KEEP_ALIVE).text("alive");
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

struct Sending {
    reading: Reading,
    /// What was told and is not sent yet; `None` behind the end.
    next: Option<FileTold>,
    /// Whether nothing was sent yet.
    is_first: bool,
}

async fn step(mut sending: Sending) -> Option<(Vec<Result<Event, Infallible>>, Sending)> {
    let events = match sending.next.take()? {
        FileTold::Passages { language, passages } => {
            let texts = passages.iter().map(|passage| passage.segment.text.reveal().as_str());
            let mut delta = join(texts, &language);
            if !delta.is_empty() {
                if !sending.is_first {
                    // All deltas, one behind the other, are the whole text.
                    delta = join(["", &delta].into_iter(), &language);
                }
                sending.is_first = false;
            }
            sending.next = Some(match sending.reading.next().await {
                Ok(told) => told,
                Err(problem) => return Some((late(&problem.told(Language::English)), sending)),
            });
            if delta.is_empty() {
                Vec::new()
            } else {
                vec![event(&TextEvent::Delta { delta: &delta })]
            }
        }
        FileTold::Done(Ok(text)) => {
            let text = text.read.transcript.text();
            vec![event(&TextEvent::Done { text: text.reveal() }), Event::default().data(END)]
        }
        FileTold::Done(Err(why)) => {
            return Some((late(&refused(&why).told(Language::English)), sending));
        }
    };
    Some((events.into_iter().map(Ok).collect(), sending))
}

fn event(data: &impl Serialize) -> Event {
    Event::default().data(serde_json::to_string(data).expect("strings are always JSON"))
}

fn late(problem: &ProblemBody) -> Vec<Result<Event, Infallible>> {
    vec![Ok(event(&LateRefusal { error: problem.into() }))]
}
