//! What becomes of a received datagram on its shard.
//!
//! In: datagrams as a receiver hands them over, and which ones come next. Out: packets and reports
//! at their lines, wakes noted. Knows nothing of how they were received.

use engine_core::time::Instant;

use crate::rtp::line::{Line, Stage, World};
use crate::rtp::receive::{Datagram, Take, Token};
use crate::rtp::wakes::Wakes;
use crate::sys::prefetch;

/// Octets of a chunk's entry with 20 ms of G.711.
const ENTRY_OCTETS: usize = 192;

/// Hands each datagram to its line.
pub(super) struct Taker<'a> {
    pub(super) now: Instant,
    pub(super) lines: &'a mut Vec<Option<Line>>,
    pub(super) wakes: &'a mut Wakes,
    pub(super) world: &'a mut World,
}

impl Take for Taker<'_> {
    fn expect(&self, token: Token) {
        if let Some(Some(Line { stage: Stage::Up(talk), .. })) = self.lines.get(token / 2) {
            prefetch::soon(&talk.call);
        }
    }

    fn expect_further(&self, token: Token) {
        if let Some(Some(Line { stage: Stage::Up(talk), .. })) = self.lines.get(token / 2) {
            prefetch::octets(talk.call.next_octets(), ENTRY_OCTETS);
        }
    }

    fn take(&mut self, datagram: Datagram) {
        let slot = datagram.token / 2;
        let Some(Some(line)) = self.lines.get_mut(slot) else { return };
        if datagram.token % 2 == 1 {
            line.take_report(self.now, &datagram, self.world);
        } else if let Some(until) = line.take_packet(self.now, datagram, self.world) {
            self.wakes.note(slot, until);
        }
    }
}
