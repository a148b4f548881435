//! The wall clock, read by shells only; pure modules get the time as an argument.

use std::time::{Duration, SystemTime};

use engine_core::time::WallTime;

/// Civil time now.
pub(crate) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// `time` and `span` later.
pub(crate) fn after(time: WallTime, span: Duration) -> WallTime {
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    WallTime::from_unix_millis(time.as_unix_millis().saturating_add(span))
}

/// How long from `now` to `then`; zero when it is past.
pub(crate) fn until(now: WallTime, then: WallTime) -> Duration {
    let millis = then.as_unix_millis().saturating_sub(now.as_unix_millis());
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
