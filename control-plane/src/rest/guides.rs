//! Forwarding guides over REST (S40–S46). They hold nothing of anybody, so no key is asked for.

use axum::extract::State;
use engine_core::text::Language;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::contracts::ReaderLanguage;
use super::extract::{PathOf, QueryOf};
use super::problem::{Kind, Problem};
use crate::guide::{self, Guide, GuideKind, number_shown, tel_link};
use crate::mailbox::read_number;
use crate::plane::ControlPlane;

/// How forwarding is set up.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GuideKind)]
pub(crate) enum GuideKindName {
    /// The carrier's voice leads.
    VoiceGuidance,
    /// One call that the app prepares.
    AutoDial,
    /// What usually works; nobody has tried it.
    Generic,
}

impl From<GuideKind> for GuideKindName {
    fn from(kind: GuideKind) -> Self {
        match kind {
            GuideKind::VoiceGuidance => Self::VoiceGuidance,
            GuideKind::AutoDial => Self::AutoDial,
            GuideKind::Generic => Self::Generic,
        }
    }
}

/// A guide in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GuideItem {
    /// Stable name of the carrier.
    #[schema(example = "docomo")]
    carrier: &'static str,
    /// The carrier as people know it.
    name: String,
    kind: GuideKindName,
    /// Whether the recipe is the reference's own; one that is not is what usually works.
    verified: bool,
    /// As of when it is known to hold: `yyyy-mm`.
    #[schema(example = "2022-11")]
    as_of: &'static str,
}

/// All guides.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Guides {
    /// In the order in which people should see them.
    items: Vec<GuideItem>,
}

/// One step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GuideStep {
    /// What to do.
    text: String,
    /// What to dial, as it is typed; null when nothing is, or while no number is given.
    #[schema(example = "142205012345678")]
    dial: Option<String>,
    /// The same as a link; `*` and `#` are percent-encoded.
    #[schema(example = "tel:142205012345678")]
    tel: Option<String>,
}

/// Something to know before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GuideWarning {
    /// Stable name.
    #[schema(example = "roaming")]
    id: &'static str,
    /// What to know.
    text: String,
    /// As of when it is known to hold: `yyyy-mm`.
    #[schema(example = "2022-11")]
    as_of: &'static str,
}

/// How a carrier's subscribers make their 050 number the forwarding target.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Guide)]
pub(crate) struct GuideView {
    #[serde(flatten)]
    about: GuideItem,
    /// The forwarding target in E.164, if one was given.
    number: Option<String>,
    /// The same as it is written in Japan.
    #[schema(example = "050-1234-5678")]
    number_shown: Option<String>,
    /// In order.
    steps: Vec<GuideStep>,
    /// What to know before.
    warnings: Vec<GuideWarning>,
}

/// In which language.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GuidesQuery {
    /// `ja`, if nothing is said.
    #[serde(default)]
    #[param(inline, required = false)]
    language: ReaderLanguage,
}

/// For which number and in which language.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GuideQuery {
    /// The 050 number to forward to: `05012345678` or E.164.
    #[param(pattern = "^(\\+8150[0-9]{8}|050-?[0-9]{4}-?[0-9]{4})$", example = "05012345678")]
    number: Option<String>,
    /// `ja`, if nothing is said.
    #[serde(default)]
    #[param(inline, required = false)]
    language: ReaderLanguage,
}

fn item(guide: &'static Guide, language: Language) -> GuideItem {
    GuideItem {
        carrier: &guide.carrier,
        name: guide.name.told(language, None),
        kind: guide.kind.into(),
        verified: guide.verified,
        as_of: &guide.as_of,
    }
}

/// Lists the carriers for which there are guides.
#[utoipa::path(get, path = "/v1/guides", tag = "guides", params(GuidesQuery),
    responses((status = 200, body = Guides)))]
pub(crate) async fn list(
    State(_): State<ControlPlane>,
    QueryOf(query): QueryOf<GuidesQuery>,
) -> axum::Json<Guides> {
    let language: Language = query.language.into();
    axum::Json(Guides { items: guide::all().iter().map(|guide| item(guide, language)).collect() })
}

/// Shows a carrier's guide with the number filled in.
#[utoipa::path(get, path = "/v1/guides/{carrier}", tag = "guides",
    params(("carrier" = String, Path, example = "docomo"), GuideQuery),
    responses((status = 200, body = GuideView)))]
pub(crate) async fn show(
    State(_): State<ControlPlane>,
    PathOf(carrier): PathOf<String>,
    QueryOf(query): QueryOf<GuideQuery>,
) -> Result<axum::Json<GuideView>, Problem> {
    let guide = guide::find(&carrier);
    let guide = guide.ok_or_else(|| Problem::not_found("guide for this carrier; use other"))?;
    let number = query.number.as_deref().map(read_number).transpose();
    let number = number.map_err(|e| Problem::new(Kind::MalformedQuery, e.to_string()))?;
    let (known, language) = (number.as_deref(), query.language.into());
    let steps = guide.steps.iter().map(|step| {
        let dial = step.dialled(known);
        let tel = dial.as_deref().map(tel_link);
        GuideStep { text: step.words().told(language, known), dial, tel }
    });
    let warnings = guide.warnings.iter().map(|warning| GuideWarning {
        id: &warning.id,
        text: warning.words().told(language, known),
        as_of: &warning.as_of,
    });
    Ok(axum::Json(GuideView {
        about: item(guide, language),
        number_shown: known.map(number_shown),
        steps: steps.collect(),
        warnings: warnings.collect(),
        number,
    }))
}
