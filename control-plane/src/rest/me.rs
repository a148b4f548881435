//! A subscriber's own contract over REST: what it is, what it costs, when it ends.

use axum::extract::State;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::cancellations::CancellationView;
use super::problem::Problem;
use super::setup_view::NumberView;
use super::subscriber::{Subscriber, contract_ended};
use crate::clock;
use crate::contract::Contract;
use crate::plan::SMART_VOICEMAIL;
use crate::plane::ControlPlane;
use crate::wording::time_utc;

/// What the service costs (S17).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanView {
    /// Yen a month, without tax.
    #[schema(example = 290)]
    monthly_yen: i64,
    /// Yen a month, with tax.
    #[schema(example = 319)]
    monthly_yen_with_tax: i64,
}

/// The subscriber's contract.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Me)]
pub(crate) struct MeView {
    /// Id of the contract.
    #[schema(format = Uuid)]
    contract: String,
    /// `individual` or `corporate`.
    #[schema(example = "individual")]
    kind: &'static str,
    /// `active`, or `ending` once it is cancelled.
    #[schema(example = "active")]
    state: &'static str,
    /// The subscriber's own number.
    line: NumberView,
    /// The contract's 050 number (S36).
    number: Option<NumberView>,
    /// The device that asks.
    #[schema(format = Uuid)]
    device: String,
    plan: PlanView,
    /// Day of application in Japan.
    #[schema(format = Date)]
    applied_on: String,
    /// Last day without charge, if a campaign gave one (S58–S71).
    #[schema(format = Date)]
    free_until: Option<String>,
    /// When it was cancelled. RFC 3339, UTC.
    #[schema(format = DateTime)]
    cancelled_at: Option<String>,
    /// Last day, once cancelled (S53–S55).
    #[schema(format = Date)]
    ends_on: Option<String>,
    /// The carrier's member page (S27).
    member_url: Option<String>,
}

/// Shows the subscriber's contract.
#[utoipa::path(get, path = "/v1/me", tag = "subscriber",
    responses((status = 200, body = MeView)), security(("session" = [])))]
pub(crate) async fn show(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<MeView>, Problem> {
    let contract = own_contract(&plane, &subscriber).await?;
    let monthly = SMART_VOICEMAIL.monthly;
    let date = |date: Date| date.to_string();
    Ok(axum::Json(MeView {
        contract: contract.id.to_string(),
        kind: contract.kind.name(),
        state: if contract.cancelled_at.is_some() { "ending" } else { "active" },
        line: NumberView::of(contract.line.reveal()),
        number: contract.number.as_deref().map(NumberView::of),
        device: subscriber.device.to_string(),
        plan: PlanView {
            monthly_yen: monthly.get(),
            monthly_yen_with_tax: monthly.with_tax().get(),
        },
        applied_on: date(contract.applied_on),
        free_until: contract.free.map(|free| date(free.free_until)),
        cancelled_at: contract.cancelled_at.map(time_utc),
        ends_on: contract.ends_on.map(date),
        member_url: plane.shared.config.member_url.clone(),
    }))
}

/// Shows what cancelling now would mean, or what the cancellation that was made means. Cancelling
/// itself is done at the carrier (S27).
#[utoipa::path(get, path = "/v1/me/cancellation", tag = "subscriber",
    responses((status = 200, body = CancellationView)), security(("session" = [])))]
pub(crate) async fn cancellation(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<CancellationView>, Problem> {
    let contract = own_contract(&plane, &subscriber).await?;
    Ok(axum::Json(CancellationView::of(&contract, clock::now())))
}

/// The contract of whoever asks; its end is told by 410.
pub(crate) async fn own_contract(
    plane: &ControlPlane,
    subscriber: &Subscriber,
) -> Result<Contract, Problem> {
    let contract = plane.shared.store.contract_of_mailbox(subscriber.mailbox).await?;
    contract.filter(|contract| !contract.is_over(clock::now())).ok_or_else(contract_ended)
}
