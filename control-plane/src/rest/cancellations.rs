//! Cancelling over REST: what it means, doing it, taking it back (S53–S57).

use axum::extract::State;
use engine_core::text::Language;
use engine_core::time::WallTime;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{ContractsRead, ContractsWrite, May};
use super::contracts::{ContractView, find, running};
use super::extract::PathId;
use super::problem::Problem;
use crate::cancellation;
use crate::clock;
use crate::contract::{Contract, ContractError, ContractId};
use crate::plan::SMART_VOICEMAIL;
use crate::plane::ControlPlane;
use crate::wording::time_utc;

/// A month that is still charged.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthCharge {
    /// Calendar month in Japan.
    #[schema(example = "2026-07")]
    month: String,
    /// What it costs in yen with tax; 0 when it is free.
    yen_with_tax: i64,
}

/// The same words in both languages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BothLanguages {
    ja: String,
    en: String,
}

/// What cancelling means (S53–S57).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CancellationView {
    /// When it was cancelled; null: this is what cancelling now would mean.
    #[schema(format = DateTime)]
    cancelled_at: Option<String>,
    /// Last day in Japan.
    #[schema(format = Date)]
    ends_on: String,
    /// First moment behind the last day.
    #[schema(format = DateTime)]
    ends_at: String,
    /// Cancelling before this moment ends the contract on the same day.
    #[schema(format = DateTime)]
    same_until: String,
    /// Every month from the cancellation to the end.
    charges: Vec<MonthCharge>,
    /// All of them together, in yen with tax.
    total_yen_with_tax: i64,
    /// What the subscriber must read before confirming.
    words: BothLanguages,
}

impl CancellationView {
    /// What cancelling this contract means, now or as it was cancelled.
    pub(crate) fn of(contract: &Contract, now: WallTime) -> Self {
        let from = contract.cancelled_at.unwrap_or(now);
        let preview = cancellation::preview(&SMART_VOICEMAIL, &running(contract), from);
        let charge = |charge: &cancellation::MonthlyCharge| MonthCharge {
            month: charge.month.to_string(),
            yen_with_tax: charge.net.with_tax().get(),
        };
        Self {
            cancelled_at: contract.cancelled_at.map(time_utc),
            ends_on: preview.ends_on.to_string(),
            ends_at: time_utc(preview.ends_at),
            same_until: time_utc(preview.same_until),
            charges: preview.charges.iter().map(charge).collect(),
            total_yen_with_tax: preview.total_with_tax().get(),
            words: BothLanguages {
                ja: preview.words(Language::Japanese),
                en: preview.words(Language::English),
            },
        }
    }
}

/// Says what cancelling now would mean, or what the cancellation that was made means.
#[utoipa::path(get, path = "/v1/contracts/{id}/cancellation", tag = "contracts",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = CancellationView)),
    security(("key" = ["contracts:read"])))]
pub(crate) async fn preview(
    _: May<ContractsRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<ContractId>,
) -> Result<axum::Json<CancellationView>, Problem> {
    let (contract, now) = (find(&plane, id).await?, clock::now());
    if contract.is_over(now) {
        return Err(ContractError::Over.into());
    }
    Ok(axum::Json(CancellationView::of(&contract, now)))
}

/// Cancels a contract. Cancelling again moves no end.
#[utoipa::path(post, path = "/v1/contracts/{id}/cancellation", tag = "contracts",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = ContractView)),
    security(("key" = ["contracts:write"])))]
pub(crate) async fn cancel(
    may: May<ContractsWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<ContractId>,
) -> Result<axum::Json<ContractView>, Problem> {
    let contract = plane.shared.store.cancel_contract(id, may.change()).await?;
    plane.shared.outbox_wake.wake();
    Ok(axum::Json(contract.into()))
}

/// Takes a cancellation back, until the contract's last moment.
#[utoipa::path(delete, path = "/v1/contracts/{id}/cancellation", tag = "contracts",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = ContractView)),
    security(("key" = ["contracts:write"])))]
pub(crate) async fn reinstate(
    may: May<ContractsWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<ContractId>,
) -> Result<axum::Json<ContractView>, Problem> {
    let contract = plane.shared.store.reinstate_contract(id, may.change()).await?;
    plane.shared.outbox_wake.wake();
    Ok(axum::Json(contract.into()))
}
