//! A mailbox's own greeting over REST: a sound file in, WAV out.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use engine_core::id::MailboxId;
use engine_core::sound::SoundId;
use sha2::{Digest, Sha256};

use super::auth::{MailboxesRead, MailboxesWrite, May};
use super::bytes::answer;
use super::extract::{PathId, RawBody};
use super::mailboxes::{MailboxView, change, find};
use super::problem::{Kind, Problem};
use crate::audit::Change;
use crate::mailbox::GreetingChoice;
use crate::objects::Object;
use crate::plane::ControlPlane;

/// Puts a greeting (WAV, MP3, FLAC or Ogg, at most 30 s) and chooses it.
#[utoipa::path(put, path = "/v1/mailboxes/{id}/greeting", tag = "mailboxes",
    params(("id" = String, Path, format = Uuid)),
    request_body(content((Vec<u8> = "audio/wav"), (Vec<u8> = "audio/mpeg"),
        (Vec<u8> = "audio/flac"), (Vec<u8> = "audio/ogg"),
        (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, body = MailboxView)), security(("key" = ["mailboxes:write"])))]
pub(crate) async fn put(
    may: May<MailboxesWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<MailboxId>,
    headers: HeaderMap,
    RawBody(file): RawBody,
) -> Result<axum::Json<MailboxView>, Problem> {
    Ok(axum::Json(put_of(&plane, id, &headers, file, may.change()).await?))
}

/// Puts a mailbox's own greeting and chooses it.
pub(crate) async fn put_of(
    plane: &ControlPlane,
    id: MailboxId,
    headers: &HeaderMap,
    file: Bytes,
    by: Change,
) -> Result<MailboxView, Problem> {
    check_type(headers)?;
    find(plane, id).await?;
    let sounds = plane.shared.sounds.clone();
    // Decoding takes long: not on a thread that serves others.
    let read = tokio::task::spawn_blocking(move || sounds.read_greeting(&file)).await;
    let wav = read.map_err(|_| failed())?;
    let wav = wav.map_err(|why| Problem::new(Kind::InvalidSound, why.to_string()))?;
    // Object, row and bank must speak of the same sound.
    let _turn = plane.shared.greetings.lock().await;
    plane.shared.objects.put(Object::Greeting(id), id, wav.clone()).await?;
    let changed = change(plane, id, ("greeting.put", by), |mailbox| {
        mailbox.own_greeting = true;
        mailbox.settings.greeting = GreetingChoice::Own;
    });
    let mailbox = match changed.await {
        Ok(mailbox) => mailbox,
        Err(problem) => {
            // Deleted meanwhile: the sound came too late for its erasure.
            let row = plane.shared.store.mailbox(id).await?;
            if row.is_none_or(|mailbox| mailbox.deleted_at.is_some()) {
                plane.shared.objects.remove(Object::Greeting(id)).await?;
            }
            return Err(problem);
        }
    };
    let sounds = plane.shared.sounds.clone();
    let put = tokio::task::spawn_blocking(move || sounds.put(SoundId::OwnGreeting(id), &wav));
    put.await
        .map_err(|_| failed())?
        .map_err(|why| Problem::new(Kind::InvalidSound, why.to_string()))?;
    Ok(mailbox.into())
}

/// Gives the greeting as mono 16 kHz WAV.
#[utoipa::path(get, path = "/v1/mailboxes/{id}/greeting", tag = "mailboxes",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = Vec<u8>, content_type = "audio/wav"),
        (status = 206, body = Vec<u8>, content_type = "audio/wav"), (status = 304)),
    security(("key" = ["mailboxes:read"])))]
pub(crate) async fn get(
    _: May<MailboxesRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<MailboxId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    get_of(&plane, id, &headers).await
}

/// A mailbox's own greeting as the request's headers want it.
pub(crate) async fn get_of(
    plane: &ControlPlane,
    id: MailboxId,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let mailbox = find(plane, id).await?;
    let missing = || Problem::not_found("greeting of this mailbox's own; upload one with PUT");
    if !mailbox.own_greeting {
        return Err(missing());
    }
    let wav = plane.shared.objects.get(Object::Greeting(id)).await?.ok_or_else(missing)?;
    let tag = hex::encode(Sha256::digest(&wav));
    Ok(answer(headers, &wav, "audio/wav", &tag))
}

/// Removes the greeting; callers hear the default one again.
#[utoipa::path(delete, path = "/v1/mailboxes/{id}/greeting", tag = "mailboxes",
    params(("id" = String, Path, format = Uuid)), responses((status = 204)),
    security(("key" = ["mailboxes:write"])))]
pub(crate) async fn remove(
    may: May<MailboxesWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<MailboxId>,
) -> Result<StatusCode, Problem> {
    remove_of(&plane, id, may.change()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a mailbox's own greeting.
pub(crate) async fn remove_of(
    plane: &ControlPlane,
    id: MailboxId,
    by: Change,
) -> Result<(), Problem> {
    let _turn = plane.shared.greetings.lock().await;
    // The row first: a call must not look for a sound that is gone.
    let changed = change(plane, id, ("greeting.removed", by), |mailbox| {
        mailbox.own_greeting = false;
        if mailbox.settings.greeting == GreetingChoice::Own {
            mailbox.settings.greeting = GreetingChoice::Default;
        }
    });
    changed.await?;
    plane.shared.sounds.remove(SoundId::OwnGreeting(id));
    plane.shared.objects.remove(Object::Greeting(id)).await?;
    Ok(())
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let is_sound = ["audio/", "application/octet-stream", "application/ogg"]
        .iter()
        .any(|known| essence.starts_with(known));
    if is_sound {
        return Ok(());
    }
    let detail = "send the sound itself with Content-Type: audio/wav, audio/mpeg, audio/flac, \
                  audio/ogg or application/octet-stream";
    Err(Problem::new(Kind::UnsupportedMediaType, detail))
}

fn failed() -> Problem {
    Problem::new(Kind::Internal, "the sound could not be read; the service's log says more")
}
