//! Deletions over REST: the signed receipt that nothing of a mailbox is left.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use engine_core::id::MailboxId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{MailboxesRead, May};
use super::extract::PathId;
use super::problem::{Kind, Problem};
use crate::plane::ControlPlane;
use crate::store::StoreError;

/// How much was deleted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Deleted)]
pub(crate) struct DeletedView {
    messages: u64,
    texts: u64,
    caller_numbers: u64,
    recordings: u64,
    mp3s: u64,
    greetings: u64,
}

/// What a receipt says.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = DeletionReceipt)]
pub(crate) struct ReceiptView {
    /// Version of this form.
    version: u32,
    /// Which mailbox.
    #[schema(format = Uuid)]
    mailbox: String,
    /// When it was deleted. RFC 3339, UTC.
    #[schema(format = DateTime)]
    requested_at: String,
    /// When nothing was left. RFC 3339, UTC.
    #[schema(format = DateTime)]
    completed_at: String,
    deleted: DeletedView,
    /// Id of the data key that was destroyed; left out when nothing had ever been sealed.
    #[schema(format = Uuid)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_key: Option<String>,
    /// When it was destroyed. RFC 3339, UTC.
    #[schema(format = DateTime)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_key_destroyed_at: Option<String>,
}

/// A signed receipt. The signature is over `receipt` as JSON without white space, members sorted by
/// name; `rusuden receipt verify` checks it offline.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SignedReceipt)]
pub(crate) struct SignedView {
    receipt: ReceiptView,
    /// `Ed25519` (RFC 8032).
    #[schema(example = "Ed25519")]
    algorithm: String,
    /// The first 8 bytes of the SHA-256 of the public key, in hex.
    key_id: String,
    /// Base64.
    signature: String,
}

/// Gives the signed receipt of a mailbox's deletion. 409 while sound is still being erased.
#[utoipa::path(get, path = "/v1/deletions/{mailbox}", tag = "mailboxes",
    params(("mailbox" = String, Path, format = Uuid)),
    responses((status = 200, body = SignedView)), security(("key" = ["mailboxes:read"])))]
pub(crate) async fn show(
    _: May<MailboxesRead>,
    State(plane): State<ControlPlane>,
    PathId(mailbox): PathId<MailboxId>,
) -> Result<axum::Json<SignedView>, Problem> {
    let deletion = plane.shared.store.deletion(mailbox).await?;
    let deletion = deletion.ok_or_else(|| Problem::not_found("deletion of such a mailbox"))?;
    let receipt = deletion.receipt.ok_or_else(|| {
        Problem::new(Kind::NotReady, "the mailbox is being erased; ask again in a second")
    })?;
    let signed = serde_json::from_str(&receipt).map_err(|_| StoreError::Unreadable {
        row: format!("deletion {mailbox}"),
        what: "a malformed receipt",
    })?;
    Ok(axum::Json(signed))
}

/// Gives the public key that verifies receipts (PEM).
#[utoipa::path(get, path = "/v1/receipt-key", tag = "mailboxes",
    responses((status = 200, body = String, content_type = "application/x-pem-file")),
    security(("key" = ["mailboxes:read"])))]
pub(crate) async fn key(
    _: May<MailboxesRead>,
    State(plane): State<ControlPlane>,
) -> Result<impl IntoResponse, Problem> {
    let signer = plane.shared.vault.receipt_signer().map_err(StoreError::from)?;
    Ok(([(CONTENT_TYPE, "application/x-pem-file")], signer.public_pem()))
}
