//! What the store keeps of webhooks and of the browsers that take push.

use async_trait::async_trait;
use engine_core::id::MailboxId;
use engine_core::time::WallTime;

use super::{Page, StoreError};
use crate::audit::Change;
use crate::notice::NoticeId;
use crate::push::PushEndpoint;
use crate::webhook::{Webhook, WebhookDelivery, WebhookId};

/// Which given-up deliveries are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// This one, whatever became of it.
    One(NoticeId),
    /// All that were given up and happened at or after this time.
    FailedSince(WallTime),
}

/// Keeps webhooks and what they are told. Changes are audited in their own transaction.
#[async_trait]
pub trait WebhookStore: Send + Sync {
    /// Keeps a new webhook. False when there are `most` already.
    async fn create_webhook(
        &self,
        webhook: &Webhook,
        most: u32,
        change: Change,
    ) -> Result<bool, StoreError>;
    /// The webhook with this id.
    async fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError>;
    /// All webhooks, oldest first.
    async fn webhooks(&self, page: Page) -> Result<Vec<Webhook>, StoreError>;
    /// Replaces a webhook's URL, events, description, and whether it is told. False when there is
    /// none.
    async fn update_webhook(&self, webhook: &Webhook, change: Change) -> Result<bool, StoreError>;
    /// Gives a webhook its next secret; the webhook as it is then.
    async fn rotate_webhook(
        &self,
        id: WebhookId,
        change: Change,
    ) -> Result<Option<Webhook>, StoreError>;
    /// Deletes a webhook and the log of its deliveries. False when there is none.
    async fn delete_webhook(&self, id: WebhookId, change: Change) -> Result<bool, StoreError>;
    /// Tells every webhook that wants it of an event, once however often it is put. Ids and
    /// states only in `data`.
    async fn put_event(
        &self,
        id: NoticeId,
        event: &str,
        data: serde_json::Value,
        now: WallTime,
    ) -> Result<(), StoreError>;
    /// Tells one webhook of an event, whatever it chose.
    async fn put_event_for(
        &self,
        webhook: WebhookId,
        event: &str,
        data: serde_json::Value,
        change: Change,
    ) -> Result<NoticeId, StoreError>;
    /// What a webhook was told, newest first.
    async fn webhook_deliveries(
        &self,
        id: WebhookId,
        page: Page,
    ) -> Result<Vec<WebhookDelivery>, StoreError>;
    /// Tells a webhook again; how many deliveries that makes.
    async fn replay_webhook(
        &self,
        id: WebhookId,
        which: Replay,
        change: Change,
    ) -> Result<u64, StoreError>;
}

/// Keeps the browsers that take push.
#[async_trait]
pub trait PushStore: Send + Sync {
    /// Keeps an endpoint; one with the same URL is replaced. False when the mailbox has `most`
    /// others already.
    async fn put_push_endpoint(
        &self,
        endpoint: &PushEndpoint,
        most: u32,
    ) -> Result<bool, StoreError>;
    /// The endpoint with this id.
    async fn push_endpoint(&self, id: uuid::Uuid) -> Result<Option<PushEndpoint>, StoreError>;
    /// All endpoints of a mailbox, oldest first.
    async fn push_endpoints(&self, mailbox: MailboxId) -> Result<Vec<PushEndpoint>, StoreError>;
    /// Drops an endpoint. False when there is none.
    async fn drop_push_endpoint(&self, id: uuid::Uuid) -> Result<bool, StoreError>;
}
