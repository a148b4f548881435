//! What any backend must do with set-ups, one-time codes, turns, devices and choices (S36–S39).

use std::time::Duration;

use engine_core::id::MailboxId;
use engine_core::time::WallTime;

use super::{START, at};
use crate::clock::after;
use crate::contract::ContractId;
use crate::limits::{CODE_AGE_MAX, CODE_TRIES_MAX, SETUP_AGE_MAX, WRONG_CODES_PER_NUMBER_DAY_MAX};
use crate::one_time_code::SentCode;
use crate::quiet::QuietHours;
use crate::setup::Step;
use crate::store::{CodeSent, CodeToSend, CodeTried, CodeTry, ForwardingProof, Page, Setup, Store};
use crate::subscriber::{Device, DeviceId, NotificationChange, NotificationSettings};
use crate::turns::{Turn, TurnKind};

/// Runs the suite on an empty store.
pub(crate) async fn run(store: &dyn Store) {
    a_set_up_is_found_by_its_token_until_it_ends(store).await;
    changes_of_a_set_up_do_not_overwrite_each_other(store).await;
    a_code_holds_ten_minutes(store).await;
    a_code_has_five_tries_and_registers_once(store).await;
    wrong_codes_for_a_number_end_for_the_day(store).await;
    a_number_gets_five_codes_an_hour(store).await;
    devices_end_for_good(store).await;
    choices_and_proofs_are_kept(store).await;
}

fn setup(id: u128, begun: WallTime) -> Setup {
    Setup {
        id: uuid::Uuid::from_u128(id).to_string(),
        step: Step::Entry,
        contract: None,
        mailbox: None,
        device_name: None,
        device: None,
        version: 1,
        created_at: begun,
        expires_at: after(begun, SETUP_AGE_MAX),
    }
}

/// A set-up that asks for its code.
async fn asking(store: &dyn Store, id: u128, number: &str, now: WallTime) -> Setup {
    let mut setup = setup(id, now);
    assert_eq!(store.create_setup(&setup, &format!("token {id}"), &[]).await.unwrap(), None);
    setup.step = Step::Code;
    setup.contract = Some(ContractId::from_u128(id));
    setup.mailbox = Some(MailboxId::from_u128(id));
    setup.device_name = Some("電話".to_owned());
    assert_eq!(send(store, &setup, number, now).await, CodeSent::Sent);
    setup.version += 1;
    setup
}

async fn send(store: &dyn Store, setup: &Setup, number: &str, now: WallTime) -> CodeSent {
    let code = SentCode {
        number_mac: number.to_owned(),
        code_mac: "right".to_owned(),
        tries: 0,
        sent_at: now,
        expires_at: after(now, CODE_AGE_MAX),
    };
    let turns = [Turn { kind: TurnKind::CodeToNumber, subject: number.to_owned() }];
    store.send_code(CodeToSend { setup, code: &code, told: None, turns: &turns }).await.unwrap()
}

fn device(id: u128, mailbox: u128) -> Device {
    Device {
        id: DeviceId::from_u128(id),
        contract: ContractId::from_u128(mailbox),
        mailbox: MailboxId::from_u128(mailbox),
        name: "電話".to_owned(),
        created_at: at(id as u64),
        seen_at: at(id as u64),
        ended: None,
    }
}

async fn enter(
    store: &dyn Store,
    setup: &Setup,
    code: &str,
    device: &Device,
    now: WallTime,
) -> CodeTried {
    let token_hash = format!("session of {}", device.id);
    let attempt =
        CodeTry { setup: &setup.id, code_mac: code, device, token_hash: &token_hash, turns: &[] };
    store.try_code(attempt, now).await.unwrap()
}

async fn a_set_up_is_found_by_its_token_until_it_ends(store: &dyn Store) {
    let setup = setup(1, START);
    assert_eq!(store.create_setup(&setup, "first", &[]).await.unwrap(), None);
    let end = setup.expires_at;
    let last = WallTime::from_unix_millis(end.as_unix_millis() - 1);
    assert_eq!(store.setup_by_token("first", last).await.unwrap(), Some(setup));
    assert_eq!(store.setup_by_token("first", end).await.unwrap(), None);
    assert_eq!(store.setup_by_token("other", START).await.unwrap(), None);
}

async fn changes_of_a_set_up_do_not_overwrite_each_other(store: &dyn Store) {
    let mut setup = setup(2, START);
    store.create_setup(&setup, "second", &[]).await.unwrap();
    setup.step = Step::Terms;
    assert!(store.update_setup(&setup).await.unwrap());
    assert!(!store.update_setup(&setup).await.unwrap(), "its version has passed");
    assert_eq!(send(store, &setup, "late", START).await, CodeSent::Changed);
    let found = store.setup_by_token("second", START).await.unwrap().unwrap();
    assert_eq!((found.step, found.version), (Step::Terms, 2));
}

async fn a_code_holds_ten_minutes(store: &dyn Store) {
    let setup = asking(store, 10, "ten", START).await;
    let device = device(10, 10);
    let end = after(START, CODE_AGE_MAX);
    assert_eq!(enter(store, &setup, "right", &device, end).await, CodeTried::Expired);
    let last = WallTime::from_unix_millis(end.as_unix_millis() - 1);
    let tried = enter(store, &setup, "right", &device, last).await;
    assert_eq!(tried, CodeTried::Right(device));
    let unknown = setup_without_code();
    let tried = enter(store, &unknown, "right", &self::device(11, 11), START).await;
    assert_eq!(tried, CodeTried::NotAsked);
}

fn setup_without_code() -> Setup {
    setup(99, START)
}

async fn a_code_has_five_tries_and_registers_once(store: &dyn Store) {
    let setup = asking(store, 20, "twenty", START).await;
    let first = device(20, 20);
    for left in [4, 3] {
        let tried = enter(store, &setup, "wrong", &first, START).await;
        assert_eq!(tried, CodeTried::Wrong { left });
    }
    let registered = CodeTried::Right(first.clone());
    assert_eq!(enter(store, &setup, "right", &first, START).await, registered);
    // The same code again gives the first device, whatever device comes with it.
    assert_eq!(enter(store, &setup, "right", &device(21, 20), START).await, registered);
    let page = Page { after: None, limit: 9 };
    let devices = store.devices(MailboxId::from_u128(20), page).await.unwrap();
    assert_eq!(devices, std::slice::from_ref(&first));
    assert!(store.forwarding_proof(MailboxId::from_u128(20)).await.unwrap().is_some());
    let wrong = enter(store, &setup, "wrong", &first, START).await;
    assert_eq!(wrong, CodeTried::Wrong { left: 0 });
    assert_eq!(enter(store, &setup, "right", &first, START).await, CodeTried::UsedUp);
}

async fn wrong_codes_for_a_number_end_for_the_day(store: &dyn Store) {
    let mut wrong = 0;
    for id in 30..32 {
        // A minute apart: the number gets one code a minute.
        let now = at(60 * id as u64);
        let setup = asking(store, id, "thirty", now).await;
        for _ in 0..CODE_TRIES_MAX {
            let tried = enter(store, &setup, "wrong", &device(id, id), now).await;
            assert!(matches!(tried, CodeTried::Wrong { .. }), "{tried:?}");
            wrong += 1;
        }
    }
    assert_eq!(wrong, WRONG_CODES_PER_NUMBER_DAY_MAX);
    let now = at(60 * 32);
    let setup = asking(store, 32, "thirty", now).await;
    let tried = enter(store, &setup, "right", &device(32, 32), now).await;
    let day = Duration::from_hours(24);
    assert_eq!(tried, CodeTried::Wait(after(at(60 * 30), day)), "even the right one waits");
    let other = asking(store, 33, "another number", now).await;
    let tried = enter(store, &other, "right", &device(33, 33), now).await;
    assert!(matches!(tried, CodeTried::Right(_)), "{tried:?}");
}

async fn a_number_gets_five_codes_an_hour(store: &dyn Store) {
    let start = at(500_000);
    let later = |seconds: u64| after(start, Duration::from_secs(seconds));
    let mut setup = asking(store, 40, "forty", start).await;
    assert_eq!(send(store, &setup, "forty", later(59)).await, CodeSent::Wait(later(60)));
    for seconds in [60, 120, 180, 240] {
        assert_eq!(send(store, &setup, "forty", later(seconds)).await, CodeSent::Sent);
        setup.version += 1;
    }
    assert_eq!(send(store, &setup, "forty", later(300)).await, CodeSent::Wait(later(3_600)));
    assert_eq!(send(store, &setup, "forty", later(3_600)).await, CodeSent::Sent);
    setup.version += 1;
    // What was refused left nothing behind: another number may be tried at once.
    assert_eq!(send(store, &setup, "another", later(3_601)).await, CodeSent::Sent);
}

async fn devices_end_for_good(store: &dyn Store) {
    let mailbox = MailboxId::from_u128(50);
    let (first, second) = (device(50, 50), device(51, 50));
    for device in [&first, &second] {
        store.keep_device(device, &device.id.to_string()).await.unwrap();
    }
    let renamed = store.rename_device(mailbox, first.id, "新").await.unwrap().unwrap();
    assert_eq!(renamed, Device { name: "新".to_owned(), ..first.clone() });
    let stranger = MailboxId::from_u128(51);
    assert_eq!(store.rename_device(stranger, first.id, "x").await.unwrap(), None);
    assert_eq!(store.sign_out(stranger, Some(first.id), START).await.unwrap(), 0);
    assert_eq!(store.sign_out(mailbox, Some(first.id), START).await.unwrap(), 1);
    let found = store.device_by_token(&first.id.to_string()).await.unwrap().unwrap();
    assert!(found.ended.is_some() && found.name.is_empty(), "its name goes");
    assert_eq!(store.sign_out(mailbox, None, START).await.unwrap(), 1);
    let page = Page { after: None, limit: 9 };
    assert!(store.devices(mailbox, page).await.unwrap().is_empty());
}

async fn choices_and_proofs_are_kept(store: &dyn Store) {
    let mailbox = MailboxId::from_u128(60);
    let first = store.notification_settings(mailbox).await.unwrap();
    assert_eq!(first, NotificationSettings::default());
    let hours: QuietHours = "22:00-07:00".parse().unwrap();
    let change = NotificationChange {
        sms: Some(true),
        quiet_hours: Some(Some(hours)),
        ..NotificationChange::default()
    };
    let changed = store.change_notification_settings(mailbox, change).await.unwrap();
    assert_eq!(changed, NotificationSettings { sms: true, quiet_hours: Some(hours), ..first });
    assert_eq!(store.notification_settings(mailbox).await.unwrap(), changed);
    assert_eq!(store.forwarding_proof(mailbox).await.unwrap(), None);
    let proof = ForwardingProof { since: at(1), proven_at: Some(at(2)) };
    store.set_forwarding_proof(mailbox, proof).await.unwrap();
    assert_eq!(store.forwarding_proof(mailbox).await.unwrap(), Some(proof));
}
