//! Reads and checks forwarding guides. In: TOML. Out: a guide in two languages, or a sentence that
//! says what is wrong with it. Pure; `build.rs` runs it over `guides/`, so that a broken guide
//! breaks the build, and the crate reads the same files with it again.

use serde::Deserialize;

/// Stands for the 050 number as it is dialled in Japan (`05012345678`).
pub(crate) const NUMBER: &str = "{number}";
/// Stands for the 050 number as it is written (`050-1234-5678`).
pub(crate) const NUMBER_SHOWN: &str = "{number_shown}";
/// Name of the warning that a guide with `*` or `#` must carry.
const STAR_AND_HASH: &str = "star_and_hash";

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    /// Japanese.
    pub(crate) ja: String,
    /// English.
    pub(crate) en: String,
}

/// How forwarding is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GuideKind {
    /// The carrier's voice leads (S41).
    VoiceGuidance,
    /// One call that the app prepares (S42–S46).
    AutoDial,
    /// What usually works; nobody has tried it.
    Generic,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    ja: String,
    en: String,
    /// What is dialled in this step: digits, `+`, `*`, `#` and `{number}`.
    pub(crate) dial: Option<String>,
}

impl Step {
    /// What to do.
    pub(crate) fn words(&self) -> Words {
        Words { ja: self.ja.clone(), en: self.en.clone() }
    }
}

/// Something to know before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Warning {
    /// Stable name.
    pub(crate) id: String,
    /// Whether every guide must carry it.
    #[serde(default)]
    always: bool,
    /// As of when it is known to hold: `yyyy-mm`.
    pub(crate) as_of: String,
    ja: String,
    en: String,
}

impl Warning {
    /// What to know.
    pub(crate) fn words(&self) -> Words {
        Words { ja: self.ja.clone(), en: self.en.clone() }
    }
}

/// How a carrier's subscribers set up forwarding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guide {
    /// Stable name: the file's.
    pub(crate) carrier: String,
    /// Place in the list.
    pub(crate) order: u8,
    /// How it is done.
    pub(crate) kind: GuideKind,
    /// As of when it is known to hold: `yyyy-mm`.
    pub(crate) as_of: String,
    /// Whether it is the reference's own recipe.
    pub(crate) verified: bool,
    /// The carrier as people know it.
    pub(crate) name: Words,
    /// In order.
    pub(crate) steps: Vec<Step>,
    /// What to know before.
    pub(crate) warnings: Vec<Warning>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GuideFile {
    order: u8,
    kind: GuideKind,
    as_of: String,
    verified: bool,
    warnings: Vec<String>,
    name: Words,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WarningsFile {
    warnings: Vec<Warning>,
}

/// Reads `warnings.toml`.
pub(crate) fn read_warnings(text: &str) -> Result<Vec<Warning>, String> {
    let file: WarningsFile = toml::from_str(text).map_err(|e| e.to_string())?;
    for (at, warning) in file.warnings.iter().enumerate() {
        let name = &warning.id;
        check_words(name, &warning.words(), &[])?;
        check_date(name, &warning.as_of)?;
        if file.warnings[..at].iter().any(|other| other.id == *name) {
            return Err(format!("the warning {name} stands there twice"));
        }
    }
    Ok(file.warnings)
}

/// Reads one guide; `carrier` is its file's name, `known` what `warnings.toml` holds.
pub(crate) fn read_guide(carrier: &str, text: &str, known: &[Warning]) -> Result<Guide, String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if carrier.is_empty() || !carrier.bytes().all(plain) {
        return Err("name the file with a-z, 0-9 and - only: it is part of a URL".to_owned());
    }
    let file: GuideFile = toml::from_str(text).map_err(|e| e.to_string())?;
    check_words("name", &file.name, &[])?;
    check_date("as_of", &file.as_of)?;
    let mut warnings = Vec::new();
    for name in &file.warnings {
        let warning = known.iter().find(|warning| warning.id == *name);
        let warning = warning.ok_or_else(|| format!("warnings.toml has no warning {name}"))?;
        warnings.push(warning.clone());
    }
    let guide = Guide {
        carrier: carrier.to_owned(),
        order: file.order,
        kind: file.kind,
        as_of: file.as_of,
        verified: file.verified,
        name: file.name,
        steps: file.steps,
        warnings,
    };
    check_guide(&guide, known)?;
    Ok(guide)
}

fn check_guide(guide: &Guide, known: &[Warning]) -> Result<(), String> {
    for (at, step) in guide.steps.iter().enumerate() {
        let place = format!("step {}", at + 1);
        check_words(&place, &step.words(), &[NUMBER, NUMBER_SHOWN])?;
        if let Some(dial) = &step.dial {
            check_dial(&place, dial)?;
        }
    }
    let dialled: Vec<&str> = guide.steps.iter().filter_map(|step| step.dial.as_deref()).collect();
    let whole = match guide.kind {
        GuideKind::VoiceGuidance => guide.verified && dialled.len() == 1,
        GuideKind::AutoDial => {
            guide.verified && matches!(dialled[..], [dial] if dial.contains(NUMBER))
        }
        GuideKind::Generic => !guide.verified,
    };
    if !whole || guide.steps.is_empty() {
        return Err(format!(
            "a guide of kind {:?} needs steps; voice_guidance is verified and dials once, \
             auto_dial is verified and dials {NUMBER} once, generic is not verified",
            guide.kind
        ));
    }
    let carries = |id: &str| guide.warnings.iter().any(|warning| warning.id == id);
    if let Some(missing) = known.iter().find(|warning| warning.always && !carries(&warning.id)) {
        return Err(format!("the warning {} must stand in every guide", missing.id));
    }
    if dialled.iter().any(|dial| dial.contains(['*', '#'])) && !carries(STAR_AND_HASH) {
        return Err(format!("a guide that dials * or # must carry the warning {STAR_AND_HASH}"));
    }
    Ok(())
}

fn check_words(place: &str, words: &Words, placeholders: &[&str]) -> Result<(), String> {
    for (language, text) in [("ja", &words.ja), ("en", &words.en)] {
        if text.trim().is_empty() {
            return Err(format!("{place}: the text in {language} is missing"));
        }
        let mut rest = text.clone();
        for placeholder in placeholders {
            rest = rest.replace(placeholder, "");
        }
        if rest.contains(['{', '}']) {
            return Err(format!("{place}: {language} holds an unknown placeholder"));
        }
    }
    let named = |text: &str| [NUMBER, NUMBER_SHOWN].map(|placeholder| text.contains(placeholder));
    if named(&words.ja) != named(&words.en) {
        return Err(format!("{place}: ja and en do not hold the same placeholders"));
    }
    Ok(())
}

fn check_dial(place: &str, dial: &str) -> Result<(), String> {
    let rest = dial.replacen(NUMBER, "", 1);
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | '+');
    if dial.is_empty() || !rest.chars().all(plain) {
        return Err(format!("{place}: dial may hold digits, +, *, # and {NUMBER} once"));
    }
    Ok(())
}

/// `yyyy-mm`.
fn check_date(place: &str, date: &str) -> Result<(), String> {
    let (year, month) = date.split_once('-').unwrap_or_default();
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_date = year.len() == 4
        && month.len() == 2
        && digits(year)
        && digits(month)
        && (1..=12).contains(&month.parse().unwrap_or(0));
    if is_date { Ok(()) } else { Err(format!("{place}: write the date as yyyy-mm")) }
}
