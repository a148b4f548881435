//! What any backend must do with notices.

use super::{START, at, by, new_mailbox};
use crate::notice::{Notice, NoticeBody, NoticeId};
use crate::outbox::{Channel, Delivery, Next};
use crate::store::Store;

/// Runs the suite; nothing may be due in the outbox.
pub(super) async fn run(store: &dyn Store) {
    a_notice_is_told_once_to_each_target(store).await;
    channels_do_not_see_each_other(store).await;
    a_held_delivery_comes_back_without_having_failed(store).await;
    a_deleted_mailbox_takes_its_notices_along_but_not_those_of_its_deletion(store).await;
    an_sms_that_leaves_is_counted_before_it_does(store).await;
    receipts_find_their_sms_in_any_order(store).await;
    old_notices_are_forgotten_unless_something_is_open(store).await;
}

pub(super) fn roaming(id: u128) -> Notice {
    let body = NoticeBody::Roaming { guide_url: Some("https://rusuden.example".to_owned()) };
    let mut notice = Notice::new(NoticeId::from_u128(id), body, "contract", START);
    notice.contract = Some("contract".to_owned());
    notice.quiet_hours = Some("22:00-07:00".parse().unwrap());
    notice.expires_at = Some(at(3_600));
    notice
}

async fn a_notice_is_told_once_to_each_target(store: &dyn Store) {
    let notice = roaming(1_000);
    let targets = [(Channel::Mail, "a@example.jp"), (Channel::Mail, "b@example.jp")];
    for _ in 0..2 {
        store.put_notice(&notice, &targets).await.unwrap();
    }
    let leased = store.lease_deliveries(Channel::Mail, START, at(60), 10).await.unwrap();
    assert_eq!(leased.len(), 2);
    assert!(leased.iter().all(|delivery| delivery.notice == notice), "it reads back whole");
    let told = async |n: usize| store.settle_delivery(&leased[n], &Next::Sent, at(1)).await;
    assert!(!told(0).await.unwrap(), "one is open");
    assert!(told(1).await.unwrap());
    store.put_notice(&notice, &targets).await.unwrap();
    assert_eq!(store.next_delivery(Channel::Mail).await.unwrap(), None, "it was told");
    // One more target is told, and only that.
    let more = [targets[0], (Channel::Mail, "c@example.jp")];
    store.put_notice(&notice, &more).await.unwrap();
    let leased = store.lease_deliveries(Channel::Mail, START, at(60), 10).await.unwrap();
    assert_eq!((leased.len(), &*leased[0].target), (1, "c@example.jp"));
    assert_eq!(leased[0].notice.body, notice.body);
    store.settle_delivery(&leased[0], &Next::Sent, at(1)).await.unwrap();
    store.put_notice(&roaming(1_001), &[]).await.unwrap();
    assert_eq!(store.next_delivery(Channel::Mail).await.unwrap(), None);
}

async fn channels_do_not_see_each_other(store: &dyn Store) {
    let targets = Channel::ALL.map(|channel| (channel, "same"));
    store.put_notice(&roaming(1_010), &targets).await.unwrap();
    for channel in Channel::ALL {
        assert_eq!(store.next_delivery(channel).await.unwrap(), Some(START));
        let leased = store.lease_deliveries(channel, START, at(60), 10).await.unwrap();
        assert_eq!(leased.iter().map(|d| d.channel).collect::<Vec<_>>(), [channel]);
        let all = channel == Channel::Webhook;
        assert_eq!(store.settle_delivery(&leased[0], &Next::Sent, at(1)).await.unwrap(), all);
    }
}

async fn a_held_delivery_comes_back_without_having_failed(store: &dyn Store) {
    store.put_notice(&roaming(1_020), &[(Channel::Sms, "+819012345678")]).await.unwrap();
    let leased = store.lease_deliveries(Channel::Sms, START, at(60), 10).await.unwrap().remove(0);
    let held = Next::Hold { at: at(600) };
    assert!(!store.settle_delivery(&leased, &held, at(1)).await.unwrap());
    assert_eq!(store.next_delivery(Channel::Sms).await.unwrap(), Some(at(600)));
    let again = store.lease_deliveries(Channel::Sms, at(600), at(660), 10).await.unwrap().remove(0);
    assert_eq!(again.attempts, 0);
    let given_up = Next::GiveUp { why: "no".to_owned() };
    assert!(!store.settle_delivery(&again, &given_up, at(601)).await.unwrap(), "nobody was told");
}

async fn a_deleted_mailbox_takes_its_notices_along_but_not_those_of_its_deletion(
    store: &dyn Store,
) {
    let mailbox = new_mailbox(store, 95, &[]).await;
    let mut ending = roaming(1_030);
    ending.mailbox = Some(mailbox.id);
    let deleted = NoticeBody::DataDeleted { ended_on: "2026-11-30".to_owned() };
    let deleted = Notice::new(NoticeId::from_u128(1_031), deleted, "contract", START);
    for notice in [&ending, &deleted] {
        store.put_notice(notice, &[(Channel::Mail, "a@example.jp")]).await.unwrap();
    }
    assert!(store.delete_mailbox(mailbox.id, by(START)).await.unwrap());
    let leased = store.lease_deliveries(Channel::Mail, START, at(60), 10).await.unwrap();
    assert_eq!(leased.iter().map(Delivery::id).collect::<Vec<_>>(), [deleted.id]);
    store.settle_delivery(&leased[0], &Next::Sent, at(1)).await.unwrap();
    super::end_all(store).await;
}

async fn an_sms_that_leaves_is_counted_before_it_does(store: &dyn Store) {
    store.put_notice(&roaming(1_040), &[(Channel::Sms, "+819012345678")]).await.unwrap();
    let lease = async |now| store.lease_deliveries(Channel::Sms, now, now, 10).await.unwrap();
    let first = lease(START).await.remove(0);
    assert_eq!(first.maybe_sent, 0);
    assert!(store.begin_delivery(&first).await.unwrap());
    // The process dies here: the next one finds the mark.
    let second = lease(at(1)).await.remove(0);
    assert!(!store.begin_delivery(&first).await.unwrap(), "its lease is lost");
    assert_eq!(second.maybe_sent, 1);
    assert!(store.begin_delivery(&second).await.unwrap());
    // A known refusal takes the mark back.
    let retry = Next::Retry { at: at(2), why: "full".to_owned(), maybe_sent: 1 };
    store.settle_delivery(&second, &retry, at(2)).await.unwrap();
    let third = lease(at(2)).await.remove(0);
    assert_eq!((third.maybe_sent, third.attempts), (1, 1));
    store.settle_delivery(&third, &Next::Sent, at(3)).await.unwrap();
}

async fn receipts_find_their_sms_in_any_order(store: &dyn Store) {
    let notice = NoticeId::from_u128(1_040);
    let delivered = Some("delivered".to_owned());
    store.keep_sms_state("early", "delivered", at(1)).await.unwrap();
    store
        .keep_sms_references(notice, &["early".to_owned(), "late".to_owned()], at(2))
        .await
        .unwrap();
    let mut states = store.sms_states(notice).await.unwrap();
    states.sort();
    assert_eq!(states, [None, delivered.clone()]);
    store.keep_sms_state("late", "en_route", at(3)).await.unwrap();
    store.keep_sms_state("late", "delivered", at(4)).await.unwrap();
    assert_eq!(store.sms_states(notice).await.unwrap(), [delivered.clone(), delivered]);
}

async fn old_notices_are_forgotten_unless_something_is_open(store: &dyn Store) {
    while store.forget_notices(at(1), 2).await.unwrap() > 0 {}
    let (told, open) = (roaming(1_050), roaming(1_051));
    for notice in [&told, &open] {
        store.put_notice(notice, &[(Channel::Mail, "a@example.jp")]).await.unwrap();
    }
    let leased = store.lease_deliveries(Channel::Mail, START, START, 1).await.unwrap().remove(0);
    assert_eq!(leased.id(), told.id);
    store.settle_delivery(&leased, &Next::Sent, at(1)).await.unwrap();
    assert_eq!(store.forget_notices(START, 10).await.unwrap(), 0, "they are not old");
    assert_eq!(store.forget_notices(at(1), 10).await.unwrap(), 1);
    // Forgotten means that it may be told again; what is open stays.
    let leased = store.lease_deliveries(Channel::Mail, START, START, 9).await.unwrap();
    assert_eq!(leased.iter().map(Delivery::id).collect::<Vec<_>>(), [open.id]);
    store.settle_delivery(&leased[0], &Next::Sent, at(1)).await.unwrap();
}
