//! What any backend must do with contracts, lines, numbers, terms and the audit log.

use engine_core::id::MailboxId;
use engine_core::time::WallTime;

use super::{START, at, by, end_all, take};
use crate::audit::{Actor, Change, Verifier};
use crate::contract::tests_support::applied;
use crate::contract::{Contract, ContractError, ContractId, ContractState};
use crate::contract_notice::application_complete;
use crate::keys::KeyId;
use crate::limits::{QUARANTINE, REPEAT_AGE_MAX};
use crate::line::{Line, LineFlag, LineService};
use crate::numbers::{NumberCounts, NumberRange, NumbersAdded};
use crate::pepper::Pepper;
use crate::serial::Serial;
use crate::store::{
    Activated, Activation, After, Application, Applied, AuditPage, ContractFilter, LineRef, Page,
    Repeat, Store, StoreError, Task,
};
use crate::terms::TermsText;

/// Runs the suite on an empty store.
pub(crate) async fn run(store: &dyn Store) {
    a_line_has_one_voicemail_whichever_came_first(store).await;
    a_repeated_application_changes_nothing(store).await;
    a_serial_is_redeemed_once_with_the_terms_that_hold(store).await;
    contracts_are_listed_and_found(store).await;
    a_cancellation_leaves_its_job_and_takes_it_back(store).await;
    an_ended_contract_leaves_nothing_but_its_row(store).await;
    a_number_given_back_rests_for_180_days(store).await;
    a_mailbox_of_a_contract_is_not_deleted_alone(store).await;
    flags_are_set_and_cleared(store).await;
    the_audit_log_holds_every_change_in_a_chain(store).await;
}

fn pepper() -> Pepper {
    Pepper::from_bytes([9; 32])
}

pub(super) fn change(now: WallTime) -> Change {
    Change { by: Actor::Key(KeyId(uuid::Uuid::from_u128(7))), at: now }
}

fn line(n: u32) -> Line {
    Line::read(&format!("+8190{n:08}")).unwrap()
}

pub(super) fn line_ref(n: u32) -> LineRef {
    LineRef { line: line(n), hash: line(n).hash(&pepper()) }
}

pub(super) fn serial_hash(id: u128) -> String {
    Serial::of(ContractId::from_u128(id), &pepper()).hash(&pepper())
}

fn application(id: u128, line: u32, now: WallTime) -> Application {
    let contract = applied(id, &format!("+8190{line:08}"), now);
    Application {
        serial_hash: serial_hash(id),
        line_hash: contract.line.hash(&pepper()),
        notice: application_complete(&contract, &Serial::of(contract.id, &pepper())),
        contract,
        repeat: None,
    }
}

pub(super) async fn apply(store: &dyn Store, id: u128, line: u32) -> Result<Contract, StoreError> {
    let application = application(id, line, START);
    match store.apply(&application, change(START)).await? {
        Applied::New(contract) => Ok(contract),
        Applied::Before(_) => panic!("nothing was repeated"),
    }
}

pub(super) async fn activate(
    store: &dyn Store,
    id: u128,
    now: WallTime,
) -> Result<Activated, StoreError> {
    let activation = Activation {
        serial_hash: serial_hash(id),
        mailbox: MailboxId::from_u128(id << 32),
        accepts_terms: Some(1),
        low_water: 1,
    };
    store.activate(&activation, change(now)).await
}

pub(super) fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> ContractError {
    match result {
        Err(StoreError::Contract(refusal)) => refusal,
        other => panic!("it should be refused, not {other:?}"),
    }
}

/// Takes `count` numbers from `+8150<first>` into the pool.
pub(super) async fn pool(store: &dyn Store, first: u32, count: u32) -> NumbersAdded {
    let end = |n: u32| format!("+8150{n:08}");
    let range = NumberRange::read(&end(first), &end(first + count - 1)).unwrap();
    store.add_numbers(range, change(START)).await.unwrap()
}

pub(super) async fn publish(store: &dyn Store, from: WallTime) -> i64 {
    let text = |text: &str| TermsText { url: None, text: Some(text.to_owned()) };
    let published = store.publish_terms(from, &text("約款"), &text("Terms"), change(START)).await;
    published.unwrap().version
}

/// S28, one after the other; the race is in `contracts_race`.
async fn a_line_has_one_voicemail_whichever_came_first(store: &dyn Store) {
    let made = apply(store, 1, 1).await.unwrap();
    let exists = ContractError::Exists { contract: made.id };
    assert_eq!(refusal(apply(store, 2, 1).await), exists);
    let carrier = store.put_carrier_voicemail(&line_ref(1), change(START)).await;
    assert_eq!(refusal(carrier), exists);
    assert!(store.put_carrier_voicemail(&line_ref(2), change(START)).await.unwrap());
    assert!(!store.put_carrier_voicemail(&line_ref(2), change(START)).await.unwrap());
    assert_eq!(refusal(apply(store, 2, 2).await), ContractError::CarrierVoicemailActive);
    assert_eq!(store.contract(ContractId::from_u128(2)).await.unwrap(), None);
    assert!(store.remove_carrier_voicemail(&line_ref(2), change(START)).await.unwrap());
    assert!(!store.remove_carrier_voicemail(&line_ref(2), change(START)).await.unwrap());
    assert!(!store.remove_carrier_voicemail(&line_ref(1), change(START)).await.unwrap());
    apply(store, 2, 2).await.unwrap();
    let facts = store.line(&line(2)).await.unwrap();
    let smart = LineService::Smart(ContractId::from_u128(2));
    assert_eq!(facts.service, Some((smart, START)));
}

async fn a_repeated_application_changes_nothing(store: &dyn Store) {
    let repeat = |key: &str, body: &str| {
        Some(Repeat { key_hash: key.to_owned(), body_hash: body.to_owned() })
    };
    let first = Application { repeat: repeat("k", "b"), ..application(10, 10, START) };
    let Applied::New(made) = store.apply(&first, change(START)).await.unwrap() else {
        panic!("it is new");
    };
    let again = Application { repeat: repeat("k", "b"), ..application(11, 10, at(5)) };
    let answer = store.apply(&again, change(at(5))).await.unwrap();
    assert_eq!(answer, Applied::Before(made));
    let other = Application { repeat: repeat("k", "c"), ..application(11, 11, at(5)) };
    let refused = store.apply(&other, change(at(5))).await;
    assert_eq!(refusal(refused), ContractError::KeyReused);
    let elsewhere = Change { by: Actor::Command, at: at(5) };
    store.apply(&other, elsewhere).await.unwrap();
    // A refused application leaves its key unused.
    let refused = Application { repeat: repeat("r", "r"), ..application(12, 10, START) };
    assert!(store.apply(&refused, change(START)).await.is_err());
    let good = Application { repeat: repeat("r", "s"), ..application(12, 12, START) };
    assert!(matches!(store.apply(&good, change(START)).await.unwrap(), Applied::New(_)));
    let day = at(REPEAT_AGE_MAX.as_secs());
    let late = Application { repeat: repeat("k", "d"), ..application(13, 13, day) };
    assert!(matches!(store.apply(&late, change(day)).await.unwrap(), Applied::New(_)));
}

/// S10, S29, S36.
async fn a_serial_is_redeemed_once_with_the_terms_that_hold(store: &dyn Store) {
    apply(store, 20, 20).await.unwrap();
    assert_eq!(refusal(activate(store, 99, START).await), ContractError::SerialUnknown);
    let none = ContractError::TermsNotAccepted { current: None };
    assert_eq!(refusal(activate(store, 20, START).await), none);
    assert_eq!(publish(store, START).await, 1);
    assert_eq!(publish(store, at(100)).await, 2);
    assert_eq!(store.current_terms(at(99)).await.unwrap().unwrap().version, 1);
    assert_eq!(refusal(activate(store, 20, START).await), ContractError::NoNumberFree);
    assert_eq!(pool(store, 0, 2).await, NumbersAdded { added: 2, known: 0 });
    assert_eq!(pool(store, 1, 2).await, NumbersAdded { added: 1, known: 1 });
    let newer = ContractError::TermsNotAccepted { current: Some(2) };
    assert_eq!(refusal(activate(store, 20, at(100)).await), newer);
    let Activated { contract, at_low_water } = activate(store, 20, START).await.unwrap();
    assert_eq!((contract.state, at_low_water), (ContractState::Active, false));
    assert_eq!(contract.number.as_deref(), Some("+815000000000"));
    assert_eq!(store.contract(contract.id).await.unwrap(), Some(contract.clone()));
    let mailbox = store.mailbox_by_number("+815000000000").await.unwrap().unwrap();
    assert_eq!((Some(mailbox.id), mailbox.settings.addresses.len()), (contract.mailbox, 1));
    assert_eq!(refusal(activate(store, 20, START).await), ContractError::SerialRedeemed);
    apply(store, 21, 21).await.unwrap();
    let second = activate(store, 21, START).await.unwrap();
    assert!(second.at_low_water, "one number is left");
    let counts = store.count_numbers(START).await.unwrap();
    assert_eq!(counts, NumberCounts { free: 1, assigned: 2, quarantined: 0 });
}

async fn contracts_are_listed_and_found(store: &dyn Store) {
    let list = async |filter: ContractFilter, after, limit| {
        let found = store.contracts(&filter, Page { after, limit }).await.unwrap();
        found.iter().map(|contract| contract.id.as_u128()).collect::<Vec<_>>()
    };
    let all = list(ContractFilter::default(), None, 100).await;
    assert_eq!(all, [1, 2, 10, 12, 20, 21, 11, 13]);
    let seen = After { at: START, id: 10 };
    assert_eq!(list(ContractFilter::default(), Some(seen), 2).await, [12, 20]);
    let active = ContractFilter { state: Some(ContractState::Active), line: None };
    assert_eq!(list(active, None, 10).await, [20, 21]);
    let of_line = ContractFilter { line: Some(line(20)), state: None };
    assert_eq!(list(of_line, None, 10).await, [20]);
    let found = store.contract_by_serial(&serial_hash(20)).await.unwrap().unwrap();
    assert_eq!(store.contract_of_line(&line(20)).await.unwrap().as_ref(), Some(&found));
    let by_mailbox = store.contract_of_mailbox(found.mailbox.unwrap()).await.unwrap();
    assert_eq!(by_mailbox, Some(found));
    assert_eq!(store.contract_of_line(&line(999)).await.unwrap(), None);
}

async fn a_cancellation_leaves_its_job_and_takes_it_back(store: &dyn Store) {
    let id = ContractId::from_u128(20);
    let cancelled = store.cancel_contract(id, change(START)).await.unwrap();
    let end = cancelled.ends_at.unwrap();
    assert_eq!(store.cancel_contract(id, change(at(50))).await.unwrap(), cancelled);
    assert_eq!(store.next_job().await.unwrap(), Some(end));
    let kept = store.reinstate_contract(id, change(START)).await.unwrap();
    assert_eq!((kept.cancelled_at, kept.ends_at), (None, None));
    assert_eq!(store.reinstate_contract(id, change(START)).await.unwrap(), kept);
    assert_eq!(store.next_job().await.unwrap(), None);
    let unknown = store.cancel_contract(ContractId::from_u128(98), change(START)).await;
    assert_eq!(refusal(unknown), ContractError::Unknown);
}

/// S56–S57.
async fn an_ended_contract_leaves_nothing_but_its_row(store: &dyn Store) {
    let id = ContractId::from_u128(20);
    let cancelled = store.cancel_contract(id, change(START)).await.unwrap();
    let end = cancelled.ends_at.unwrap();
    let job = take(store, end).await.remove(0);
    assert_eq!(job.task, Task::EndContract(id));
    let ended = store.end_contract(&job, id, end).await.unwrap();
    assert_eq!(ended, cancelled.mailbox);
    let row = store.contract(id).await.unwrap().unwrap();
    assert_eq!((row.state, row.ended_at), (ContractState::Ended, Some(end)));
    assert_eq!(row.email, None);
    let mailbox = store.mailbox(cancelled.mailbox.unwrap()).await.unwrap().unwrap();
    assert!(mailbox.deleted_at.is_some() && mailbox.settings.addresses.is_empty());
    assert_eq!(store.contract_of_line(&line(20)).await.unwrap(), None);
    assert_eq!(store.end_contract(&job, id, end).await.unwrap(), None, "its job has ended");
    assert_eq!(refusal(store.cancel_contract(id, change(end)).await), ContractError::Over);
    assert_eq!(refusal(store.reinstate_contract(id, change(end)).await), ContractError::Over);
    let jobs = take(store, end).await;
    assert_eq!(
        jobs.iter().map(|job| job.task).collect::<Vec<_>>(),
        [Task::EraseGreeting(mailbox.id), Task::FinishDeletion(mailbox.id)]
    );
    for job in &jobs {
        store.end_job(job).await.unwrap();
    }
    apply(store, 22, 20).await.unwrap();
}

/// S10: the number of the contract that ended is not handed out again for 180 days.
async fn a_number_given_back_rests_for_180_days(store: &dyn Store) {
    let end = store.contract(ContractId::from_u128(20)).await.unwrap().unwrap().ends_at.unwrap();
    let rested = crate::clock::after(end, QUARANTINE);
    let before = WallTime::from_unix_millis(rested.as_unix_millis() - 1);
    let counts = store.count_numbers(before).await.unwrap();
    assert_eq!(counts, NumberCounts { free: 1, assigned: 1, quarantined: 1 });
    apply(store, 23, 23).await.unwrap();
    let accept_newest = async |id: u128, now| {
        let activation = Activation {
            serial_hash: serial_hash(id),
            mailbox: MailboxId::from_u128(id << 32),
            accepts_terms: Some(2),
            low_water: 0,
        };
        store.activate(&activation, change(now)).await
    };
    let other = accept_newest(22, before).await.unwrap().contract;
    assert_eq!(other.number.as_deref(), Some("+815000000002"));
    assert_eq!(refusal(accept_newest(23, before).await), ContractError::NoNumberFree);
    let again = accept_newest(23, rested).await.unwrap();
    assert_eq!(again.contract.number.as_deref(), Some("+815000000000"));
    assert!(again.at_low_water, "none is left");
}

async fn a_mailbox_of_a_contract_is_not_deleted_alone(store: &dyn Store) {
    let contract = store.contract(ContractId::from_u128(21)).await.unwrap().unwrap();
    let refused = store.delete_mailbox(contract.mailbox.unwrap(), by(START)).await;
    assert_eq!(refusal(refused), ContractError::MailboxOfContract);
    // A mailbox made by hand keeps its number out of the pool while it lives, and lets it rest.
    pool(store, 80, 1).await;
    let by_hand = super::new_mailbox(store, 80, &[]).await;
    apply(store, 24, 24).await.unwrap();
    assert_eq!(refusal(activate(store, 24, START).await), ContractError::NoNumberFree);
    assert!(store.delete_mailbox(by_hand.id, by(START)).await.unwrap());
    assert_eq!(refusal(activate(store, 24, START).await), ContractError::NoNumberFree);
    end_all(store).await;
}

/// S66–S68.
async fn flags_are_set_and_cleared(store: &dyn Store) {
    let line = line_ref(30);
    store.set_flag(&line, LineFlag::Arrears, "二か月未納", change(START)).await.unwrap();
    store.set_flag(&line, LineFlag::Breach, "spam", change(at(1))).await.unwrap();
    let newer = store.set_flag(&line, LineFlag::Arrears, "三か月未納", change(at(2))).await;
    let facts = store.line(&line.line).await.unwrap();
    let flags: Vec<_> = facts.flags.iter().map(|flagged| flagged.flag).collect();
    assert_eq!(flags, [LineFlag::Breach, LineFlag::Arrears]);
    assert_eq!(facts.flags[1], newer.unwrap());
    assert!(store.clear_flag(&line, LineFlag::Breach, change(at(3))).await.unwrap());
    assert!(!store.clear_flag(&line, LineFlag::Breach, change(at(3))).await.unwrap());
    assert_eq!(store.line(&line.line).await.unwrap().flags.len(), 1);
}

async fn the_audit_log_holds_every_change_in_a_chain(store: &dyn Store) {
    let (mut verifier, mut after, mut actions) = (Verifier::default(), 0, Vec::new());
    loop {
        let page = AuditPage { after, limit: 7, subjects: Vec::new() };
        let entries = store.audit(&page).await.unwrap();
        let Some(last) = entries.last() else { break };
        after = last.seq;
        for entry in &entries {
            verifier.take(entry).unwrap();
            let said = format!("{}{}{}", entry.subject, entry.detail, entry.actor);
            assert!(!said.contains("+8190") && !said.contains("example.jp"), "{said}");
            actions.push(entry.action.clone());
        }
    }
    assert_eq!(verifier.head().0, after);
    let count = |action: &str| actions.iter().filter(|done| *done == action).count();
    assert_eq!((count("contract.applied"), count("contract.activated")), (11, 4));
    assert_eq!((count("contract.cancelled"), count("contract.reinstated")), (2, 1));
    assert_eq!((count("contract.ended"), count("terms.published")), (1, 2));
    assert_eq!((count("line.flag_set"), count("line.flag_cleared")), (3, 1));
    let carrier = ["line.carrier_voicemail_on", "line.carrier_voicemail_off"];
    assert_eq!(carrier.map(count), [1, 1]);
    let subjects = vec![format!("contract:{}", ContractId::from_u128(21))];
    let of_one = AuditPage { after: 0, limit: 100, subjects };
    let of_one = store.audit(&of_one).await.unwrap();
    let of_one: Vec<_> = of_one.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(of_one, ["contract.applied", "contract.activated"]);
}
