//! The set-up of a subscriber's app over REST (S32–S46). Which step may follow which is decided in
//! `setup`; what the steps do stands in `setup_steps`.

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{BearerFault, bearer};
use super::client::ClientAddress;
use super::extract::{JsonBody, Whole};
use super::me_forwarding::look;
use super::problem::{Kind, Problem};
use super::setup_steps::{
    activate, changed, code_mac, contract_of, enter, new_code, put, session_of, turn,
};
use super::setup_view::SetupView;
use crate::clock;
use crate::contract::{ContractError, ContractState};
use crate::limits::SETUP_AGE_MAX;
use crate::one_time_code::Code;
use crate::plane::ControlPlane;
use crate::sessions::{hash_token, is_token, new_token};
use crate::setup::{Entry, Input, Step};
use crate::store::{CodeSent, CodeToSend, CodeTried, CodeTry, Setup};
use crate::subscriber::{Device, DeviceId, DeviceName};
use crate::telephone::read_mobile;
use crate::turns::{Turn, TurnKind};

const SETUP_PREFIX: &str = "rsu_";

/// A set-up under way, by its bearer token.
pub(crate) struct Underway {
    setup: Setup,
    token: String,
}

impl FromRequestParts<ControlPlane> for Underway {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, plane: &ControlPlane) -> Result<Self, Problem> {
        let token = bearer(parts).map_err(|fault| match fault {
            BearerFault::Missing => Problem::no_setup(),
            BearerFault::Malformed => Problem::wrong_setup(),
        })?;
        if !is_token(token, SETUP_PREFIX) {
            return Err(Problem::wrong_setup());
        }
        let setup = plane.shared.store.setup_by_token(&hash_token(token), clock::now()).await?;
        let setup = setup.ok_or_else(Problem::wrong_setup)?;
        Ok(Self { setup, token: token.to_owned() })
    }
}

/// A set-up that was begun.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SetupBegun)]
pub(crate) struct BegunView {
    /// Bearer token of every step of this set-up; shown once.
    #[schema(example = "rsu_…")]
    token: String,
    #[serde(flatten)]
    setup: SetupView,
}

/// A serial number as it was typed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SerialEntered {
    /// The serial number of the mail "application complete" (S30), in any spelling.
    #[schema(max_length = 100)]
    serial: String,
}

/// The terms that are accepted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TermsAccepted {
    /// The version that was shown.
    #[schema(value_type = u32, minimum = 1)]
    version: Whole,
}

/// The device that is to be registered (S37).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceNamed {
    /// The own number: the contract's line, in any spelling.
    #[schema(pattern = "^0[6789]0-?[0-9]{4}-?[0-9]{4}$", example = "090-1234-5678")]
    number: String,
    /// What the device is called.
    #[schema(min_length = 1, max_length = 50, pattern = "^[^\\s\\x00-\\x1f\\x7f-\\x9f]+$")]
    name: String,
}

/// The code of the SMS (S38).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CodeEntered {
    /// Its four digits.
    #[schema(pattern = "^[0-9]{4}$", example = "0123")]
    code: String,
}

/// A device that was registered (S39).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Registered)]
pub(crate) struct RegisteredView {
    /// The session: bearer token of `/v1/me`. Sending the same code again gives the same one.
    #[schema(example = "rst_…")]
    token: String,
    #[serde(flatten)]
    setup: SetupView,
}

/// Begins a set-up (「利用開始」).
#[utoipa::path(post, path = "/v1/setup", tag = "setup",
    responses((status = 201, body = BegunView)))]
pub(crate) async fn begin(
    State(plane): State<ControlPlane>,
    address: ClientAddress,
) -> Result<(StatusCode, axum::Json<BegunView>), Problem> {
    let now = clock::now();
    let token = new_token(SETUP_PREFIX)?;
    let setup = Setup {
        id: uuid::Uuid::now_v7().to_string(),
        step: Step::Entry,
        contract: None,
        mailbox: None,
        device_name: None,
        device: None,
        version: 1,
        created_at: now,
        expires_at: clock::after(now, SETUP_AGE_MAX),
    };
    let turns = [turn(&plane, TurnKind::Setup, address)];
    if let Some(free) = plane.shared.store.create_setup(&setup, &hash_token(&token), &turns).await?
    {
        return Err(Problem::too_many(free, now));
    }
    let setup = SetupView::of(&plane, &setup, setup.step, None).await?;
    Ok((StatusCode::CREATED, axum::Json(BegunView { token, setup })))
}

/// Shows how far the set-up has come. It is `done` once a forwarded call arrived.
#[utoipa::path(get, path = "/v1/setup", tag = "setup",
    responses((status = 200, body = SetupView)), security(("setup" = [])))]
pub(crate) async fn show(
    underway: Underway,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<SetupView>, Problem> {
    let setup = underway.setup;
    let contract = contract_of(&plane, &setup).await?;
    let mut step = setup.step;
    if let (true, Some(contract), Some(mailbox)) = (step.is_registered(), &contract, setup.mailbox)
        && look(&plane, mailbox, contract).await?.proven_at.is_some()
    {
        step = step.follow(Input::ForwardedCall)?;
    }
    Ok(axum::Json(SetupView::of(&plane, &setup, step, contract.as_ref()).await?))
}

/// Enters the serial number of a new contract (S34–S35).
#[utoipa::path(post, path = "/v1/setup/serial", tag = "setup", request_body = SerialEntered,
    responses((status = 200, body = SetupView)), security(("setup" = [])))]
pub(crate) async fn serial(
    underway: Underway,
    State(plane): State<ControlPlane>,
    address: ClientAddress,
    JsonBody(entered): JsonBody<SerialEntered>,
) -> Result<axum::Json<SetupView>, Problem> {
    enter(&plane, underway.setup, address, &entered.serial, Entry::Serial).await
}

/// Enters the serial number of a contract that is in use: another device, or a new phone.
#[utoipa::path(post, path = "/v1/setup/restore", tag = "setup", request_body = SerialEntered,
    responses((status = 200, body = SetupView)), security(("setup" = [])))]
pub(crate) async fn restore(
    underway: Underway,
    State(plane): State<ControlPlane>,
    address: ClientAddress,
    JsonBody(entered): JsonBody<SerialEntered>,
) -> Result<axum::Json<SetupView>, Problem> {
    enter(&plane, underway.setup, address, &entered.serial, Entry::Restore).await
}

/// Refuses the in-app purchase, which is another seller's (S18–S20): whoever has a contract
/// through the carrier must not buy it, and nobody can buy it here.
#[utoipa::path(post, path = "/v1/setup/purchase", tag = "setup",
    responses((status = 204, description = "Never")), security(("setup" = [])))]
pub(crate) async fn purchase(
    underway: Underway,
    State(plane): State<ControlPlane>,
) -> Result<StatusCode, Problem> {
    let contract = contract_of(&plane, &underway.setup).await?;
    Err(match contract {
        Some(_) => Problem::new(
            Kind::CarrierContractExists,
            "the line has a contract through the carrier: do not purchase; go on with the set-up",
        ),
        None => Problem::new(
            Kind::PurchaseNotOffered,
            "the in-app purchase is another seller's; who applied at the carrier enters the serial \
             number of the mail with POST /v1/setup/serial",
        ),
    })
}

/// Accepts the terms and redeems the serial, once: the 050 number is shown (S29, S36).
#[utoipa::path(post, path = "/v1/setup/terms", tag = "setup", request_body = TermsAccepted,
    responses((status = 200, body = SetupView)), security(("setup" = [])))]
pub(crate) async fn terms(
    underway: Underway,
    State(plane): State<ControlPlane>,
    JsonBody(accepted): JsonBody<TermsAccepted>,
) -> Result<axum::Json<SetupView>, Problem> {
    let mut setup = underway.setup;
    let version = i64::from(accepted.version.0);
    let next = setup.step.follow(Input::AcceptedTerms)?;
    let mut contract = contract_of(&plane, &setup).await?.ok_or_else(Problem::wrong_setup)?;
    if contract.state == ContractState::Applied {
        contract = activate(&plane, &mut setup, &contract, version).await?;
    }
    // Said again, it is what was accepted then.
    if contract.terms_version != Some(version) {
        return Err(ContractError::TermsNotAccepted { current: contract.terms_version }.into());
    }
    if contract.mailbox != setup.mailbox {
        return Err(ContractError::SerialRedeemed.into());
    }
    setup.step = next;
    put(&plane, &mut setup).await?;
    Ok(axum::Json(SetupView::of(&plane, &setup, setup.step, Some(&contract)).await?))
}

/// Takes own number and device name, and sends a code to the number (S37–S38). Sent again, it
/// sends another code. The answer does not tell whether the number is the contract's.
#[utoipa::path(post, path = "/v1/setup/device", tag = "setup", request_body = DeviceNamed,
    responses((status = 200, body = SetupView)), security(("setup" = [])))]
pub(crate) async fn device(
    underway: Underway,
    State(plane): State<ControlPlane>,
    address: ClientAddress,
    JsonBody(named): JsonBody<DeviceNamed>,
) -> Result<axum::Json<SetupView>, Problem> {
    let mut setup = underway.setup;
    setup.step = setup.step.follow(Input::NamedDevice)?;
    let number = read_mobile(&named.number)
        .map_err(|why| Problem::of(Kind::InvalidField, &why).about("number"))?;
    let name = DeviceName::read(&named.name)?;
    setup.device_name = Some(name.as_str().to_owned());
    let contract = contract_of(&plane, &setup).await?.ok_or_else(Problem::wrong_setup)?;
    let (code, notice) = new_code(&plane, &setup, &contract, &number)?;
    let turns = [
        Turn { kind: TurnKind::CodeToNumber, subject: code.number_mac.clone() },
        turn(&plane, TurnKind::CodeFromAddress, address),
    ];
    // Only the contract's own line is sent anything: nobody else's phone can be made to ring.
    let is_own = number == contract.line.reveal();
    let told = is_own.then_some((&notice, number.as_str()));
    let sending = CodeToSend { setup: &setup, code: &code, told, turns: &turns };
    match plane.shared.store.send_code(sending).await? {
        CodeSent::Sent => plane.shared.outbox_wake.wake(),
        CodeSent::Wait(free) => return Err(Problem::too_many(free, code.sent_at)),
        CodeSent::Changed => return Err(changed()),
    }
    Ok(axum::Json(SetupView::of(&plane, &setup, setup.step, Some(&contract)).await?))
}

/// Takes the code of the SMS and registers the device (S38–S39).
#[utoipa::path(post, path = "/v1/setup/code", tag = "setup", request_body = CodeEntered,
    responses((status = 200, body = RegisteredView)), security(("setup" = [])))]
pub(crate) async fn code(
    underway: Underway,
    State(plane): State<ControlPlane>,
    address: ClientAddress,
    JsonBody(entered): JsonBody<CodeEntered>,
) -> Result<axum::Json<RegisteredView>, Problem> {
    let Underway { mut setup, token } = underway;
    let next = setup.step.follow(Input::RightCode)?;
    let code = Code::read(&entered.code)
        .map_err(|why| Problem::of(Kind::InvalidField, &why).about("code"))?;
    let contract = contract_of(&plane, &setup).await?.ok_or_else(Problem::wrong_setup)?;
    let mailbox = contract.mailbox.ok_or_else(Problem::wrong_setup)?;
    let now = clock::now();
    let device = Device {
        id: DeviceId::from_u128(uuid::Uuid::now_v7().as_u128()),
        contract: contract.id,
        mailbox,
        name: setup.device_name.clone().unwrap_or_default(),
        created_at: now,
        seen_at: now,
        ended: None,
    };
    let token = session_of(&plane, &token);
    let attempt = CodeTry {
        setup: &setup.id,
        code_mac: &code_mac(&plane, &setup, &code),
        device: &device,
        token_hash: &hash_token(&token),
        turns: &[turn(&plane, TurnKind::TryFromAddress, address)],
    };
    setup.device = match plane.shared.store.try_code(attempt, now).await? {
        CodeTried::Right(device) => Some(device.id),
        CodeTried::Wrong { left } => {
            let detail = format!("the code is wrong; {left} more may be tried before a new SMS");
            let ja = format!("認証コードが違います。あと{left}回入力できます。");
            return Err(Problem::new(Kind::WrongCode, detail).in_japanese(ja).about("code"));
        }
        CodeTried::Expired | CodeTried::UsedUp => {
            let detail = "the code holds no longer; ask for another with POST /v1/setup/device";
            return Err(Problem::new(Kind::CodeOver, detail));
        }
        CodeTried::Wait(free) => return Err(Problem::too_many(free, now)),
        CodeTried::NotAsked => return Err(Problem::wrong_setup()),
    };
    let setup = SetupView::of(&plane, &setup, next, Some(&contract)).await?;
    Ok(axum::Json(RegisteredView { token, setup }))
}
