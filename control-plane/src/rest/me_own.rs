//! What else a subscriber may do with what is its own, over REST: block callers, take everything
//! away. The answers are those of the operator's API.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::blocked::{
    BlockedCallerChoice, BlockedCallers, BlockedView, NewBlockedCaller, block_for, list_of,
    unblock_for,
};
use super::export::archive;
use super::extract::{JsonBody, PathId};
use super::mailboxes::find;
use super::problem::Problem;
use super::subscriber::Subscriber;
use crate::blocked::BlockedId;
use crate::plane::ControlPlane;

/// Lists the subscriber's blocked callers, oldest first.
#[utoipa::path(get, path = "/v1/me/blocked-callers", tag = "subscriber",
    responses((status = 200, body = BlockedCallers)), security(("session" = [])))]
pub(crate) async fn blocked(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<BlockedCallers>, Problem> {
    Ok(axum::Json(list_of(&plane, subscriber.mailbox).await?))
}

/// Blocks a caller: the next call is refused. Blocking again answers with what is there.
#[utoipa::path(post, path = "/v1/me/blocked-callers", tag = "subscriber",
    request_body = BlockedCallerChoice,
    responses((status = 201, body = BlockedView), (status = 200, body = BlockedView)),
    security(("session" = [])))]
pub(crate) async fn block(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    JsonBody(new): JsonBody<NewBlockedCaller>,
) -> Result<(StatusCode, axum::Json<BlockedView>), Problem> {
    let (status, view) = block_for(&plane, subscriber.mailbox, new, subscriber.change()).await?;
    Ok((status, axum::Json(view)))
}

/// Unblocks a caller.
#[utoipa::path(delete, path = "/v1/me/blocked-callers/{id}", tag = "subscriber",
    params(("id" = String, Path, format = Uuid)), responses((status = 204)),
    security(("session" = [])))]
pub(crate) async fn unblock(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<BlockedId>,
) -> Result<StatusCode, Problem> {
    unblock_for(&plane, subscriber.mailbox, id, subscriber.change()).await
}

/// Gives everything that is the subscriber's as a ZIP archive.
#[utoipa::path(get, path = "/v1/me/export", tag = "subscriber",
    responses((status = 200, body = Vec<u8>, content_type = "application/zip")),
    security(("session" = [])))]
pub(crate) async fn export(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<Response, Problem> {
    let mailbox = find(&plane, subscriber.mailbox).await?;
    archive(&plane, mailbox).await
}
