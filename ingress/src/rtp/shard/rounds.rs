//! What a shard does now and then: its own counters, and a look at each call.
//!
//! In: time. Out: counters set, reports sent, reservations that ran out freed. Calls are looked at
//! a few at a time ([`Sweep`](super::Sweep)): all at once would keep packets waiting.

use std::sync::atomic::Ordering;

use engine_core::time::Instant;
use tracing::warn;

use super::Shard;
use crate::rtp::counters::{add, set};
use crate::rtp::line::{Line, Stage};

impl Shard {
    /// Once each interval.
    pub(super) fn rounds(&mut self, now: Instant) {
        let (made, pinned) = self.receive.slabs();
        set(&self.world.counters.slabs_made, made);
        set(&self.world.counters.slabs_pinned, pinned as u64);
        let dropped = self.receive.dropped();
        let before = std::mem::replace(&mut self.dropped, dropped);
        let fresh = dropped.saturating_sub(before);
        if fresh > 0 {
            warn!(
                shard = self.index,
                fresh, "The kernel dropped packets that nobody read in time."
            );
        }
        add(&self.world.counters.kernel_dropped, fresh);
        let counters = &self.world.counters;
        let late = std::mem::take(&mut self.late).as_micros();
        set(&counters.turn_late_micros, u64::try_from(late).unwrap_or(u64::MAX));
        let packets = counters.packets.load(Ordering::Relaxed);
        let (before, since) = std::mem::replace(&mut self.counted, (packets, now));
        let seconds = now.since(since).as_secs_f64().max(0.001);
        set(&counters.packet_rate, ((packets - before) as f64 / seconds) as u64);
    }

    /// Each tick, the calls whose turn it is: kernel drops, reports, events, reservations.
    pub(super) fn look_after(&mut self, now: Instant) {
        for slot in self.look.due(now, self.lines.len()) {
            let Some(line) = &mut self.lines[slot] else { continue };
            line.count_drops(now, &self.world.counters);
            match line {
                Line { stage: Stage::Up(talk), rtcp, .. } => {
                    talk.rounds(now, rtcp, &self.world);
                }
                Line { stage: Stage::Reserved { until }, id, .. } if *until <= now => {
                    warn!(call = %id, "A reserved call was never answered; its ports are freed.");
                    self.wakes.end(slot);
                }
                Line { .. } => {}
            }
        }
    }
}
