//! The outbox core: what becomes of a delivery after an attempt. Pure: the row, the outcome, time
//! and chance in; the next step out. Rows are unique per (notice, channel, target), so a notice
//! is told once to each.

use std::time::Duration;

use engine_core::time::WallTime;

use crate::backoff::backoff;
use crate::clock::after;
use crate::limits::{BACKOFF_MAX, DELIVERY_AGE_MAX, DELIVERY_ATTEMPTS_MAX, MAYBE_SENT_MAX};
use crate::notice::{Notice, NoticeId};

/// A way to reach somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Electronic mail; targets are addresses.
    Mail,
    /// Short messages; targets are numbers in E.164.
    Sms,
    /// Web push (RFC 8030); targets are ids of push endpoints.
    Push,
    /// An operator's program; targets are ids of webhooks.
    Webhook,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 4] = [Self::Mail, Self::Sms, Self::Push, Self::Webhook];

    /// Stable name for rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Sms => "sms",
            Self::Push => "push",
            Self::Webhook => "webhook",
        }
    }

    /// Reads [`Channel::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// Whether it makes a sound in somebody's pocket, so that quiet hours hold it back.
    pub const fn is_loud(self) -> bool {
        matches!(self, Self::Sms | Self::Push)
    }
}

/// One notice to one target over one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What is told.
    pub notice: Notice,
    /// How.
    pub channel: Channel,
    /// To whom: an address of the channel.
    pub target: String,
    /// Attempts that failed so far.
    pub attempts: u32,
    /// Times that it left and nobody knows whether it arrived.
    pub maybe_sent: u32,
    /// When it was put into the outbox.
    pub created_at: WallTime,
    /// Token of the lease under which it is being tried.
    pub lease: String,
}

impl Delivery {
    /// Id of what is told.
    pub const fn id(&self) -> NoticeId {
        self.notice.id
    }

    /// Whether it may have been shown as often as is borne: once, and once more.
    pub const fn is_spent(&self) -> bool {
        self.maybe_sent >= MAYBE_SENT_MAX
    }

    /// Until when the delivery rests for the quiet hours of whom it tells.
    pub fn held_until(&self, now: WallTime) -> Option<WallTime> {
        let hours = self.notice.quiet_hours.filter(|_| self.channel.is_loud())?;
        if self.notice.body.is_awaited() { None } else { hours.end(now) }
    }
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took it.
    Delivered,
    /// It may work later: 4xx, no connection.
    Transient(String),
    /// It left, and nobody knows whether it arrived: the answer was lost. Only for channels where
    /// sending again shows twice.
    Unknown(String),
    /// It asked to be left alone for a while: 429, throttled.
    Busy {
        /// What it said.
        why: String,
        /// For how long.
        rest: Duration,
    },
    /// It was not tried: the subscriber's quiet hours hold until then.
    Held(WallTime),
    /// It will never work: 5xx, an impossible address.
    Permanent(String),
    /// There is nothing to tell any more.
    Moot(&'static str),
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
        /// Times that it left without a known answer, this one included.
        maybe_sent: u32,
    },
    /// To be tried at that time; this was no attempt.
    Hold {
        /// When.
        at: WallTime,
    },
    /// Never tried again.
    GiveUp {
        /// What failed.
        why: String,
    },
}

/// Decides after an attempt that ended at `now`.
pub fn after_attempt(delivery: &Delivery, outcome: Outcome, now: WallTime, chance: u32) -> Next {
    let mut maybe_sent = delivery.maybe_sent;
    let (why, asked) = match outcome {
        Outcome::Delivered => return Next::Sent,
        Outcome::Moot(why) => return Next::GiveUp { why: why.to_owned() },
        Outcome::Permanent(why) => return Next::GiveUp { why },
        Outcome::Held(at) => return Next::Hold { at },
        Outcome::Transient(why) => (why, Duration::ZERO),
        Outcome::Unknown(why) => {
            maybe_sent += 1;
            (why, Duration::ZERO)
        }
        Outcome::Busy { why, rest } => (why, rest.min(BACKOFF_MAX)),
    };
    if maybe_sent >= MAYBE_SENT_MAX {
        return Next::GiveUp { why: format!("it may have arrived twice: {why}") };
    }
    let failed = delivery.attempts.saturating_add(1);
    let at = after(now, backoff(failed, chance).max(asked));
    let too_old = at > after(delivery.created_at, DELIVERY_AGE_MAX);
    if delivery.notice.is_expired(at) {
        return Next::GiveUp { why: format!("it expires before the next attempt: {why}") };
    }
    if failed >= DELIVERY_ATTEMPTS_MAX || too_old {
        return Next::GiveUp { why: format!("gave up after {failed} attempts: {why}") };
    }
    Next::Retry { at, why, maybe_sent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX};
    use crate::notice::NoticeBody;

    fn delivery(attempts: u32) -> Delivery {
        let start = WallTime::from_unix_millis(0);
        Delivery {
            notice: Notice::new(NoticeId::from_u128(1), NoticeBody::NewMessage, "1", start),
            channel: Channel::Mail,
            target: "a@example.jp".to_owned(),
            attempts,
            maybe_sent: 0,
            created_at: start,
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
        let (at, why) = (after(now, BACKOFF_FIRST), "451 busy".to_owned());
        assert_eq!(next, Next::Retry { at, why, maybe_sent: 0 });
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
                Next::Sent | Next::Hold { .. } => unreachable!("nothing was delivered or held"),
            }
        }
        assert!(now <= after(row.created_at, DELIVERY_AGE_MAX));
    }

    #[test]
    fn a_target_that_asks_for_rest_gets_it_up_to_the_longest() {
        let now = WallTime::from_unix_millis(1_000);
        let busy = |rest| Outcome::Busy { why: "429".to_owned(), rest };
        let at = |rest| match after_attempt(&delivery(0), busy(rest), now, 0) {
            Next::Retry { at, .. } => at,
            other => panic!("{other:?}"),
        };
        assert_eq!(at(Duration::ZERO), after(now, BACKOFF_FIRST));
        assert_eq!(at(Duration::from_mins(5)), after(now, Duration::from_mins(5)));
        assert_eq!(at(Duration::from_hours(48)), after(now, BACKOFF_MAX));
    }

    #[test]
    fn an_sms_whose_answer_is_lost_is_sent_at_most_once_more() {
        let now = WallTime::from_unix_millis(1_000);
        let lost = || Outcome::Unknown("no answer".to_owned());
        let mut row = delivery(0);
        let Next::Retry { maybe_sent, .. } = after_attempt(&row, lost(), now, 0) else {
            panic!("once more is borne")
        };
        row.maybe_sent = maybe_sent;
        assert!(!row.is_spent());
        // A refusal in between is a known answer and takes nothing away.
        assert!(matches!(
            after_attempt(&row, transient(), now, 0),
            Next::Retry { maybe_sent: 1, .. }
        ));
        assert!(matches!(after_attempt(&row, lost(), now, 0), Next::GiveUp { .. }));
        row.maybe_sent = 2;
        assert!(row.is_spent(), "as after two crashes");
    }

    #[test]
    fn what_expires_before_the_next_attempt_is_given_up() {
        let now = WallTime::from_unix_millis(1_000);
        let mut row = delivery(0);
        row.notice.expires_at = Some(after(now, BACKOFF_FIRST + Duration::from_millis(1)));
        assert!(matches!(after_attempt(&row, transient(), now, 0), Next::Retry { .. }));
        row.notice.expires_at = Some(after(now, BACKOFF_FIRST));
        assert!(matches!(after_attempt(&row, transient(), now, 0), Next::GiveUp { .. }));
    }

    #[test]
    fn quiet_hours_hold_push_and_sms_but_neither_mail_nor_a_code_that_is_awaited() {
        let mut row = delivery(0);
        row.notice.quiet_hours = Some("22:00-07:00".parse().unwrap());
        let at = |hour: i64| WallTime::from_unix_millis((hour - 9) * 3_600_000);
        for (channel, is_held) in [
            (Channel::Mail, false),
            (Channel::Sms, true),
            (Channel::Push, true),
            (Channel::Webhook, false),
        ] {
            row.channel = channel;
            assert_eq!(row.held_until(at(23)), is_held.then(|| at(31)), "{channel:?}");
            assert_eq!(row.held_until(at(7)), None, "{channel:?}");
        }
        row.channel = Channel::Sms;
        row.notice.body = NoticeBody::OneTimeCode { code: "1234".to_owned(), minutes: 10 };
        assert_eq!(row.held_until(at(23)), None);
        let held = after_attempt(&row, Outcome::Held(at(31)), at(23), 0);
        assert_eq!(held, Next::Hold { at: at(31) });
    }
}
