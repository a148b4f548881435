//! What ends a call when nothing happens: silent line, quiet caller, full message, longest call.
//!
//! In: the moments that the call notes in [`Clocks`], its phase, its plan. Out: the first deadline
//! and its reason, when to wake. Knows nothing of what is done at a deadline.

use std::time::Duration;

use super::{Call, Phase};
use crate::limits::CALL_MAX;
use crate::recording::EndReason;
use crate::time::Instant;

/// What the timers count from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    pub(super) heard: Instant,
    pub(super) loud: Instant,
    pub(super) recording: Instant,
    /// A caller whose packets carry no media time to speak of is cut off here.
    pub(super) full: Instant,
    /// How long nothing may come, and how long nothing loud: of the plan, at hand.
    pub(super) silent_line_limit: Duration,
    pub(super) quiet_limit: Option<Duration>,
    pub(super) lost_before: u32,
}

impl Call {
    pub(super) fn expired(&self) -> Option<EndReason> {
        let (at, reason) = self.deadline()?;
        (at <= self.now).then_some(reason)
    }

    /// The first timer that would end the call.
    fn deadline(&self) -> Option<(Instant, EndReason)> {
        let longest = (self.answered + CALL_MAX, EndReason::SilentLine);
        let silent = (self.clocks.heard + self.clocks.silent_line_limit, EndReason::SilentLine);
        let first = |a, b| std::cmp::min_by_key(a, b, |deadline: &(Instant, EndReason)| deadline.0);
        match self.phase {
            Phase::Over => None,
            Phase::Recording if self.held_since.is_none() => {
                let full = first((self.clocks.full, EndReason::Full), silent);
                let quiet = self.clocks.quiet_limit.map(|limit| self.clocks.loud + limit);
                let quiet = quiet.map_or(full, |at| first((at, EndReason::Quiet), full));
                Some(first(quiet, longest))
            }
            // Without an ACK and without a packet nobody is there. While we speak, a caller with
            // silence suppression may well send nothing.
            Phase::Waiting if self.held_since.is_none() => Some(first(silent, longest)),
            _ => Some(longest),
        }
    }

    pub(super) fn wakes(&self) -> Option<Instant> {
        let (deadline, _) = self.deadline()?;
        [self.player.due(), self.jitter_wakes, Some(deadline)].into_iter().flatten().min()
    }
}
