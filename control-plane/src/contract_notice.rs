//! What a contract's subscriber is told: that the application is complete (S30), that roaming may
//! have undone the forwarding (S06), that the contract will end (S53) and that everything is
//! deleted (S56). Pure: a contract in, a notice out. Each has an id that follows from what it
//! speaks of, so that whatever is done twice is told once.

use engine_core::time::WallTime;

use crate::contract::{Contract, ContractId};
use crate::notice::{Notice, NoticeBody, NoticeId};
use crate::serial::Serial;

const APPLICATION_COMPLETE: &str = "application_complete";

/// Id of the notice that brings a contract's serial number.
pub(crate) fn application_complete_id(contract: ContractId) -> NoticeId {
    NoticeId::of(APPLICATION_COMPLETE, &contract.to_string())
}

/// The serial number, once applied (S30).
pub(crate) fn application_complete(contract: &Contract, serial: &Serial) -> Notice {
    let body = NoticeBody::ApplicationComplete { serial: serial.words() };
    of(contract, application_complete_id(contract.id), body, contract.applied_at)
}

/// The last day, once cancelled (S53); `None` while nobody cancelled.
pub(crate) fn ending(contract: &Contract) -> Option<Notice> {
    let (cancelled_at, ends_on) = contract.cancelled_at.zip(contract.ends_on)?;
    // A contract may be cancelled, reinstated and cancelled again: each is told.
    let subject = format!("{}:{}", contract.id, cancelled_at.as_unix_millis());
    let body = NoticeBody::ContractEnding { ends_on: ends_on.to_string() };
    Some(of(contract, NoticeId::of("contract_ending", &subject), body, cancelled_at))
}

/// That everything is deleted (S56). It belongs to no mailbox, since it outlives it.
pub(crate) fn data_deleted(contract: &Contract, now: WallTime) -> Option<Notice> {
    let body = NoticeBody::DataDeleted { ended_on: contract.ends_on?.to_string() };
    let id = NoticeId::of("data_deleted", &contract.id.to_string());
    Some(Notice { mailbox: None, ..of(contract, id, body, now) })
}

/// That forwarding may have to be set again (S06).
pub(crate) fn roaming(
    contract: &Contract,
    event: uuid::Uuid,
    guide_url: Option<String>,
    now: WallTime,
) -> Notice {
    let id = NoticeId::of("roaming", &event.to_string());
    of(contract, id, NoticeBody::Roaming { guide_url }, now)
}

fn of(contract: &Contract, id: NoticeId, body: NoticeBody, now: WallTime) -> Notice {
    let mut notice = Notice::new(id, body, contract.id.to_string(), now);
    notice.mailbox = contract.mailbox;
    notice.contract = Some(contract.id.to_string());
    notice.language = contract.language;
    notice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::tests_support::applied;
    use crate::pepper::Pepper;

    #[test]
    fn each_cancellation_is_told_once() {
        let now = WallTime::from_unix_millis(1_800_000_000_000);
        let mut contract = applied(1, "+819012345678", now);
        assert_eq!(ending(&contract), None);
        contract.cancel(now).unwrap();
        let first = ending(&contract).unwrap();
        contract.cancel(now).unwrap();
        assert_eq!(ending(&contract).unwrap().id, first.id);
        contract.reinstate(now).unwrap();
        let later = WallTime::from_unix_millis(now.as_unix_millis() + 1);
        contract.cancel(later).unwrap();
        assert_ne!(ending(&contract).unwrap().id, first.id);
    }

    #[test]
    fn s30_the_notice_of_an_application_carries_the_serial() {
        let now = WallTime::from_unix_millis(1_800_000_000_000);
        let contract = applied(1, "+819012345678", now);
        let serial = Serial::of(contract.id, &Pepper::from_bytes([1; 32]));
        let notice = application_complete(&contract, &serial);
        assert_eq!(notice.body, NoticeBody::ApplicationComplete { serial: serial.words() });
        assert_eq!(notice.id, application_complete_id(contract.id));
    }
}
