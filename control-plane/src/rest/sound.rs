//! A message's sound over REST: the MP3, and the recording as it came in.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use engine_core::id::RecordingId;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::auth::{May, MessagesRead, RecordingsRead};
use super::bytes::answer;
use super::extract::{PathId, QueryOf};
use super::messages::{find, lacks};
use super::problem::Problem;
use crate::message::{Message, payload_frames};
use crate::objects::Object;
use crate::plane::ControlPlane;

const CODEC: HeaderName = HeaderName::from_static("x-recording-codec");
const CLOCK: HeaderName = HeaderName::from_static("x-recording-clock-hz");
const FRAMES: HeaderName = HeaderName::from_static("x-recording-frames");
const PAYLOAD_SHA256: HeaderName = HeaderName::from_static("x-payload-sha256");

/// Gives the MP3, whole or in parts.
#[utoipa::path(get, path = "/v1/messages/{id}/audio.mp3", tag = "messages",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Vec<u8>, content_type = "audio/mpeg"),
        (status = 206, body = Vec<u8>, content_type = "audio/mpeg"), (status = 304)),
    security(("key" = ["messages:read"])))]
pub(crate) async fn audio(
    _: May<MessagesRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    audio_of(&plane, &find(&plane, id).await?, &headers).await
}

/// A message's MP3 as the request's headers want it.
pub(crate) async fn audio_of(
    plane: &ControlPlane,
    message: &Message,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let id = message.arrived.id;
    let Some(audio) = &message.audio else { return Err(lacks(message, "MP3")) };
    let mp3 = plane.shared.objects.get(Object::Audio(id)).await?;
    let mp3 = mp3.ok_or_else(|| Problem::not_found("MP3 where this message's should be"))?;
    Ok(answer(headers, &mp3, "audio/mpeg", &audio.sha256))
}

/// How a recording is given.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RecordingFormat {
    /// All RTP payloads, one behind the other.
    #[default]
    Payload,
    /// The recording file: checked chunks with each payload's place in time.
    Chunks,
}

/// How the recording is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordingQuery {
    /// `payload`, if nothing is said.
    #[serde(default)]
    #[param(inline, required = false)]
    format: RecordingFormat,
}

/// Gives the recording as it came in; headers name codec, clock, frames and checksum.
#[utoipa::path(get, path = "/v1/messages/{id}/recording", tag = "messages",
    params(("id" = String, Path, format = Uuid), RecordingQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304)),
    security(("key" = ["recordings:read"])))]
pub(crate) async fn recording(
    _: May<RecordingsRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
    QueryOf(query): QueryOf<RecordingQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let message = find(&plane, id).await?;
    let arrived = &message.arrived;
    let file = plane.shared.objects.get(Object::Recording(id)).await?;
    let file =
        file.ok_or_else(|| Problem::not_found("recording where this message's should be"))?;
    let (bytes, form) = match query.format {
        RecordingFormat::Payload => (join(&payload_frames(&file)), "payload"),
        RecordingFormat::Chunks => (file, "chunks"),
    };
    let tag = format!("{}-{form}", arrived.payload_sha256);
    let mut response = answer(&headers, &bytes, "application/octet-stream", &tag);
    let headers = response.headers_mut();
    headers.insert(CODEC, HeaderValue::from_static(arrived.codec.name()));
    headers.insert(CLOCK, arrived.codec.clock_hz().into());
    headers.insert(FRAMES, arrived.frames.into());
    if let Ok(sum) = HeaderValue::from_str(&arrived.payload_sha256) {
        headers.insert(PAYLOAD_SHA256, sum);
    }
    Ok(response)
}

fn join(frames: &[Bytes]) -> Bytes {
    let mut whole = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum());
    for frame in frames {
        whole.extend_from_slice(frame);
    }
    whole.freeze()
}
