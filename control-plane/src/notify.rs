//! The outbox's shell: leases deliveries, writes and sends them, records what the core decides.
//! Each channel has its own worker, so that a slow one holds up no other.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use engine_core::event::{MessageEvent, MessageState};
use engine_core::time::WallTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::audit::{Actor, Change};
use crate::clock;
use crate::limits::{
    DELIVERIES_MAX, DELIVERY_MAX, NOTICES_FORGET_EVERY, NOTICES_FORGOTTEN_MAX, NOTICES_KEPT,
};
use crate::mail::compose::{compose, delivery_name};
use crate::message::StoredState;
use crate::notice::NoticeBody;
use crate::objects::{Object, ObjectError};
use crate::outbox::{Channel, Delivery, Next, Outcome, after_attempt};
use crate::push::Pushed;
use crate::sms::Sms;
use crate::store::{SharedStore, StoreError};
use crate::template::{TemplateError, Words};
use crate::ways::Ways;
use crate::webhook::Called;
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
        let is_moot = matches!(outcome, Outcome::Moot(_));
        let next = after_attempt(&delivery, outcome, clock::now(), rand::random());
        tell_log(&delivery, &next, is_moot);
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
        let sent = tokio::time::timeout(DELIVERY_MAX, self.send(delivery)).await;
        sent.unwrap_or_else(|_| {
            let why = "the other side was too slow".to_owned();
            let is_sms = delivery.channel == Channel::Sms;
            Ok(if is_sms { Outcome::Unknown(why) } else { Outcome::Transient(why) })
        })
    }

    async fn send(&self, delivery: &Delivery) -> Result<Outcome, NotifyError> {
        if self.channel == Channel::Webhook {
            return self.webhook(delivery).await;
        }
        let Some((words, sound)) = self.words(delivery).await? else {
            return Ok(Outcome::Moot("the message was deleted"));
        };
        let words = match words {
            Ok(words) => words,
            Err(why) => return Ok(Outcome::Permanent(why.to_string())),
        };
        match self.channel {
            Channel::Sms => self.sms(delivery, &words).await,
            Channel::Push => self.push(delivery, &words).await,
            Channel::Mail | Channel::Webhook => Ok(self.mail(delivery, words, sound).await),
        }
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

    async fn mail(&self, delivery: &Delivery, words: Words, mp3: Option<Bytes>) -> Outcome {
        let language = delivery.notice.language;
        match compose(&self.ways.from, delivery, language, words, mp3) {
            Ok(mail) => {
                let signed = self.ways.dkim.sign(&mail);
                self.ways.mailer.send(delivery_name(delivery), mail.envelope(), signed).await
            }
            Err(why) => Outcome::Permanent(why.to_string()),
        }
    }

    /// An SMS shows again when it is sent again, so it is noted before it leaves.
    async fn sms(&self, delivery: &Delivery, words: &Words) -> Result<Outcome, NotifyError> {
        if delivery.is_spent() {
            return Ok(Outcome::Permanent("it may have arrived twice already".to_owned()));
        }
        let (ways, notice, now) = (&self.ways, &delivery.notice, clock::now());
        if !ways.store.begin_delivery(delivery).await? {
            return Ok(Outcome::Transient("its lease ended".to_owned()));
        }
        let sms = Sms {
            name: &delivery_name(delivery),
            to: &delivery.target,
            text: &words.body,
            validity: notice.expires_at.map(|end| clock::until(now, end)),
        };
        let sent = ways.sms.send(sms).await;
        if !sent.references.is_empty() {
            let kept = ways.store.keep_sms_references(notice.id, &sent.references, now).await;
            if let Err(why) = kept {
                warn!(notice = %notice.id, %why, "Receipts of an SMS will not find it.");
            }
        }
        Ok(sent.outcome)
    }

    async fn push(&self, delivery: &Delivery, words: &Words) -> Result<Outcome, NotifyError> {
        const ENDED: Outcome = Outcome::Moot("the browser asked no longer");
        let store = &self.ways.store;
        let Ok(id) = delivery.target.parse() else { return Ok(ENDED) };
        let Some(endpoint) = store.push_endpoint(id).await? else { return Ok(ENDED) };
        match self.ways.push.send(&endpoint, delivery, words).await {
            Pushed::Went(outcome) => Ok(outcome),
            Pushed::Gone => {
                store.drop_push_endpoint(id).await?;
                Ok(ENDED)
            }
        }
    }

    async fn webhook(&self, delivery: &Delivery) -> Result<Outcome, NotifyError> {
        let store = &self.ways.store;
        let webhook = match delivery.target.parse() {
            Ok(id) => store.webhook(id).await?,
            Err(_) => None,
        };
        let Some(mut webhook) = webhook.filter(|webhook| webhook.enabled) else {
            return Ok(Outcome::Moot("the webhook is gone or switched off"));
        };
        match self.ways.webhooks.send(&webhook, &delivery.notice).await {
            Called::Went(outcome) => Ok(outcome),
            Called::Gone => {
                warn!(webhook = %webhook.id, "A webhook answered 410 and is switched off.");
                let change = Change { by: Actor::System, at: clock::now() };
                (webhook.enabled, webhook.updated_at) = (false, change.at);
                store.update_webhook(&webhook, change).await?;
                Ok(Outcome::Moot("the webhook answered 410 and was switched off"))
            }
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
fn tell_log(delivery: &Delivery, next: &Next, is_moot: bool) {
    let (notice, channel) = (delivery.id(), delivery.channel.name());
    let attempts = delivery.attempts + 1;
    match next {
        Next::Sent => info!(%notice, channel, "A notice was told."),
        Next::Hold { .. } => debug!(%notice, channel, "A notice waits for the quiet hours' end."),
        Next::Retry { .. } => warn!(
            %notice, channel, attempts,
            "A notice could not be told now and will be tried again."
        ),
        Next::GiveUp { .. } if is_moot => info!(%notice, channel, "A notice is needed no more."),
        Next::GiveUp { .. } => error!(
            %notice, channel, attempts,
            "A notice was given up; the reason is in its outbox row."
        ),
    }
}

/// Forgets old notices from time to time, until `stop`.
pub(crate) async fn forget_old(store: SharedStore, stop: CancellationToken) {
    loop {
        let now = clock::now().as_unix_millis();
        let kept = i64::try_from(NOTICES_KEPT.as_millis()).unwrap_or(i64::MAX);
        let before = WallTime::from_unix_millis(now.saturating_sub(kept));
        match store.forget_notices(before, NOTICES_FORGOTTEN_MAX).await {
            Ok(forgotten) if forgotten >= u64::from(NOTICES_FORGOTTEN_MAX) => continue,
            Ok(_) => {}
            Err(why) => warn!(%why, "Old notices could not be forgotten now."),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(NOTICES_FORGET_EVERY) => {}
        }
    }
}
