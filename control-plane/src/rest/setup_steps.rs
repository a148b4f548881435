//! The steps of a set-up as they are taken: contracts found, serials redeemed, codes made. Which
//! step may follow which is decided in `setup`.

use engine_core::id::MailboxId;
use rand::TryRngCore;
use rand::rngs::OsRng;

use super::client::ClientAddress;
use super::problem::{Kind, Problem};
use super::setup_view::SetupView;
use super::subscriber::contract_ended;
use crate::audit::{Actor, Change};
use crate::clock;
use crate::contract::{Contract, ContractError, ContractState};
use crate::limits::CODE_AGE_MAX;
use crate::notice::{Notice, NoticeBody, NoticeId};
use crate::one_time_code::{Code, SentCode};
use crate::plane::ControlPlane;
use crate::serial::Serial;
use crate::sessions::SESSION_PREFIX;
use crate::setup::{Entry, Input};
use crate::store::{Activation, Setup, StoreError};
use crate::turns::{Turn, TurnKind};

/// Finds the contract of a serial and takes the step that follows.
pub(super) async fn enter(
    plane: &ControlPlane,
    mut setup: Setup,
    address: ClientAddress,
    serial: &str,
    entry: Entry,
) -> Result<axum::Json<SetupView>, Problem> {
    let serial = Serial::read(serial)
        .map_err(|why| Problem::of(Kind::InvalidField, &why).about("serial"))?;
    let now = clock::now();
    let store = &plane.shared.store;
    let turns = [turn(plane, TurnKind::Serial, address)];
    if let Some(free) = store.take_turns(&turns, now).await? {
        return Err(Problem::too_many(free, now));
    }
    let contract = store.contract_by_serial(&serial.hash(&plane.shared.pepper)).await?;
    let contract = contract.ok_or(ContractError::SerialUnknown)?;
    if contract.is_over(now) {
        return Err(contract_ended());
    }
    let is_active = contract.state == ContractState::Active;
    let next = setup.step.follow(Input::Found { is_active })?;
    let was_here = setup.contract == Some(contract.id) && setup.mailbox == contract.mailbox;
    if is_active && entry == Entry::Serial && !was_here {
        return Err(ContractError::SerialRedeemed.into());
    }
    setup.step = next;
    setup.contract = Some(contract.id);
    setup.mailbox = contract.mailbox;
    setup.device_name = None;
    put(plane, &mut setup).await?;
    Ok(axum::Json(SetupView::of(plane, &setup, setup.step, Some(&contract)).await?))
}

/// Redeems the serial. The mailbox's id is kept before, so that a set-up whose answer was lost
/// knows its own redemption from another's.
pub(super) async fn activate(
    plane: &ControlPlane,
    setup: &mut Setup,
    contract: &Contract,
    version: i64,
) -> Result<Contract, Problem> {
    let mailbox =
        setup.mailbox.unwrap_or_else(|| MailboxId::from_u128(uuid::Uuid::now_v7().as_u128()));
    if setup.mailbox.is_none() {
        setup.mailbox = Some(mailbox);
        put(plane, setup).await?;
    }
    let pepper = &plane.shared.pepper;
    let activation = Activation {
        serial_hash: Serial::of(contract.id, pepper).hash(pepper),
        mailbox,
        accepts_terms: Some(version),
        low_water: plane.shared.config.numbers_low_water,
    };
    let change = Change { by: Actor::Subscriber(contract.id), at: clock::now() };
    let activated = plane.shared.store.activate(&activation, change).await;
    match activated {
        Ok(activated) => Ok(activated.contract),
        Err(StoreError::Contract(ContractError::SerialRedeemed)) => {
            contract_of(plane, setup).await?.ok_or_else(Problem::wrong_setup)
        }
        Err(why) => Err(why.into()),
    }
}

/// The contract of a set-up, or the problem that it is over.
pub(super) async fn contract_of(
    plane: &ControlPlane,
    setup: &Setup,
) -> Result<Option<Contract>, Problem> {
    let Some(id) = setup.contract else { return Ok(None) };
    let contract = plane.shared.store.contract(id).await?;
    match contract {
        Some(contract) if contract.is_over(clock::now()) => Err(contract_ended()),
        other => Ok(other),
    }
}

pub(super) async fn put(plane: &ControlPlane, setup: &mut Setup) -> Result<(), Problem> {
    if !plane.shared.store.update_setup(setup).await? {
        return Err(changed());
    }
    setup.version += 1;
    Ok(())
}

pub(super) fn changed() -> Problem {
    Problem::new(Kind::ChangedMeanwhile, "another request of this set-up came between; try again")
}

pub(super) fn turn(plane: &ControlPlane, kind: TurnKind, address: ClientAddress) -> Turn {
    Turn { kind, subject: address.mac(&plane.shared.pepper) }
}

/// A new code for a number and the notice that carries it. A number that is not the contract's
/// gets a MAC that no code has: every answer from here on is the same.
pub(super) fn new_code(
    plane: &ControlPlane,
    setup: &Setup,
    contract: &Contract,
    number: &str,
) -> Result<(SentCode, Notice), Problem> {
    let chance = OsRng.try_next_u64().map_err(|_| Problem::no_chance())?;
    let code = Code::from_chance(chance);
    let now = clock::now();
    let is_own = number == contract.line.reveal();
    let kept = SentCode {
        number_mac: plane.shared.pepper.hash("number", number),
        code_mac: if is_own { code_mac(plane, setup, &code) } else { "-".repeat(64) },
        tries: 0,
        sent_at: now,
        expires_at: clock::after(now, CODE_AGE_MAX),
    };
    let minutes = (CODE_AGE_MAX.as_secs() / 60) as u32;
    let body = NoticeBody::OneTimeCode { code: code.reveal().clone(), minutes };
    let mut notice = Notice::new(NoticeId::new(), body, &setup.id, now);
    notice.mailbox = contract.mailbox;
    notice.contract = Some(contract.id.to_string());
    notice.language = contract.language;
    Ok((kept, notice))
}

pub(super) fn code_mac(plane: &ControlPlane, setup: &Setup, code: &Code) -> String {
    plane.shared.pepper.hash("one-time-code", &format!("{}/{}", setup.id, code.reveal()))
}

/// The session token that a set-up leads to: only who holds the set-up's token and the pepper can
/// compute it, so a lost answer can be given again though no token is kept.
pub(super) fn session_of(plane: &ControlPlane, setup_token: &str) -> String {
    format!("{SESSION_PREFIX}{}", plane.shared.pepper.hash("session", setup_token))
}
