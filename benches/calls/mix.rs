//! Who calls: how long, how politely, and by which way the call was forwarded.
//!
//! In: a mix and a call's number. Out: what that caller does, the same in every run. The busy
//! hour's shares are chosen, not measured: no carrier's figures are public.

use std::time::Duration;

/// Which callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mix {
    /// All kinds, as in a busy hour.
    Busy,
    /// They listen to a greeting of 28 s and hang up: for its pacing.
    Greeting,
    /// They say two words: for many calls in little time.
    Short,
    /// They talk for ten seconds: for overload.
    Talk,
    /// One in ten says two words, the others hang up at once: for very many calls.
    Churn,
}

/// What one caller does once it is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Behaviour {
    /// Waits, talks for so long, hangs up.
    Talks(Duration),
    /// Hangs up after so long without a word.
    Listens(Duration),
    /// Talks until the service hangs up.
    TalksOn,
    /// Talks for so long and is gone: its BYE is lost.
    Vanishes(Duration),
    /// Gives up at once; the CANCEL may cross the 200.
    Cancels,
}

/// How the call says that it was forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forwarding {
    No,
    Diversion,
    HistoryInfo,
}

/// A caller's plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) behaviour: Behaviour,
    pub(crate) forwarding: Forwarding,
}

impl Mix {
    /// Whether mailboxes greet and beep.
    pub(crate) const fn greets(self) -> bool {
        matches!(self, Self::Busy | Self::Greeting)
    }

    pub(crate) fn plan(self, number: u64) -> Plan {
        let chance = scattered(number);
        let seconds = |least: f64, more: f64| {
            Duration::from_secs_f64(least + more * scattered(number ^ 0x5eed))
        };
        let behaviour = match self {
            Self::Greeting => Behaviour::Listens(Duration::from_secs(27)),
            Self::Short => Behaviour::Talks(seconds(0.5, 1.0)),
            Self::Talk => Behaviour::Talks(Duration::from_secs(10)),
            Self::Churn if chance < 0.1 => Behaviour::Talks(seconds(0.5, 1.0)),
            Self::Churn => Behaviour::Listens(seconds(0.1, 0.4)),
            Self::Busy => match chance {
                c if c < 0.50 => Behaviour::Talks(seconds(5.0, 20.0)),
                c if c < 0.68 => Behaviour::Listens(seconds(0.5, 3.0)),
                c if c < 0.84 => Behaviour::Listens(seconds(8.0, 4.0)),
                c if c < 0.89 => Behaviour::TalksOn,
                c if c < 0.94 => Behaviour::Vanishes(seconds(4.0, 8.0)),
                _ => Behaviour::Cancels,
            },
        };
        let forwarding = match (scattered(number ^ 0xf0f0) * 10.0) as u32 {
            0..5 => Forwarding::Diversion,
            5..8 => Forwarding::HistoryInfo,
            _ => Forwarding::No,
        };
        Plan { behaviour, forwarding }
    }
}

/// A number from 0 to 1 that looks like chance (`SplitMix64`).
pub(crate) fn scattered(number: u64) -> f64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
