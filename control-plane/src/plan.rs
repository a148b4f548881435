//! What the service costs (S17). Pure: one plan, its price without tax.

use crate::money::Yen;

/// A plan with one price for each month of the calendar that it runs in, part months in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Price of a month in yen, without tax.
    pub monthly: Yen,
}

/// The smart voicemail: ¥290 a month, ¥319 with tax (S17).
pub const SMART_VOICEMAIL: Plan = Plan { monthly: Yen::new(290) };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s17_a_month_costs_290_yen_and_319_with_tax() {
        assert_eq!(SMART_VOICEMAIL.monthly, Yen::new(290));
        assert_eq!(SMART_VOICEMAIL.monthly.with_tax(), Yen::new(319));
    }
}
