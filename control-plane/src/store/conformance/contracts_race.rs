//! What must hold of contracts in any backend when everybody comes at once.

use std::sync::Arc;

use engine_core::id::MailboxId;

use super::START;
use super::contracts::{activate, apply, change, line_ref, pool, publish, refusal, serial_hash};
use crate::audit::Verifier;
use crate::contract::{ContractError, ContractId};
use crate::numbers::NumberCounts;
use crate::store::{Activation, AuditPage, Store, StoreError};

const CONTRACTS: u32 = 1_000;
const NUMBERS: u32 = 900;

/// Runs what must hold when everybody comes at once, on an empty store.
pub(crate) async fn race(store: Arc<dyn Store>) {
    applications_and_carrier_voicemail_at_once(&store).await;
    a_thousand_activations_on_900_numbers(&store).await;
    redeeming_twice_at_once(&store).await;
    cancelling_and_reinstating_at_once(&store).await;
    let page = AuditPage { after: 0, limit: u32::MAX, subjects: Vec::new() };
    let mut verifier = Verifier::default();
    for entry in store.audit(&page).await.unwrap() {
        verifier.take(&entry).unwrap();
    }
}

async fn together<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

/// S28, S69: on each line two applications and the carrier's voicemail race; one of the three wins.
async fn applications_and_carrier_voicemail_at_once(store: &Arc<dyn Store>) {
    let racers = (0..90_u32).map(|n| {
        let store = store.clone();
        async move {
            let line = 5_000 + n / 3;
            let won = match n % 3 {
                0 => store.put_carrier_voicemail(&line_ref(line), change(START)).await.map(|_| ()),
                _ => apply(&*store, 5_000 + u128::from(n), line).await.map(|_| ()),
            };
            (line, won)
        }
    });
    let mut winners = [0; 30];
    for (line, won) in together(racers).await {
        match won {
            Ok(()) => winners[(line - 5_000) as usize] += 1,
            Err(StoreError::Contract(
                ContractError::Exists { .. } | ContractError::CarrierVoicemailActive,
            )) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(winners, [1; 30]);
}

/// S10.
async fn a_thousand_activations_on_900_numbers(store: &Arc<dyn Store>) {
    publish(&**store, START).await;
    pool(&**store, 0, NUMBERS).await;
    for id in 0..CONTRACTS {
        apply(&**store, 10_000 + u128::from(id), 10_000 + id).await.unwrap();
    }
    let activations = (0..CONTRACTS).map(|id| {
        let store = store.clone();
        async move { activate(&*store, 10_000 + u128::from(id), START).await }
    });
    let (mut numbers, mut refused, mut low_water) = (Vec::new(), 0, 0);
    for result in together(activations).await {
        match result {
            Ok(activated) => {
                low_water += u32::from(activated.at_low_water);
                numbers.push(activated.contract.number.unwrap());
            }
            Err(StoreError::Contract(ContractError::NoNumberFree)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    numbers.sort();
    numbers.dedup();
    assert_eq!((numbers.len(), refused), (NUMBERS as usize, CONTRACTS - NUMBERS));
    assert_eq!(low_water, 1, "the operator is told once");
    let counts = store.count_numbers(START).await.unwrap();
    assert_eq!(counts, NumberCounts { free: 0, assigned: 900, quarantined: 0 });
}

/// S36.
async fn redeeming_twice_at_once(store: &Arc<dyn Store>) {
    pool(&**store, 50_000, 40).await;
    for id in 0..20 {
        apply(&**store, 20_000 + id, 20_000 + id as u32).await.unwrap();
    }
    let redeemers = (0..80_u128).map(|n| {
        let store = store.clone();
        async move {
            let activation = Activation {
                serial_hash: serial_hash(20_000 + n / 4),
                mailbox: MailboxId::from_u128(n << 64),
                accepts_terms: Some(1),
                low_water: 0,
            };
            store.activate(&activation, change(START)).await
        }
    });
    let results = together(redeemers).await;
    let won = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 20);
    for result in results.into_iter().filter(Result::is_err) {
        assert_eq!(refusal(result), ContractError::SerialRedeemed);
    }
    assert_eq!(store.count_numbers(START).await.unwrap().free, 20, "none was taken in vain");
}

/// Whoever was last is right: a cancelled contract has its job, a reinstated one has none.
async fn cancelling_and_reinstating_at_once(store: &Arc<dyn Store>) {
    let id = ContractId::from_u128(20_000);
    let changes = (0..40).map(|n| {
        let store = store.clone();
        async move {
            if n % 2 == 0 {
                store.cancel_contract(id, change(START)).await.unwrap();
            } else {
                store.reinstate_contract(id, change(START)).await.unwrap();
            }
        }
    });
    together(changes).await;
    let contract = store.contract(id).await.unwrap().unwrap();
    assert_eq!(store.next_job().await.unwrap(), contract.ends_at);
}
