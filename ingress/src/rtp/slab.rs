//! Receive buffers: datagrams are read into a slab, split off and frozen, so that header, payload
//! and whoever keeps the payload view the same memory.
//!
//! In: room asked for, bytes taken. Out: `BytesMut` views. A full slab retires and is used again
//! once its last view is dropped, so the steady state allocates nothing. Knows nothing of sockets.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::limits::{DATAGRAM_BYTES_MAX, SLAB_BYTES, SLABS_RETIRED_MAX};

/// A pool of slabs.
#[derive(Debug)]
pub struct Slabs {
    /// Zeroed bytes that nobody has seen yet.
    current: BytesMut,
    /// Full slabs whose views may still be alive, oldest first.
    retired: VecDeque<BytesMut>,
    made: u64,
}

impl Default for Slabs {
    fn default() -> Self {
        Self {
            current: BytesMut::zeroed(SLAB_BYTES),
            retired: VecDeque::with_capacity(SLABS_RETIRED_MAX),
            made: 1,
        }
    }
}

impl Slabs {
    /// Room for the longest datagram.
    pub fn room(&mut self) -> &mut [u8] {
        if self.current.len() < DATAGRAM_BYTES_MAX {
            self.rotate();
        }
        &mut self.current[..DATAGRAM_BYTES_MAX]
    }

    /// Takes the first `len` bytes of the room that was filled last.
    pub fn take(&mut self, len: usize) -> BytesMut {
        self.current.split_to(len)
    }

    /// Slabs made so far: a number that keeps growing means that views are held too long.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Full slabs that could not be used again yet.
    pub fn pinned(&self) -> usize {
        self.retired.len()
    }

    fn rotate(&mut self) {
        let next = self.reclaimed().unwrap_or_else(|| {
            self.made += 1;
            BytesMut::zeroed(SLAB_BYTES)
        });
        let full = std::mem::replace(&mut self.current, next);
        if self.retired.len() == SLABS_RETIRED_MAX {
            self.retired.pop_front();
        }
        self.retired.push_back(full);
    }

    /// A retired slab whose views are all gone. Slow views must not hold up the slabs behind
    /// them, so a few are tried, each time beginning behind those that failed.
    fn reclaimed(&mut self) -> Option<BytesMut> {
        for _ in 0..RECLAIM_TRIES.min(self.retired.len()) {
            let mut slab = self.retired.pop_front()?;
            slab.clear();
            if slab.try_reclaim(SLAB_BYTES) {
                slab.resize(SLAB_BYTES, 0);
                return Some(slab);
            }
            self.retired.push_back(slab);
        }
        None
    }
}

/// Slabs that are looked at before a new one is made.
const RECLAIM_TRIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_is_used_again_once_its_views_are_gone() {
        let mut slabs = Slabs::default();
        for round in 0..100_000_u32 {
            slabs.room()[..4].copy_from_slice(&round.to_le_bytes());
            let view = slabs.take(172).freeze();
            assert_eq!(view[..4], round.to_le_bytes());
        }
        assert!(slabs.made() <= 2, "{}", slabs.made());
    }

    #[test]
    fn a_held_view_keeps_its_bytes_and_pins_one_slab_only() {
        let mut slabs = Slabs::default();
        slabs.room()[..3].copy_from_slice(b"abc");
        let held = slabs.take(3).freeze();
        for _ in 0..50_000 {
            slabs.room().fill(0xff);
            drop(slabs.take(172));
        }
        assert_eq!(held.as_ref(), b"abc");
        assert!(slabs.made() <= 4, "{}", slabs.made());
    }

    #[test]
    fn views_that_are_never_dropped_do_not_grow_the_pool_without_bound() {
        let mut slabs = Slabs::default();
        let mut held = Vec::new();
        for _ in 0..(SLABS_RETIRED_MAX + 10) * (SLAB_BYTES / DATAGRAM_BYTES_MAX) {
            slabs.room();
            held.push(slabs.take(DATAGRAM_BYTES_MAX).freeze());
        }
        assert_eq!(slabs.pinned(), SLABS_RETIRED_MAX);
    }
}
