//! Forwarding guides (S40–S46): how a carrier's subscribers make their 050 number the forwarding
//! target. Data from `guides/*.toml`, checked when the crate is built. Out: texts and `tel:`
//! links with the number filled in. Pure.

use std::sync::LazyLock;

use engine_core::text::Language;

use crate::wording::number_words;

mod parse;
#[cfg(test)]
mod tests;

pub(crate) use parse::{Guide, GuideKind, Step, Words};
use parse::{NUMBER, NUMBER_SHOWN, read_guide, read_warnings};

include!(concat!(env!("OUT_DIR"), "/guides.rs"));

/// Shown where no number is known yet.
const NUMBER_UNKNOWN: &str = "050-XXXX-XXXX";

static GUIDES: LazyLock<Vec<Guide>> = LazyLock::new(|| {
    let known = read_warnings(WARNINGS).expect("the build has read the warnings");
    let mut guides: Vec<Guide> = FILES
        .iter()
        .map(|(carrier, text)| {
            read_guide(carrier, text, &known).expect("the build has read the guides")
        })
        .collect();
    guides.sort_by_key(|guide| guide.order);
    guides
});

/// All guides, in the order in which people should see them.
pub(crate) fn all() -> &'static [Guide] {
    &GUIDES
}

/// A carrier's guide.
pub(crate) fn find(carrier: &str) -> Option<&'static Guide> {
    GUIDES.iter().find(|guide| guide.carrier == carrier)
}

impl Words {
    /// The text in one language, with the number (E.164) filled in.
    pub(crate) fn told(&self, language: Language, number: Option<&str>) -> String {
        let text = match language {
            Language::Japanese => &self.ja,
            Language::English => &self.en,
        };
        let shown = number.map_or_else(|| NUMBER_UNKNOWN.to_owned(), number_shown);
        let dialled = number.map_or_else(|| NUMBER_UNKNOWN.to_owned(), number_dialled);
        text.replace(NUMBER_SHOWN, &shown).replace(NUMBER, &dialled)
    }
}

impl Step {
    /// What is dialled, as it is typed; `None` when nothing is, or when the number is not known.
    pub(crate) fn dialled(&self, number: Option<&str>) -> Option<String> {
        let dial = self.dial.as_deref()?;
        if !dial.contains(NUMBER) {
            return Some(dial.to_owned());
        }
        Some(dial.replace(NUMBER, &number_dialled(number?)))
    }
}

/// An E.164 050 number as it is written in Japan.
pub(crate) fn number_shown(number: &str) -> String {
    number_words(number, Language::Japanese)
}

/// An E.164 050 number as it is dialled in Japan.
fn number_dialled(number: &str) -> String {
    number.strip_prefix("+81").map_or_else(|| number.to_owned(), |rest| format!("0{rest}"))
}

/// A `tel:` link (RFC 3966). `#` would begin a fragment and `*` is changed by some programs that
/// pass links on, so both are percent-encoded (RFC 3986 §2.1).
pub(crate) fn tel_link(dialled: &str) -> String {
    format!("tel:{}", dialled.replace('*', "%2A").replace('#', "%23"))
}
