//! What is kept for subscribers' apps: devices with their sessions, how to be told, whether
//! forwarding works.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;

use super::{Page, StoreError};
use crate::subscriber::{Device, DeviceId, NotificationChange, NotificationSettings};

/// Since when a forwarded call is waited for, and when one came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardingProof {
    /// Calls answered from here on prove it.
    pub since: WallTime,
    /// When one did.
    pub proven_at: Option<WallTime>,
}

/// Keeps devices and what their owner chose.
#[async_trait]
pub trait SubscriberStore: Send + Sync {
    /// Keeps a new device under the hash of its session token.
    async fn keep_device(&self, device: &Device, token_hash: &str) -> Result<(), StoreError>;
    /// The device with this token, also when it is signed out.
    async fn device_by_token(&self, token_hash: &str) -> Result<Option<Device>, StoreError>;
    /// A mailbox's signed-in devices, oldest first.
    async fn devices(&self, mailbox: MailboxId, page: Page) -> Result<Vec<Device>, StoreError>;
    /// Renames a signed-in device of this mailbox; the device as it is then.
    async fn rename_device(
        &self,
        mailbox: MailboxId,
        device: DeviceId,
        name: &str,
    ) -> Result<Option<Device>, StoreError>;
    /// Notes that a device asked for something.
    async fn see_device(&self, device: DeviceId, now: WallTime) -> Result<(), StoreError>;
    /// Signs out one device of this mailbox, or all. How many were signed in.
    async fn sign_out(
        &self,
        mailbox: MailboxId,
        device: Option<DeviceId>,
        now: WallTime,
    ) -> Result<u64, StoreError>;
    /// How a mailbox's owner wants to be told.
    async fn notification_settings(
        &self,
        mailbox: MailboxId,
    ) -> Result<NotificationSettings, StoreError>;
    /// Changes how a mailbox's owner wants to be told; what holds then.
    async fn change_notification_settings(
        &self,
        mailbox: MailboxId,
        change: NotificationChange,
    ) -> Result<NotificationSettings, StoreError>;
    /// Whether forwarding to a mailbox was proven; `None` when nobody waits for it.
    async fn forwarding_proof(
        &self,
        mailbox: MailboxId,
    ) -> Result<Option<ForwardingProof>, StoreError>;
    /// Replaces what is known of forwarding to a mailbox.
    async fn set_forwarding_proof(
        &self,
        mailbox: MailboxId,
        proof: ForwardingProof,
    ) -> Result<(), StoreError>;
}
