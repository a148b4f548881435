//! What any backend must do. In: an empty store. Panics where it does not. Every backend's tests
//! run this suite, so that they behave alike.

use std::time::Duration;

use engine_core::id::{MailboxId, RecordingId};
use engine_core::time::WallTime;

use super::{After, Finished, Job, Kept, Page, Store, StoreError, Task};
use crate::audit::{Actor, Change};
use crate::backoff::backoff;
use crate::clock::after;
use crate::keys::{ApiKey, KeyId, Scope};
use crate::limits::TRANSCRIBE_ATTEMPTS_MAX;
use crate::mailbox::{GreetingChoice, MailboxSettings, StoredMailbox};
use crate::message::tests_support::{new_message, text};
use crate::message::{MessageAudio, StoredState};
use crate::outbox::{Channel, Delivery, Next};

pub(crate) mod billing;
mod blocked;
pub(crate) mod campaigns;
pub(crate) mod contracts;
pub(crate) mod contracts_race;
mod notices;
pub(crate) mod setups;
mod webhooks;

const START: WallTime = WallTime::from_unix_millis(1_800_000_000_000);
const LEASE: Duration = Duration::from_mins(1);

/// Runs the suite.
pub(crate) async fn run(store: &dyn Store) {
    store.check_writable().await.unwrap();
    blocked::run(store).await;
    mailboxes_are_kept_listed_and_changed(store).await;
    a_number_has_one_mailbox_at_a_time(store).await;
    an_arrival_is_kept_once_with_one_job(store).await;
    an_arrival_without_mailbox_is_kept_without_job(store).await;
    a_job_belongs_to_its_lease(store).await;
    a_job_that_failed_rests_and_counts(store).await;
    a_result_is_recorded_once_with_its_deliveries(store).await;
    a_message_without_text_is_told_too(store).await;
    a_deleted_message_cannot_come_back(store).await;
    a_message_deleted_while_it_is_transcribed_leaves_nothing(store).await;
    messages_are_listed_newest_first_in_pages(store).await;
    deliveries_are_settled_under_their_lease(store).await;
    a_deleted_mailbox_takes_its_messages_along(store).await;
    leases_of_the_dead_are_reclaimed(store).await;
    a_recording_that_kills_its_workers_is_given_up(store).await;
    keys_are_found_by_hash_until_revoked(store).await;
    notices::run(store).await;
    webhooks::run(store).await;
}

fn at(seconds: u64) -> WallTime {
    after(START, Duration::from_secs(seconds))
}

fn message_id(id: u128) -> RecordingId {
    RecordingId::from_u128(id)
}

/// A change at the command line.
const fn by(at: WallTime) -> Change {
    Change { by: Actor::Command, at }
}

async fn new_mailbox(store: &dyn Store, id: u128, addresses: &[&str]) -> StoredMailbox {
    let settings = MailboxSettings {
        addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
        hotwords: vec![format!("言葉{id}")],
        ..MailboxSettings::default()
    };
    let number = format!("+8150{id:08}");
    let created = at(id as u64);
    let mailbox = StoredMailbox::new(MailboxId::from_u128(id), &number, settings, created).unwrap();
    store.create_mailbox(&mailbox, by(created)).await.unwrap();
    mailbox
}

/// One message in a mailbox with its transcription leased.
async fn leased(store: &dyn Store, mailbox: &StoredMailbox, id: u128) -> Job {
    let kept = store.keep_arrivals(&[new_message(id, mailbox.id)], START).await.unwrap();
    assert_eq!(kept, [Kept::New]);
    take(store, START).await.remove(0)
}

async fn take(store: &dyn Store, now: WallTime) -> Vec<Job> {
    store.lease_jobs(now, after(now, LEASE), 100).await.unwrap()
}

async fn end_all(store: &dyn Store) {
    for job in take(store, at(100_000_000)).await {
        store.end_job(&job).await.unwrap();
    }
    assert_eq!(store.next_job().await.unwrap(), None);
}

fn transcribed() -> Finished {
    let audio = MessageAudio { bytes: 20_000, sha256: "cd".repeat(32) };
    Finished::Transcribed { text: Box::new(text()), audio }
}

async fn mailboxes_are_kept_listed_and_changed(store: &dyn Store) {
    let mut made = Vec::new();
    for id in 1..=5 {
        made.push(new_mailbox(store, id, &["a@example.jp"]).await);
    }
    assert_eq!(store.mailbox(made[0].id).await.unwrap(), Some(made[0].clone()));
    assert_eq!(store.mailbox(MailboxId::from_u128(99)).await.unwrap(), None);
    let found = store.mailbox_by_number(&made[2].number).await.unwrap();
    assert_eq!(found, Some(made[2].clone()));
    let first = store.mailboxes(Page { after: None, limit: 3 }).await.unwrap();
    assert_eq!(first, made[..3]);
    let seen = After { at: first[2].created_at, id: first[2].id.as_u128() };
    let rest = store.mailboxes(Page { after: Some(seen), limit: 100 }).await.unwrap();
    assert_eq!(rest, made[3..]);

    let mut changed = made[0].clone();
    changed.settings.greeting = GreetingChoice::None;
    changed.settings.quiet_limit_s = Some(7);
    assert!(store.update_mailbox(&changed, "mailbox.changed", by(START)).await.unwrap());
    assert!(
        !store.update_mailbox(&changed, "mailbox.changed", by(START)).await.unwrap(),
        "its version has passed"
    );
    let now = store.mailbox(changed.id).await.unwrap().unwrap();
    assert_eq!((now.version, &now.settings), (2, &changed.settings));
    for mailbox in made {
        assert!(store.delete_mailbox(mailbox.id, by(at(10))).await.unwrap());
    }
    end_all(store).await;
}

async fn a_number_has_one_mailbox_at_a_time(store: &dyn Store) {
    let first = new_mailbox(store, 10, &[]).await;
    let second = StoredMailbox { id: MailboxId::from_u128(11), ..first.clone() };
    let refused = store.create_mailbox(&second, by(START)).await.unwrap_err();
    assert!(matches!(refused, StoreError::NumberTaken { number } if number == first.number));
    assert!(store.delete_mailbox(first.id, by(START)).await.unwrap());
    assert!(!store.delete_mailbox(first.id, by(START)).await.unwrap());
    store.create_mailbox(&second, by(START)).await.unwrap();
    let owner = store.mailbox_by_number(&first.number).await.unwrap().unwrap();
    assert_eq!(owner.id, second.id);
    end_all(store).await;
}

async fn an_arrival_is_kept_once_with_one_job(store: &dyn Store) {
    let mailbox = new_mailbox(store, 20, &[]).await;
    let arrival = new_message(200, mailbox.id);
    let twice = [arrival.clone(), arrival.clone()];
    assert_eq!(store.keep_arrivals(&twice, START).await.unwrap(), [Kept::New, Kept::Known]);
    let changed = crate::message::NewMessage { frames: 1, ..arrival.clone() };
    assert_eq!(store.keep_arrivals(&[changed], START).await.unwrap(), [Kept::Known]);
    let row = store.message(arrival.id).await.unwrap().unwrap();
    assert_eq!((row.state, &row.arrived), (StoredState::Sealed, &arrival));
    let known = store.known(&[arrival.id, message_id(201)]).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [arrival.id]);
    let jobs = take(store, START).await;
    assert_eq!(jobs.iter().map(|j| j.task).collect::<Vec<_>>(), [Task::Transcribe(arrival.id)]);
    end_all(store).await;
}

async fn an_arrival_without_mailbox_is_kept_without_job(store: &dyn Store) {
    let arrival = new_message(210, MailboxId::from_u128(21));
    let kept = store.keep_arrivals(std::slice::from_ref(&arrival), START).await.unwrap();
    assert_eq!(kept, [Kept::Orphaned]);
    let row = store.message(arrival.id).await.unwrap().unwrap();
    assert_eq!((row.state, row.arrived), (StoredState::Orphaned, arrival));
    assert_eq!(store.next_job().await.unwrap(), None);
}

async fn a_job_belongs_to_its_lease(store: &dyn Store) {
    let mailbox = new_mailbox(store, 30, &[]).await;
    let job = leased(store, &mailbox, 300).await;
    assert!(take(store, START).await.is_empty(), "it is leased");
    assert_eq!(store.next_job().await.unwrap(), Some(after(START, LEASE)));
    assert!(store.extend_job(&job, at(100)).await.unwrap());
    assert!(take(store, at(99)).await.is_empty(), "its lease was lengthened");
    let again = take(store, at(100)).await.remove(0);
    assert_eq!((again.id.as_str(), again.attempts), (job.id.as_str(), 2));
    assert!(!store.extend_job(&job, at(200)).await.unwrap(), "the lease was lost");
    assert!(!store.finish(&job, &transcribed(), at(100)).await.unwrap());
    let row = store.message(message_id(300)).await.unwrap().unwrap();
    assert_eq!(row.state, StoredState::Sealed);
    assert!(store.finish(&again, &transcribed(), at(100)).await.unwrap());
}

async fn a_job_that_failed_rests_and_counts(store: &dyn Store) {
    let mailbox = new_mailbox(store, 31, &[]).await;
    let job = leased(store, &mailbox, 310).await;
    store.return_job(&job, at(10), Some("the engine failed")).await.unwrap();
    assert!(take(store, at(9)).await.is_empty());
    let again = take(store, at(10)).await.remove(0);
    assert_eq!(again.attempts, 2);
    store.return_job(&again, at(11), None).await.unwrap();
    for _ in 0..2 * TRANSCRIBE_ATTEMPTS_MAX {
        let postponed = take(store, at(11)).await.remove(0);
        assert_eq!(postponed.attempts, 2, "a postponement is no attempt");
        store.return_job(&postponed, at(11), None).await.unwrap();
    }
    end_all(store).await;
}

async fn a_result_is_recorded_once_with_its_deliveries(store: &dyn Store) {
    let mailbox = new_mailbox(store, 40, &["a@example.jp", "b@example.jp"]).await;
    let job = leased(store, &mailbox, 400).await;
    assert!(store.finish(&job, &transcribed(), START).await.unwrap());
    assert!(!store.finish(&job, &transcribed(), START).await.unwrap());
    let row = store.message(message_id(400)).await.unwrap().unwrap();
    assert_eq!((row.state, row.text), (StoredState::Transcribed, Some(text())));
    assert_eq!(row.audio.unwrap().bytes, 20_000);
    let mut deliveries = store.lease_deliveries(Channel::Mail, START, at(60), 100).await.unwrap();
    deliveries.sort_by(|a, b| a.target.cmp(&b.target));
    let told: Vec<_> = deliveries.iter().map(|d| (d.id(), d.channel, &*d.target)).collect();
    let to = |target| (message_id(400).into(), Channel::Mail, target);
    assert_eq!(told, [to("a@example.jp"), to("b@example.jp")]);
    settle_all(store, deliveries).await;
    assert_eq!(store.next_job().await.unwrap(), None);
}

async fn settle_all(store: &dyn Store, deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        store.settle_delivery(&delivery, &Next::Sent, START).await.unwrap();
    }
    assert_eq!(store.next_delivery(Channel::Mail).await.unwrap(), None);
}

async fn a_message_without_text_is_told_too(store: &dyn Store) {
    let mailbox = new_mailbox(store, 41, &["a@example.jp"]).await;
    let job = leased(store, &mailbox, 410).await;
    let failed = Finished::Failed { why: "the recording is damaged".to_owned() };
    assert!(store.finish(&job, &failed, START).await.unwrap());
    let row = store.message(message_id(410)).await.unwrap().unwrap();
    assert_eq!((row.state, row.text, row.audio), (StoredState::Failed, None, None));
    assert_eq!(row.failure.as_deref(), Some("the recording is damaged"));
    let deliveries = store.lease_deliveries(Channel::Mail, START, at(60), 100).await.unwrap();
    assert_eq!(deliveries.len(), 1);
    settle_all(store, deliveries).await;
}

async fn a_deleted_message_cannot_come_back(store: &dyn Store) {
    let mailbox = new_mailbox(store, 50, &["a@example.jp"]).await;
    let job = leased(store, &mailbox, 500).await;
    assert!(store.finish(&job, &transcribed(), START).await.unwrap());
    let id = message_id(500);
    assert!(store.delete_message(id, by(START)).await.unwrap());
    assert!(!store.delete_message(id, by(START)).await.unwrap());
    assert!(!store.delete_message(message_id(501), by(START)).await.unwrap());
    assert!(!store.mark_read(id, true, by(START)).await.unwrap());
    assert_eq!(store.next_delivery(Channel::Mail).await.unwrap(), None, "nobody is told any more");
    let row = store.message(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.text, row.audio), (StoredState::Deleted, None, None));
    assert_eq!(row.arrived.caller.number(), None);
    let page = Page { after: None, limit: 10 };
    assert!(store.messages(mailbox.id, None, page).await.unwrap().is_empty());
    let replayed = store.keep_arrivals(&[new_message(500, mailbox.id)], START).await.unwrap();
    assert_eq!(replayed, [Kept::Known]);
    assert!(store.known(&[id]).await.unwrap().contains(&id));
    let jobs = take(store, START).await;
    assert_eq!(jobs.iter().map(|j| j.task).collect::<Vec<_>>(), [Task::EraseMessage(id)]);
    end_all(store).await;
}

async fn a_message_deleted_while_it_is_transcribed_leaves_nothing(store: &dyn Store) {
    let mailbox = new_mailbox(store, 51, &["a@example.jp"]).await;
    let job = leased(store, &mailbox, 510).await;
    assert!(store.delete_message(message_id(510), by(START)).await.unwrap());
    let erase = take(store, START).await.remove(0);
    store.end_job(&erase).await.unwrap();
    assert!(store.finish(&job, &transcribed(), START).await.unwrap());
    let row = store.message(message_id(510)).await.unwrap().unwrap();
    assert_eq!((row.state, row.text), (StoredState::Deleted, None));
    assert_eq!(store.next_delivery(Channel::Mail).await.unwrap(), None);
    let again = take(store, START).await;
    assert_eq!(again.len(), 1, "the MP3 that was stored late is erased, too");
    assert_eq!(again[0].task, Task::EraseMessage(message_id(510)));
    end_all(store).await;
}

async fn messages_are_listed_newest_first_in_pages(store: &dyn Store) {
    let mailbox = new_mailbox(store, 60, &[]).await;
    let other = new_mailbox(store, 61, &[]).await;
    let mut arrivals: Vec<_> = (600..605).map(|id| new_message(id, mailbox.id)).collect();
    arrivals.push(new_message(610, other.id));
    // Two at the same moment: the id decides.
    arrivals[3].received_at = arrivals[4].received_at;
    store.keep_arrivals(&arrivals, START).await.unwrap();
    let list = async |read, after, limit| {
        let rows = store.messages(mailbox.id, read, Page { after, limit }).await.unwrap();
        rows.iter().map(|row| row.arrived.id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None, 10).await, [604, 603, 602, 601, 600]);
    assert_eq!(list(None, None, 1).await, [604]);
    let seen = After { at: arrivals[4].received_at, id: 604 };
    assert_eq!(list(None, Some(seen), 2).await, [603, 602]);

    assert!(store.mark_read(message_id(601), true, by(at(5))).await.unwrap());
    assert!(store.mark_read(message_id(601), true, by(at(6))).await.unwrap());
    let row = store.message(message_id(601)).await.unwrap().unwrap();
    assert_eq!(row.read_at, Some(at(5)), "the first reading counts");
    assert_eq!(list(Some(true), None, 10).await, [601]);
    assert_eq!(list(Some(false), None, 10).await, [604, 603, 602, 600]);
    assert!(store.mark_read(message_id(601), false, by(START)).await.unwrap());
    assert!(list(Some(true), None, 10).await.is_empty());
    assert!(!store.mark_read(message_id(699), false, by(START)).await.unwrap());
    end_all(store).await;
}

async fn deliveries_are_settled_under_their_lease(store: &dyn Store) {
    let mailbox = new_mailbox(store, 70, &["a@example.jp", "b@example.jp"]).await;
    let job = leased(store, &mailbox, 700).await;
    assert!(store.finish(&job, &transcribed(), START).await.unwrap());
    let deliveries = store.lease_deliveries(Channel::Mail, START, at(60), 100).await.unwrap();
    let [first, second] = deliveries.as_slice() else { panic!("two were named") };
    assert!(store.lease_deliveries(Channel::Mail, START, at(60), 100).await.unwrap().is_empty());
    assert_eq!(store.next_delivery(Channel::Mail).await.unwrap(), Some(at(60)));
    assert!(!store.settle_delivery(first, &Next::Sent, at(1)).await.unwrap(), "one is open");
    let row = store.message(message_id(700)).await.unwrap().unwrap();
    assert_eq!(row.notified_at, Some(at(1)));
    let retry = Next::Retry { at: at(30), why: "451 busy".to_owned(), maybe_sent: 0 };
    assert!(!store.settle_delivery(second, &retry, at(2)).await.unwrap());
    assert!(store.lease_deliveries(Channel::Mail, at(29), at(90), 100).await.unwrap().is_empty());
    let again = store.lease_deliveries(Channel::Mail, at(30), at(90), 100).await.unwrap().remove(0);
    assert_eq!((again.attempts, &again.target), (1, &second.target));
    assert!(!store.settle_delivery(second, &Next::Sent, at(31)).await.unwrap(), "lost lease");
    let given_up = Next::GiveUp { why: "550 no".to_owned() };
    assert!(store.settle_delivery(&again, &given_up, at(31)).await.unwrap());
    assert_eq!(store.next_delivery(Channel::Mail).await.unwrap(), None);
}

async fn a_deleted_mailbox_takes_its_messages_along(store: &dyn Store) {
    let mailbox = new_mailbox(store, 80, &["a@example.jp"]).await;
    let mut greeting = mailbox.clone();
    greeting.own_greeting = true;
    assert!(store.update_mailbox(&greeting, "greeting.put", by(START)).await.unwrap());
    assert_eq!(store.own_greetings().await.unwrap(), [mailbox.id]);
    let job = leased(store, &mailbox, 800).await;
    assert!(store.finish(&job, &transcribed(), START).await.unwrap());
    store.keep_arrivals(&[new_message(801, mailbox.id)], START).await.unwrap();
    assert!(store.delete_mailbox(mailbox.id, by(START)).await.unwrap());
    for id in [800, 801] {
        let row = store.message(message_id(id)).await.unwrap().unwrap();
        assert_eq!((row.state, row.text), (StoredState::Deleted, None));
    }
    assert!(store.own_greetings().await.unwrap().is_empty());
    assert_eq!(store.mailbox_by_number(&mailbox.number).await.unwrap(), None);
    assert_eq!(store.next_delivery(Channel::Mail).await.unwrap(), None);
    let gone = store.mailbox(mailbox.id).await.unwrap().unwrap();
    assert!(gone.deleted_at.is_some() && gone.settings.addresses.is_empty());
    let mut jobs: Vec<_> = take(store, START).await.into_iter().map(|job| job.id).collect();
    jobs.sort();
    let erase = |id| format!("erase_message:{}", message_id(id));
    let greeting = format!("erase_greeting:{}", mailbox.id);
    let late = format!("transcribe:{}", message_id(801));
    let finish = format!("finish_deletion:{}", mailbox.id);
    assert_eq!(jobs, [greeting, erase(800), erase(801), finish, late]);
    let late = store.keep_arrivals(&[new_message(802, mailbox.id)], START).await.unwrap();
    assert_eq!(late, [Kept::Deleted]);
    let row = store.message(message_id(802)).await.unwrap().unwrap();
    assert_eq!((row.state, row.arrived.caller.number()), (StoredState::Deleted, None));
    assert_eq!(row.arrived.payload_sha256, "");
    let jobs = take(store, START).await;
    assert_eq!(jobs.iter().map(|job| job.id.clone()).collect::<Vec<_>>(), [erase(802)]);
    end_all(store).await;
}

async fn leases_of_the_dead_are_reclaimed(store: &dyn Store) {
    let mailbox = new_mailbox(store, 90, &["a@example.jp"]).await;
    let job = leased(store, &mailbox, 900).await;
    assert!(store.finish(&job, &transcribed(), START).await.unwrap());
    let delivery = store.lease_deliveries(Channel::Mail, START, at(60), 1).await.unwrap().remove(0);
    let job = leased(store, &mailbox, 901).await;
    assert_eq!(store.reclaim(START).await.unwrap(), 2);
    assert!(take(store, START).await.is_empty(), "it rests");
    assert_eq!(take(store, at(1)).await.remove(0).id, job.id);
    let again = store.lease_deliveries(Channel::Mail, START, at(60), 1).await.unwrap().remove(0);
    assert_eq!(again.target, delivery.target);
    settle_all(store, vec![again]).await;
    end_all(store).await;
}

async fn a_recording_that_kills_its_workers_is_given_up(store: &dyn Store) {
    let mailbox = new_mailbox(store, 91, &["a@example.jp"]).await;
    store.keep_arrivals(&[new_message(910, mailbox.id)], START).await.unwrap();
    let mut now = START;
    for attempt in 1..=TRANSCRIBE_ATTEMPTS_MAX {
        let row = store.message(message_id(910)).await.unwrap().unwrap();
        assert_eq!(row.state, StoredState::Sealed);
        assert_eq!(take(store, now).await.remove(0).attempts, attempt);
        assert_eq!(store.reclaim(now).await.unwrap(), 1);
        assert!(take(store, now).await.is_empty(), "it rests");
        now = after(now, backoff(attempt, 0));
    }
    assert_eq!(store.next_job().await.unwrap(), None);
    let row = store.message(message_id(910)).await.unwrap().unwrap();
    assert_eq!((row.state, row.text), (StoredState::Failed, None));
    assert!(row.failure.is_some());
    let deliveries =
        store.lease_deliveries(Channel::Mail, now, after(now, LEASE), 100).await.unwrap();
    assert_eq!(deliveries.len(), 1, "its mailbox is told");
    settle_all(store, deliveries).await;
}

async fn keys_are_found_by_hash_until_revoked(store: &dyn Store) {
    let key = ApiKey {
        id: KeyId(uuid::Uuid::from_u128(1)),
        name: "アプリ".to_owned(),
        scopes: vec![Scope::MessagesRead, Scope::EventsRead],
        created_at: START,
        revoked_at: None,
    };
    store.keep_key(&key, "hash", by(START)).await.unwrap();
    assert_eq!(store.key_by_hash("hash").await.unwrap(), Some(key.clone()));
    assert_eq!(store.key_by_hash("other").await.unwrap(), None);
    assert!(store.revoke_key(key.id, by(at(1))).await.unwrap());
    assert!(!store.revoke_key(key.id, by(at(2))).await.unwrap());
    assert_eq!(store.key_by_hash("hash").await.unwrap(), None);
    let revoked = ApiKey { revoked_at: Some(at(1)), ..key };
    assert_eq!(store.keys().await.unwrap(), [revoked]);
}
