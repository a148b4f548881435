//! Messages over REST: lists, text, marks, deletion.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::text::{Language, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{May, MessagesRead, MessagesWrite};
use super::extract::{JsonBody, PathId, QueryOf};
use super::mailboxes;
use super::page::{PageOf, cut, read_page};
use super::problem::{Kind, Problem};
use super::scan::{place, scan};
use crate::audit::Change;
use crate::message::{Message, MessageText, StoredState};
use crate::plane::ControlPlane;
use crate::search::Needle;
use crate::usage::forwarding_cost_yen;
use crate::wording::{confidence_notice, time_utc};

/// How far a message has come.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = MessageState)]
pub(crate) enum StateName {
    /// The recording is kept; text is under way.
    Sealed,
    /// Text and MP3 are there.
    Transcribed,
    /// The recording is kept; no text could be made.
    Failed,
    /// The recording is kept, but its mailbox is unknown or deleted.
    Orphaned,
}

/// Who called.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Caller)]
pub(crate) struct CallerView {
    /// `number`, or why there is none: `withheld` (非通知), `payphone` (公衆電話),
    /// `unavailable` (表示圏外).
    #[schema(example = "number")]
    kind: &'static str,
    /// The number, in E.164 where it could be read so.
    #[schema(example = "+819012345678")]
    number: Option<String>,
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageView {
    /// Its id; also its recording's.
    #[schema(format = Uuid)]
    id: String,
    /// Whose mailbox.
    #[schema(format = Uuid)]
    mailbox: String,
    state: StateName,
    caller: CallerView,
    /// When the call was answered. RFC 3339, UTC.
    #[schema(format = DateTime)]
    answered_at: String,
    /// When the recording ended. RFC 3339, UTC.
    #[schema(format = DateTime)]
    received_at: String,
    /// Whether the subscriber marked it read.
    read: bool,
    /// When the first notice left. RFC 3339, UTC.
    #[schema(format = DateTime)]
    notified_at: Option<String>,
    /// Whether it holds words: `speech` or `no_words` (「（無言）」); null until it is known.
    verdict: Option<&'static str>,
    /// Why there are no words: `empty`, `no_speech`, `rejected`.
    no_words: Option<&'static str>,
    /// The text; empty without words, null until it is made.
    text: Option<String>,
    /// ISO 639-1 code of the language that was spoken.
    language: Option<String>,
    /// Confidence of the text, 0 to 1.
    confidence: Option<f32>,
    /// What every reader of a text should know (S52).
    notice: &'static str,
    /// Length of the recording in milliseconds.
    duration_ms: u64,
    /// Length of the call in milliseconds, greeting included.
    call_ms: u64,
    /// Size of the MP3 (S04); null until it is made.
    audio_bytes: Option<u64>,
    /// Estimated charge for forwarding, with tax (S05).
    forwarding_cost_yen: i64,
    /// How the call was coded.
    #[schema(example = "PCMU")]
    codec: &'static str,
    /// Why the recording ended.
    #[schema(example = "hung_up")]
    end_reason: String,
    /// Packets in the recording.
    frames: u32,
    /// Packets that never came.
    lost: u32,
    /// SHA-256 over all payloads in order, in hex.
    payload_sha256: String,
    /// Why there is no text, in state `failed`.
    failure: Option<String>,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        let arrived = message.arrived;
        let text = message.text;
        let verdict = text.as_ref().map(|text| text.verdict);
        let announcements = arrived.language.announcements();
        let spoken = text.as_ref().and_then(|text| Language::from_code(&text.language));
        Self {
            id: arrived.id.to_string(),
            mailbox: arrived.mailbox.to_string(),
            state: match message.state {
                StoredState::Sealed => StateName::Sealed,
                StoredState::Transcribed => StateName::Transcribed,
                StoredState::Failed => StateName::Failed,
                // A deleted one is refused before it comes here.
                StoredState::Orphaned | StoredState::Deleted => StateName::Orphaned,
            },
            caller: CallerView {
                kind: arrived.caller.kind(),
                number: arrived.caller.number().map(str::to_owned),
            },
            answered_at: time_utc(arrived.answered_at),
            received_at: time_utc(arrived.received_at),
            read: message.read_at.is_some(),
            notified_at: message.notified_at.map(time_utc),
            verdict: verdict.map(|verdict| match verdict {
                Verdict::Speech => "speech",
                Verdict::NoWords(_) => "no_words",
            }),
            no_words: verdict.and_then(|verdict| match verdict {
                Verdict::Speech => None,
                Verdict::NoWords(why) => Some(why.name()),
            }),
            text: text.as_ref().map(|text| text.text.reveal().clone()),
            confidence: text.as_ref().map(|text| text.confidence),
            language: text.map(|text| text.language),
            notice: confidence_notice(spoken.unwrap_or(announcements)),
            duration_ms: arrived.duration_ms,
            call_ms: arrived.call_ms,
            audio_bytes: message.audio.map(|audio| audio.bytes),
            forwarding_cost_yen: forwarding_cost_yen(arrived.call_ms),
            codec: arrived.codec.name(),
            end_reason: arrived.end_reason,
            frames: arrived.frames,
            lost: arrived.lost,
            payload_sha256: arrived.payload_sha256,
            failure: message.failure,
        }
    }
}

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessagesQuery {
    /// Most items, 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next` of the page before; without it the list begins.
    #[param(pattern = "^[0-9a-f]{48}$")]
    cursor: Option<String>,
    /// Only read (`true`) or only unread (`false`) ones.
    read: Option<bool>,
    /// Only those whose text holds all these words. Full and half width, capitals, katakana and
    /// hiragana are alike; punctuation does not count. One request reads a bounded number of
    /// messages: a page may be short or empty and still have a `next`. At least one letter or
    /// digit, of any script, is needed.
    #[param(min_length = 1, max_length = 100)]
    q: Option<String>,
}

/// A change of a message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageChange {
    /// Marks it read or unread.
    read: bool,
}

/// Lists a mailbox's messages, newest first; with `q` those whose text holds it.
#[utoipa::path(get, path = "/v1/mailboxes/{id}/messages", tag = "messages",
    params(("id" = String, Path, format = Uuid), MessagesQuery),
    responses((status = 200, body = PageOf<MessageView>)), security(("key" = ["messages:read"])))]
pub(crate) async fn list(
    _: May<MessagesRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<MailboxId>,
    QueryOf(query): QueryOf<MessagesQuery>,
) -> Result<axum::Json<PageOf<MessageView>>, Problem> {
    Ok(axum::Json(list_of(&plane, id, query).await?))
}

/// A page of a mailbox's messages.
pub(crate) async fn list_of(
    plane: &ControlPlane,
    id: MailboxId,
    query: MessagesQuery,
) -> Result<PageOf<MessageView>, Problem> {
    let page = read_page(query.limit, query.cursor.as_deref())?;
    let needle = query.q.as_deref().map(Needle::new).transpose()?;
    mailboxes::find(plane, id).await?;
    let store = &plane.shared.store;
    let (items, next) = match needle {
        Some(needle) => scan(&**store, id, query.read, &needle, page).await?,
        None => cut(store.messages(id, query.read, page).await?, page, place),
    };
    Ok(PageOf { items: items.into_iter().map(Into::into).collect(), next })
}

/// Shows a message.
#[utoipa::path(get, path = "/v1/messages/{id}", tag = "messages",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = MessageView)),
    security(("key" = ["messages:read"])))]
pub(crate) async fn show(
    _: May<MessagesRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
) -> Result<axum::Json<MessageView>, Problem> {
    Ok(axum::Json(find(&plane, id).await?.into()))
}

/// Marks a message read or unread.
#[utoipa::path(patch, path = "/v1/messages/{id}", tag = "messages",
    params(("id" = String, Path, format = Uuid)), request_body = MessageChange,
    responses((status = 200, body = MessageView)), security(("key" = ["messages:write"])))]
pub(crate) async fn update(
    may: May<MessagesWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
    JsonBody(wanted): JsonBody<MessageChange>,
) -> Result<axum::Json<MessageView>, Problem> {
    mark(&plane, id, &wanted, may.change()).await?;
    Ok(axum::Json(find(&plane, id).await?.into()))
}

/// Marks a message as asked, if it is there.
pub(crate) async fn mark(
    plane: &ControlPlane,
    id: RecordingId,
    wanted: &MessageChange,
    change: Change,
) -> Result<(), Problem> {
    plane.shared.store.mark_read(id, wanted.read, change).await?;
    Ok(())
}

/// Deletes a message's text and sound, for ever.
#[utoipa::path(delete, path = "/v1/messages/{id}", tag = "messages",
    params(("id" = String, Path, format = Uuid)), responses((status = 204)),
    security(("key" = ["messages:write"])))]
pub(crate) async fn remove(
    may: May<MessagesWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
) -> Result<StatusCode, Problem> {
    if !delete(&plane, id, may.change()).await? {
        // Deleting again is no error; deleting what never was is.
        let row = plane.shared.store.message(id).await?;
        row.ok_or_else(|| Problem::not_found("message with this id"))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a message; false when there is none or it was deleted before.
pub(crate) async fn delete(
    plane: &ControlPlane,
    id: RecordingId,
    change: Change,
) -> Result<bool, Problem> {
    let deleted = plane.shared.store.delete_message(id, change).await?;
    if deleted {
        plane.shared.jobs_wake.notify_one();
        plane.shared.outbox_wake.wake();
    }
    Ok(deleted)
}

/// Gives the text alone; empty when there are no words.
#[utoipa::path(get, path = "/v1/messages/{id}/text", tag = "messages",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = String, content_type = "text/plain")),
    security(("key" = ["messages:read"])))]
pub(crate) async fn text(
    _: May<MessagesRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
) -> Result<impl IntoResponse, Problem> {
    text_of(find(&plane, id).await?)
}

/// A message's text alone.
pub(crate) fn text_of(message: Message) -> Result<impl IntoResponse + use<>, Problem> {
    let text = take_text(message)?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text.text.into_inner()))
}

/// The message, or the problem that it is unknown or deleted.
pub(crate) async fn find(plane: &ControlPlane, id: RecordingId) -> Result<Message, Problem> {
    match plane.shared.store.message(id).await? {
        Some(message) if message.state == StoredState::Deleted => Err(Problem::gone("message")),
        Some(message) => Ok(message),
        None => Err(Problem::not_found("message with this id")),
    }
}

/// Why a message lacks what is asked for: not yet, or never.
pub(crate) fn lacks(message: &Message, what: &str) -> Problem {
    match message.state {
        StoredState::Sealed => {
            Problem::new(Kind::NotReady, format!("the {what} is being made; watch /v1/events"))
        }
        _ => Problem::not_found(&format!("{what} of this message; its state says why")),
    }
}

/// The message's text, or the problem that there is none.
pub(crate) fn take_text(mut message: Message) -> Result<MessageText, Problem> {
    let text = message.text.take();
    text.ok_or_else(|| lacks(&message, "text"))
}
