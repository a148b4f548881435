//! Blocked callers over REST: the next call of such a caller is refused before it is answered, so
//! there is no message and nothing to pay.

use axum::extract::State;
use axum::http::StatusCode;
use engine_core::caller::Caller;
use engine_core::id::{MailboxId, RecordingId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{MailboxesRead, MailboxesWrite, May};
use super::extract::{JsonBody, PathId, PathIds};
use super::mailboxes;
use super::problem::{Kind, Problem};
use crate::audit::Change;
use crate::blocked::{BlockedCaller, BlockedError, BlockedId, read_caller_number};
use crate::limits::BLOCKED_CALLERS_MAX;
use crate::message::StoredState;
use crate::plane::ControlPlane;
use crate::store::Blocking;
use crate::wording::time_utc;

/// Callers without a number.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NumberlessCaller {
    /// 非通知.
    Withheld,
    /// 公衆電話.
    Payphone,
    /// 表示圏外.
    Unavailable,
}

/// A caller to be blocked: exactly one of the three.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBlockedCaller {
    number: Option<String>,
    kind: Option<NumberlessCaller>,
    message: Option<String>,
}

/// How [`NewBlockedCaller`] is described: a body that names several is refused by name, which an
/// enum of serde could not do.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = NewBlockedCaller)]
#[allow(dead_code, reason = "it is only described")]
pub(crate) enum BlockedCallerChoice {
    Number(BlockNumber),
    Numberless(BlockNumberless),
    Message(BlockMessage),
}

/// One number.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it is only described")]
pub(crate) struct BlockNumber {
    /// A telephone number, national or in E.164.
    #[schema(pattern = "^(0[0-9]{9,10}|\\+[1-9][0-9]{6,14})$", example = "09012345678")]
    number: String,
}

/// All callers without a number, of one kind.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it is only described")]
pub(crate) struct BlockNumberless {
    /// Which kind.
    kind: NumberlessCaller,
}

/// Whoever left a message.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it is only described")]
pub(crate) struct BlockMessage {
    /// The message's id.
    #[schema(format = Uuid)]
    message: String,
}

/// A blocked caller.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BlockedCaller)]
pub(crate) struct BlockedView {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// `number`, `withheld`, `payphone` or `unavailable`.
    #[schema(example = "number")]
    kind: String,
    /// Last digits of the number; the number itself is not kept.
    #[schema(example = "5678")]
    ends_with: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<BlockedCaller> for BlockedView {
    fn from(caller: BlockedCaller) -> Self {
        Self {
            id: caller.id.to_string(),
            kind: caller.kind,
            ends_with: caller.ending,
            created_at: time_utc(caller.created_at),
        }
    }
}

/// All blocked callers of a mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockedCallers {
    /// Oldest first.
    items: Vec<BlockedView>,
}

/// Lists a mailbox's blocked callers, oldest first.
#[utoipa::path(get, path = "/v1/mailboxes/{id}/blocked-callers", tag = "mailboxes",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = BlockedCallers)), security(("key" = ["mailboxes:read"])))]
pub(crate) async fn list(
    _: May<MailboxesRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<MailboxId>,
) -> Result<axum::Json<BlockedCallers>, Problem> {
    mailboxes::find(&plane, id).await?;
    Ok(axum::Json(list_of(&plane, id).await?))
}

/// A mailbox's blocked callers.
pub(crate) async fn list_of(
    plane: &ControlPlane,
    mailbox: MailboxId,
) -> Result<BlockedCallers, Problem> {
    let found = plane.shared.store.blocked_callers(mailbox).await?;
    Ok(BlockedCallers { items: found.into_iter().map(Into::into).collect() })
}

/// Blocks a caller: the next call is refused. Blocking again answers with what is there.
#[utoipa::path(post, path = "/v1/mailboxes/{id}/blocked-callers", tag = "mailboxes",
    params(("id" = String, Path, format = Uuid)), request_body = BlockedCallerChoice,
    responses((status = 201, body = BlockedView), (status = 200, body = BlockedView)),
    security(("key" = ["mailboxes:write"])))]
pub(crate) async fn block(
    may: May<MailboxesWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<MailboxId>,
    JsonBody(new): JsonBody<NewBlockedCaller>,
) -> Result<(StatusCode, axum::Json<BlockedView>), Problem> {
    mailboxes::find(&plane, id).await?;
    let (status, view) = block_for(&plane, id, new, may.change()).await?;
    Ok((status, axum::Json(view)))
}

/// Blocks a caller of a mailbox.
pub(crate) async fn block_for(
    plane: &ControlPlane,
    mailbox: MailboxId,
    new: NewBlockedCaller,
    change: Change,
) -> Result<(StatusCode, BlockedView), Problem> {
    let caller = meant(plane, mailbox, new).await?;
    let id = BlockedId(uuid::Uuid::now_v7());
    let entry = BlockedCaller::new(id, mailbox, &caller, &plane.shared.pepper, change.at);
    match plane.shared.store.block_caller(&entry, BLOCKED_CALLERS_MAX, change).await? {
        Blocking::New => Ok((StatusCode::CREATED, entry.into())),
        Blocking::Known(known) => Ok((StatusCode::OK, known.into())),
        Blocking::Full => Err(BlockedError::Full.into()),
        Blocking::NoMailbox => Err(Problem::gone("mailbox")),
    }
}

/// Who is meant.
async fn meant(
    plane: &ControlPlane,
    mailbox: MailboxId,
    new: NewBlockedCaller,
) -> Result<Caller, Problem> {
    match (new.number, new.kind, new.message) {
        (Some(number), None, None) => Ok(read_caller_number(&number)?),
        (None, Some(kind), None) => Ok(match kind {
            NumberlessCaller::Withheld => Caller::Withheld,
            NumberlessCaller::Payphone => Caller::Payphone,
            NumberlessCaller::Unavailable => Caller::Unavailable,
        }),
        (None, None, Some(message)) => {
            let unknown = || Problem::not_found("message with this id in this mailbox");
            let id: RecordingId = message.parse().map_err(|_| unknown())?;
            let message = plane.shared.store.message(id).await?;
            // One of another mailbox is as unknown as none; a deleted one has no caller any more.
            let of_mailbox = message.filter(|message| {
                message.arrived.mailbox == mailbox && message.state != StoredState::Deleted
            });
            of_mailbox.map(|message| message.arrived.caller).ok_or_else(unknown)
        }
        _ => Err(BlockedError::NotOne.into()),
    }
}

/// Unblocks a caller.
#[utoipa::path(delete, path = "/v1/mailboxes/{id}/blocked-callers/{blocked}", tag = "mailboxes",
    params(("id" = String, Path, format = Uuid), ("blocked" = String, Path, format = Uuid)),
    responses((status = 204)), security(("key" = ["mailboxes:write"])))]
pub(crate) async fn unblock(
    may: May<MailboxesWrite>,
    State(plane): State<ControlPlane>,
    PathIds(id, blocked): PathIds<MailboxId, BlockedId>,
) -> Result<StatusCode, Problem> {
    mailboxes::find(&plane, id).await?;
    unblock_for(&plane, id, blocked, may.change()).await
}

/// Unblocks a caller of a mailbox.
pub(crate) async fn unblock_for(
    plane: &ControlPlane,
    mailbox: MailboxId,
    blocked: BlockedId,
    change: Change,
) -> Result<StatusCode, Problem> {
    if plane.shared.store.unblock_caller(mailbox, blocked, change).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("blocked caller with this id in this mailbox"))
    }
}

impl From<BlockedError> for Problem {
    fn from(error: BlockedError) -> Self {
        match error {
            BlockedError::Full => Self::of(Kind::BlockedCallersFull, &error),
            BlockedError::Number => Self::of(Kind::InvalidField, &error).about("number"),
            BlockedError::NotOne => Self::of(Kind::InvalidField, &error).about("kind"),
        }
    }
}
