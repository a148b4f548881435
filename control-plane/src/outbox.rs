//! The outbox core: what becomes of a delivery after an attempt. Pure: the row, the outcome, time
//! and chance in; the next step out. Rows are unique per (message, channel, target), so a
//! message is told once to each.

use engine_core::id::{MailboxId, RecordingId};
use engine_core::time::WallTime;

use crate::backoff::backoff;
use crate::clock::after;
use crate::limits::{DELIVERY_AGE_MAX, DELIVERY_ATTEMPTS_MAX};

/// A way to reach a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Electronic mail.
    Mail,
}

impl Channel {
    /// Stable name for rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
        }
    }

    /// Reads [`Channel::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        (name == Self::Mail.name()).then_some(Self::Mail)
    }
}

/// One message to one target over one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which message.
    pub message: RecordingId,
    /// From whose mailbox.
    pub mailbox: MailboxId,
    /// How.
    pub channel: Channel,
    /// To whom: an address of the channel.
    pub target: String,
    /// Attempts that failed so far.
    pub attempts: u32,
    /// When it was put into the outbox.
    pub created_at: WallTime,
    /// Token of the lease under which it is being tried.
    pub lease: String,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took it.
    Delivered,
    /// It may work later: 4xx, no connection.
    Transient(String),
    /// It will never work: 5xx, an impossible address.
    Permanent(String),
    /// There is nothing to tell any more: the message was deleted.
    Moot,
}

/// What becomes of the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Told.
    Sent,
    /// To be tried again.
    Retry {
        /// When.
        at: WallTime,
        /// What failed.
        why: String,
    },
    /// Never tried again.
    GiveUp {
        /// What failed.
        why: String,
    },
}

/// Decides after an attempt that ended at `now`.
pub fn after_attempt(delivery: &Delivery, outcome: Outcome, now: WallTime, chance: u32) -> Next {
    let why = match outcome {
        Outcome::Delivered => return Next::Sent,
        Outcome::Moot => return Next::GiveUp { why: "the message was deleted".to_owned() },
        Outcome::Permanent(why) => return Next::GiveUp { why },
        Outcome::Transient(why) => why,
    };
    let failed = delivery.attempts.saturating_add(1);
    let at = after(now, backoff(failed, chance));
    let too_old = at > after(delivery.created_at, DELIVERY_AGE_MAX);
    if failed >= DELIVERY_ATTEMPTS_MAX || too_old {
        return Next::GiveUp { why: format!("gave up after {failed} attempts: {why}") };
    }
    Next::Retry { at, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX};

    fn delivery(attempts: u32) -> Delivery {
        Delivery {
            message: RecordingId::from_u128(1),
            mailbox: MailboxId::from_u128(2),
            channel: Channel::Mail,
            target: "a@example.jp".to_owned(),
            attempts,
            created_at: WallTime::from_unix_millis(0),
            lease: String::new(),
        }
    }

    fn transient() -> Outcome {
        Outcome::Transient("451 busy".to_owned())
    }

    #[test]
    fn what_was_taken_is_sent_and_what_was_refused_is_given_up() {
        let now = WallTime::from_unix_millis(5);
        assert_eq!(after_attempt(&delivery(0), Outcome::Delivered, now, 0), Next::Sent);
        let permanent = Outcome::Permanent("550 no such user".to_owned());
        let next = after_attempt(&delivery(0), permanent, now, 0);
        assert_eq!(next, Next::GiveUp { why: "550 no such user".to_owned() });
    }

    #[test]
    fn a_transient_failure_rests_and_is_tried_again() {
        let now = WallTime::from_unix_millis(1_000);
        let next = after_attempt(&delivery(0), transient(), now, 0);
        assert_eq!(next, Next::Retry { at: after(now, BACKOFF_FIRST), why: "451 busy".to_owned() });
    }

    #[test]
    fn attempts_end_at_their_limit() {
        let now = WallTime::from_unix_millis(1_000);
        let last_but_one = delivery(DELIVERY_ATTEMPTS_MAX - 2);
        assert!(matches!(after_attempt(&last_but_one, transient(), now, 0), Next::Retry { .. }));
        let last = delivery(DELIVERY_ATTEMPTS_MAX - 1);
        assert!(matches!(after_attempt(&last, transient(), now, 0), Next::GiveUp { .. }));
    }

    #[test]
    fn three_days_are_the_end_even_with_attempts_left() {
        let end =
            after(WallTime::from_unix_millis(0), DELIVERY_AGE_MAX.saturating_sub(BACKOFF_FIRST));
        let at = |now| after_attempt(&delivery(0), transient(), now, 0);
        assert!(matches!(at(end), Next::Retry { .. }));
        let past = WallTime::from_unix_millis(end.as_unix_millis() + 1);
        assert!(matches!(at(past), Next::GiveUp { .. }));
    }

    #[test]
    fn a_server_that_never_comes_back_is_left_within_the_limits() {
        let mut row = delivery(0);
        let mut now = row.created_at;
        loop {
            match after_attempt(&row, transient(), now, row.attempts.wrapping_mul(7_919)) {
                Next::Retry { at, .. } => {
                    assert!(at > now && at <= after(now, BACKOFF_MAX));
                    (now, row.attempts) = (at, row.attempts + 1);
                }
                Next::GiveUp { .. } => break,
                Next::Sent => unreachable!("nothing was delivered"),
            }
        }
        assert!(now <= after(row.created_at, DELIVERY_AGE_MAX));
    }
}
