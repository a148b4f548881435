//! The outbox's shell: leases deliveries, writes and sends them, records what the core decides.

use std::sync::Arc;

use async_trait::async_trait;
use engine_core::event::{MessageEvent, MessageState};
use engine_core::time::WallTime;
use lettre::message::Mailbox as MailAddress;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::clock;
use crate::events::EventHub;
use crate::limits::{DELIVERIES_MAX, DELIVERY_MAX};
use crate::mail::compose::{compose, delivery_name};
use crate::mail::send::Mailer;
use crate::mail::template::Templates;
use crate::message::StoredState;
use crate::objects::{Object, ObjectError, Objects};
use crate::outbox::{Channel, Delivery, Next, Outcome, after_attempt};
use crate::store::{SharedStore, StoreError};
use crate::worker::Queue;

/// What the outbox works with.
#[derive(Clone)]
pub(crate) struct Outbox {
    pub(crate) store: SharedStore,
    pub(crate) objects: Objects,
    pub(crate) mailer: Mailer,
    pub(crate) templates: Arc<Templates>,
    pub(crate) from: MailAddress,
    pub(crate) public_url: Option<String>,
    pub(crate) events: Arc<EventHub>,
    pub(crate) wake: Arc<Notify>,
}

#[derive(Debug, thiserror::Error)]
enum NotifyError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[async_trait]
impl Queue for Outbox {
    type Item = Delivery;
    const NAME: &'static str = "outbox";

    async fn lease(
        &self,
        now: WallTime,
        until: WallTime,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.store.lease_deliveries(now, until, limit).await
    }

    async fn next(&self) -> Result<Option<WallTime>, StoreError> {
        self.store.next_delivery().await
    }

    async fn attempt(&self, delivery: Delivery) {
        let outcome = match delivery.channel {
            Channel::Mail => self.mail(&delivery).await,
        };
        // Our own disk or database failing says nothing of the target.
        let outcome = outcome.unwrap_or_else(|why| Outcome::Transient(why.to_string()));
        let next = after_attempt(&delivery, outcome, clock::now(), rand::random());
        let recording = delivery.message;
        match &next {
            Next::Sent => info!(%recording, "A message was told by mail."),
            // Why is in the row: a server's answer may hold the address.
            Next::Retry { .. } => warn!(
                %recording, attempts = delivery.attempts + 1,
                "A mail could not be sent now and will be tried again."
            ),
            Next::GiveUp { .. } => error!(
                %recording, attempts = delivery.attempts + 1,
                "A mail was given up; the reason is in its outbox row."
            ),
        }
        match self.store.settle_delivery(&delivery, &next, clock::now()).await {
            Ok(true) => self.announce(&delivery),
            Ok(false) => {}
            Err(why) => {
                error!(%recording, %why, "A delivery's outcome could not be recorded.");
            }
        }
    }

    fn wake(&self) -> &Notify {
        &self.wake
    }

    fn under_way_max(&self) -> usize {
        DELIVERIES_MAX
    }
}

impl Outbox {
    async fn mail(&self, delivery: &Delivery) -> Result<Outcome, NotifyError> {
        let Some(message) = self.store.message(delivery.message).await? else {
            return Ok(Outcome::Moot);
        };
        let Some(mailbox) = self.store.mailbox(delivery.mailbox).await? else {
            return Ok(Outcome::Moot);
        };
        if message.state == StoredState::Deleted || mailbox.deleted_at.is_some() {
            return Ok(Outcome::Moot);
        }
        let mp3 = match message.audio {
            Some(_) => self.objects.get(Object::Audio(delivery.message)).await?,
            None => None,
        };
        let language = mailbox.settings.language.announcements();
        let url = self.public_url.as_deref();
        let words = match self.templates.new_message(&message, language, url) {
            Ok(words) => words,
            Err(why) => return Ok(Outcome::Permanent(why.to_string())),
        };
        let mail = match compose(&self.from, delivery, language, words, mp3) {
            Ok(mail) => mail,
            Err(why) => return Ok(Outcome::Permanent(why.to_string())),
        };
        let sent = self.mailer.send(delivery_name(delivery), mail);
        let late = |_| Outcome::Transient("the mail server was too slow".to_owned());
        Ok(tokio::time::timeout(DELIVERY_MAX, sent).await.unwrap_or_else(late))
    }

    fn announce(&self, delivery: &Delivery) {
        self.events.publish(MessageEvent {
            recording: delivery.message,
            mailbox: delivery.mailbox,
            state: MessageState::Notified,
            at: clock::now(),
            recorded_ms: 0,
        });
    }
}
