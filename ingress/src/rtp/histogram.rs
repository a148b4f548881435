//! How long something took, in buckets: written by one thread, read by anybody.
//!
//! In: durations. Out: a [`HistogramSnapshot`]. Knows nothing of what took so long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the buckets, in microseconds; what is longer goes into one more.
pub const BUCKETS_MICROS: [u64; 12] = [
    500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];

/// A living histogram.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    counts: [AtomicU64; BUCKETS_MICROS.len() + 1],
    sum_micros: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistogramSnapshot {
    /// How many fell into each bucket of [`BUCKETS_MICROS`], and above the last.
    pub counts: [u64; BUCKETS_MICROS.len() + 1],
    /// All of them together, in microseconds.
    pub sum_micros: u64,
}

impl Histogram {
    /// Counts one.
    pub(crate) fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MICROS.partition_point(|end| *end < micros);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Reads it.
    pub(crate) fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            counts: std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed)),
            sum_micros: self.sum_micros.load(Ordering::Relaxed),
        }
    }
}

impl HistogramSnapshot {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The upper end of the bucket that holds this share of all, in microseconds; `None` if
    /// nothing was counted, or if it lies above the last bucket.
    pub fn quantile_micros(&self, share: f64) -> Option<u64> {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen > 0 && seen >= wanted
        })?;
        BUCKETS_MICROS.get(bucket).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_falls_into_the_bucket_that_ends_at_or_above_it() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 5_000_000, 5_000_001] {
            histogram.note(Duration::from_micros(micros));
        }
        let snapshot = histogram.snapshot();
        assert_eq!((snapshot.counts[0], snapshot.counts[1]), (2, 1));
        assert_eq!((snapshot.counts[11], snapshot.counts[12]), (1, 1));
        assert_eq!((snapshot.count(), snapshot.sum_micros), (5, 10_001_002));
    }

    #[test]
    fn quantiles_name_the_bucket() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().quantile_micros(0.5), None);
        for _ in 0..99 {
            histogram.note(Duration::from_micros(700));
        }
        histogram.note(Duration::from_millis(300));
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.quantile_micros(0.5), Some(1_000));
        assert_eq!(snapshot.quantile_micros(0.99), Some(1_000));
        assert_eq!(snapshot.quantile_micros(1.0), Some(500_000));
    }
}
