//! Monthly billing over REST (S21): a month's bill as CSV or JSON, closing, corrections, and the
//! forwarded calls of each contract.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine_core::time::WallTime;
use futures::stream;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};

use super::accept::accepted;
use super::auth::{BillingRead, BillingWrite, May};
use super::bytes::matches_any;
use super::extract::{JsonBody, PathOf, QueryOf, SignedWhole};
use super::page::{PageOf, PageQuery, cut, read_page};
use super::problem::{Kind, Problem, ProblemBody};
use super::repeat::RepeatKey;
use crate::billing::{Adjustment, Correction};
use crate::billing_export::{Bill, Format};
use crate::contract::ContractId;
use crate::japan::Month;
use crate::limits::ADJUSTMENT_YEN_MAX;
use crate::money::Yen;
use crate::plane::ControlPlane;
use crate::store::{After, ClosedMonth, ContractUsage, ExportFacts, NewAdjustment, SharedStore};
use crate::wording::time_utc;

/// Digest of the whole bill (RFC 9530 §3).
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// Whether the month is closed.
const MONTH_STATE: HeaderName = HeaderName::from_static("month-state");

/// A closed month: its bill never changes again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClosedMonth)]
pub(crate) struct ClosedMonthView {
    /// The month in Japan, yyyy-mm.
    #[schema(example = "2026-07")]
    month: String,
    /// When it was closed. RFC 3339, UTC.
    #[schema(format = DateTime)]
    closed_at: String,
    /// Lines of the bill, one for each contract.
    lines: u64,
    /// Sum without tax.
    net_yen: i64,
    /// Sum of the lines' taxes.
    tax_yen: i64,
    /// Sum with tax.
    total_yen: i64,
    csv: ExportView,
    json: ExportView,
}

/// The bill of a closed month in one format.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Export)]
pub(crate) struct ExportView {
    /// Its length.
    bytes: u64,
    /// SHA-256 over its bytes, in hex.
    sha256: String,
}

impl From<ExportFacts> for ExportView {
    fn from(facts: ExportFacts) -> Self {
        Self { bytes: facts.bytes, sha256: facts.sha256 }
    }
}

impl From<ClosedMonth> for ClosedMonthView {
    fn from(closed: ClosedMonth) -> Self {
        Self {
            month: closed.month.to_string(),
            closed_at: time_utc(closed.closed_at),
            lines: closed.totals.lines,
            net_yen: closed.totals.net.get(),
            tax_yen: closed.totals.tax.get(),
            total_yen: closed.totals.total.get(),
            csv: closed.csv.into(),
            json: closed.json.into(),
        }
    }
}

/// A correction of a closed month.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCorrection {
    /// The contract.
    #[schema(format = Uuid)]
    contract: String,
    /// Yen without tax, not 0; negative: a credit.
    #[schema(schema_with = net_schema)]
    net_yen: SignedWhole,
    /// Why. It stands on the bill; name nobody.
    #[schema(min_length = 1, max_length = 200, pattern = "^[!-~]([ -~]*[!-~])?$")]
    reason: String,
}

fn net_schema() -> Schema {
    let part = |least: i64, most: i64| {
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(most))
    };
    OneOfBuilder::new()
        .item(part(-ADJUSTMENT_YEN_MAX, -1))
        .item(part(1, ADJUSTMENT_YEN_MAX))
        .description(Some("Yen without tax, not 0; negative: a credit."))
        .build()
        .into()
}

/// A correction of a closed month, as it is kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Adjustment)]
pub(crate) struct AdjustmentView {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// The contract.
    #[schema(format = Uuid)]
    contract: String,
    /// The closed month that was wrong, yyyy-mm.
    for_month: String,
    /// The open month whose bill it is part of, yyyy-mm.
    lands_in: String,
    /// Yen without tax; negative: a credit.
    net_yen: i64,
    /// Why.
    reason: String,
    /// When it was made. RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<Adjustment> for AdjustmentView {
    fn from(adjustment: Adjustment) -> Self {
        let correction = adjustment.correction;
        Self {
            id: adjustment.id.to_string(),
            contract: correction.contract.to_string(),
            for_month: correction.for_month.to_string(),
            lands_in: adjustment.lands_in.to_string(),
            net_yen: correction.net.get(),
            reason: correction.reason,
            created_at: time_utc(adjustment.created_at),
        }
    }
}

/// A contract's forwarded calls in a month, greetings included, as far as they left a message.
/// The carrier charges the subscriber for them (S22–S23); what they cost is an estimate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
pub(crate) struct UsageView {
    /// The contract.
    #[schema(format = Uuid)]
    contract: String,
    /// How many calls.
    calls: u64,
    /// Their lengths, in milliseconds.
    call_ms: u64,
    /// Started units of 30 s.
    units: u64,
    /// Estimated charge without tax.
    cost_yen: i64,
    /// Estimated charge with tax.
    cost_with_tax_yen: i64,
}

impl From<ContractUsage> for UsageView {
    fn from(usage: ContractUsage) -> Self {
        let calls = usage.calls;
        Self {
            contract: usage.contract.to_string(),
            calls: calls.calls,
            call_ms: calls.call_ms,
            units: calls.units,
            cost_yen: calls.cost().get(),
            cost_with_tax_yen: calls.cost_with_tax().get(),
        }
    }
}

/// Lists closed months, oldest first.
#[utoipa::path(get, path = "/v1/billing/months", tag = "billing", params(PageQuery),
    responses((status = 200, body = PageOf<ClosedMonthView>)),
    security(("key" = ["billing:read"])))]
pub(crate) async fn list(
    _: May<BillingRead>,
    State(plane): State<ControlPlane>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<axum::Json<PageOf<ClosedMonthView>>, Problem> {
    let page = read_page(query.limit, query.cursor.as_deref())?;
    // A month's place in the list is its first moment.
    let after = page.after.map(|after| Month::at(after.at));
    let found = plane.shared.store.closed_months(after, page.limit).await?;
    let at = |closed: &ClosedMonth| After { at: closed.month.starts_at(), id: 0 };
    let (items, next) = cut(found, page, at);
    Ok(axum::Json(PageOf { items: items.into_iter().map(Into::into).collect(), next }))
}

/// Gives the bill of a month: a line for each contract. Without `.csv` or `.json`, `Accept` says
/// which. A closed month gives the same bytes for ever; an open one what it would be if it were
/// closed now. `Month-State` tells which, `Repr-Digest` the SHA-256.
#[utoipa::path(get, path = "/v1/billing/months/{month}", tag = "billing",
    params(("month" = String, Path, example = "2026-07",
        pattern = "^2[0-9]{3}-(0[1-9]|1[0-2])([.]csv|[.]json)?$",
        description = "yyyy-mm in Japan, with `.csv` or `.json` if wanted")),
    responses(
        (status = 200, content((Bill = "application/json"), (String = "text/csv"))),
        (status = 304),
        (status = 406, description = "Neither CSV nor JSON is accepted", body = ProblemBody,
            content_type = "application/problem+json")),
    security(("key" = ["billing:read"])))]
pub(crate) async fn show(
    _: May<BillingRead>,
    State(plane): State<ControlPlane>,
    PathOf(text): PathOf<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (month, named) = match text.split_once('.') {
        Some((month, "csv")) => (month, Some(Format::Csv)),
        Some((month, "json")) => (month, Some(Format::Json)),
        _ => (text.as_str(), None),
    };
    let month = read_month(month)?;
    let accept = headers.get(ACCEPT).map(|value| value.to_str().unwrap_or_default());
    let format = named.or_else(|| accepted(accept)).ok_or_else(|| {
        Problem::new(Kind::NotAcceptable, "bills are text/csv or application/json; accept one")
    })?;
    let store = &plane.shared.store;
    let closed = store.closed_month(month).await?;
    let (facts, state, body) = if let Some(closed) = closed {
        let body = Body::from_stream(parts(store.clone(), month, format));
        (closed.export(format).clone(), "closed", body)
    } else {
        let draft = store.draft(month, format).await?;
        (draft.facts, "open", Body::from(draft.bytes))
    };
    Ok(bill(&headers, &facts, state, format, body))
}

/// Closes a month that is over: its bill, as CSV and as JSON, never changes again. Months are
/// closed in order. Closing again gives what the first time gave.
#[utoipa::path(post, path = "/v1/billing/months/{month}/close", tag = "billing",
    params(("month" = String, Path, example = "2026-07",
        pattern = "^2[0-9]{3}-(0[1-9]|1[0-2])$", description = "yyyy-mm in Japan")),
    responses(
        (status = 200, body = ClosedMonthView),
        (status = 409, description = "It is not over, or not the next to be closed",
            body = ProblemBody, content_type = "application/problem+json")),
    security(("key" = ["billing:write"])))]
pub(crate) async fn close(
    may: May<BillingWrite>,
    State(plane): State<ControlPlane>,
    PathOf(month): PathOf<String>,
) -> Result<axum::Json<ClosedMonthView>, Problem> {
    let closed = plane.shared.store.close_month(read_month(&month)?, may.change()).await?;
    Ok(axum::Json(closed.into()))
}

/// Corrects a closed month. The correction lands in the next open month; the closed one stays.
#[utoipa::path(post, path = "/v1/billing/months/{month}/adjustments", tag = "billing",
    params(
        ("month" = String, Path, example = "2026-07", pattern = "^2[0-9]{3}-(0[1-9]|1[0-2])$",
            description = "The closed month, yyyy-mm in Japan"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!#-\\[\\]-~]{1,255}$",
            description = "The same key with the same body is the same request")),
    request_body = NewCorrection,
    responses(
        (status = 201, body = AdjustmentView),
        (status = 404, description = "There is no such contract",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The month is open",
            body = ProblemBody, content_type = "application/problem+json")),
    security(("key" = ["billing:write"])))]
pub(crate) async fn adjust(
    may: May<BillingWrite>,
    State(plane): State<ControlPlane>,
    PathOf(month): PathOf<String>,
    repeat: RepeatKey,
    JsonBody(new): JsonBody<NewCorrection>,
) -> Result<(StatusCode, axum::Json<AdjustmentView>), Problem> {
    let for_month = read_month(&month)?;
    // The month is part of the request that a key names.
    let repeat = repeat.with(&(for_month.to_string(), &new), &plane.shared.pepper);
    let contract: ContractId = new.contract.parse().map_err(|why| {
        let why: engine_core::id::IdError = why;
        Problem::invalid_field("contract", why.to_string())
    })?;
    let correction =
        Correction { contract, for_month, net: Yen::new(new.net_yen.0), reason: new.reason };
    correction.check().map_err(|why| Problem::invalid_field(why.field(), why.to_string()))?;
    let new = NewAdjustment { id: uuid::Uuid::now_v7(), correction, repeat };
    let kept = plane.shared.store.adjust(&new, may.change()).await?;
    Ok((StatusCode::CREATED, axum::Json(kept.into())))
}

/// Lists the contracts that ran in a month with their forwarded calls and what these cost the
/// subscriber, estimated.
#[utoipa::path(get, path = "/v1/billing/months/{month}/usage", tag = "billing",
    params(("month" = String, Path, example = "2026-07",
        pattern = "^2[0-9]{3}-(0[1-9]|1[0-2])$", description = "yyyy-mm in Japan"), PageQuery),
    responses((status = 200, body = PageOf<UsageView>)),
    security(("key" = ["billing:read"])))]
pub(crate) async fn usage(
    _: May<BillingRead>,
    State(plane): State<ControlPlane>,
    PathOf(month): PathOf<String>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<axum::Json<PageOf<UsageView>>, Problem> {
    let month = read_month(&month)?;
    let page = read_page(query.limit, query.cursor.as_deref())?;
    let found = plane.shared.store.usage(month, page).await?;
    let at =
        |usage: &ContractUsage| After { at: WallTime::default(), id: usage.contract.as_u128() };
    let (items, next) = cut(found, page, at);
    Ok(axum::Json(PageOf { items: items.into_iter().map(Into::into).collect(), next }))
}

fn read_month(text: &str) -> Result<Month, Problem> {
    text.parse()
        .map_err(|why: crate::japan::MonthError| Problem::new(Kind::MalformedPath, why.to_string()))
}

/// The parts of a closed month's export, one after the other.
fn parts(
    store: SharedStore,
    month: Month,
    format: Format,
) -> impl futures::Stream<Item = Result<Vec<u8>, crate::store::StoreError>> {
    stream::try_unfold((store, 0), move |(store, part)| async move {
        let bytes = store.export_part(month, format, part).await?;
        Ok(bytes.map(|bytes| (bytes, (store, part + 1))))
    })
}

fn bill(
    request: &HeaderMap,
    facts: &ExportFacts,
    state: &'static str,
    format: Format,
    body: Body,
) -> Response {
    let tag = format!("\"{}\"", facts.sha256);
    let known = request.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let mut response = if known.is_some_and(|tags| matches_any(tags, &tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(facts.bytes));
        response
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(MONTH_STATE, HeaderValue::from_static(state));
    let digest = hex::decode(&facts.sha256).unwrap_or_default();
    let digest = format!("sha-256=:{}:", STANDARD.encode(digest));
    for (name, value) in [(ETAG, tag), (REPR_DIGEST, digest)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}
