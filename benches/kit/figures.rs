//! Samples to the few numbers that are read.
//!
//! In: values. Out: quantiles as JSON, slopes. Knows nothing of what the values are.

use serde_json::{Value, json};

/// Values of one kind.
#[derive(Debug, Default, Clone)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// One more value.
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// How many values.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value below which this share lies; 0 where there is none.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get(((sorted.len() as f64 * share) as usize).min(last)).copied().unwrap_or(0.0)
    }

    /// Count, median, 99th percentile and greatest, in hundredths.
    #[must_use]
    pub fn json(&self) -> Value {
        let rounded = |share| (self.at(share) * 100.0).round() / 100.0;
        json!({
            "count": self.len(),
            "p50": rounded(0.5),
            "p99": rounded(0.99),
            "max": rounded(1.0),
        })
    }
}

/// By how much `y` grows when `x` grows by one, by least squares.
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    if points.len() < 2 {
        return 0.0;
    }
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x, y) = (x / count, y / count);
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if below == 0.0 { 0.0 } else { above / below }
}
