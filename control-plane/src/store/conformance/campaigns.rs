//! What any backend must do with campaigns.

use super::at;
use crate::audit::{Actor, Change};
use crate::campaign::CampaignTerms;
use crate::japan::tests_support::date;
use crate::store::{After, Page, Store};

fn by_system(seconds: u64) -> Change {
    Change { by: Actor::System, at: at(seconds) }
}

fn terms(name: &str, starts_on: &str, ends_on: Option<&str>, free_months: u32) -> CampaignTerms {
    let (starts_on, ends_on) = (date(starts_on), ends_on.map(date));
    CampaignTerms { name: name.to_owned(), starts_on, ends_on, free_months }
}

/// Runs the suite on an empty store.
pub(crate) async fn run(store: &dyn Store) {
    assert_eq!(store.campaign_on(date("2026-07-01")).await.unwrap(), None, "none was made");
    let all = [
        terms("最大1か月無料", "2026-01-01", None, 1),
        terms("summer", "2026-07-01", Some("2026-07-31"), 2),
        terms("stopped", "2026-09-01", None, 0),
    ];
    let mut kept = Vec::new();
    for (n, terms) in all.iter().enumerate() {
        let made = store.create_campaign(terms, by_system(n as u64)).await.unwrap();
        assert_eq!((made.campaign.version, &made.campaign.terms), (n as i64 + 1, terms));
        assert_eq!(made.created_at, at(n as u64));
        kept.push(made);
    }
    assert_eq!(store.campaign(2).await.unwrap(), Some(kept[1].clone()));
    assert_eq!(store.campaign(4).await.unwrap(), None);
    let first = store.campaigns(Page { after: None, limit: 2 }).await.unwrap();
    assert_eq!(first, kept[..2]);
    let seen = After { at: at(0), id: 2 };
    let rest = store.campaigns(Page { after: Some(seen), limit: 9 }).await.unwrap();
    assert_eq!(rest, kept[2..]);
    let table = [
        ("2025-12-31", None),
        ("2026-06-30", Some(1)),
        ("2026-07-31", Some(2)),
        ("2026-08-01", None),
        ("2026-09-01", Some(3)),
    ];
    for (on, version) in table {
        let found = store.campaign_on(date(on)).await.unwrap();
        assert_eq!(found.map(|campaign| campaign.version), version, "S72: {on}");
    }
}

/// Versions that are made at once get different numbers.
pub(crate) async fn race(store: std::sync::Arc<dyn Store>) {
    let made = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let terms = terms("race", "2026-01-01", None, 1);
            store.create_campaign(&terms, by_system(0)).await.unwrap().campaign.version
        })
    });
    let mut versions: Vec<i64> = Vec::new();
    for version in futures::future::join_all(made).await {
        versions.push(version.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=16).collect::<Vec<_>>());
}
