//! What the store keeps of notices.

use async_trait::async_trait;

use super::StoreError;
use crate::notice::Notice;
use crate::outbox::Channel;

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
}
