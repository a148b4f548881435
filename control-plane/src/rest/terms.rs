//! Terms of service over REST (S29).

use axum::extract::State;
use axum::http::StatusCode;
use engine_core::time::WallTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::auth::{ContractsRead, ContractsWrite, May};
use super::extract::{JsonBody, wordy};
use super::problem::{Kind, Problem};
use crate::clock;
use crate::limits::{TERMS_TEXT_CHARS_MAX, TERMS_URL_CHARS_MAX};
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
    #[schema(example = "https://rusuden.example/terms")]
    url: Option<String>,
    /// Their words.
    #[serde(default)]
    text: Option<String>,
}

/// How terms in one language are given: at least one of the two must be there.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = NewTermsText)]
#[allow(dead_code, reason = "it is only described")]
enum NewText {
    Url(TextWithUrl),
    Text(TextWithWords),
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it is only described")]
struct TextWithUrl {
    #[schema(schema_with = url_schema)]
    url: String,
    #[schema(schema_with = words_or_null)]
    text: Option<String>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "it is only described")]
struct TextWithWords {
    #[schema(schema_with = no_url)]
    url: Option<()>,
    #[schema(schema_with = words_schema)]
    text: String,
}

/// No white space (`char::is_whitespace`) and no control character may stand in an address.
fn url_schema() -> Object {
    const URL: &str =
        r"^https?://[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$";
    ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(TERMS_URL_CHARS_MAX))
        .pattern(Some(URL))
        .description(Some("Where they can be read."))
        .examples(["https://rusuden.example/terms"])
        .build()
}

fn no_url() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Null)
        .description(Some("They stand nowhere else."))
        .build()
}

fn words_schema() -> Object {
    wordy(TERMS_TEXT_CHARS_MAX).description(Some("Their words.")).build()
}

fn words_or_null() -> Object {
    let either = SchemaType::from_iter([Type::String, Type::Null]);
    wordy(TERMS_TEXT_CHARS_MAX)
        .schema_type(either)
        .description(Some("Their words, if they are kept here, too."))
        .build()
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
    #[schema(value_type = NewText)]
    ja: TextBody,
    #[schema(value_type = NewText)]
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
