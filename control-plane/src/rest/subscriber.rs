//! Who asks on a subscriber's side: a bearer token of a signed-in device (RFC 6750). Handlers that
//! take a [`Subscriber`] speak of its own mailbox and no other.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;

use super::auth::{BearerFault, bearer};
use super::problem::Problem;
use crate::audit::{Actor, Change};
use crate::clock;
use crate::contract::ContractId;
use crate::limits::DEVICE_SEEN_STEP;
use crate::plane::ControlPlane;
use crate::store::StoreError;
use crate::subscriber::{Device, DeviceEnd, DeviceId};

/// A signed-in device, and whose it is. Handlers take it first, so that nothing else of a request
/// is looked at before.
#[derive(Debug, Clone)]
pub(crate) struct Subscriber {
    /// Which device asks.
    pub(crate) device: DeviceId,
    /// Whose it is.
    contract: ContractId,
    /// The contract's mailbox, the only one it may reach.
    pub(crate) mailbox: MailboxId,
}

impl Subscriber {
    /// A change that the subscriber makes now.
    pub(crate) fn change(&self) -> Change {
        Change { by: Actor::Subscriber(self.contract), at: clock::now() }
    }
}

impl FromRequestParts<ControlPlane> for Subscriber {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, plane: &ControlPlane) -> Result<Self, Problem> {
        let token = bearer(parts).map_err(|fault| match fault {
            BearerFault::Missing => Problem::no_session(),
            BearerFault::Malformed => Problem::wrong_session(),
        })?;
        let device = plane.shared.sessions.find(token).await?;
        let device = device.ok_or_else(Problem::wrong_session)?;
        match device.ended {
            None => {}
            Some(DeviceEnd::SignedOut) => return Err(Problem::wrong_session()),
            Some(DeviceEnd::ContractEnded) => return Err(contract_ended()),
        }
        see(plane, &device, clock::now()).await?;
        Ok(Self { device: device.id, contract: device.contract, mailbox: device.mailbox })
    }
}

/// The answer to whoever comes after the contract's end (S56–S57).
pub(crate) fn contract_ended() -> Problem {
    Problem::gone("contract ended: its mailbox")
}

/// Notes that a device is used, seldom enough to cost nothing.
async fn see(plane: &ControlPlane, device: &Device, now: WallTime) -> Result<(), StoreError> {
    if clock::until(device.seen_at, now) >= DEVICE_SEEN_STEP {
        plane.shared.store.see_device(device.id, now).await?;
    }
    Ok(())
}
