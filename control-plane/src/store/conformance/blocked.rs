//! Blocked callers: once each, up to the limit, gone with their mailbox.

use engine_core::caller::Caller;
use engine_core::id::MailboxId;

use super::{START, at, by, end_all, new_mailbox};
use crate::blocked::{BlockedCaller, BlockedId, caller_hash, read_caller_number};
use crate::pepper::Pepper;
use crate::store::{Blocking, Store};

fn pepper() -> Pepper {
    Pepper::from_bytes([5; 32])
}

fn blocked(mailbox: MailboxId, id: u128, caller: &Caller) -> BlockedCaller {
    let id_of_entry = BlockedId(uuid::Uuid::from_u128(id));
    BlockedCaller::new(id_of_entry, mailbox, caller, &pepper(), at(id as u64))
}

/// Runs this part of the suite.
pub(super) async fn run(store: &dyn Store) {
    let mailbox = new_mailbox(store, 7_001, &[]).await.id;
    let other = new_mailbox(store, 7_002, &[]).await.id;
    let number = read_caller_number("09012345678").unwrap();
    let first = blocked(mailbox, 1, &number);
    assert_eq!(store.block_caller(&first, 2, by(START)).await.unwrap(), Blocking::New);
    let again = blocked(mailbox, 2, &number);
    let known = Blocking::Known(first.clone());
    assert_eq!(store.block_caller(&again, 2, by(START)).await.unwrap(), known);
    let second = blocked(mailbox, 3, &Caller::Withheld);
    assert_eq!(store.block_caller(&second, 2, by(START)).await.unwrap(), Blocking::New);
    let third = blocked(mailbox, 4, &Caller::Payphone);
    assert_eq!(store.block_caller(&third, 2, by(START)).await.unwrap(), Blocking::Full);
    assert_eq!(
        store.block_caller(&again, 2, by(START)).await.unwrap(),
        known,
        "it is there already"
    );
    let all = store.blocked_callers(mailbox).await.unwrap();
    assert_eq!(all, [first.clone(), second.clone()]);
    let stranger = blocked(MailboxId::from_u128(7_003), 5, &number);
    assert_eq!(store.block_caller(&stranger, 2, by(START)).await.unwrap(), Blocking::NoMailbox);

    let is_blocked = async |mailbox, caller: &Caller| {
        let hash = caller_hash(&pepper(), mailbox, caller);
        store.is_blocked(mailbox, &hash).await.unwrap()
    };
    assert!(is_blocked(mailbox, &number).await && is_blocked(mailbox, &Caller::Withheld).await);
    assert!(!is_blocked(mailbox, &Caller::Payphone).await);
    assert!(!is_blocked(other, &number).await);
    assert!(!store.unblock_caller(other, first.id, by(START)).await.unwrap(), "it is another's");
    assert!(store.unblock_caller(mailbox, first.id, by(START)).await.unwrap());
    assert!(!store.unblock_caller(mailbox, first.id, by(START)).await.unwrap());
    assert!(!is_blocked(mailbox, &number).await);

    for id in [mailbox, other] {
        assert!(store.delete_mailbox(id, by(START)).await.unwrap());
    }
    assert!(store.blocked_callers(mailbox).await.unwrap().is_empty());
    assert_eq!(store.block_caller(&third, 2, by(START)).await.unwrap(), Blocking::NoMailbox);
    end_all(store).await;
}
