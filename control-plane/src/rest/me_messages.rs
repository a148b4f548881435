//! A subscriber's own messages over REST. The answers are those of the operator's API; what is
//! another's is not there at all, whatever id is tried.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response, Sse};
use engine_core::id::RecordingId;
use futures::stream::Stream;

use super::events::{EventView, Whose, stream_of};
use super::extract::{JsonBody, PathId, QueryOf};
use super::mailboxes;
use super::messages::{MessageChange, MessageView, MessagesQuery, delete, list_of, mark, text_of};
use super::page::PageOf;
use super::problem::Problem;
use super::segments::{SegmentsView, segments_of};
use super::sound::audio_of;
use super::subscriber::Subscriber;
use crate::message::{Message, StoredState};
use crate::plane::ControlPlane;

/// Lists the subscriber's messages, newest first.
#[utoipa::path(get, path = "/v1/me/messages", tag = "subscriber", params(MessagesQuery),
    responses((status = 200, body = PageOf<MessageView>)), security(("session" = [])))]
pub(crate) async fn list(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    QueryOf(query): QueryOf<MessagesQuery>,
) -> Result<axum::Json<PageOf<MessageView>>, Problem> {
    Ok(axum::Json(list_of(&plane, subscriber.mailbox, query).await?))
}

/// Shows a message of the subscriber's.
#[utoipa::path(get, path = "/v1/me/messages/{id}", tag = "subscriber",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = MessageView)),
    security(("session" = [])))]
pub(crate) async fn show(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
) -> Result<axum::Json<MessageView>, Problem> {
    Ok(axum::Json(find_own(&plane, &subscriber, id).await?.into()))
}

/// Marks a message of the subscriber's read or unread.
#[utoipa::path(patch, path = "/v1/me/messages/{id}", tag = "subscriber",
    params(("id" = String, Path, format = Uuid)), request_body = MessageChange,
    responses((status = 200, body = MessageView)), security(("session" = [])))]
pub(crate) async fn update(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
    JsonBody(wanted): JsonBody<MessageChange>,
) -> Result<axum::Json<MessageView>, Problem> {
    find_own(&plane, &subscriber, id).await?;
    mark(&plane, id, &wanted, subscriber.change()).await?;
    Ok(axum::Json(find_own(&plane, &subscriber, id).await?.into()))
}

/// Deletes the text and sound of a message of the subscriber's, for ever.
#[utoipa::path(delete, path = "/v1/me/messages/{id}", tag = "subscriber",
    params(("id" = String, Path, format = Uuid)), responses((status = 204)),
    security(("session" = [])))]
pub(crate) async fn remove(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
) -> Result<StatusCode, Problem> {
    // Deleting again is no error; deleting another's is as deleting what never was.
    own(&plane, &subscriber, id).await?;
    delete(&plane, id, subscriber.change()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives the text alone; empty when there are no words.
#[utoipa::path(get, path = "/v1/me/messages/{id}/text", tag = "subscriber",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = String, content_type = "text/plain")),
    security(("session" = [])))]
pub(crate) async fn text(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
) -> Result<impl IntoResponse, Problem> {
    text_of(find_own(&plane, &subscriber, id).await?)
}

/// Gives the text in pieces with their times.
#[utoipa::path(get, path = "/v1/me/messages/{id}/segments", tag = "subscriber",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = SegmentsView)),
    security(("session" = [])))]
pub(crate) async fn segments(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
) -> Result<axum::Json<SegmentsView>, Problem> {
    Ok(axum::Json(segments_of(find_own(&plane, &subscriber, id).await?)?))
}

/// Gives the MP3, whole or in parts (S13–S15).
#[utoipa::path(get, path = "/v1/me/messages/{id}/audio.mp3", tag = "subscriber",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Vec<u8>, content_type = "audio/mpeg"),
        (status = 206, body = Vec<u8>, content_type = "audio/mpeg"), (status = 304)),
    security(("session" = [])))]
pub(crate) async fn audio(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    audio_of(&plane, &find_own(&plane, &subscriber, id).await?, &headers).await
}

/// Streams the events of the subscriber's own mailbox.
#[utoipa::path(get, path = "/v1/me/events", tag = "subscriber",
    params(("Last-Event-ID" = Option<String>, Header,
        description = "Id of the last event that was seen")),
    responses((status = 200, body = EventView, content_type = "text/event-stream")),
    security(("session" = [])))]
pub(crate) async fn events(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    mailboxes::find(&plane, subscriber.mailbox).await?;
    let whose = Whose { mailbox: Some(subscriber.mailbox), words: true };
    Ok(stream_of(&plane, whose, &headers))
}

/// The subscriber's own message, or the problem that there is none or it is deleted.
async fn find_own(
    plane: &ControlPlane,
    subscriber: &Subscriber,
    id: RecordingId,
) -> Result<Message, Problem> {
    let message = own(plane, subscriber, id).await?;
    if message.state == StoredState::Deleted { Err(Problem::gone("message")) } else { Ok(message) }
}

/// The subscriber's own message, deleted or not. Another's is answered as one that never was.
async fn own(
    plane: &ControlPlane,
    subscriber: &Subscriber,
    id: RecordingId,
) -> Result<Message, Problem> {
    let message = plane.shared.store.message(id).await?;
    let own = message.filter(|message| message.arrived.mailbox == subscriber.mailbox);
    own.ok_or_else(|| Problem::not_found("message with this id"))
}
