//! What is kept of set-ups under way: their steps, their one-time codes, and how often who did
//! what.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;

use super::StoreError;
use crate::contract::ContractId;
use crate::notice::Notice;
use crate::one_time_code::SentCode;
use crate::setup::Step;
use crate::subscriber::{Device, DeviceId};
use crate::turns::Turn;

/// A set-up under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Its id, a UUID.
    pub id: String,
    /// What it asks for next; never `Done`, which is known by the calls that came.
    pub step: Step,
    /// The contract that was found.
    pub contract: Option<ContractId>,
    /// The contract's mailbox, once it is active.
    pub mailbox: Option<MailboxId>,
    /// What the device will be called.
    pub device_name: Option<String>,
    /// The device, once it is registered.
    pub device: Option<DeviceId>,
    /// Counts changes; a change is refused when another came between.
    pub version: i64,
    /// When it was begun.
    pub created_at: WallTime,
    /// When it ends, done or not.
    pub expires_at: WallTime,
}

/// A code to be sent.
#[derive(Debug)]
pub struct CodeToSend<'a> {
    /// The set-up with the step that follows.
    pub setup: &'a Setup,
    /// What is kept of the code.
    pub code: &'a SentCode,
    /// The notice and its number; none when nobody is to be told.
    pub told: Option<(&'a Notice, &'a str)>,
    /// What it counts as.
    pub turns: &'a [Turn],
}

/// What became of a code to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeSent {
    /// It is on its way.
    Sent,
    /// Too many were sent; the next may be sent then.
    Wait(WallTime),
    /// The set-up changed meanwhile.
    Changed,
}

/// A code that was entered.
#[derive(Debug)]
pub struct CodeTry<'a> {
    /// The set-up's id.
    pub setup: &'a str,
    /// MAC of what was entered.
    pub code_mac: &'a str,
    /// The device to be registered when it is right.
    pub device: &'a Device,
    /// What is kept of its session token.
    pub token_hash: &'a str,
    /// What the attempt counts as.
    pub turns: &'a [Turn],
}

/// What became of a code that was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeTried {
    /// It was right: the device is registered, now or by the same code before (S39).
    Right(Device),
    /// It was wrong; so many tries are left.
    Wrong {
        /// Tries that are left of this code.
        left: u32,
    },
    /// The code holds no longer.
    Expired,
    /// Its tries are used up.
    UsedUp,
    /// Too many were entered; the next may be entered then.
    Wait(WallTime),
    /// No code was asked for.
    NotAsked,
}

/// Keeps set-ups.
#[async_trait]
pub trait SetupStore: Send + Sync {
    /// Keeps a new set-up under the hash of its token, and drops those that expired. When too
    /// many were begun: the time at which another may be.
    async fn create_setup(
        &self,
        setup: &Setup,
        token_hash: &str,
        turns: &[Turn],
    ) -> Result<Option<WallTime>, StoreError>;
    /// The set-up with this token, unless it expired.
    async fn setup_by_token(
        &self,
        token_hash: &str,
        now: WallTime,
    ) -> Result<Option<Setup>, StoreError>;
    /// Replaces a set-up if it is still at `setup.version`, and counts the version up. False when
    /// another change came between.
    async fn update_setup(&self, setup: &Setup) -> Result<bool, StoreError>;
    /// Takes all of these turns, or none: then the time at which they are free.
    async fn take_turns(
        &self,
        turns: &[Turn],
        now: WallTime,
    ) -> Result<Option<WallTime>, StoreError>;
    /// Puts a new code in place of the one before and tells the subscriber, in one transaction.
    async fn send_code(&self, code: CodeToSend<'_>) -> Result<CodeSent, StoreError>;
    /// Counts an attempt, compares, and registers the device when it is right, in one
    /// transaction: however many attempts come at once, no more count than may.
    async fn try_code(&self, attempt: CodeTry<'_>, now: WallTime) -> Result<CodeTried, StoreError>;
}
