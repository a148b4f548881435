//! How a set-up is shown: what it asks for next, and what the app may show at this step.

use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::terms::TermsView;
use crate::clock;
use crate::contract::Contract;
use crate::plane::ControlPlane;
use crate::setup::Step;
use crate::store::Setup;
use crate::telephone::as_written_in_japan;
use crate::wording::time_utc;

/// A number in both spellings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Number)]
pub(crate) struct NumberView {
    /// In E.164.
    #[schema(example = "+815012345678")]
    e164: String,
    /// As it is written in Japan (S36).
    #[schema(example = "050-1234-5678")]
    national: String,
}

impl NumberView {
    pub(crate) fn of(e164: &str) -> Self {
        Self { e164: e164.to_owned(), national: as_written_in_japan(e164) }
    }
}

/// A set-up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Setup)]
pub(crate) struct SetupView {
    /// What it asks for: `entry`, `terms`, `device`, `code`, `forwarding`, `done`.
    #[schema(example = "device")]
    step: &'static str,
    /// Path to which what is asked for is sent; null when nothing is.
    #[schema(example = "/v1/setup/device")]
    next: Option<&'static str>,
    /// Entries that the app offers: `serial`, `restore`, `purchase`. The last one is left out once
    /// a carrier's contract is known (S18–S20).
    entries: Vec<&'static str>,
    /// The terms, at the step `terms`.
    terms: Option<TermsView>,
    /// The contract's 050 number, once the serial is redeemed (S36).
    number: Option<NumberView>,
    /// The registered device.
    #[schema(format = Uuid)]
    device: Option<String>,
    /// Where the guides to forwarding are (S40), once the device is registered.
    guides: Option<&'static str>,
    /// When the set-up ends, done or not. RFC 3339, UTC.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Where forwarding guides are.
pub(crate) const GUIDES: &str = "/v1/guides";

const fn next(step: Step) -> Option<&'static str> {
    match step {
        Step::Entry => Some("/v1/setup/serial"),
        Step::Terms => Some("/v1/setup/terms"),
        Step::Device => Some("/v1/setup/device"),
        Step::Code => Some("/v1/setup/code"),
        Step::Forwarding => Some("/v1/me/forwarding"),
        Step::Done => None,
    }
}

impl SetupView {
    /// A set-up at `step` as the app sees it.
    pub(crate) async fn of(
        plane: &ControlPlane,
        setup: &Setup,
        step: Step,
        contract: Option<&Contract>,
    ) -> Result<Self, Problem> {
        let terms = match step {
            Step::Terms => plane.shared.store.current_terms(clock::now()).await?,
            _ => None,
        };
        let number = contract.and_then(|contract| contract.number.as_deref());
        Ok(Self {
            step: step.name(),
            next: next(step),
            entries: step.entries().iter().map(|entry| entry.name()).collect(),
            terms: terms.map(Into::into),
            number: number.filter(|_| step.shows_number()).map(NumberView::of),
            device: setup.device.map(|id| id.to_string()),
            guides: step.is_registered().then_some(GUIDES),
            expires_at: time_utc(setup.expires_at),
        })
    }
}
