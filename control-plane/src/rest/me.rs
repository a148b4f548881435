//! A subscriber's own contract over REST: what it is, what it costs, when it ends.

use axum::extract::State;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::setup_view::NumberView;
use super::subscriber::{Subscriber, contract_ended};
use crate::cancellation::{Running, preview};
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
    #[schema(format = Uri)]
    member_url: Option<String>,
}

/// A month that is still charged.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthChargeView {
    /// The month, yyyy-mm.
    #[schema(example = "2026-07")]
    month: String,
    /// Yen, with tax; 0 when it is free.
    yen_with_tax: i64,
}

/// What cancelling now would mean.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OwnCancellation)]
pub(crate) struct CancellationView {
    /// The last day, in Japan.
    #[schema(format = Date)]
    ends_on: String,
    /// The first moment behind it. RFC 3339, UTC.
    #[schema(format = DateTime)]
    ends_at: String,
    /// Cancelling before this moment ends the contract on the same day. RFC 3339, UTC.
    #[schema(format = DateTime)]
    same_until: String,
    /// Each month from this one to the end.
    charges: Vec<MonthChargeView>,
    /// All of it, in yen with tax.
    total_yen_with_tax: i64,
    /// What is to be read before confirming, in the subscriber's language.
    words: String,
    /// Where it is cancelled: the carrier's member page (S27).
    #[schema(format = Uri)]
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

/// Shows what cancelling now would mean: when the contract would end and what is still charged.
/// Cancelling itself is the carrier's.
#[utoipa::path(get, path = "/v1/me/cancellation", tag = "subscriber",
    responses((status = 200, body = CancellationView)), security(("session" = [])))]
pub(crate) async fn cancellation(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<CancellationView>, Problem> {
    let contract = own_contract(&plane, &subscriber).await?;
    let running = Running {
        applied_on: contract.applied_on,
        free_until: contract.free.map(|free| free.free_until),
    };
    // Who has cancelled is shown what was said then.
    let at = contract.cancelled_at.unwrap_or_else(clock::now);
    let preview = preview(&SMART_VOICEMAIL, &running, at);
    let charge = |charge: &crate::cancellation::MonthlyCharge| MonthChargeView {
        month: charge.month.to_string(),
        yen_with_tax: charge.net.with_tax().get(),
    };
    Ok(axum::Json(CancellationView {
        ends_on: preview.ends_on.to_string(),
        ends_at: time_utc(preview.ends_at),
        same_until: time_utc(preview.same_until),
        charges: preview.charges.iter().map(charge).collect(),
        total_yen_with_tax: preview.total_with_tax().get(),
        words: preview.words(contract.language),
        member_url: plane.shared.config.member_url.clone(),
    }))
}

/// The contract of whoever asks; its end is told by 410.
pub(crate) async fn own_contract(
    plane: &ControlPlane,
    subscriber: &Subscriber,
) -> Result<Contract, Problem> {
    let contract = plane.shared.store.contract_of_mailbox(subscriber.mailbox).await?;
    contract.filter(|contract| !contract.is_over(clock::now())).ok_or_else(contract_ended)
}
