//! What any backend must do with monthly bills.

use std::sync::Arc;

use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::audit::{Actor, Change};
use crate::billing::{Adjustment, BillingError, Correction, closes_from};
use crate::billing_export::Format;
use crate::campaign::CampaignTerms;
use crate::contract::tests_support::applied;
use crate::contract::{Contract, ContractError, ContractId, ContractKind};
use crate::contract_notice::application_complete;
use crate::japan::Month;
use crate::japan::tests_support::{date, jst, month};
use crate::message::NewMessage;
use crate::message::tests_support::new_message;
use crate::money::Yen;
use crate::numbers::NumberRange;
use crate::pepper::Pepper;
use crate::serial::Serial;
use crate::store::{
    Activation, After, Application, Applied, ClosedMonth, NewAdjustment, Page, Repeat, Store,
    StoreError,
};
use crate::terms::TermsText;
use crate::usage::ForwardedCalls;

const JULY: &str = "2026-07";
const AUGUST: &str = "2026-08";

/// Runs the suite on an empty store.
pub(crate) async fn run(store: &dyn Store) {
    let terms = CampaignTerms {
        name: "最大1か月無料".to_owned(),
        starts_on: date("2026-01-01"),
        ends_on: None,
        free_months: 1,
    };
    store.create_campaign(&terms, by_system("2026-01-01 00:00")).await.unwrap();
    apply(store, 1, ContractKind::Individual, "2026-07-25 10:00").await;
    apply(store, 2, ContractKind::Individual, "2026-07-26 00:00").await;
    apply(store, 3, ContractKind::Corporate, "2026-07-31 23:59:59.999").await;
    apply(store, 4, ContractKind::Individual, "2026-08-01 00:00").await;
    let cancelled = by_system("2026-07-26 00:00:01");
    store.cancel_contract(ContractId::from_u128(2), cancelled).await.unwrap();
    months_are_closed_in_order_once_they_are_over(store).await;
    a_closed_month_keeps_its_bytes(store).await;
    corrections_land_in_the_next_open_month(store).await;
    a_repeated_correction_is_made_once(store).await;
    closed_months_are_listed(store).await;
    usage_counts_the_calls_of_the_month(store).await;
}

fn by_system(time: &str) -> Change {
    Change { by: Actor::System, at: jst(time) }
}

async fn apply(store: &dyn Store, id: u128, kind: ContractKind, time: &str) -> Contract {
    let contract = applied(id, &format!("+8190{id:08}"), jst(time));
    let contract = Contract { kind, ..contract };
    let serial = Serial::of(contract.id, &Pepper::from_bytes([9; 32]));
    let application = Application {
        notice: application_complete(&contract, &serial),
        contract,
        serial_hash: format!("serial {id}"),
        line_hash: format!("line {id}"),
        repeat: None,
    };
    match store.apply(&application, by_system(time)).await.unwrap() {
        Applied::New(contract) => contract,
        Applied::Before(_) => panic!("nothing was repeated"),
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> BillingError {
    match result {
        Err(StoreError::Billing(refusal)) => refusal,
        other => panic!("it should be refused, not {other:?}"),
    }
}

async fn close(store: &dyn Store, month: Month) -> Result<ClosedMonth, StoreError> {
    let change = Change { by: Actor::System, at: closes_from(month) };
    store.close_month(month, change).await
}

async fn kept(store: &dyn Store, month: Month, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in 0.. {
        let Some(more) = store.export_part(month, format, part).await.unwrap() else { break };
        bytes.extend(more);
    }
    bytes
}

async fn months_are_closed_in_order_once_they_are_over(store: &dyn Store) {
    let (june, july, august) = (month("2026-06"), month(JULY), month(AUGUST));
    let from = jst("2026-08-01 00:10");
    let early = WallTime::from_unix_millis(from.as_unix_millis() - 1);
    let early = store.close_month(july, Change { by: Actor::System, at: early }).await;
    assert_eq!(refusal(early), BillingError::TooEarly { month: july, from });
    let earlier_open = BillingError::EarlierOpen { earlier: july };
    assert_eq!(refusal(close(store, august).await), earlier_open);
    let before_first = BillingError::BeforeFirst { first: july };
    assert_eq!(refusal(close(store, june).await), before_first);

    let draft = store.draft(july, Format::Csv).await.unwrap();
    let closed = close(store, july).await.unwrap();
    assert_eq!((closed.closed_at, closed.month), (from, july));
    let sums = (closed.totals.lines, closed.totals.net.get(), closed.totals.total.get());
    assert_eq!(sums, (3, 290, 319), "two are free (S58), the corporate one is charged (S65)");
    assert_eq!(draft.facts, closed.csv, "S21: as it was before, byte for byte");
    assert_eq!(draft.bytes, kept(store, july, Format::Csv).await);
    let again = Change { by: Actor::System, at: jst("2026-09-15 00:00") };
    assert_eq!(store.close_month(july, again).await.unwrap(), closed);
    assert_eq!(store.closed_month(july).await.unwrap(), Some(closed));
    assert_eq!(store.closed_month(august).await.unwrap(), None);
}

async fn a_closed_month_keeps_its_bytes(store: &dyn Store) {
    let july = month(JULY);
    let closed = store.closed_month(july).await.unwrap().unwrap();
    let before = kept(store, july, Format::Json).await;
    // What happens to contracts later does not reach it.
    store.cancel_contract(ContractId::from_u128(1), by_system("2026-08-02 00:00")).await.unwrap();
    store
        .reinstate_contract(ContractId::from_u128(1), by_system("2026-08-03 00:00"))
        .await
        .unwrap();
    for format in Format::ALL {
        let bytes = kept(store, july, format).await;
        assert_eq!(bytes.len() as u64, closed.export(format).bytes);
        assert_eq!(hex::encode(Sha256::digest(&bytes)), closed.export(format).sha256);
    }
    assert_eq!(kept(store, july, Format::Json).await, before);
}

fn correction(contract: u128, for_month: &str, net: i64) -> Correction {
    Correction {
        contract: ContractId::from_u128(contract),
        for_month: month(for_month),
        net: Yen::new(net),
        reason: "二重に請求した".to_owned(),
    }
}

async fn adjust(
    store: &dyn Store,
    id: u128,
    correction: Correction,
    repeat: Option<Repeat>,
) -> Result<Adjustment, StoreError> {
    let new = NewAdjustment { id: Uuid::from_u128(id), correction, repeat };
    store.adjust(&new, by_system("2026-08-05 00:00")).await
}

async fn corrections_land_in_the_next_open_month(store: &dyn Store) {
    let (july, august) = (month(JULY), month(AUGUST));
    let open = adjust(store, 1, correction(3, AUGUST, -290), None).await;
    assert_eq!(refusal(open), BillingError::MonthOpen { month: august });
    let unknown = adjust(store, 1, correction(99, JULY, -290), None).await;
    assert_eq!(refusal(unknown), BillingError::UnknownContract);
    let made = adjust(store, 1, correction(3, JULY, -290), None).await.unwrap();
    assert_eq!((made.lands_in, made.correction.for_month), (august, july));

    let closed = close(store, august).await.unwrap();
    // 1, 2 and 3 are charged, 3 less what July was too much; 4 is free.
    let sums = (closed.totals.lines, closed.totals.net.get(), closed.totals.total.get());
    assert_eq!(sums, (4, 290 + 290, 319 + 319));
    let bill: serde_json::Value =
        serde_json::from_slice(&kept(store, august, Format::Json).await).unwrap();
    assert_eq!(bill["lines"][2]["adjustments"][0]["id"], made.id.to_string());
    let later = adjust(store, 2, correction(2, JULY, 100), None).await.unwrap();
    assert_eq!(later.lands_in, month("2026-09"));
    // Contract 2 ended with August (S54): its correction still stands on September's bill.
    let draft = store.draft(month("2026-09"), Format::Json).await.unwrap();
    let bill: serde_json::Value = serde_json::from_slice(&draft.bytes).unwrap();
    let ended = &bill["lines"][1];
    assert_eq!((&ended["status"], &ended["total_yen"]), (&"adjustment_only".into(), &110.into()));
    assert_eq!(bill["lines"].as_array().unwrap().len(), 4);
}

async fn a_repeated_correction_is_made_once(store: &dyn Store) {
    let repeat =
        |body: &str| Some(Repeat { key_hash: "key".to_owned(), body_hash: body.to_owned() });
    let first = adjust(store, 3, correction(1, JULY, 50), repeat("a")).await.unwrap();
    let again = adjust(store, 4, correction(1, JULY, 50), repeat("a")).await.unwrap();
    assert_eq!(again, first);
    let other = adjust(store, 5, correction(1, JULY, 60), repeat("b")).await;
    assert!(matches!(other, Err(StoreError::Contract(ContractError::KeyReused))));
}

async fn closed_months_are_listed(store: &dyn Store) {
    let list = async |after: Option<&str>, limit| {
        let found = store.closed_months(after.map(month), limit).await.unwrap();
        found.iter().map(|closed| closed.month.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10).await, [JULY, AUGUST]);
    assert_eq!(list(None, 1).await, [JULY]);
    assert_eq!(list(Some(JULY), 10).await, [AUGUST]);
}

/// S22–S23: the calls that were answered in the month in Japan, deleted messages too.
async fn usage_counts_the_calls_of_the_month(store: &dyn Store) {
    let text = |text: &str| TermsText { url: None, text: Some(text.to_owned()) };
    let now = by_system("2026-08-01 00:00");
    store.publish_terms(now.at, &text("約款"), &text("Terms"), now).await.unwrap();
    let range = NumberRange::read("+815012345678", "+815012345679").unwrap();
    store.add_numbers(range, now).await.unwrap();
    let mailbox = MailboxId::from_u128(77);
    let activation = Activation {
        serial_hash: "serial 4".to_owned(),
        mailbox,
        accepts_terms: Some(1),
        low_water: 0,
    };
    store.activate(&activation, now).await.unwrap();
    let calls = [
        (1, "2026-07-31 23:59:59.999", 1_000),
        (2, "2026-08-01 00:00", 70_000),
        (3, "2026-08-31 23:59:59.999", 30_000),
        (4, "2026-09-01 00:00", 1_000),
    ];
    let calls = calls.map(|(id, answered, call_ms)| NewMessage {
        answered_at: jst(answered),
        call_ms,
        ..new_message(id, mailbox)
    });
    store.keep_arrivals(&calls, jst("2026-09-01 00:00")).await.unwrap();
    store.delete_message(calls[1].id, by_system("2026-09-02 00:00")).await.unwrap();
    let page = |after| Page { after, limit: 3 };
    let first = store.usage(month(AUGUST), page(None)).await.unwrap();
    let ids: Vec<_> = first.iter().map(|usage| usage.contract.as_u128()).collect();
    assert_eq!(ids, [1, 2, 3], "all that ran in August, by contract");
    assert_eq!(first[0].calls, ForwardedCalls::default());
    let seen = After { at: WallTime::default(), id: 3 };
    let rest = store.usage(month(AUGUST), page(Some(seen))).await.unwrap();
    let expected = ForwardedCalls { calls: 2, call_ms: 100_000, units: 4 };
    assert_eq!((rest.len(), rest[0].calls), (1, expected));
    assert_eq!(rest[0].calls.cost_with_tax(), Yen::new(88));
}

/// Months closed and corrections made at the same time, on an empty store.
pub(crate) async fn race(store: Arc<dyn Store>) {
    apply(&*store, 1, ContractKind::Individual, "2026-07-01 00:00").await;
    close(&*store, month(JULY)).await.unwrap();
    let closers = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { close(&*store, month(AUGUST)).await.unwrap() })
    });
    let closers: Vec<_> = closers.collect();
    let corrections = (0..40).map(|id| {
        let store = store.clone();
        let make = async move { adjust(&*store, id, correction(1, JULY, -1), None).await.unwrap() };
        tokio::spawn(make)
    });
    let made = futures::future::join_all(corrections.collect::<Vec<_>>()).await;
    let mut closed = Vec::new();
    for closer in closers {
        closed.push(closer.await.unwrap());
    }
    assert!(closed.iter().all(|month| *month == closed[0]), "one closing, told to all");
    let made: Vec<Adjustment> = made.into_iter().map(Result::unwrap).collect();
    let lands_in = |text| made.iter().filter(|made| made.lands_in == month(text)).count();
    let (in_august, in_september) = (lands_in(AUGUST), lands_in("2026-09"));
    assert_eq!(in_august + in_september, 40);
    assert_eq!(closed[0].totals.net.get(), 290 - in_august as i64, "none is lost or doubled");
    let draft = store.draft(month("2026-09"), Format::Json).await.unwrap();
    let bill: serde_json::Value = serde_json::from_slice(&draft.bytes).unwrap();
    assert_eq!(bill["totals"]["net_yen"], 290 - in_september as i64);
}
