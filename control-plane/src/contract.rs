//! Contracts: one line's smart voicemail from application to end. Pure: what is known and the
//! time in; the next state or a refusal out. Dates are of Japan, where the contract is made.

use std::fmt;
use std::str::FromStr;

use engine_core::id::{IdError, MailboxId};
use engine_core::private::Private;
use engine_core::text::Language;
use engine_core::time::WallTime;
use jiff::civil::Date;

use crate::campaign::Grant;
use crate::cancellation;
use crate::japan;
use crate::line::Line;
use crate::mailbox::check_address;

/// Id of a contract: bits, text and errors as of every other id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContractId(MailboxId);

impl ContractId {
    /// The id with these 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(MailboxId::from_u128(bits))
    }

    /// Its 128 bits.
    pub const fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

impl fmt::Display for ContractId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ContractId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

/// Who contracts; corporate contracts have no free period (S65).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContractKind {
    /// A person.
    Individual,
    /// A company.
    Corporate,
}

impl ContractKind {
    /// Stable name for APIs and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Individual => "individual",
            Self::Corporate => "corporate",
        }
    }

    /// Reads [`ContractKind::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Individual, Self::Corporate].into_iter().find(|kind| kind.name() == name)
    }
}

/// How far a contract is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContractState {
    /// Applied for; its serial number is not redeemed.
    Applied,
    /// In use: it has a mailbox and a number.
    Active,
    /// Over; everything of the subscriber is deleted.
    Ended,
}

impl ContractState {
    const ALL: [Self; 3] = [Self::Applied, Self::Active, Self::Ended];

    /// Stable name for APIs and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }

    /// Reads [`ContractState::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Its id.
    pub id: ContractId,
    /// The subscriber's own mobile number.
    pub line: Line,
    /// Who contracts.
    pub kind: ContractKind,
    /// How far it is.
    pub state: ContractState,
    /// When it was applied for.
    pub applied_at: WallTime,
    /// The day of that in Japan.
    pub applied_on: Date,
    /// When its serial number was redeemed.
    pub activated_at: Option<WallTime>,
    /// When it was cancelled; taken back by a reinstatement.
    pub cancelled_at: Option<WallTime>,
    /// Last day, once cancelled.
    pub ends_on: Option<Date>,
    /// First moment of the day behind the last.
    pub ends_at: Option<WallTime>,
    /// When it was ended and everything deleted.
    pub ended_at: Option<WallTime>,
    /// Version of the terms that were accepted last (S29).
    pub terms_version: Option<i64>,
    /// The mailbox, once active.
    pub mailbox: Option<MailboxId>,
    /// The mailbox's 050 number in E.164, once active.
    pub number: Option<String>,
    /// Where the serial number and notices go; gone once ended.
    pub email: Option<Private<String>>,
    /// Language of everything the subscriber reads.
    pub language: Language,
    /// What a campaign gave.
    pub free: Option<Grant>,
    /// Counts changes.
    pub version: i64,
}

/// What somebody applies with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The line.
    pub line: Line,
    /// Who contracts.
    pub kind: ContractKind,
    /// Where the serial number goes.
    pub email: Private<String>,
    /// Language of everything the subscriber reads.
    pub language: Language,
}

impl Contract {
    /// A new application; the address is checked. What a campaign gives is decided later, with the
    /// line's history.
    pub fn apply(id: ContractId, wishes: Wishes, now: WallTime) -> Result<Self, ContractError> {
        check_address(wishes.email.reveal()).map_err(|_| ContractError::Email)?;
        let fresh = Self::fresh(id, (wishes.line, wishes.kind, wishes.language), now);
        Ok(Self { email: Some(wishes.email), ..fresh })
    }

    /// The contract as it was when it was applied for, for an answer that is given again.
    #[must_use]
    pub fn as_applied(self) -> Self {
        let fresh = Self::fresh(self.id, (self.line, self.kind, self.language), self.applied_at);
        Self { applied_on: self.applied_on, email: self.email, free: self.free, ..fresh }
    }

    /// What nothing has happened to yet.
    fn fresh(
        id: ContractId,
        (line, kind, language): (Line, ContractKind, Language),
        applied_at: WallTime,
    ) -> Self {
        Self {
            id,
            line,
            kind,
            state: ContractState::Applied,
            applied_at,
            applied_on: japan::date_of(applied_at),
            activated_at: None,
            cancelled_at: None,
            ends_on: None,
            ends_at: None,
            ended_at: None,
            terms_version: None,
            mailbox: None,
            number: None,
            email: None,
            language,
            free: None,
            version: 1,
        }
    }

    /// Whether it is over at `now`, ended by the job or about to be.
    pub fn is_over(&self, now: WallTime) -> bool {
        self.state == ContractState::Ended || self.ends_at.is_some_and(|end| end <= now)
    }

    /// Redeems the serial number. `accepted` is the version of the terms that the subscriber has
    /// accepted, `current` the one that holds now (S29).
    pub fn activate(
        &mut self,
        mailbox: MailboxId,
        accepted: Option<i64>,
        current: Option<i64>,
        now: WallTime,
    ) -> Result<(), ContractError> {
        if self.is_over(now) {
            return Err(ContractError::Over);
        }
        if self.state != ContractState::Applied {
            return Err(ContractError::SerialRedeemed);
        }
        let accepted = accepted.or(self.terms_version);
        if current.is_none() || accepted != current {
            return Err(ContractError::TermsNotAccepted { current });
        }
        self.state = ContractState::Active;
        self.activated_at = Some(now);
        self.terms_version = accepted;
        self.mailbox = Some(mailbox);
        self.version += 1;
        Ok(())
    }

    /// Cancels (S53–S55). False when it was cancelled before: its end stays as it was told then.
    pub fn cancel(&mut self, now: WallTime) -> Result<bool, ContractError> {
        if self.is_over(now) {
            return Err(ContractError::Over);
        }
        if self.cancelled_at.is_some() {
            return Ok(false);
        }
        let ends_on = cancellation::ends_on(now);
        self.cancelled_at = Some(now);
        self.ends_on = Some(ends_on);
        self.ends_at = Some(cancellation::ends_at(ends_on));
        self.version += 1;
        Ok(true)
    }

    /// Takes a cancellation back before the end. False when there was none.
    pub fn reinstate(&mut self, now: WallTime) -> Result<bool, ContractError> {
        if self.is_over(now) {
            return Err(ContractError::Over);
        }
        if self.cancelled_at.is_none() {
            return Ok(false);
        }
        (self.cancelled_at, self.ends_on, self.ends_at) = (None, None, None);
        self.version += 1;
        Ok(true)
    }

    /// Ends the contract and forgets the address. False when it is not to end now: it was ended
    /// before, reinstated, or its end lies ahead.
    pub fn end(&mut self, now: WallTime) -> bool {
        if self.state == ContractState::Ended || !self.is_over(now) {
            return false;
        }
        self.state = ContractState::Ended;
        self.ended_at = Some(now);
        self.email = None;
        self.version += 1;
        true
    }
}

/// Why a contract or line cannot be as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContractError {
    /// Not a mail address.
    #[error("email must be a mail address, such as user@example.jp")]
    Email,
    /// Nothing has this id, or line.
    #[error("there is no such contract")]
    Unknown,
    /// The contract is over.
    #[error("the contract is over and cannot be changed or restored; a new one can be applied for")]
    Over,
    /// S28, and one contract per line.
    #[error("the line already has a smart voicemail contract; it ends before another can begin")]
    Exists {
        /// Which.
        contract: ContractId,
    },
    /// S28.
    #[error(
        "the carrier's own voicemail is active on the line; the two do not go together, so switch \
         it off first"
    )]
    CarrierVoicemailActive,
    /// Nobody was given this serial number.
    #[error("this serial number is unknown; look at the mail it came with")]
    SerialUnknown,
    /// It was used before.
    #[error("this serial number was redeemed before; sign in with the line's own number instead")]
    SerialRedeemed,
    /// S29.
    #[error("{}", match current {
        Some(version) => format!("version {version} of the terms of service must be accepted first"),
        None => "no terms of service hold yet; publish some with POST /v1/terms".to_owned(),
    })]
    TermsNotAccepted {
        /// The version that holds.
        current: Option<i64>,
    },
    /// S10.
    #[error("no 050 number is free; add some with POST /v1/numbers")]
    NoNumberFree,
    /// The same Idempotency-Key came with another body.
    #[error("this Idempotency-Key came before with another body; use a new key for a new request")]
    KeyReused,
    /// The mailbox lives and ends with its contract.
    #[error("the mailbox belongs to a contract; cancel the contract instead")]
    MailboxOfContract,
}

#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;

    /// An individual's application for a line.
    pub(crate) fn applied(id: u128, line: &str, now: WallTime) -> Contract {
        let wishes = Wishes {
            line: Line::read(line).unwrap(),
            kind: ContractKind::Individual,
            email: Private::new(format!("a{id}@example.jp")),
            language: Language::Japanese,
        };
        Contract::apply(ContractId::from_u128(id), wishes, now).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::tests_support::applied;
    use super::*;

    fn at(text: &str) -> WallTime {
        let time: jiff::Timestamp = text.parse().unwrap();
        WallTime::from_unix_millis(time.as_millisecond())
    }

    fn contract(now: WallTime) -> Contract {
        applied(1, "+819012345678", now)
    }

    #[test]
    fn an_application_is_dated_in_japan() {
        let contract = contract(at("2026-06-30T15:00:00Z"));
        assert_eq!(contract.applied_on, jiff::civil::date(2026, 7, 1));
        assert_eq!(contract.state, ContractState::Applied);
    }

    #[test]
    fn s29_activation_needs_the_terms_that_hold_now() {
        let now = at("2026-07-01T00:00:00Z");
        let mailbox = MailboxId::from_u128(5);
        let refused = |accepted, current| {
            contract(now).activate(mailbox, accepted, current, now).unwrap_err()
        };
        let wanted = ContractError::TermsNotAccepted { current: Some(2) };
        assert_eq!(refused(None, Some(2)), wanted);
        assert_eq!(refused(Some(1), Some(2)), wanted);
        assert_eq!(refused(None, None), ContractError::TermsNotAccepted { current: None });
        let mut given = contract(now);
        given.activate(mailbox, Some(2), Some(2), now).unwrap();
        assert_eq!((given.state, given.terms_version), (ContractState::Active, Some(2)));
        let again = given.activate(mailbox, Some(2), Some(2), now);
        assert_eq!(again, Err(ContractError::SerialRedeemed));
    }

    #[test]
    fn s53_s54_s55_the_25th_ends_this_month_and_the_26th_the_next() {
        let last = at("2026-07-25T14:59:59.999Z");
        let mut early = contract(last);
        assert_eq!(early.cancel(last), Ok(true));
        assert_eq!(early.ends_on, Some(jiff::civil::date(2026, 7, 31)));
        assert_eq!(early.ends_at, Some(at("2026-07-31T15:00:00Z")));
        let first = at("2026-07-25T15:00:00Z");
        let mut late = contract(first);
        assert_eq!(late.cancel(first), Ok(true));
        assert_eq!(late.ends_on, Some(jiff::civil::date(2026, 8, 31)));
        assert_eq!(late.ends_at, Some(at("2026-08-31T15:00:00Z")));
    }

    #[test]
    fn cancelling_again_moves_no_end() {
        let mut contract = contract(at("2026-07-10T00:00:00Z"));
        assert_eq!(contract.cancel(at("2026-07-10T00:00:00Z")), Ok(true));
        let told = contract.clone();
        assert_eq!(contract.cancel(at("2026-07-27T00:00:00Z")), Ok(false));
        assert_eq!(contract, told);
    }

    #[test]
    fn a_cancellation_is_taken_back_until_the_last_moment() {
        let now = at("2026-07-10T00:00:00Z");
        let mut contract = contract(now);
        assert_eq!(contract.reinstate(now), Ok(false));
        contract.cancel(now).unwrap();
        let end = contract.ends_at.unwrap();
        let mut kept = contract.clone();
        let before = WallTime::from_unix_millis(end.as_unix_millis() - 1);
        assert_eq!(kept.reinstate(before), Ok(true));
        assert_eq!((kept.ends_on, kept.ends_at, kept.cancelled_at), (None, None, None));
        assert_eq!(contract.reinstate(end), Err(ContractError::Over));
        assert_eq!(contract.cancel(end), Err(ContractError::Over));
    }

    #[test]
    fn a_contract_ends_once_and_not_before_its_time() {
        let now = at("2026-07-10T00:00:00Z");
        let mut contract = contract(now);
        assert!(!contract.end(now), "nobody cancelled");
        contract.cancel(now).unwrap();
        let end = contract.ends_at.unwrap();
        assert!(!contract.end(WallTime::from_unix_millis(end.as_unix_millis() - 1)));
        assert!(contract.end(end));
        assert_eq!((contract.state, contract.email.clone()), (ContractState::Ended, None));
        assert!(!contract.end(end));
        let mailbox = MailboxId::from_u128(5);
        assert_eq!(contract.activate(mailbox, Some(1), Some(1), end), Err(ContractError::Over));
    }

    #[test]
    fn an_address_that_could_break_a_mail_is_refused() {
        let wishes = Wishes {
            line: Line::read("090-1234-5678").unwrap(),
            kind: ContractKind::Corporate,
            email: Private::new("a@example.jp\r\nBcc: b@example.jp".to_owned()),
            language: Language::English,
        };
        let refused = Contract::apply(ContractId::from_u128(1), wishes, at("2026-07-01T00:00:00Z"));
        assert_eq!(refused, Err(ContractError::Email));
    }

    #[test]
    fn names_read_back() {
        for kind in [ContractKind::Individual, ContractKind::Corporate] {
            assert_eq!(ContractKind::from_name(kind.name()), Some(kind));
        }
        for state in ContractState::ALL {
            assert_eq!(ContractState::from_name(state.name()), Some(state));
        }
    }
}
