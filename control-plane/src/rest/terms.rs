//! Terms of service over REST (S29).

use axum::extract::State;
use axum::http::StatusCode;
use engine_core::time::WallTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{ContractsRead, ContractsWrite, May};
use super::extract::JsonBody;
use super::problem::{Kind, Problem};
use crate::clock;
use crate::plane::ControlPlane;
use crate::terms::{Terms, TermsText, check};
use crate::wording::time_utc;

/// Terms in one language: a URL, words, or both.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TermsText)]
pub(crate) struct TextBody {
    /// Where they can be read.
    #[serde(default)]
    #[schema(
        max_length = 2000,
        pattern = "^https://[a-z]{1,20}[.]example/[a-z]{0,20}$",
        example = "https://rusuden.example/terms"
    )]
    url: Option<String>,
    /// Their words.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 8000, pattern = "[A-Za-z]")]
    text: Option<String>,
}

impl From<TextBody> for TermsText {
    fn from(body: TextBody) -> Self {
        Self { url: body.url, text: body.text }
    }
}

impl From<TermsText> for TextBody {
    fn from(terms: TermsText) -> Self {
        Self { url: terms.url, text: terms.text }
    }
}

/// A new version of the terms.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTerms {
    /// From when it holds; now, if nothing is said. RFC 3339.
    #[serde(default)]
    #[schema(format = DateTime)]
    effective_from: Option<String>,
    ja: TextBody,
    en: TextBody,
}

/// A version of the terms.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Terms)]
pub(crate) struct TermsView {
    /// Its number.
    version: i64,
    /// From when it holds, until a later version does. RFC 3339, UTC.
    #[schema(format = DateTime)]
    effective_from: String,
    /// When it was published. RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    ja: TextBody,
    en: TextBody,
}

impl From<Terms> for TermsView {
    fn from(terms: Terms) -> Self {
        Self {
            version: terms.version,
            effective_from: time_utc(terms.effective_from),
            created_at: time_utc(terms.created_at),
            ja: terms.ja.into(),
            en: terms.en.into(),
        }
    }
}

/// All versions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AllTerms {
    /// The version that holds now; null when none does, and then nothing can be activated.
    current: Option<i64>,
    /// Newest first.
    items: Vec<TermsView>,
}

/// Publishes terms in both languages. Who activates from `effective_from` on must accept them.
#[utoipa::path(post, path = "/v1/terms", tag = "terms", request_body = NewTerms,
    responses((status = 201, body = TermsView)), security(("key" = ["contracts:write"])))]
pub(crate) async fn publish(
    may: May<ContractsWrite>,
    State(plane): State<ControlPlane>,
    JsonBody(new): JsonBody<NewTerms>,
) -> Result<(StatusCode, axum::Json<TermsView>), Problem> {
    let change = may.change();
    let effective_from = new.effective_from.as_deref().map(read_time).transpose()?;
    let (ja, en) = (new.ja.into(), new.en.into());
    check(&ja, "ja")?;
    check(&en, "en")?;
    let from = effective_from.unwrap_or(change.at);
    let terms = plane.shared.store.publish_terms(from, &ja, &en, change).await?;
    Ok((StatusCode::CREATED, axum::Json(terms.into())))
}

/// Lists all versions.
#[utoipa::path(get, path = "/v1/terms", tag = "terms",
    responses((status = 200, body = AllTerms)), security(("key" = ["contracts:read"])))]
pub(crate) async fn list(
    _: May<ContractsRead>,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<AllTerms>, Problem> {
    let current = plane.shared.store.current_terms(clock::now()).await?;
    let items = plane.shared.store.terms().await?;
    Ok(axum::Json(AllTerms {
        current: current.map(|terms| terms.version),
        items: items.into_iter().map(Into::into).collect(),
    }))
}

fn read_time(text: &str) -> Result<WallTime, Problem> {
    let time: Result<jiff::Timestamp, _> = text.parse();
    let wrong = |_| {
        let detail = "effective_from must be a time as 2026-07-01T00:00:00+09:00 (RFC 3339)";
        Problem::new(Kind::InvalidField, detail).about("effective_from")
    };
    time.map(|time| WallTime::from_unix_millis(time.as_millisecond())).map_err(wrong)
}
