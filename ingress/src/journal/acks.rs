//! Acknowledgements for several shards out of one queue.
//!
//! In: the queue that the control plane fills. Out: each shard sees every acknowledgement, and its
//! journal knows its own. Whichever shard looks first passes the word on to the others.

use std::sync::Arc;

use crossbeam::queue::SegQueue;
use engine_core::handoff::Acks;
use engine_core::id::RecordingId;

/// One shard's place at the queue.
#[derive(Debug)]
pub struct AckDesk {
    common: Acks,
    own: usize,
    trays: Arc<Vec<SegQueue<RecordingId>>>,
}

impl AckDesk {
    /// A desk for each shard.
    pub fn for_shards(common: &Acks, shards: u16) -> Vec<Self> {
        let shards = usize::from(shards);
        let trays: Arc<Vec<_>> =
            Arc::new(std::iter::repeat_with(SegQueue::new).take(shards).collect());
        (0..shards)
            .map(|own| Self { common: Arc::clone(common), own, trays: Arc::clone(&trays) })
            .collect()
    }

    /// The next acknowledgement, perhaps of another shard's recording.
    pub fn pop(&self) -> Option<RecordingId> {
        while let Some(recording) = self.common.pop() {
            for tray in self.trays.iter() {
                tray.push(recording);
            }
        }
        self.trays[self.own].pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_sees_every_acknowledgement_once() {
        let common = Acks::default();
        let desks = AckDesk::for_shards(&common, 3);
        for number in 0..10 {
            common.push(RecordingId::from_u128(number));
        }
        for desk in &desks {
            let seen: Vec<_> =
                std::iter::from_fn(|| desk.pop()).map(RecordingId::as_u128).collect();
            assert_eq!(seen, (0..10).collect::<Vec<_>>());
        }
    }
}
