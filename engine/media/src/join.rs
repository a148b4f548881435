//! Short stretches of speech read together: for models that are charged for 30 s whatever they hear.
//!
//! In: stretches, in order. Out: windows, each one stretch or several with the pauses between them.
//! A model that takes short contexts has no use for it (`join_pause_ms` 0).

use std::ops::Range;

use crate::speech::WindowPlan;

/// Joins the stretches of one recording.
#[derive(Debug)]
pub(crate) struct Joiner {
    plan: WindowPlan,
    /// A window that what follows may still be added to.
    held: Option<Range<u64>>,
}

impl Joiner {
    pub(crate) fn new(plan: WindowPlan) -> Self {
        Self { plan, held: None }
    }

    /// Takes the next stretch; `ready` is called with what is complete.
    pub(crate) fn take(&mut self, stretch: Range<u64>, mut ready: impl FnMut(Range<u64>)) {
        self.come_to(stretch.start, &mut ready);
        let window = match self.held.take() {
            Some(held) if stretch.end - held.start <= self.plan.max_samples as u64 => {
                held.start..stretch.end
            }
            Some(held) => {
                ready(held);
                stretch
            }
            None => stretch,
        };
        if self.plan.join_pause_samples == 0 {
            ready(window);
        } else {
            self.held = Some(window);
        }
    }

    /// No stretch to come begins before `place`.
    pub(crate) fn come_to(&mut self, place: u64, mut ready: impl FnMut(Range<u64>)) {
        let late = |held: &Range<u64>| place > held.end + self.plan.join_pause_samples as u64;
        if let Some(held) = self.held.take_if(|held| late(held)) {
            ready(held);
        }
    }

    /// The recording ended.
    pub(crate) fn finish(&mut self, mut ready: impl FnMut(Range<u64>)) {
        if let Some(held) = self.held.take() {
            ready(held);
        }
    }

    /// The first sample of what is still held.
    pub(crate) fn needed_from(&self) -> Option<u64> {
        self.held.as_ref().map(|held| held.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 16_000;

    /// Windows of stretches, in seconds: at most 30 s long, with pauses of 5 s at most.
    fn joined(stretches: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut joiner = Joiner::new(WindowPlan::from_millis(15_000, 30_000, 5_000));
        let mut windows = Vec::new();
        for (start, end) in stretches {
            joiner.take(start * SECOND..end * SECOND, |w| windows.push(w));
        }
        joiner.finish(|w| windows.push(w));
        windows.into_iter().map(|w| (w.start / SECOND, w.end / SECOND)).collect()
    }

    #[test]
    fn what_fits_goes_together_and_nothing_is_lost() {
        assert_eq!(joined(&[(0, 3), (4, 8), (10, 13)]), [(0, 13)]);
        assert_eq!(joined(&[(0, 3), (9, 12)]), [(0, 3), (9, 12)], "6 s of pause");
        assert_eq!(joined(&[(0, 14), (15, 31), (32, 33)]), [(0, 14), (15, 33)], "31 s is too long");
        assert_eq!(joined(&[]), []);
    }

    #[test]
    fn it_waits_no_longer_than_the_pause() {
        let mut joiner = Joiner::new(WindowPlan::from_millis(15_000, 30_000, 5_000));
        let mut windows = Vec::new();
        joiner.take(0..SECOND, |w| windows.push(w));
        assert_eq!(joiner.needed_from(), Some(0));
        joiner.come_to(6 * SECOND, |w| windows.push(w));
        assert!(windows.is_empty(), "one may begin just there");
        joiner.come_to(6 * SECOND + 1, |w| windows.push(w));
        assert_eq!((windows.len(), joiner.needed_from()), (1, None));
    }

    #[test]
    fn without_a_pause_every_stretch_is_a_window() {
        let mut joiner = Joiner::new(WindowPlan::from_millis(1_000, 7_000, 0));
        let mut windows = Vec::new();
        joiner.take(0..500, |w| windows.push(w));
        joiner.take(500..900, |w| windows.push(w));
        assert_eq!(windows, [0..500, 500..900]);
    }
}
