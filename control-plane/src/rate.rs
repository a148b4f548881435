//! Request limits: the generic cell rate algorithm, one number a caller. Pure: who, how much and
//! the time in; taken, or how long to wait, out. Bounded: who was quiet for long is forgotten.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::RATES_REMEMBERED;

/// How much somebody may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests a minute in the long run; 0 sets no limit.
    pub per_minute: u32,
    /// Requests at once, after a while of quiet.
    pub burst: u32,
}

impl Rate {
    /// How long one request weighs; `None` without a limit.
    fn interval(self) -> Option<Duration> {
        let minute = Duration::from_mins(1);
        (self.per_minute > 0).then(|| minute / self.per_minute)
    }
}

/// Remembers who asked how much. Two generations: who asks is moved to the young one; when that is
/// full it becomes the old one, and the old one is forgotten. Somebody forgotten has a whole burst
/// again, which costs little: it takes as many others to be forgotten.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// For each the time at which all that was asked is paid off.
    young: HashMap<u64, Duration>,
    old: HashMap<u64, Duration>,
    per_generation: usize,
    names: RandomState,
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new(RATES_REMEMBERED / 2)
    }
}

impl Limiter {
    fn new(per_generation: usize) -> Self {
        let (young, old, names) = (HashMap::new(), HashMap::new(), RandomState::new());
        Self { young, old, per_generation, names }
    }

    /// Takes one request of `who` at `now` (since any fixed moment), or tells how long to wait.
    pub(crate) fn take(
        &mut self,
        who: impl Hash,
        rate: Rate,
        now: Duration,
    ) -> Result<(), Duration> {
        let Some(interval) = rate.interval() else { return Ok(()) };
        let name = self.names.hash_one(who);
        let paid_off = self.look(name, now) + interval;
        wait(paid_off, rate, interval, now)?;
        if self.young.len() >= self.per_generation && !self.young.contains_key(&name) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, paid_off);
        Ok(())
    }

    /// Whether one more request of `who` would be taken; takes none.
    pub(crate) fn look_ahead(
        &self,
        who: impl Hash,
        rate: Rate,
        now: Duration,
    ) -> Result<(), Duration> {
        let Some(interval) = rate.interval() else { return Ok(()) };
        wait(self.look(self.names.hash_one(who), now) + interval, rate, interval, now)
    }

    fn look(&self, name: u64, now: Duration) -> Duration {
        let known = self.young.get(&name).or_else(|| self.old.get(&name));
        known.copied().unwrap_or(now).max(now)
    }
}

fn wait(paid_off: Duration, rate: Rate, interval: Duration, now: Duration) -> Result<(), Duration> {
    // A burst of nothing would let nobody in.
    let early = paid_off.saturating_sub(interval.saturating_mul(rate.burst.max(1)));
    if early > now { Err(early.saturating_sub(now)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { per_minute: 60, burst: 3 };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_is_taken_and_not_one_more() {
        let mut limiter = Limiter::default();
        for _ in 0..3 {
            assert_eq!(limiter.take("a", RATE, at(0)), Ok(()));
        }
        assert_eq!(limiter.look_ahead("a", RATE, at(0)), Err(at(1)));
        assert_eq!(limiter.take("a", RATE, at(0)), Err(at(1)));
        assert_eq!(limiter.take("b", RATE, at(0)), Ok(()), "everybody has a burst");
        assert_eq!(limiter.take("a", RATE, at(1)), Ok(()), "a refusal costs nothing");
        assert_eq!(limiter.take("a", RATE, at(1)), Err(at(1)));
        for _ in 0..3 {
            assert_eq!(limiter.take("a", RATE, at(100)), Ok(()), "quiet brings the burst back");
        }
        assert!(limiter.take("a", RATE, at(100)).is_err());
    }

    #[test]
    fn nothing_a_minute_is_no_limit() {
        let mut limiter = Limiter::default();
        for _ in 0..1_000 {
            assert_eq!(limiter.take("a", Rate { per_minute: 0, burst: 0 }, at(0)), Ok(()));
        }
    }

    #[test]
    fn as_many_are_remembered_as_the_limit_says() {
        let mut limiter = Limiter::new(10);
        for who in 0..1_000 {
            limiter.take(who, RATE, at(0)).unwrap();
            assert!(limiter.young.len() + limiter.old.len() <= 20);
        }
        let mut busy = Limiter::new(10);
        for _ in 0..3 {
            busy.take("a", RATE, at(0)).unwrap();
        }
        for who in 0..9 {
            busy.take(who, RATE, at(0)).unwrap();
        }
        assert!(busy.take("a", RATE, at(0)).is_err(), "who was busy lately is remembered");
    }

    proptest! {
        #[test]
        fn no_pattern_takes_more_than_rate_and_burst(
            gaps in prop::collection::vec(0..5_000_u64, 1..300),
            per_minute in 1..600_u32,
            burst in 1..20_u32,
        ) {
            let rate = Rate { per_minute, burst };
            let mut limiter = Limiter::default();
            let (mut now, mut taken) = (Duration::ZERO, 0_u64);
            for gap in gaps {
                now += Duration::from_millis(gap);
                taken += u64::from(limiter.take("a", rate, now).is_ok());
                let most = u64::from(burst)
                    + now.as_millis() as u64 * u64::from(per_minute) / 60_000
                    + 1;
                prop_assert!(taken <= most, "{taken} of {most} at {now:?}");
            }
        }
    }
}
