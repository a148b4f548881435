//! Whether calls are forwarded here (S40–S46): a call that arrives proves it. The subscriber may
//! ask for a new proof, as after roaming (S06), and then lets somebody call.

use axum::extract::State;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use serde::Serialize;
use utoipa::ToSchema;

use super::me::own_contract;
use super::problem::Problem;
use super::setup_view::{GUIDES, NumberView};
use super::subscriber::Subscriber;
use crate::clock;
use crate::contract::Contract;
use crate::limits::PAGE_MAX;
use crate::message::Message;
use crate::plane::ControlPlane;
use crate::store::{ForwardingProof, Page};
use crate::wording::time_utc;

/// Whether calls are forwarded here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Forwarding)]
pub(crate) struct ForwardingView {
    /// `waiting` for a call, or `proven` by one.
    #[schema(example = "waiting")]
    state: &'static str,
    /// The number to which calls are to be forwarded (S40).
    target: Option<NumberView>,
    /// Where the guides are.
    guides: &'static str,
    /// Calls from here on prove it. RFC 3339, UTC.
    #[schema(format = DateTime)]
    since: String,
    /// When a call proved it. RFC 3339, UTC.
    #[schema(format = DateTime)]
    proven_at: Option<String>,
}

impl ForwardingView {
    fn of(proof: ForwardingProof, contract: &Contract) -> Self {
        Self {
            state: if proof.proven_at.is_some() { "proven" } else { "waiting" },
            target: contract.number.as_deref().map(NumberView::of),
            guides: GUIDES,
            since: time_utc(proof.since),
            proven_at: proof.proven_at.map(time_utc),
        }
    }
}

/// Shows whether a forwarded call has arrived.
#[utoipa::path(get, path = "/v1/me/forwarding", tag = "subscriber",
    responses((status = 200, body = ForwardingView)), security(("session" = [])))]
pub(crate) async fn show(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<ForwardingView>, Problem> {
    let contract = own_contract(&plane, &subscriber).await?;
    let proof = look(&plane, subscriber.mailbox, &contract).await?;
    Ok(axum::Json(ForwardingView::of(proof, &contract)))
}

/// Forgets the proof and waits for a test call: somebody calls the own number, and it rings out.
#[utoipa::path(post, path = "/v1/me/forwarding/test", tag = "subscriber",
    responses((status = 200, body = ForwardingView)), security(("session" = [])))]
pub(crate) async fn test(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<ForwardingView>, Problem> {
    let contract = own_contract(&plane, &subscriber).await?;
    let proof = ForwardingProof { since: clock::now(), proven_at: None };
    plane.shared.store.set_forwarding_proof(subscriber.mailbox, proof).await?;
    Ok(axum::Json(ForwardingView::of(proof, &contract)))
}

/// What is known of forwarding to a mailbox; a call that came meanwhile is noted as its proof.
pub(crate) async fn look(
    plane: &ControlPlane,
    mailbox: MailboxId,
    contract: &Contract,
) -> Result<ForwardingProof, Problem> {
    let store = &plane.shared.store;
    let start = contract.activated_at.unwrap_or(contract.applied_at);
    let known = store.forwarding_proof(mailbox).await?;
    let mut proof = known.unwrap_or(ForwardingProof { since: start, proven_at: None });
    if proof.proven_at.is_some() {
        return Ok(proof);
    }
    let newest = store.messages(mailbox, None, Page { after: None, limit: PAGE_MAX }).await?;
    let own_number = contract.line.reveal();
    proof.proven_at = newest
        .iter()
        .filter(|message| proves(message, proof.since, own_number))
        .map(|message| message.arrived.answered_at)
        .min();
    if proof.proven_at.is_some() {
        store.set_forwarding_proof(mailbox, proof).await?;
    }
    Ok(proof)
}

/// A call of the own line to the 050 number came directly: it says nothing of forwarding.
fn proves(message: &Message, since: WallTime, own_number: &str) -> bool {
    let arrived = &message.arrived;
    arrived.answered_at >= since && arrived.caller.number() != Some(own_number)
}
