//! What any backend must do with webhooks and push endpoints.

use super::{START, at, by, end_all, leased, new_mailbox, transcribed};
use crate::notice::{NoticeBody, NoticeId};
use crate::outbox::{Channel, Delivery, Next};
use crate::push::PushEndpoint;
use crate::store::{After, Page, Replay, Store};
use crate::webhook::{CONTRACT_ENDED, MESSAGE_DELETED, MESSAGE_RECEIVED, Webhook, WebhookId};

const WHOLE: Page = Page { after: None, limit: 100 };

/// Runs the suite; nothing may be due in the outbox.
pub(super) async fn run(store: &dyn Store) {
    webhooks_are_kept_listed_changed_and_counted(store).await;
    an_event_goes_once_to_each_webhook_that_wants_it(store).await;
    what_was_given_up_can_be_told_again(store).await;
    a_browser_is_told_of_messages_until_it_is_dropped(store).await;
}

fn new_webhook(id: u128, events: &[&str]) -> Webhook {
    Webhook {
        id: WebhookId(uuid::Uuid::from_u128(id)),
        url: "https://example.jp/hook".to_owned(),
        events: events.iter().map(|&event| event.to_owned()).collect(),
        description: "経理".to_owned(),
        enabled: true,
        generation: 1,
        rotated_at: None,
        created_at: at(id as u64),
        updated_at: at(id as u64),
    }
}

async fn webhooks_are_kept_listed_changed_and_counted(store: &dyn Store) {
    let (first, second) =
        (new_webhook(1, &[MESSAGE_RECEIVED, MESSAGE_DELETED]), new_webhook(2, &[]));
    assert!(store.create_webhook(&first, 2, by(START)).await.unwrap());
    assert!(store.create_webhook(&second, 2, by(START)).await.unwrap());
    assert!(
        !store.create_webhook(&new_webhook(3, &[]), 2, by(START)).await.unwrap(),
        "two are the most"
    );
    assert_eq!(store.webhook(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.webhooks(WHOLE).await.unwrap(), [first.clone(), second.clone()]);
    let after = Some(After { at: first.created_at, id: first.id.0.as_u128() });
    assert_eq!(
        store.webhooks(Page { after, limit: 9 }).await.unwrap(),
        std::slice::from_ref(&second)
    );

    let mut changed = first.clone();
    (changed.url, changed.enabled) = ("https://example.jp/other".to_owned(), false);
    assert!(store.update_webhook(&changed, by(START)).await.unwrap());
    assert_eq!(store.webhook(first.id).await.unwrap(), Some(changed));
    let rotated = store.rotate_webhook(second.id, by(at(9))).await.unwrap().unwrap();
    assert_eq!((rotated.generation, rotated.rotated_at), (2, Some(at(9))));
    for id in [first.id, second.id] {
        assert!(store.delete_webhook(id, by(START)).await.unwrap());
        assert!(!store.delete_webhook(id, by(START)).await.unwrap());
        assert_eq!(store.rotate_webhook(id, by(at(9))).await.unwrap(), None);
    }
    assert!(!store.update_webhook(&first, by(START)).await.unwrap());
}

async fn due(store: &dyn Store) -> Vec<Delivery> {
    store.lease_deliveries(Channel::Webhook, at(100_000), at(100_000), 100).await.unwrap()
}

async fn an_event_goes_once_to_each_webhook_that_wants_it(store: &dyn Store) {
    let (all, some) = (new_webhook(11, &[]), new_webhook(12, &[MESSAGE_RECEIVED]));
    let mut off = new_webhook(13, &[]);
    off.enabled = false;
    for webhook in [&all, &some, &off] {
        assert!(store.create_webhook(webhook, 9, by(START)).await.unwrap());
    }
    let id = NoticeId::of(CONTRACT_ENDED, "1");
    let data = serde_json::json!({"contract": "1"});
    for _ in 0..2 {
        store.put_event(id, CONTRACT_ENDED, data.clone(), START).await.unwrap();
    }
    let told = due(store).await;
    assert_eq!((told.len(), &told[0].target), (1, &all.id.to_string()));
    let body = NoticeBody::Event { event: CONTRACT_ENDED.to_owned(), data };
    assert_eq!((&told[0].notice.body, told[0].id()), (&body, id));
    store.settle_delivery(&told[0], &Next::Sent, START).await.unwrap();
    // A message is told in the transaction that makes its text, and its deletion, too.
    let mailbox = new_mailbox(store, 110, &[]).await;
    let job = leased(store, &mailbox, 1_100).await;
    assert!(store.finish(&job, &transcribed(), START).await.unwrap());
    assert!(store.delete_message(super::message_id(1_100), by(START)).await.unwrap());
    let mut events = Vec::new();
    for delivery in due(store).await {
        let NoticeBody::Event { event, data } = &delivery.notice.body else { panic!("an event") };
        assert_eq!(data["message"], super::message_id(1_100).to_string());
        events.push((event.clone(), delivery.target.clone()));
        store.settle_delivery(&delivery, &Next::Sent, START).await.unwrap();
    }
    events.sort();
    let to = |event: &str, webhook: &Webhook| (event.to_owned(), webhook.id.to_string());
    let wanted =
        [to(MESSAGE_DELETED, &all), to(MESSAGE_RECEIVED, &all), to(MESSAGE_RECEIVED, &some)];
    assert_eq!(events, wanted);
    end_all(store).await;
    for webhook in [&all, &some, &off] {
        assert!(store.delete_webhook(webhook.id, by(START)).await.unwrap());
    }
}

async fn what_was_given_up_can_be_told_again(store: &dyn Store) {
    let webhook = new_webhook(21, &[]);
    assert!(store.create_webhook(&webhook, 9, by(START)).await.unwrap());
    for n in 0..3 {
        let id = NoticeId::from_u128(2_100 + n);
        store.put_event(id, CONTRACT_ENDED, serde_json::json!({}), at(n as u64)).await.unwrap();
    }
    for delivery in due(store).await {
        let sent = delivery.id().as_u128() == 2_102;
        let given_up = Next::GiveUp { why: "it answered 500".to_owned() };
        let next = if sent { Next::Sent } else { given_up };
        store.settle_delivery(&delivery, &next, at(10)).await.unwrap();
    }
    let log = store.webhook_deliveries(webhook.id, WHOLE).await.unwrap();
    let lines: Vec<_> =
        log.iter().map(|line| (line.notice.as_u128(), line.state.as_str())).collect();
    assert_eq!(lines, [(2_102, "sent"), (2_101, "given_up"), (2_100, "given_up")]);
    assert_eq!(log[1].last_error.as_deref(), Some("it answered 500"));
    assert_eq!((log[1].attempts, &*log[1].event), (1, CONTRACT_ENDED));
    assert_eq!((log[1].settled_at, log[1].next_at), (Some(at(10)), None));
    let after = Some(After { at: log[0].created_at, id: log[0].notice.as_u128() });
    let rest = store.webhook_deliveries(webhook.id, Page { after, limit: 1 }).await.unwrap();
    assert_eq!(rest, [log[1].clone()]);

    let replay = async |which| store.replay_webhook(webhook.id, which, by(at(50))).await.unwrap();
    assert_eq!(replay(Replay::FailedSince(at(1))).await, 1);
    assert_eq!(replay(Replay::One(NoticeId::from_u128(2_102))).await, 1);
    assert_eq!(replay(Replay::One(NoticeId::from_u128(9_999))).await, 0);
    let again = due(store).await;
    let mut ids: Vec<_> = again.iter().map(|d| d.id().as_u128()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [2_101, 2_102]);
    assert!(again.iter().all(|d| d.attempts == 0 && d.created_at == at(50)));
    assert!(store.delete_webhook(webhook.id, by(START)).await.unwrap());
    assert!(due(store).await.is_empty(), "nothing is left to tell it");
}

fn browser(n: u128, mailbox: &crate::mailbox::StoredMailbox) -> PushEndpoint {
    PushEndpoint {
        id: uuid::Uuid::from_u128(n),
        mailbox: mailbox.id,
        device: Some(format!("device {n}")),
        url: format!("https://push.example/{n}"),
        p256dh: "key".to_owned(),
        auth: "auth".to_owned(),
        created_at: at(n as u64),
    }
}

async fn a_browser_is_told_of_messages_until_it_is_dropped(store: &dyn Store) {
    let mailbox = new_mailbox(store, 120, &[]).await;
    let (first, second) = (browser(1, &mailbox), browser(2, &mailbox));
    for endpoint in [&first, &second, &first] {
        assert!(store.put_push_endpoint(endpoint, 2).await.unwrap());
    }
    assert!(!store.put_push_endpoint(&browser(3, &mailbox), 2).await.unwrap());
    assert_eq!(store.push_endpoint(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.push_endpoints(mailbox.id).await.unwrap(), [first.clone(), second.clone()]);
    assert!(store.drop_push_endpoint(second.id).await.unwrap());
    let job = leased(store, &mailbox, 1_200).await;
    assert!(store.finish(&job, &transcribed(), START).await.unwrap());
    let told = store.lease_deliveries(Channel::Push, START, START, 9).await.unwrap();
    assert_eq!(told.iter().map(|d| d.target.clone()).collect::<Vec<_>>(), [first.id.to_string()]);
    assert!(store.settle_delivery(&told[0], &Next::Sent, START).await.unwrap());
    assert!(store.drop_push_endpoint(first.id).await.unwrap());
    assert!(!store.drop_push_endpoint(first.id).await.unwrap());
    assert!(store.put_push_endpoint(&second, 2).await.unwrap());
    assert!(store.delete_mailbox(mailbox.id, by(START)).await.unwrap());
    assert_eq!(store.push_endpoint(second.id).await.unwrap(), None, "it goes with its mailbox");
    end_all(store).await;
}
