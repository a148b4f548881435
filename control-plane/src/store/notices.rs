//! What the store keeps of notices.

use async_trait::async_trait;
use engine_core::time::WallTime;

use super::StoreError;
use crate::notice::{Notice, NoticeId};
use crate::outbox::{Channel, Delivery};

/// Keeps notices until everyone was told.
#[async_trait]
pub trait NoticeStore: Send + Sync {
    /// Keeps a notice with a delivery for each target, in one transaction. What is there already
    /// stays as it is, so a notice is told once to each target however often it is put.
    async fn put_notice(
        &self,
        notice: &Notice,
        targets: &[(Channel, &str)],
    ) -> Result<(), StoreError>;
    /// Notes that a delivery is about to leave over a channel where sending it again would show,
    /// so that a crash cannot send it over and over. False when its lease was lost.
    async fn begin_delivery(&self, delivery: &Delivery) -> Result<bool, StoreError>;
    /// Keeps how the message centre calls the parts of an SMS.
    async fn keep_sms_references(
        &self,
        notice: NoticeId,
        references: &[String],
        now: WallTime,
    ) -> Result<(), StoreError>;
    /// Keeps what became of a part of an SMS; its receipt may come before its reference is kept.
    async fn keep_sms_state(
        &self,
        reference: &str,
        state: &str,
        now: WallTime,
    ) -> Result<(), StoreError>;
    /// What became of the parts of an SMS, as far as receipts said.
    async fn sms_states(&self, notice: NoticeId) -> Result<Vec<Option<String>>, StoreError>;
    /// Forgets up to `limit` notices that were made before a time and have nothing open, with
    /// whom they were told; how many. Those of messages stay as long as their message.
    async fn forget_notices(&self, before: WallTime, limit: u32) -> Result<u64, StoreError>;
}
