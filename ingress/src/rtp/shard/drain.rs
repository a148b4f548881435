//! How a shard ends: calls finish, then recordings are handed over, then it may go.
//!
//! In: a limit, the time. Out: calls stopped at the limit, and word to whoever waits. Knows
//! nothing of packets.

use engine_core::call::Input;
use engine_core::recording::EndReason;
use engine_core::time::Instant;
use tokio::sync::oneshot;

use super::{Line, Shard, Stage};
use crate::limits::DRAIN_GRACE;

pub(super) struct Draining {
    until: Instant,
    stopped: bool,
    done: Vec<oneshot::Sender<()>>,
}

impl Shard {
    pub(super) fn start_drain(&mut self, until: Instant, done: Option<oneshot::Sender<()>>) {
        let draining =
            self.draining.get_or_insert(Draining { until, stopped: false, done: Vec::new() });
        draining.until = draining.until.min(until);
        draining.done.extend(done);
    }

    pub(super) fn drain(&mut self, now: Instant) {
        let Some(draining) = &mut self.draining else { return };
        if now >= draining.until && !draining.stopped {
            draining.stopped = true;
            for slot in 0..self.lines.len() {
                self.tell_slot(now, slot, Input::Stop(EndReason::Stopped));
            }
            for (slot, line) in self.lines.iter().enumerate() {
                if matches!(line, Some(Line { stage: Stage::Reserved { .. }, .. })) {
                    self.wakes.end(slot);
                }
            }
            self.close_over(now);
            self.world.keeper.turn(now);
        }
        let Some(draining) = &mut self.draining else { return };
        // Who waits for a drain wants the last texts from this run; a bare quit does not wait.
        let handed_over = draining.done.is_empty() || self.world.keeper.is_handed_over();
        let settled = self.slots.is_empty() && self.world.keeper.is_durable() && handed_over;
        if settled || now >= draining.until + DRAIN_GRACE {
            for done in draining.done.drain(..) {
                // Whoever waited may have stopped waiting.
                let _ = done.send(());
            }
            self.draining = None;
        }
    }
}
