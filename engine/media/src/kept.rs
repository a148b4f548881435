//! Sound that may still be wanted: the last few seconds of a recording under way.
//!
//! In: samples, and up to where none is wanted any more. Out: any stretch of what is kept. Pieces
//! of one size and nothing that grows: a growing buffer leaves a trail of freed blocks of every size
//! it once had, which with thousands of calls was more memory than their sound.

use std::collections::VecDeque;
use std::ops::Range;

/// Samples in a piece: half a second.
const PIECE_SAMPLES: usize = 8_000;

/// Samples from some place of the recording on.
#[derive(Debug, Default)]
pub(crate) struct KeptSound {
    /// All full but the last.
    pieces: VecDeque<Vec<f32>>,
    /// Place of the first sample that is kept.
    start: u64,
}

impl KeptSound {
    /// The place behind the last sample.
    pub(crate) fn end(&self) -> u64 {
        let last = self.pieces.back().map_or(0, Vec::len);
        self.start + (self.pieces.len().saturating_sub(1) * PIECE_SAMPLES + last) as u64
    }

    /// Takes sound.
    pub(crate) fn extend(&mut self, mut samples: impl ExactSizeIterator<Item = f32>) {
        while samples.len() > 0 {
            if self.pieces.back().is_none_or(|last| last.len() == PIECE_SAMPLES) {
                self.pieces.push_back(Vec::with_capacity(PIECE_SAMPLES));
            }
            let Some(last) = self.pieces.back_mut() else { return };
            let room = PIECE_SAMPLES - last.len();
            last.extend(samples.by_ref().take(room));
        }
    }

    /// Nothing before `place` is wanted any more.
    pub(crate) fn forget_before(&mut self, place: u64) {
        while self.start + PIECE_SAMPLES as u64 <= place && self.pieces.len() > 1 {
            self.pieces.pop_front();
            self.start += PIECE_SAMPLES as u64;
        }
    }

    /// What is kept of a stretch.
    pub(crate) fn copy(&self, span: Range<u64>) -> Vec<f32> {
        let from = (span.start.max(self.start) - self.start) as usize;
        let to = (span.end.min(self.end()).max(self.start) - self.start) as usize;
        let mut copy = Vec::with_capacity(to.saturating_sub(from));
        for (index, piece) in self.pieces.iter().enumerate() {
            let place = index * PIECE_SAMPLES;
            let within = |at: usize| at.saturating_sub(place).min(piece.len());
            copy.extend_from_slice(piece.get(within(from)..within(to)).unwrap_or_default());
        }
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(range: Range<usize>) -> impl ExactSizeIterator<Item = f32> {
        range.map(|n| n as f32)
    }

    #[test]
    fn any_stretch_comes_back_whatever_was_forgotten_before_it() {
        let mut kept = KeptSound::default();
        for start in (0..60_000).step_by(6_000) {
            kept.extend(counted(start..start + 6_000));
        }
        assert_eq!(kept.end(), 60_000);
        assert_eq!(kept.copy(7_990..16_010), counted(7_990..16_010).collect::<Vec<_>>());
        kept.forget_before(30_123);
        assert_eq!(kept.copy(30_123..59_999), counted(30_123..59_999).collect::<Vec<_>>());
        assert_eq!(kept.pieces.len(), 5, "24,000 to 60,000 in pieces of 8,000");
        assert_eq!(kept.copy(59_000..70_000).len(), 1_000, "no more than there is");
        kept.forget_before(60_000);
        assert_eq!((kept.end(), kept.pieces.len()), (60_000, 1));
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "it must not panic on one")]
    fn nothing_is_a_stretch_too() {
        let kept = KeptSound::default();
        assert!(kept.copy(0..100).is_empty());
        assert!(kept.copy(100..0).is_empty());
    }
}
