//! The campaign: the first application ever of a line is free to the end of its month (S58–S72).
//! Pure: versions of the campaign and the facts of one application in, a grant or the reason for
//! none out.
//!
//! A version is never changed. A later one replaces the earlier from its first day; one without
//! free months stops the campaign. What was granted is kept with the contract, not worked out
//! anew, so it stays whatever comes later (S72).

use jiff::civil::Date;

use crate::japan::Month;
use crate::limits::{CAMPAIGN_FREE_MONTHS_MAX, CAMPAIGN_NAME_CHARS_MAX};

/// What a campaign offers, before it has a version number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignTerms {
    /// What people call it.
    pub name: String,
    /// First date of application, in Japan.
    pub starts_on: Date,
    /// Last date of application, in Japan; `None`: until another version replaces it.
    pub ends_on: Option<Date>,
    /// Months without charge, the month of application counted as the first (S58); 0: none.
    pub free_months: u32,
}

/// A version of the campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its number, counted from 1.
    pub version: i64,
    /// What it offers.
    pub terms: CampaignTerms,
}

/// Why a campaign cannot be so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CampaignError {
    /// Empty, too long, or with characters that cannot be shown.
    #[error("a campaign's name needs 1 to {CAMPAIGN_NAME_CHARS_MAX} characters, none of control")]
    Name,
    /// It would end before it starts.
    #[error("ends_on ({ends_on}) lies before starts_on ({starts_on}); leave it out for no end")]
    Period {
        /// First date.
        starts_on: Date,
        /// Last date.
        ends_on: Date,
    },
    /// Too much given away.
    #[error("free_months is {given}; choose 0 (none) to {CAMPAIGN_FREE_MONTHS_MAX}")]
    FreeMonths {
        /// What was given.
        given: u32,
    },
}

impl CampaignError {
    /// Name of the field that is meant.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Period { .. } => "ends_on",
            Self::FreeMonths { .. } => "free_months",
        }
    }
}

impl CampaignTerms {
    /// Checks the terms against the limits and against each other.
    pub fn check(&self) -> Result<(), CampaignError> {
        let chars = self.name.chars().count();
        let is_shown = !self.name.chars().any(char::is_control) && !self.name.trim().is_empty();
        if !is_shown || chars > CAMPAIGN_NAME_CHARS_MAX {
            return Err(CampaignError::Name);
        }
        if self.free_months > CAMPAIGN_FREE_MONTHS_MAX {
            return Err(CampaignError::FreeMonths { given: self.free_months });
        }
        match self.ends_on {
            Some(ends_on) if ends_on < self.starts_on => {
                Err(CampaignError::Period { starts_on: self.starts_on, ends_on })
            }
            _ => Ok(()),
        }
    }
}

/// The version in force on a date: the latest of those that have started, if it has not ended.
/// One that has ended does not bring back the version before it.
pub fn in_force(versions: &[Campaign], on: Date) -> Option<&Campaign> {
    let started = versions.iter().filter(|campaign| campaign.terms.starts_on <= on);
    let latest = started.max_by_key(|campaign| campaign.version)?;
    latest.terms.ends_on.is_none_or(|ends_on| on <= ends_on).then_some(latest)
}

/// Something about a line that keeps it out of the campaign, with its row in product.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exclusion {
    /// Charges are unpaid (S66).
    Arrears,
    /// The terms were broken (S67).
    Breach,
    /// Otherwise judged unsuitable (S68).
    Unsuitable,
}

/// What counts of an application.
#[derive(Debug, Clone, Copy)]
pub struct Application<'a> {
    /// The date of application, in Japan.
    pub applied_on: Date,
    /// Whether the contract is a corporate one (S65).
    pub is_corporate: bool,
    /// Whether the line applied before, whatever became of it (S62, S64, S69).
    pub has_applied_before: bool,
    /// What stands against the line now (S66–S68).
    pub exclusions: &'a [Exclusion],
}

/// Free months that were granted; kept with the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// By which version.
    pub version: i64,
    /// Last date without charge, in Japan: the end of a month. Charged from the day after (S70).
    pub free_until: Date,
}

/// Why nothing is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoGrant {
    /// No campaign runs on the date of application.
    NoCampaign,
    /// The line applied before (S62, S64, S69).
    AppliedBefore,
    /// Corporate contracts have no free period (S65).
    Corporate,
    /// Something stands against the line (S66–S68).
    Excluded(Exclusion),
}

impl NoGrant {
    /// Stable name for rows and audit entries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCampaign => "no_campaign",
            Self::AppliedBefore => "applied_before",
            Self::Corporate => "corporate",
            Self::Excluded(Exclusion::Arrears) => "arrears",
            Self::Excluded(Exclusion::Breach) => "breach",
            Self::Excluded(Exclusion::Unsuitable) => "unsuitable",
        }
    }
}

/// Decides whether an application is free at first. `campaign` is the version [`in_force`] on the
/// date of application.
///
/// ```
/// use control_plane::campaign::{Application, Campaign, CampaignTerms, grant};
/// use jiff::civil::date;
///
/// let terms = CampaignTerms {
///     name: "最大1か月無料".to_owned(),
///     starts_on: date(2026, 7, 1),
///     ends_on: None,
///     free_months: 1,
/// };
/// let campaign = Campaign { version: 1, terms };
/// let application = Application {
///     applied_on: date(2026, 7, 25),
///     is_corporate: false,
///     has_applied_before: false,
///     exclusions: &[],
/// };
/// let granted = grant(Some(&campaign), &application).unwrap();
/// assert_eq!(granted.free_until, date(2026, 7, 31)); // charged from August (S71)
/// ```
pub fn grant(campaign: Option<&Campaign>, application: &Application<'_>) -> Result<Grant, NoGrant> {
    let campaign = campaign.filter(|campaign| campaign.terms.free_months > 0);
    let campaign = campaign.ok_or(NoGrant::NoCampaign)?;
    if application.is_corporate {
        return Err(NoGrant::Corporate);
    }
    if application.has_applied_before {
        return Err(NoGrant::AppliedBefore);
    }
    if let Some(&exclusion) = application.exclusions.first() {
        return Err(NoGrant::Excluded(exclusion));
    }
    let last = Month::of(application.applied_on).plus(campaign.terms.free_months - 1);
    Ok(Grant { version: campaign.version, free_until: last.last() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::japan::tests_support::date;

    fn terms(starts_on: &str, ends_on: Option<&str>, free_months: u32) -> CampaignTerms {
        CampaignTerms {
            name: "最大1か月無料".to_owned(),
            starts_on: date(starts_on),
            ends_on: ends_on.map(date),
            free_months,
        }
    }

    fn campaign(version: i64, starts_on: &str, ends_on: Option<&str>, free: u32) -> Campaign {
        Campaign { version, terms: terms(starts_on, ends_on, free) }
    }

    fn application(applied_on: &str) -> Application<'static> {
        Application {
            applied_on: date(applied_on),
            is_corporate: false,
            has_applied_before: false,
            exclusions: &[],
        }
    }

    /// S58–S61, S70–S71 as product.md lists them, with the days that are free.
    #[test]
    fn s58_s61_s70_s71_the_month_of_application_is_free_to_its_end() {
        let one = campaign(1, "2026-01-01", None, 1);
        let table = [
            ("2026-07-01", "2026-07-31", 31),
            ("2026-07-25", "2026-07-31", 7),
            ("2026-07-31", "2026-07-31", 1),
            ("2026-12-31", "2026-12-31", 1),
            ("2028-02-01", "2028-02-29", 29),
            ("2027-02-01", "2027-02-28", 28),
        ];
        for (applied, until, days) in table {
            let granted = grant(Some(&one), &application(applied)).unwrap();
            assert_eq!(granted, Grant { version: 1, free_until: date(until) }, "{applied}");
            let span = granted.free_until - date(applied);
            assert_eq!(span.get_days() + 1, days, "applied on {applied}");
        }
    }

    #[test]
    fn a_campaign_of_more_months_counts_the_month_of_application_as_the_first() {
        for (free, until) in [(1, "2026-12-31"), (2, "2027-01-31"), (12, "2027-11-30")] {
            let one = campaign(7, "2026-01-01", None, free);
            let granted = grant(Some(&one), &application("2026-12-31")).unwrap();
            assert_eq!(granted, Grant { version: 7, free_until: date(until) });
        }
    }

    #[test]
    fn s62_s64_s69_only_the_first_application_of_a_line_is_free() {
        let one = campaign(1, "2026-01-01", None, 1);
        let again = Application { has_applied_before: true, ..application("2026-07-01") };
        assert_eq!(grant(Some(&one), &again), Err(NoGrant::AppliedBefore));
    }

    #[test]
    fn s65_corporate_contracts_have_no_free_period() {
        let one = campaign(1, "2026-01-01", None, 1);
        let corporate = Application { is_corporate: true, ..application("2026-07-01") };
        assert_eq!(grant(Some(&one), &corporate), Err(NoGrant::Corporate));
    }

    #[test]
    fn s66_s67_s68_what_stands_against_a_line_keeps_it_out() {
        let one = campaign(1, "2026-01-01", None, 1);
        let table = [
            (Exclusion::Arrears, "arrears"),
            (Exclusion::Breach, "breach"),
            (Exclusion::Unsuitable, "unsuitable"),
        ];
        for (exclusion, name) in table {
            let flags = [exclusion];
            let flagged = Application { exclusions: &flags, ..application("2026-07-01") };
            let refused = grant(Some(&one), &flagged).unwrap_err();
            assert_eq!(refused, NoGrant::Excluded(exclusion));
            assert_eq!(refused.name(), name);
        }
    }

    #[test]
    fn s61_only_applications_in_the_period_are_free() {
        let versions = [campaign(1, "2026-07-01", Some("2026-07-31"), 1)];
        for (applied, is_free) in [
            ("2026-06-30", false),
            ("2026-07-01", true),
            ("2026-07-31", true),
            ("2026-08-01", false),
        ] {
            let running = in_force(&versions, date(applied));
            let granted = grant(running, &application(applied));
            assert_eq!(granted.is_ok(), is_free, "{applied}");
            assert!(is_free || granted == Err(NoGrant::NoCampaign));
        }
    }

    #[test]
    fn s72_a_later_version_replaces_the_earlier_and_may_stop_it() {
        let versions = [
            campaign(1, "2026-01-01", None, 1),
            campaign(2, "2026-07-01", Some("2026-07-31"), 2),
            campaign(3, "2026-09-01", None, 0),
        ];
        let table = [
            ("2025-12-31", None),
            ("2026-06-30", Some(1)),
            ("2026-07-01", Some(2)),
            ("2026-07-31", Some(2)),
            ("2026-08-01", None),
            ("2026-09-01", Some(3)),
        ];
        for (on, version) in table {
            let found = in_force(&versions, date(on)).map(|campaign| campaign.version);
            assert_eq!(found, version, "{on}");
        }
        let stopped = in_force(&versions, date("2026-09-01"));
        assert_eq!(grant(stopped, &application("2026-09-01")), Err(NoGrant::NoCampaign));
    }

    #[test]
    fn terms_are_checked_at_the_limit_and_one_past_it() {
        let good = terms("2026-07-01", Some("2026-07-01"), CAMPAIGN_FREE_MONTHS_MAX);
        assert_eq!(good.check(), Ok(()));
        let named = |name: &str| CampaignTerms { name: name.to_owned(), ..good.clone() };
        assert_eq!(named(&"春".repeat(CAMPAIGN_NAME_CHARS_MAX)).check(), Ok(()));
        for bad in ["", " \u{3000}", "a\nb", &"春".repeat(CAMPAIGN_NAME_CHARS_MAX + 1)] {
            assert_eq!(named(bad).check().unwrap_err().field(), "name");
        }
        let free = terms("2026-07-01", None, CAMPAIGN_FREE_MONTHS_MAX + 1);
        assert_eq!(free.check().unwrap_err().field(), "free_months");
        let backwards = terms("2026-07-02", Some("2026-07-01"), 1);
        assert_eq!(backwards.check().unwrap_err().field(), "ends_on");
    }
}
