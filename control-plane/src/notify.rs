//! The outbox's shell: leases deliveries, writes and sends them, records what the core decides.
//! Each channel has its own worker, so that a slow one holds up no other.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use engine_core::event::{MessageEvent, MessageState};
use engine_core::time::WallTime;
use lettre::message::Mailbox as MailAddress;
use tokio::sync::Notify;
use tracing::{debug, error, info, warn};

use crate::clock;
use crate::copies::copy_name;
use crate::events::EventHub;
use crate::limits::{DELIVERIES_MAX, DELIVERY_MAX};
use crate::mail::compose::{compose, delivery_name};
use crate::mail::send::Mailer;
use crate::message::StoredState;
use crate::notice::NoticeBody;
use crate::objects::{Object, ObjectError, Objects};
use crate::outbox::{Channel, Delivery, Next, Outcome, after_attempt};
use crate::store::{SharedStore, StoreError};
use crate::template::{Links, TemplateError, Templates, Words};
use crate::worker::Queue;

/// Wakes the outbox: each channel's worker.
#[derive(Clone, Default)]
pub(crate) struct Wakes([Arc<Notify>; Channel::ALL.len()]);

impl Wakes {
    /// Something may be due.
    pub(crate) fn wake(&self) {
        self.0.iter().for_each(|each| each.notify_one());
    }

    fn of(&self, channel: Channel) -> Arc<Notify> {
        self.0[channel as usize].clone()
    }
}

/// What the outbox works with.
pub(crate) struct Ways {
    pub(crate) store: SharedStore,
    pub(crate) objects: Objects,
    pub(crate) mailer: Mailer,
    pub(crate) templates: Templates,
    pub(crate) from: MailAddress,
    pub(crate) links: Links,
    pub(crate) events: Arc<EventHub>,
}

/// The worker of one channel.
#[derive(Clone)]
pub(crate) struct Outbox {
    channel: Channel,
    ways: Arc<Ways>,
    wake: Arc<Notify>,
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
        self.ways.store.lease_deliveries(self.channel, now, until, limit).await
    }

    async fn next(&self) -> Result<Option<WallTime>, StoreError> {
        self.ways.store.next_delivery(self.channel).await
    }

    async fn attempt(&self, delivery: Delivery) {
        // Our own disk or database failing says nothing of the target.
        let outcome = match self.try_once(&delivery).await {
            Ok(outcome) => outcome,
            Err(why) => Outcome::Transient(why.to_string()),
        };
        let next = after_attempt(&delivery, outcome, clock::now(), rand::random());
        tell_log(&delivery, &next);
        match self.ways.store.settle_delivery(&delivery, &next, clock::now()).await {
            Ok(true) => self.announce(&delivery),
            Ok(false) => {}
            Err(why) => {
                let notice = delivery.id();
                error!(%notice, %why, "A delivery's outcome could not be recorded.");
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
    /// The worker of a channel.
    pub(crate) fn new(channel: Channel, ways: Arc<Ways>, wakes: &Wakes) -> Self {
        Self { channel, ways, wake: wakes.of(channel) }
    }

    async fn try_once(&self, delivery: &Delivery) -> Result<Outcome, NotifyError> {
        let now = clock::now();
        if delivery.notice.is_expired(now) {
            return Ok(Outcome::Moot("it expired before it could be told"));
        }
        if let Some(end) = delivery.held_until(now) {
            return Ok(Outcome::Held(end));
        }
        let Some((words, sound)) = self.words(delivery).await? else {
            return Ok(Outcome::Moot("the message was deleted"));
        };
        let words = match words {
            Ok(words) => words,
            Err(why) => return Ok(Outcome::Permanent(why.to_string())),
        };
        let sent = self.send(delivery, words, sound);
        let late = |_| Outcome::Transient("the other side was too slow".to_owned());
        Ok(tokio::time::timeout(DELIVERY_MAX, sent).await.unwrap_or_else(late))
    }

    /// What is said, and the sound that goes with it; none when there is nothing left to say.
    async fn words(&self, delivery: &Delivery) -> Result<Option<WordsAndSound>, NotifyError> {
        let (ways, notice) = (&self.ways, &delivery.notice);
        if notice.body != NoticeBody::NewMessage {
            let words = ways.templates.notice(self.channel, notice, &ways.links);
            return Ok(Some((words, None)));
        }
        let id = notice.id.message();
        let Some(message) = ways.store.message(id).await? else { return Ok(None) };
        if message.state == StoredState::Deleted {
            return Ok(None);
        }
        let mp3 = match message.audio {
            Some(_) if self.channel == Channel::Mail => ways.objects.get(Object::Audio(id)).await?,
            _ => None,
        };
        let language = notice.language;
        let words = ways.templates.new_message(self.channel, &message, language, &ways.links);
        Ok(Some((words, mp3)))
    }

    async fn send(&self, delivery: &Delivery, words: Words, mp3: Option<Bytes>) -> Outcome {
        match delivery.channel {
            Channel::Mail => self.mail(delivery, words, mp3).await,
            other => Outcome::Permanent(format!("{} is not offered here", other.name())),
        }
    }

    async fn mail(&self, delivery: &Delivery, words: Words, mp3: Option<Bytes>) -> Outcome {
        let language = delivery.notice.language;
        match compose(&self.ways.from, delivery, language, words, mp3) {
            Ok(mail) => {
                let name = copy_name(delivery, &delivery_name(delivery));
                self.ways.mailer.send(name, mail).await
            }
            Err(why) => Outcome::Permanent(why.to_string()),
        }
    }

    fn announce(&self, delivery: &Delivery) {
        let notice = &delivery.notice;
        let (NoticeBody::NewMessage, Some(mailbox)) = (&notice.body, notice.mailbox) else {
            return;
        };
        self.ways.events.publish(MessageEvent {
            recording: notice.id.message(),
            mailbox,
            state: MessageState::Notified,
            at: clock::now(),
            recorded_ms: 0,
        });
    }
}

type WordsAndSound = (Result<Words, TemplateError>, Option<Bytes>);

/// Why something failed stays in its row: a server's answer may hold the address.
fn tell_log(delivery: &Delivery, next: &Next) {
    let (notice, channel) = (delivery.id(), delivery.channel.name());
    let attempts = delivery.attempts + 1;
    match next {
        Next::Sent => info!(%notice, channel, "A notice was told."),
        Next::Hold { .. } => debug!(%notice, channel, "A notice waits for the quiet hours' end."),
        Next::Retry { .. } => warn!(
            %notice, channel, attempts,
            "A notice could not be told now and will be tried again."
        ),
        Next::GiveUp { .. } => error!(
            %notice, channel, attempts,
            "A notice was given up; the reason is in its outbox row."
        ),
    }
}
