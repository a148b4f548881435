//! Money: whole yen, and the consumption tax with its one rounding rule. Pure.
//!
//! Prices are kept without tax. Tax is worked out once for each amount that is stated: once for
//! each started unit's price list, once for each contract and month on a bill, never on the sum
//! of a bill's lines.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Neg, Sub};

/// The consumption tax, in percent.
pub const TAX_PERCENT: i64 = 10;

/// Whole yen. Sums stop at the ends of `i64`, which no bill comes near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Yen(i64);

impl Yen {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many yen.
    pub const fn new(yen: i64) -> Self {
        Self(yen)
    }

    /// The number of yen.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The tax on this amount. Parts of a yen are dropped, for credits as for charges, so that a
    /// charge and a credit of the same amount leave nothing.
    #[must_use]
    pub const fn tax(self) -> Self {
        // Whole tens first: the product cannot leave i64.
        Self(self.0 / 100 * TAX_PERCENT + self.0 % 100 * TAX_PERCENT / 100)
    }

    /// This amount and its tax.
    #[must_use]
    pub const fn with_tax(self) -> Self {
        Self(self.0.saturating_add(self.tax().0))
    }
}

impl Add for Yen {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Yen {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Yen {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Yen {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Mul<i64> for Yen {
    type Output = Self;
    fn mul(self, times: i64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl Sum for Yen {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Yen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_of_a_yen_are_dropped_for_charges_and_credits() {
        let table = [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (290, 29), (295, 29), (299, 29)];
        for (net, tax) in table {
            assert_eq!(Yen::new(net).tax(), Yen::new(tax), "tax on {net}");
            assert_eq!(Yen::new(-net).tax(), Yen::new(-tax), "tax on -{net}");
        }
    }

    #[test]
    fn sums_stop_at_the_ends() {
        let most = Yen::new(i64::MAX);
        assert_eq!((most + Yen::new(1), most.with_tax(), most * 2), (most, most, most));
        assert_eq!(-Yen::new(i64::MIN), most);
    }

    proptest! {
        #[test]
        fn tax_is_a_tenth_with_the_rest_dropped(net in any::<i64>()) {
            let exact = i128::from(net) * 10 / 100;
            prop_assert_eq!(i128::from(Yen::new(net).tax().get()), exact);
        }
    }
}
