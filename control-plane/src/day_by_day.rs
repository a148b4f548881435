//! An independent, slow model of dates and money: it walks through 30 years one day at a time with
//! its own calendar, as somebody with a wall calendar and a pencil would. The rules must agree
//! with it on every day.

use proptest::prelude::*;

use crate::billing::{self, ContractFacts};
use crate::campaign::{self, Application, Campaign, CampaignTerms};
use crate::cancellation::{self, Running};
use crate::japan::Month;
use crate::plan::SMART_VOICEMAIL;
use engine_core::time::WallTime;
use jiff::civil::Date;

const FIRST_YEAR: i16 = 2020;
const LAST_YEAR: i16 = 2049;
/// 2020-01-01T00:00 in Japan.
const FIRST_MS: i64 = 1_577_804_400_000;
const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Day {
    year: i16,
    month: i8,
    of_month: i8,
}

impl Day {
    fn is_last_of_month(self) -> bool {
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days = match self.month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        self.of_month == days
    }

    fn next(self) -> Self {
        match (self.is_last_of_month(), self.month) {
            (false, _) => Self { of_month: self.of_month + 1, ..self },
            (true, 12) => Self { year: self.year + 1, month: 1, of_month: 1 },
            (true, month) => Self { month: month + 1, of_month: 1, ..self },
        }
    }

    fn date(self) -> Date {
        Date::new(self.year, self.month, self.of_month).unwrap()
    }
}

/// Every day of the 30 years.
fn days() -> Vec<Day> {
    let first = Day { year: FIRST_YEAR, month: 1, of_month: 1 };
    let days = std::iter::successors(Some(first), |day| Some(day.next()));
    days.take_while(|day| day.year <= LAST_YEAR).collect()
}

/// A subscriber's story, by places in [`days`].
#[derive(Debug, Clone)]
struct Story {
    applied: usize,
    cancelled: Option<usize>,
    free_months: u32,
}

/// What the model says of a month that the contract ran in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RanIn {
    first: Day,
    last: Day,
    yen: i64,
}

/// Walks a story day by day: each month it ran in, and its last day if it was cancelled.
fn walk(days: &[Day], story: &Story) -> (Vec<RanIn>, Option<Day>) {
    let mut months: Vec<RanIn> = Vec::new();
    let mut runs = false;
    let mut free_ends_left = story.free_months;
    let mut ends_left = None;
    for (place, &day) in days.iter().enumerate() {
        if place == story.applied {
            runs = true;
        }
        if story.cancelled == Some(place) {
            ends_left = Some(if day.of_month <= 25 { 1 } else { 2 });
        }
        if !runs {
            continue;
        }
        match months.last_mut() {
            Some(month) if (month.first.year, month.first.month) == (day.year, day.month) => {
                month.last = day;
            }
            _ => {
                let yen = if free_ends_left > 0 { 0 } else { 319 };
                months.push(RanIn { first: day, last: day, yen });
            }
        }
        if day.is_last_of_month() {
            free_ends_left = free_ends_left.saturating_sub(1);
            ends_left = ends_left.map(|left| left - 1);
            if ends_left == Some(0) {
                return (months, Some(day));
            }
        }
    }
    (months, None)
}

fn facts_of(days: &[Day], story: &Story) -> ContractFacts {
    let applied_on = days[story.applied].date();
    let terms = CampaignTerms {
        name: "free".to_owned(),
        starts_on: days[0].date(),
        ends_on: None,
        free_months: story.free_months,
    };
    let campaign = Campaign { version: 1, terms };
    let application =
        Application { applied_on, is_corporate: false, has_applied_before: false, exclusions: &[] };
    let grant = campaign::grant(Some(&campaign), &application).ok();
    ContractFacts {
        ends_on: story.cancelled.map(|place| cancellation::ends_on_of_day(days[place].date())),
        free_until: grant.map(|grant| grant.free_until),
        ..billing::tests_support::facts(1, &applied_on.to_string(), None)
    }
}

fn story() -> impl Strategy<Value = Story> {
    let span = days().len();
    (0..span, prop::option::of(0..800_usize), 0..=4_u32).prop_map(
        move |(applied, cancelled_after, free_months)| Story {
            applied,
            cancelled: cancelled_after.map(|after| applied + after).filter(|place| *place < span),
            free_months,
        },
    )
}

#[test]
fn the_model_walks_30_years() {
    let days = days();
    assert_eq!(days.len(), 30 * 365 + 8, "eight leap years");
    assert_eq!(*days.last().unwrap(), Day { year: 2049, month: 12, of_month: 31 });
}

/// S53–S55 on every one of 10,958 days, at its first and its last millisecond in Japan.
#[test]
fn s53_s54_s55_every_day_of_30_years_ends_as_walked() {
    let days = days();
    for (place, &day) in days.iter().enumerate() {
        let story = Story { applied: place, cancelled: Some(place), free_months: 0 };
        let Some(end) = walk(
            &days[place.saturating_sub(40)..],
            &Story { applied: place.min(40), cancelled: Some(place.min(40)), ..story },
        )
        .1
        else {
            assert!(day >= Day { year: LAST_YEAR, month: 12, of_month: 26 }, "the walk broke off");
            continue;
        };
        let midnight = FIRST_MS + place as i64 * DAY_MS;
        for millis in [midnight, midnight + DAY_MS - 1] {
            let cancelled_at = WallTime::from_unix_millis(millis);
            assert_eq!(cancellation::ends_on(cancelled_at), end.date(), "cancelled on {day:?}");
        }
    }
}

proptest! {
    /// S17, S53–S55, S58–S61, S70–S71: each month of a story costs what the walk says.
    #[test]
    fn s58_s71_bills_of_30_years_agree_with_the_walk(story in story()) {
        let days = days();
        let (walked, end) = walk(&days, &story);
        let facts = facts_of(&days, &story);
        if let Some(end) = end {
            prop_assert_eq!(facts.ends_on, Some(end.date()));
        }
        let mut walked = walked.into_iter().peekable();
        let mut month = Month::of(days[0].date());
        while month.year() <= LAST_YEAR {
            let line = billing::line(&SMART_VOICEMAIL, month, facts.clone(), Vec::new());
            let here = walked.next_if(|ran| Month::of(ran.first.date()) == month);
            let billed = line.map(|line| (line.ran, line.total().get()));
            let expected = here.map(|ran| (Some((ran.first.date(), ran.last.date())), ran.yen));
            prop_assert_eq!(billed, expected, "{}", month);
            month = month.next();
        }
        prop_assert!(walked.next().is_none());
    }

    /// What a preview says is still charged is what the walk charges from that day's month on.
    #[test]
    fn a_preview_agrees_with_the_walk(story in story(), time_of_day in 0..DAY_MS) {
        let days = days();
        let Some(place) = story.cancelled else { return Ok(()) };
        let (walked, Some(end)) = walk(&days, &story) else { return Ok(()) };
        let facts = facts_of(&days, &story);
        let contract = Running { applied_on: facts.applied_on, free_until: facts.free_until };
        let now = WallTime::from_unix_millis(FIRST_MS + place as i64 * DAY_MS + time_of_day);
        let shown = cancellation::preview(&SMART_VOICEMAIL, &contract, now);
        prop_assert_eq!(shown.ends_on, end.date());
        let this_month = Month::of(days[place].date());
        let left = walked.iter().filter(|ran| Month::of(ran.first.date()) >= this_month);
        let left: Vec<_> = left.map(|ran| (Month::of(ran.first.date()), ran.yen)).collect();
        let said: Vec<_> =
            shown.charges.iter().map(|charge| (charge.month, charge.net.with_tax().get())).collect();
        prop_assert_eq!(said, left);
        prop_assert!(now < shown.same_until && shown.same_until < shown.ends_at);
        let before = WallTime::from_unix_millis(shown.same_until.as_unix_millis() - 1);
        prop_assert_eq!(cancellation::ends_on(before), shown.ends_on);
        prop_assert_ne!(cancellation::ends_on(shown.same_until), shown.ends_on);
    }

    /// S61, S72: the version in force is the one that a walk through the days leaves in force.
    #[test]
    fn s72_the_version_in_force_agrees_with_the_walk(
        periods in prop::collection::vec((0..900_usize, prop::option::of(0..400_usize)), 0..6),
        asked in 0..1_000_usize,
    ) {
        let days = days();
        let versions: Vec<Campaign> = periods
            .iter()
            .zip(1..)
            .map(|(&(start, length), version)| Campaign {
                version,
                terms: CampaignTerms {
                    name: "free".to_owned(),
                    starts_on: days[start].date(),
                    ends_on: length.map(|length| days[start + length].date()),
                    free_months: 1,
                },
            })
            .collect();
        let mut highest = None;
        let mut in_force = None;
        for (place, &day) in days.iter().enumerate().take(asked + 1) {
            for (campaign, &(start, _)) in versions.iter().zip(&periods) {
                if start == place && highest < Some(campaign.version) {
                    highest = Some(campaign.version);
                    in_force = Some(campaign.clone());
                }
            }
            if in_force.as_ref().is_some_and(|c| c.terms.ends_on.is_some_and(|e| e < day.date())) {
                in_force = None;
            }
        }
        let found = campaign::in_force(&versions, days[asked].date());
        prop_assert_eq!(found, in_force.as_ref());
    }
}
