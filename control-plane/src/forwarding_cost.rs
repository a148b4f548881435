//! What a forwarded call costs the subscriber, estimated (S05, S22–S23). Pure: span in, yen out.
//!
//! The carrier bills ¥20 (¥22 with tax) per started 30 s from the answer to the end of the call,
//! greeting included. A call of no length started no unit.

/// One unit with tax, in yen.
pub const UNIT_YEN_WITH_TAX: i64 = 22;
/// Length of a unit in milliseconds.
pub const UNIT_MS: u64 = 30_000;

/// Cost in yen, with tax, of a forwarded call that lasted `call_ms`.
pub const fn forwarding_cost_yen(call_ms: u64) -> i64 {
    let units = call_ms.div_ceil(UNIT_MS);
    // A year of calling is about a million units: far from the end of i64.
    (units as i64).saturating_mul(UNIT_YEN_WITH_TAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s05_each_started_thirty_seconds_cost_22_yen() {
        let table = [(0, 0), (1, 22), (29, 22), (30, 22), (31, 44), (59, 44), (60, 44), (61, 66)];
        for (seconds, yen) in table {
            assert_eq!(forwarding_cost_yen(seconds * 1_000), yen, "{seconds} s");
        }
    }

    #[test]
    fn s05_one_millisecond_past_a_unit_starts_the_next() {
        assert_eq!(forwarding_cost_yen(1), 22);
        assert_eq!(forwarding_cost_yen(30_000), 22);
        assert_eq!(forwarding_cost_yen(30_001), 44);
        assert_eq!(forwarding_cost_yen(60_001), 66);
    }

    /// S22–S23.
    #[test]
    fn s22_greeting_and_message_are_charged_together() {
        assert_eq!(forwarding_cost_yen((10 + 60) * 1_000), 66);
    }
}
