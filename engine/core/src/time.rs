//! Three clocks, three types: waiting ([`Instant`]), media ([`RtpTicks`]), people ([`WallTime`]).
//!
//! Nothing here reads a clock: shells do, and pass the value in.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the shell's monotonic clock, in nanoseconds since an origin the shell chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Instant(u64);

impl Instant {
    /// The point `nanos` after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// So much earlier; the origin at the earliest.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Media time in ticks of the codec's RTP clock (RFC 3550 §5.1), widened so that it never wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RtpTicks(pub u64);

impl RtpTicks {
    /// The span as time, for a clock of `clock_hz`.
    pub const fn to_duration(self, clock_hz: u32) -> Duration {
        let hz = clock_hz as u64;
        Duration::new(self.0 / hz, (self.0 % hz * 1_000_000_000 / hz) as u32)
    }

    /// The span in whole milliseconds, rounded down.
    pub const fn to_millis(self, clock_hz: u32) -> u64 {
        self.0 * 1_000 / clock_hz as u64
    }
}

/// Civil time for people and bills: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct WallTime(i64);

impl WallTime {
    /// The time `millis` after the Unix epoch.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_time_exactly() {
        assert_eq!(RtpTicks(480_000).to_duration(8_000), Duration::from_mins(1));
        assert_eq!(RtpTicks(1).to_duration(8_000), Duration::from_micros(125));
        assert_eq!(RtpTicks(2_880_000).to_millis(48_000), 60_000);
    }

    #[test]
    fn an_earlier_instant_is_zero_away() {
        assert_eq!(Instant::from_nanos(5).since(Instant::from_nanos(9)), Duration::ZERO);
    }
}
