//! Monthly billing: what each contract is to be charged for a month, which the carrier bills
//! (S21). Pure: the dates of contracts and corrections in, lines out.
//!
//! A contract is charged for every month of the calendar from the one it was applied for in to the
//! one of its last day, part months in full, unless the month lies in its free period (S58, S70).
//! A closed month never changes: what was wrong in it is corrected by an adjustment, which lands
//! in the next open month.

use engine_core::private::Private;
use engine_core::time::WallTime;
use jiff::civil::Date;
use uuid::Uuid;

use crate::contract::ContractId;
use crate::japan::Month;
use crate::limits::{ADJUSTMENT_REASON_CHARS_MAX, ADJUSTMENT_YEN_MAX};
use crate::money::Yen;
use crate::plan::Plan;
use crate::wording::time_utc;

/// What billing needs to know of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractFacts {
    /// The contract.
    pub contract: ContractId,
    /// The subscriber's own number in E.164.
    pub line: Private<String>,
    /// `individual` or `corporate`.
    pub kind: String,
    /// Date of application, in Japan: charged from its month on (S58).
    pub applied_on: Date,
    /// Last date, once cancelled (S53–S55).
    pub ends_on: Option<Date>,
    /// Last date without charge, if any was granted; the end of a month (S59).
    pub free_until: Option<Date>,
    /// Version of the campaign that granted it.
    pub campaign_version: Option<i64>,
}

/// A correction of a closed month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// Its id.
    pub id: Uuid,
    /// Whom it is for, and what.
    pub correction: Correction,
    /// The month whose bill it is part of.
    pub lands_in: Month,
    /// When it was made.
    pub created_at: WallTime,
}

/// Why a month cannot be closed or corrected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BillingError {
    /// It is not over, or only just.
    #[error("{month} can be closed from {} on, ten minutes after it ends in Japan", time_utc(*from))]
    TooEarly {
        /// The month.
        month: Month,
        /// From when it can be closed.
        from: WallTime,
    },
    /// Months are closed in order.
    #[error("{earlier} is still open; months are closed in order, so close it first")]
    EarlierOpen {
        /// The month to be closed next.
        earlier: Month,
    },
    /// Nothing was billed so early.
    #[error("billing began with {first}; there is nothing to close or correct before it")]
    BeforeFirst {
        /// The first month that is billed.
        first: Month,
    },
    /// Only closed months are corrected.
    #[error("{month} is still open; only closed months are corrected, each in the next open one")]
    MonthOpen {
        /// The month.
        month: Month,
    },
    /// No contract has this id.
    #[error("there is no contract with this id to correct")]
    UnknownContract,
}

/// What is to be corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The contract.
    pub contract: ContractId,
    /// The closed month that was wrong.
    pub for_month: Month,
    /// Yen without tax; negative: a credit.
    pub net: Yen,
    /// Why, for the carrier's back office.
    pub reason: String,
}

/// Why a correction cannot be so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CorrectionError {
    /// Nothing, or more than anybody owes.
    #[error(
        "net_yen is {given}; give −{ADJUSTMENT_YEN_MAX} to {ADJUSTMENT_YEN_MAX} yen without tax, \
         not 0"
    )]
    Amount {
        /// What was given.
        given: i64,
    },
    /// Empty, too long, or with characters that cannot be shown.
    #[error("reason needs 1 to {ADJUSTMENT_REASON_CHARS_MAX} characters, none of control")]
    Reason,
}

impl CorrectionError {
    /// Name of the field that is meant.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Amount { .. } => "net_yen",
            Self::Reason => "reason",
        }
    }
}

impl Correction {
    /// Checks amount and reason against the limits.
    pub fn check(&self) -> Result<(), CorrectionError> {
        let given = self.net.get();
        if given == 0 || !(-ADJUSTMENT_YEN_MAX..=ADJUSTMENT_YEN_MAX).contains(&given) {
            return Err(CorrectionError::Amount { given });
        }
        let reason = &self.reason;
        let is_shown = !reason.trim().is_empty() && !reason.chars().any(char::is_control);
        if !is_shown || reason.chars().count() > ADJUSTMENT_REASON_CHARS_MAX {
            return Err(CorrectionError::Reason);
        }
        Ok(())
    }
}

/// Why a line is on a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineStatus {
    /// The contract ran and is charged.
    Charged,
    /// The contract ran free of charge.
    Free,
    /// The contract did not run; only corrections of other months are on the line.
    AdjustmentOnly,
}

impl LineStatus {
    /// Stable name for exports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Charged => "charged",
            Self::Free => "free",
            Self::AdjustmentOnly => "adjustment_only",
        }
    }
}

/// One contract's line on the bill of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub facts: ContractFacts,
    /// Why.
    pub status: LineStatus,
    /// First and last date in the month that the contract ran on.
    pub ran: Option<(Date, Date)>,
    /// The month's fee, without tax.
    pub fee: Yen,
    /// What of the fee the campaign takes off, without tax.
    pub discount: Yen,
    /// Corrections of closed months, oldest first.
    pub adjustments: Vec<Adjustment>,
}

impl Line {
    /// Version of the campaign that makes this month free.
    pub const fn campaign_version(&self) -> Option<i64> {
        match self.status {
            LineStatus::Free => self.facts.campaign_version,
            LineStatus::Charged | LineStatus::AdjustmentOnly => None,
        }
    }

    /// Sum of the corrections, without tax.
    pub fn adjusted(&self) -> Yen {
        self.adjustments.iter().map(|adjustment| adjustment.correction.net).sum()
    }

    /// What is to be charged, without tax; negative: to be paid back.
    pub fn net(&self) -> Yen {
        self.fee - self.discount + self.adjusted()
    }

    /// The tax on [`Line::net`], rounded once for the line.
    pub fn tax(&self) -> Yen {
        self.net().tax()
    }

    /// What is to be charged, with tax.
    pub fn total(&self) -> Yen {
        self.net().with_tax()
    }
}

/// First and last date of this month on which a contract runs, if it does.
pub fn days_in(month: Month, facts: &ContractFacts) -> Option<(Date, Date)> {
    let first = month.first().max(facts.applied_on);
    let last = facts.ends_on.map_or(month.last(), |ends_on| month.last().min(ends_on));
    (first <= last).then_some((first, last))
}

/// A contract's line on the bill of a month; `None` when there is nothing to say of it.
/// `adjustments` are those that land in this month.
pub fn line(
    plan: &Plan,
    month: Month,
    facts: ContractFacts,
    adjustments: Vec<Adjustment>,
) -> Option<Line> {
    let ran = days_in(month, &facts);
    let is_free = facts.free_until.is_some_and(|until| month.last() <= until);
    let fee = if ran.is_some() { plan.monthly } else { Yen::ZERO };
    let status = match ran {
        Some(_) if is_free => LineStatus::Free,
        Some(_) => LineStatus::Charged,
        None if adjustments.is_empty() => return None,
        None => LineStatus::AdjustmentOnly,
    };
    let discount = if status == LineStatus::Free { fee } else { Yen::ZERO };
    Some(Line { facts, status, ran, fee, discount, adjustments })
}

/// Sums over the lines of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// How many lines.
    pub lines: u64,
    /// Without tax.
    pub net: Yen,
    /// The lines' taxes, each rounded for itself.
    pub tax: Yen,
    /// With tax.
    pub total: Yen,
}

impl Totals {
    /// Adds a line.
    pub fn add(&mut self, line: &Line) {
        self.lines += 1;
        self.net += line.net();
        self.tax += line.tax();
        self.total += line.total();
    }
}

/// From when a month may be closed: once it is over in Japan and nothing can be applied for in it
/// any more.
pub fn closes_from(month: Month) -> WallTime {
    crate::clock::after(month.ends_at(), crate::limits::MONTH_CLOSES_AFTER)
}

#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;
    use crate::japan::tests_support::date;

    /// An individual's contract.
    pub(crate) fn facts(id: u128, applied: &str, free: Option<&str>) -> ContractFacts {
        ContractFacts {
            contract: ContractId::from_u128(id),
            line: Private::new(format!("+8190{id:08}")),
            kind: "individual".to_owned(),
            applied_on: date(applied),
            ends_on: None,
            free_until: free.map(date),
            campaign_version: free.map(|_| 1),
        }
    }

    /// A correction of July 2026 that lands in August.
    pub(crate) fn adjustment(contract: u128, net: i64) -> Adjustment {
        Adjustment {
            id: Uuid::from_u128(contract + 1_000),
            correction: Correction {
                contract: ContractId::from_u128(contract),
                for_month: "2026-07".parse().unwrap(),
                net: Yen::new(net),
                reason: "二重に請求した".to_owned(),
            },
            lands_in: "2026-08".parse().unwrap(),
            created_at: WallTime::from_unix_millis(1_785_600_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tests_support::{adjustment, facts};
    use super::*;
    use crate::japan::tests_support::{date, month};
    use crate::plan::SMART_VOICEMAIL;

    fn charged(month_text: &str, facts: &ContractFacts) -> Option<(LineStatus, i64)> {
        let line = line(&SMART_VOICEMAIL, month(month_text), facts.clone(), Vec::new())?;
        Some((line.status, line.total().get()))
    }

    /// S58–S61, S70, S71: the month of application is free, the following are charged, each in
    /// full (S17), up to the month of the last day (S53).
    #[test]
    fn s17_s70_s71_months_are_charged_from_the_one_after_application() {
        use LineStatus::{Charged, Free};
        let mut july = facts(1, "2026-07-25", Some("2026-07-31"));
        july.ends_on = Some(date("2026-09-30"));
        let table = [
            ("2026-06", None),
            ("2026-07", Some((Free, 0))),
            ("2026-08", Some((Charged, 319))),
            ("2026-09", Some((Charged, 319))),
            ("2026-10", None),
        ];
        for (month, expected) in table {
            assert_eq!(charged(month, &july), expected, "{month}");
        }
        let line = line(&SMART_VOICEMAIL, month("2026-07"), july, Vec::new()).unwrap();
        assert_eq!(line.ran, Some((date("2026-07-25"), date("2026-07-31"))));
        assert_eq!((line.fee.get(), line.discount.get(), line.tax().get()), (290, 290, 0));
    }

    #[test]
    fn s65_a_contract_without_a_free_period_pays_its_first_month_in_full() {
        let corporate = facts(1, "2026-07-31", None);
        assert_eq!(charged("2026-07", &corporate), Some((LineStatus::Charged, 319)));
        assert_eq!(charged("2026-06", &corporate), None);
    }

    #[test]
    fn s54_applying_and_cancelling_on_the_26th_charges_the_next_month() {
        let mut late = facts(1, "2026-07-26", Some("2026-07-31"));
        late.ends_on = Some(crate::cancellation::ends_on_of_day(date("2026-07-26")));
        assert_eq!(charged("2026-07", &late), Some((LineStatus::Free, 0)));
        assert_eq!(charged("2026-08", &late), Some((LineStatus::Charged, 319)));
        assert_eq!(charged("2026-09", &late), None);
    }

    #[test]
    fn corrections_are_part_of_the_line_and_taxed_with_it() {
        let august = month("2026-08");
        let one = facts(1, "2026-07-25", Some("2026-07-31"));
        let corrected = line(&SMART_VOICEMAIL, august, one.clone(), vec![adjustment(1, -145)]);
        let corrected = corrected.unwrap();
        assert_eq!((corrected.net().get(), corrected.tax().get()), (145, 14));
        let credit = line(&SMART_VOICEMAIL, august, one, vec![adjustment(1, -290); 2]).unwrap();
        assert_eq!(
            (credit.net().get(), credit.tax().get(), credit.total().get()),
            (-290, -29, -319)
        );

        let mut over = facts(2, "2026-05-01", None);
        over.ends_on = Some(date("2026-07-31"));
        let only = line(&SMART_VOICEMAIL, august, over, vec![adjustment(2, -290)]).unwrap();
        assert_eq!((only.status, only.ran), (LineStatus::AdjustmentOnly, None));
        assert_eq!((only.fee, only.total().get()), (Yen::ZERO, -319));
        let mut totals = Totals::default();
        for line in [&corrected, &credit, &only] {
            totals.add(line);
        }
        let sums = [totals.net.get(), totals.tax.get(), totals.total.get()];
        assert_eq!((totals.lines, sums), (3, [-435, -44, -479]));
    }

    #[test]
    fn corrections_are_checked_at_the_limit_and_one_past_it() {
        let of = |net, reason: &str| Correction {
            net: Yen::new(net),
            reason: reason.to_owned(),
            ..adjustment(1, 1).correction
        };
        for net in [1, -1, ADJUSTMENT_YEN_MAX, -ADJUSTMENT_YEN_MAX] {
            assert_eq!(of(net, "x").check(), Ok(()));
        }
        for given in [0, ADJUSTMENT_YEN_MAX + 1, -ADJUSTMENT_YEN_MAX - 1, i64::MIN] {
            assert_eq!(of(given, "x").check(), Err(CorrectionError::Amount { given }));
        }
        assert_eq!(of(1, &"理".repeat(ADJUSTMENT_REASON_CHARS_MAX)).check(), Ok(()));
        for bad in ["", " ", "a\u{0}", &"理".repeat(ADJUSTMENT_REASON_CHARS_MAX + 1)] {
            assert_eq!(of(1, bad).check(), Err(CorrectionError::Reason));
        }
    }
}
