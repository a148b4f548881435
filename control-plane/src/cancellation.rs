//! When a cancelled contract ends, and what it still costs (S53–S55). Pure: times and a contract's
//! dates in; the last day, the exact end and the remaining charges out, and in words.
//!
//! Until the 25th in Japan a contract ends with that month, from the 26th with the next one. Every
//! month it runs in is charged in full unless it is free. So who applies on the 26th or later and
//! cancels at once still pays the next month: [`Preview::words`] and [`late_application_words`]
//! say it before anything is confirmed.

use engine_core::text::Language;
use engine_core::time::WallTime;
use jiff::civil::Date;

use crate::japan::{self, Month, date_of, start_of};
use crate::money::Yen;
use crate::plan::Plan;

/// Last day of a month on which a cancellation still ends the contract with that month (S53).
pub const LAST_DAY_FOR_THIS_MONTH: i8 = 25;

/// The last date, in Japan, of a contract that is cancelled at this time.
pub fn ends_on(cancelled_at: WallTime) -> Date {
    ends_on_of_day(date_of(cancelled_at))
}

/// The last date of a contract that is cancelled on this date in Japan.
pub fn ends_on_of_day(cancelled_on: Date) -> Date {
    let month = Month::of(cancelled_on);
    if cancelled_on.day() <= LAST_DAY_FOR_THIS_MONTH { month.last() } else { month.next().last() }
}

/// The first instant at which a contract with this last date is over.
pub fn ends_at(ends_on: Date) -> WallTime {
    japan::end_of(ends_on)
}

/// The end of a cancelled contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The last date, in Japan.
    pub last_day: Date,
    /// The first instant after it.
    pub ends_at: WallTime,
}

/// The end of a contract that is cancelled at this time.
pub fn end_of(cancelled_at: WallTime) -> End {
    let last_day = ends_on(cancelled_at);
    End { last_day, ends_at: ends_at(last_day) }
}

/// What of a contract counts when it is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// Date of application, in Japan.
    pub applied_on: Date,
    /// Last date without charge, if any was granted.
    pub free_until: Option<Date>,
}

/// A month that the contract still runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthlyCharge {
    /// The month.
    pub month: Month,
    /// What it costs without tax; nothing when it is free.
    pub net: Yen,
}

/// What cancelling now would mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The last date, in Japan.
    pub ends_on: Date,
    /// The first instant after it.
    pub ends_at: WallTime,
    /// Cancelling before this instant ends the contract on the same date.
    pub same_until: WallTime,
    /// Each month from this one to the end, with its charge in full.
    pub charges: Vec<MonthlyCharge>,
}

impl Preview {
    /// What is still charged in all, with tax as each month's bill works it out.
    pub fn total_with_tax(&self) -> Yen {
        self.charges.iter().map(|charge| charge.net.with_tax()).sum()
    }

    /// Whether the month after this one is charged, too.
    pub fn charges_next_month(&self) -> bool {
        self.charges.get(1).is_some_and(|charge| charge.net > Yen::ZERO)
    }

    /// What the subscriber reads before confirming.
    pub fn words(&self, language: Language) -> String {
        let (last, total) = (self.ends_on, self.total_with_tax());
        let charged = self.charges.iter().filter(|charge| charge.net > Yen::ZERO);
        let (month, day) = (last.month(), last.day());
        match language {
            Language::Japanese => {
                let months: Vec<_> = charged
                    .map(|charge| {
                        format!("{}月分{}円", charge.month.number(), charge.net.with_tax())
                    })
                    .collect();
                let costs = if months.is_empty() {
                    "今後の月額料金はかかりません。".to_owned()
                } else {
                    format!("{}（税込、合計{total}円）がかかります。", months.join("、"))
                };
                format!(
                    "いま解約すると、{}年{month}月{day}日まで使えます。{costs}\
                     終了後、録音と文字は削除され、元に戻せません。",
                    last.year()
                )
            }
            Language::English => {
                let months: Vec<_> = charged
                    .map(|charge| format!("¥{} for {}", charge.net.with_tax(), charge.month))
                    .collect();
                let costs = if months.is_empty() {
                    "No further monthly fee is charged.".to_owned()
                } else {
                    format!("{} (¥{total} in all, tax included) is charged.", months.join(", "))
                };
                format!(
                    "If you cancel now, the service runs until {last}. {costs} \
                     After that, sound and text are deleted and cannot be restored."
                )
            }
        }
    }
}

/// What cancelling a running contract at this time would mean.
pub fn preview(plan: &Plan, contract: &Running, now: WallTime) -> Preview {
    let today = date_of(now);
    let last = ends_on_of_day(today);
    let turn = |month: Month| {
        let day = month.first().with().day(LAST_DAY_FOR_THIS_MONTH + 1).build();
        start_of(day.expect("every month has a 26th"))
    };
    let mut charges = Vec::with_capacity(2);
    let mut month = Month::of(today);
    while month.first() <= last {
        let is_free = contract.free_until.is_some_and(|until| month.last() <= until);
        charges.push(MonthlyCharge { month, net: if is_free { Yen::ZERO } else { plan.monthly } });
        if month == month.next() {
            break;
        }
        month = month.next();
    }
    Preview { ends_on: last, ends_at: ends_at(last), same_until: turn(Month::of(last)), charges }
}

/// What who applies on this date reads before confirming; `None` until the 25th.
pub fn late_application_words(
    plan: &Plan,
    contract: &Running,
    language: Language,
) -> Option<String> {
    let applied_on = contract.applied_on;
    let preview = preview(plan, contract, start_of(applied_on));
    if applied_on.day() <= LAST_DAY_FOR_THIS_MONTH || !preview.charges_next_month() {
        return None;
    }
    let next = Month::of(applied_on).next();
    let fee = plan.monthly.with_tax();
    Some(match language {
        Language::Japanese => format!(
            "26日以降のお申し込みは、すぐに解約しても{}月末までの契約となり、\
             {}月分{fee}円（税込）がかかります。",
            next.number(),
            next.number()
        ),
        Language::English => format!(
            "If you apply on the 26th or later and cancel at once, the contract still runs to \
             the end of {next}, and ¥{fee} (tax included) is charged for that month."
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::japan::tests_support::{date, jst, month};
    use crate::plan::SMART_VOICEMAIL;

    fn running(applied_on: &str, free_until: Option<&str>) -> Running {
        Running { applied_on: date(applied_on), free_until: free_until.map(date) }
    }

    /// S53–S55 as product.md lists them: both sides of the 25th, the turn of the year, short
    /// months, leap years.
    #[test]
    fn s53_s54_s55_until_the_25th_this_month_from_the_26th_the_next() {
        let table = [
            ("2026-07-01 00:00:00", "2026-07-31", "2026-08-01 00:00"),
            ("2026-07-25 23:59:59", "2026-07-31", "2026-08-01 00:00"),
            ("2026-07-25 23:59:59.999", "2026-07-31", "2026-08-01 00:00"),
            ("2026-07-26 00:00:00", "2026-08-31", "2026-09-01 00:00"),
            ("2026-07-31 23:59:59.999", "2026-08-31", "2026-09-01 00:00"),
            ("2026-11-26 00:00:00", "2026-12-31", "2027-01-01 00:00"),
            ("2026-12-25 23:59:59", "2026-12-31", "2027-01-01 00:00"),
            ("2026-12-26 00:00:00", "2027-01-31", "2027-02-01 00:00"),
            ("2026-12-31 23:59:59", "2027-01-31", "2027-02-01 00:00"),
            ("2027-01-31 12:00:00", "2027-02-28", "2027-03-01 00:00"),
            ("2028-01-31 12:00:00", "2028-02-29", "2028-03-01 00:00"),
            ("2028-02-25 23:59:59", "2028-02-29", "2028-03-01 00:00"),
            ("2028-02-26 00:00:00", "2028-03-31", "2028-04-01 00:00"),
            ("2028-02-29 23:59:59", "2028-03-31", "2028-04-01 00:00"),
            ("2100-01-26 00:00:00", "2100-02-28", "2100-03-01 00:00"),
        ];
        for (cancelled_at, last, end) in table {
            let last = date(last);
            assert_eq!(ends_on(jst(cancelled_at)), last, "cancelled {cancelled_at}");
            let exact = End { last_day: last, ends_at: jst(end) };
            assert_eq!(end_of(jst(cancelled_at)), exact, "cancelled {cancelled_at}");
        }
    }

    #[test]
    fn s53_the_26th_begins_in_japan_at_15_utc_of_the_25th() {
        // 2026-07-25T14:59:59.999Z and one millisecond later.
        let last = WallTime::from_unix_millis(1_784_991_599_999);
        let first = WallTime::from_unix_millis(1_784_991_600_000);
        assert_eq!(ends_on(last), date("2026-07-31"));
        assert_eq!(ends_on(first), date("2026-08-31"));
    }

    #[test]
    fn a_preview_says_when_it_ends_and_what_is_still_charged() {
        let contract = running("2026-03-10", Some("2026-03-31"));
        let early = preview(&SMART_VOICEMAIL, &contract, jst("2026-07-25 23:59:59"));
        let fee = SMART_VOICEMAIL.monthly;
        assert_eq!(early.charges, [MonthlyCharge { month: month("2026-07"), net: fee }]);
        assert_eq!(early.same_until, jst("2026-07-26 00:00"));
        assert_eq!(early.total_with_tax(), Yen::new(319));
        assert!(!early.charges_next_month());

        let late = preview(&SMART_VOICEMAIL, &contract, jst("2026-07-26 00:00:00"));
        let august = MonthlyCharge { month: month("2026-08"), net: fee };
        assert_eq!(late.charges, [early.charges[0], august]);
        assert_eq!((late.ends_on, late.ends_at), (date("2026-08-31"), jst("2026-09-01 00:00")));
        assert_eq!(late.same_until, jst("2026-08-26 00:00"));
        assert_eq!(late.total_with_tax(), Yen::new(638));
        assert!(late.charges_next_month());
    }

    /// The decision in product.md: applying on the 26th or later and cancelling at once still
    /// charges the next month, and it is said before the user confirms.
    #[test]
    fn applying_on_the_26th_and_cancelling_at_once_still_charges_the_next_month() {
        let contract = running("2026-07-26", Some("2026-07-31"));
        let shown = preview(&SMART_VOICEMAIL, &contract, jst("2026-07-26 10:00"));
        let nets: Vec<_> = shown.charges.iter().map(|charge| charge.net.get()).collect();
        assert_eq!(nets, [0, 290], "July is free, August is not");
        assert_eq!(shown.total_with_tax(), Yen::new(319));
        let japanese = shown.words(Language::Japanese);
        assert!(japanese.contains("2026年8月31日まで") && japanese.contains("8月分319円"));
        assert!(japanese.contains("元に戻せません"), "{japanese}");
        let english = shown.words(Language::English);
        assert!(english.contains("until 2026-08-31") && english.contains("¥319 for 2026-08"));
        let warned = |contract: Running, language| {
            late_application_words(&SMART_VOICEMAIL, &contract, language)
        };
        let japanese = warned(contract, Language::Japanese).unwrap();
        assert!(japanese.contains("8月分319円"), "{japanese}");
        let english = warned(contract, Language::English).unwrap();
        assert!(english.contains("¥319") && english.contains("2026-08"), "{english}");
        assert_eq!(warned(running("2026-07-25", None), Language::Japanese), None);
        let two_free = running("2026-07-26", Some("2026-08-31"));
        assert_eq!(warned(two_free, Language::English), None, "August is free as well");
    }

    #[test]
    fn who_cancels_in_the_free_month_pays_nothing() {
        let contract = running("2026-07-01", Some("2026-07-31"));
        let shown = preview(&SMART_VOICEMAIL, &contract, jst("2026-07-25 23:59:59"));
        assert_eq!((shown.ends_on, shown.total_with_tax()), (date("2026-07-31"), Yen::ZERO));
        assert!(shown.words(Language::Japanese).contains("月額料金はかかりません"));
        assert!(shown.words(Language::English).contains("No further monthly fee"));
    }
}
