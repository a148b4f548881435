//! Contracts over REST: apply, see, cancel, take a cancellation back.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use engine_core::private::Private;
use engine_core::text::Language;
use engine_core::time::WallTime;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{ContractsRead, ContractsWrite, May};
use super::extract::{JsonBody, PathId, QueryOf};
use super::page::{PageOf, cut, read_page};
use super::problem::{Kind, Problem, ProblemBody};
use super::repeat::RepeatKey;
use crate::cancellation::{self, Running};
use crate::contract::{Contract, ContractError, ContractId, ContractKind, ContractState, Wishes};
use crate::contract_notice::application_complete;
use crate::line::Line;
use crate::plan::SMART_VOICEMAIL;
use crate::plane::ControlPlane;
use crate::serial::Serial;
use crate::store::{After, Application, Applied, ContractFilter};
use crate::wording::time_utc;

/// Who contracts.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ContractKind)]
pub(crate) enum KindName {
    Individual,
    Corporate,
}

/// Language of everything the subscriber reads.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ReaderLanguage)]
pub(crate) enum ReaderLanguage {
    #[default]
    Ja,
    En,
}

impl From<ReaderLanguage> for Language {
    fn from(name: ReaderLanguage) -> Self {
        match name {
            ReaderLanguage::Ja => Self::Japanese,
            ReaderLanguage::En => Self::English,
        }
    }
}

/// How far a contract is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ContractState)]
pub(crate) enum StateName {
    Applied,
    Active,
    Ended,
}

impl From<StateName> for ContractState {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Applied => Self::Applied,
            StateName::Active => Self::Active,
            StateName::Ended => Self::Ended,
        }
    }
}

/// An application (S25–S26).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewContract {
    /// The subscriber's own mobile number: 060, 070, 080 or 090.
    #[schema(
        pattern = "^(\\+81[6-9]0[0-9]{8}|0[6-9]0-?[0-9]{4}-?[0-9]{4})$",
        example = "+819012345678"
    )]
    line: String,
    kind: KindName,
    /// Where the serial number and notices go.
    #[schema(
        pattern = "^[A-Za-z0-9]{1,40}@([A-Za-z0-9]{1,25}[.]){1,3}[A-Za-z]{2,24}$",
        example = "user@example.jp"
    )]
    email: String,
    /// `ja`, if nothing is said.
    #[serde(default)]
    #[schema(required = false)]
    language: ReaderLanguage,
}

/// A contract.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Contract)]
pub(crate) struct ContractView {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// The subscriber's own mobile number.
    #[schema(example = "+819012345678")]
    line: String,
    /// `individual` or `corporate`.
    kind: &'static str,
    /// `applied`, `active` or `ended`.
    state: &'static str,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    applied_at: String,
    /// Date of application in Japan.
    #[schema(format = Date)]
    applied_on: String,
    /// When the serial number was redeemed.
    #[schema(format = DateTime)]
    activated_at: Option<String>,
    /// When it was cancelled.
    #[schema(format = DateTime)]
    cancelled_at: Option<String>,
    /// Last day in Japan, once cancelled.
    #[schema(format = Date)]
    ends_on: Option<String>,
    /// First moment behind the last day.
    #[schema(format = DateTime)]
    ends_at: Option<String>,
    /// When everything was deleted.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Version of the terms that were accepted last.
    terms_version: Option<i64>,
    /// The mailbox, once active.
    #[schema(format = Uuid)]
    mailbox: Option<String>,
    /// Its 050 number, once active.
    number: Option<String>,
    /// Where notices go; gone once ended.
    email: Option<String>,
    /// `ja` or `en`.
    language: &'static str,
    /// Version of the campaign that made the first months free.
    campaign_version: Option<i64>,
    /// Last free day in Japan.
    #[schema(format = Date)]
    free_until: Option<String>,
}

impl From<Contract> for ContractView {
    fn from(contract: Contract) -> Self {
        let text = |time: Option<WallTime>| time.map(time_utc);
        Self {
            id: contract.id.to_string(),
            line: contract.line.reveal().to_owned(),
            kind: contract.kind.name(),
            state: contract.state.name(),
            applied_at: time_utc(contract.applied_at),
            applied_on: contract.applied_on.to_string(),
            activated_at: text(contract.activated_at),
            cancelled_at: text(contract.cancelled_at),
            ends_on: contract.ends_on.map(|date| date.to_string()),
            ends_at: text(contract.ends_at),
            ended_at: text(contract.ended_at),
            terms_version: contract.terms_version,
            mailbox: contract.mailbox.map(|mailbox| mailbox.to_string()),
            number: contract.number,
            email: contract.email.map(Private::into_inner),
            language: contract.language.code(),
            campaign_version: contract.free.map(|free| free.version),
            free_until: contract.free.map(|free| free.free_until.to_string()),
        }
    }
}

/// A new contract with what is told only once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppliedView {
    #[serde(flatten)]
    contract: ContractView,
    /// The serial number (S30), shown only here and in the subscriber's mail.
    #[schema(example = "7K3M-9QRT-2BXW-HD5N-EV8A")]
    serial: String,
    /// What the subscriber must read before confirming, from the 26th on: cancelling at once still
    /// charges the next month. In the contract's language.
    late_application_notice: Option<String>,
}

/// Applies for a contract: takes the line and decides on the campaign. The same Idempotency-Key
/// with the same body gives the same answer for a day and applies once.
#[utoipa::path(post, path = "/v1/contracts", tag = "contracts", request_body = NewContract,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!#-~]{1,255}$", description = "Names this request, such as a UUID")),
    responses((status = 201, body = AppliedView),
        (status = 409, body = ProblemBody, content_type = "application/problem+json",
            description = "The line has a contract, or the carrier's own voicemail (S28)")),
    security(("key" = ["contracts:write"])))]
pub(crate) async fn create(
    may: May<ContractsWrite>,
    State(plane): State<ControlPlane>,
    repeat: RepeatKey,
    JsonBody(new): JsonBody<NewContract>,
) -> Result<(StatusCode, [(HeaderName, String); 1], axum::Json<AppliedView>), Problem> {
    let pepper = &plane.shared.pepper;
    let repeat = repeat.with(&new, pepper);
    let wishes = Wishes {
        line: Line::read(&new.line)?,
        kind: match new.kind {
            KindName::Individual => ContractKind::Individual,
            KindName::Corporate => ContractKind::Corporate,
        },
        email: Private::new(new.email),
        language: new.language.into(),
    };
    let change = may.change();
    let id = ContractId::from_u128(uuid::Uuid::now_v7().as_u128());
    let (contract, serial) = (Contract::apply(id, wishes, change.at)?, Serial::of(id, pepper));
    let application = Application {
        serial_hash: serial.hash(pepper),
        notice: application_complete(&contract, &serial),
        line_hash: contract.line.hash(pepper),
        contract,
        repeat,
    };
    let contract = match plane.shared.store.apply(&application, change).await? {
        Applied::New(contract) => {
            plane.shared.outbox_wake.wake();
            contract
        }
        Applied::Before(contract) => contract.as_applied(),
    };
    let language = contract.language;
    let notice =
        cancellation::late_application_words(&SMART_VOICEMAIL, &running(&contract), language);
    let view = AppliedView {
        serial: Serial::of(contract.id, pepper).words(),
        late_application_notice: notice,
        contract: contract.into(),
    };
    let location = format!("/v1/contracts/{}", view.contract.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], axum::Json(view)))
}

/// Which contracts a client asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ContractsQuery {
    /// Only this line's, past ones too.
    #[param(pattern = "^(\\+81[6-9]0[0-9]{8}|0[6-9]0-?[0-9]{4}-?[0-9]{4})$")]
    line: Option<String>,
    /// Only those in this state.
    #[param(inline)]
    state: Option<StateName>,
    /// Most items, 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next` of the page before; without it the list begins.
    #[param(pattern = "^[0-9a-f]{48}$")]
    cursor: Option<String>,
}

/// Lists contracts, oldest first.
#[utoipa::path(get, path = "/v1/contracts", tag = "contracts", params(ContractsQuery),
    responses((status = 200, body = PageOf<ContractView>)),
    security(("key" = ["contracts:read"])))]
pub(crate) async fn list(
    _: May<ContractsRead>,
    State(plane): State<ControlPlane>,
    QueryOf(query): QueryOf<ContractsQuery>,
) -> Result<axum::Json<PageOf<ContractView>>, Problem> {
    let page = read_page(query.limit, query.cursor.as_deref())?;
    let line = query.line.as_deref().map(Line::read).transpose();
    let line = line.map_err(|e| Problem::new(Kind::MalformedQuery, e.to_string()))?;
    let filter = ContractFilter { line, state: query.state.map(Into::into) };
    let found = plane.shared.store.contracts(&filter, page).await?;
    let at = |contract: &Contract| After { at: contract.applied_at, id: contract.id.as_u128() };
    let (items, next) = cut(found, page, at);
    Ok(axum::Json(PageOf { items: items.into_iter().map(Into::into).collect(), next }))
}

/// Shows a contract, also when it is over.
#[utoipa::path(get, path = "/v1/contracts/{id}", tag = "contracts",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = ContractView)),
    security(("key" = ["contracts:read"])))]
pub(crate) async fn show(
    _: May<ContractsRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<ContractId>,
) -> Result<axum::Json<ContractView>, Problem> {
    Ok(axum::Json(find(&plane, id).await?.into()))
}

/// The contract, also when it is over; or that there is none.
pub(super) async fn find(plane: &ControlPlane, id: ContractId) -> Result<Contract, Problem> {
    let contract = plane.shared.store.contract(id).await?;
    Ok(contract.ok_or(ContractError::Unknown)?)
}

/// What counts of a contract when it is cancelled.
pub(super) fn running(contract: &Contract) -> Running {
    Running {
        applied_on: contract.applied_on,
        free_until: contract.free.map(|free| free.free_until),
    }
}
