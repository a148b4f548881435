//! Lines over REST: the voicemail each has (S28), and what stands against it (S66–S68).

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::Object;
use utoipa::{IntoParams, ToSchema};

use super::auth::{ContractsRead, ContractsWrite, May};
use super::extract::{JsonBody, PathOf, wordy};
use super::problem::{Kind, Problem, ProblemBody};
use super::repeat::RepeatKey;
use crate::limits::REASON_CHARS_MAX;
use crate::line::{Flagged, Line, LineError, LineFlag, LineService, check_reason};
use crate::plane::ControlPlane;
use crate::store::LineRef;
use crate::wording::time_utc;

/// Something that stands against a line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Flag)]
pub(crate) struct FlagView {
    /// `arrears`, `breach` or `unsuitable`.
    flag: &'static str,
    /// Why.
    reason: String,
    /// By whom, as in the audit log.
    set_by: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    set_at: String,
}

impl From<Flagged> for FlagView {
    fn from(flagged: Flagged) -> Self {
        Self {
            flag: flagged.flag.name(),
            reason: flagged.reason,
            set_by: flagged.set_by,
            set_at: time_utc(flagged.set_at),
        }
    }
}

/// A line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Line)]
pub(crate) struct LineView {
    /// The number.
    #[schema(example = "+819012345678")]
    line: String,
    /// `smart`: ours; `carrier`: the carrier's own; null: none.
    voicemail: Option<&'static str>,
    /// Since when.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// The contract, with `smart`.
    #[schema(format = Uuid)]
    contract: Option<String>,
    /// What keeps it out of the campaign.
    flags: Vec<FlagView>,
}

/// Which line.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "it is only described")]
struct LinePath {
    /// The number, in E.164 or as it is written in Japan.
    #[param(
        pattern = "^(\\+81[6-9]0[0-9]{8}|0[6-9]0-?[0-9]{4}-?[0-9]{4})$",
        example = "+819012345678"
    )]
    line: String,
}

/// Shows a line.
#[utoipa::path(get, path = "/v1/lines/{line}", tag = "lines",
    params(LinePath),
    responses((status = 200, body = LineView)), security(("key" = ["contracts:read"])))]
pub(crate) async fn show(
    _: May<ContractsRead>,
    State(plane): State<ControlPlane>,
    PathOf(line): PathOf<String>,
) -> Result<axum::Json<LineView>, Problem> {
    view(&plane, &read(&line)?).await
}

/// Notes that the carrier's own voicemail is switched on for a line; repeating it changes nothing.
#[utoipa::path(put, path = "/v1/lines/{line}/carrier-voicemail", tag = "lines",
    params(LinePath),
    responses((status = 200, body = LineView),
        (status = 409, body = ProblemBody, content_type = "application/problem+json",
            description = "The line has a smart voicemail contract (S28)")),
    security(("key" = ["contracts:write"])))]
pub(crate) async fn carrier_voicemail_on(
    may: May<ContractsWrite>,
    State(plane): State<ControlPlane>,
    PathOf(line): PathOf<String>,
) -> Result<axum::Json<LineView>, Problem> {
    let line = line_ref(&plane, &line)?;
    plane.shared.store.put_carrier_voicemail(&line, may.change()).await?;
    view(&plane, &line.line).await
}

/// Notes that the carrier's own voicemail is switched off; repeating it changes nothing.
#[utoipa::path(delete, path = "/v1/lines/{line}/carrier-voicemail", tag = "lines",
    params(LinePath),
    responses((status = 204)), security(("key" = ["contracts:write"])))]
pub(crate) async fn carrier_voicemail_off(
    may: May<ContractsWrite>,
    State(plane): State<ControlPlane>,
    PathOf(line): PathOf<String>,
) -> Result<StatusCode, Problem> {
    let line = line_ref(&plane, &line)?;
    plane.shared.store.remove_carrier_voicemail(&line, may.change()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why a flag is set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFlag {
    /// In a few words; it goes into the audit log for ever, so name nobody.
    #[schema(schema_with = reason_schema)]
    reason: String,
}

fn reason_schema() -> Object {
    wordy(REASON_CHARS_MAX)
        .description(Some("In a few words; it goes into the audit log for ever, so name nobody."))
        .build()
}

/// Sets a flag that keeps the line out of the campaign from now on, or gives it a new reason. What
/// was granted stays.
#[utoipa::path(put, path = "/v1/lines/{line}/flags/{flag}", tag = "lines",
    params(LinePath,
        ("flag" = String, Path, pattern = "^(arrears|breach|unsuitable)$")),
    request_body = NewFlag, responses((status = 200, body = FlagView)),
    security(("key" = ["contracts:write"])))]
pub(crate) async fn set_flag(
    may: May<ContractsWrite>,
    State(plane): State<ControlPlane>,
    PathOf((line, flag)): PathOf<(String, String)>,
    JsonBody(new): JsonBody<NewFlag>,
) -> Result<axum::Json<FlagView>, Problem> {
    let (line, flag) = (line_ref(&plane, &line)?, read_flag(&flag)?);
    check_reason(&new.reason)?;
    let store = &plane.shared.store;
    let flagged = store.set_flag(&line, flag, new.reason.trim(), may.change()).await?;
    Ok(axum::Json(flagged.into()))
}

/// Clears a flag; repeating it changes nothing.
#[utoipa::path(delete, path = "/v1/lines/{line}/flags/{flag}", tag = "lines",
    params(LinePath,
        ("flag" = String, Path, pattern = "^(arrears|breach|unsuitable)$")),
    responses((status = 204)), security(("key" = ["contracts:write"])))]
pub(crate) async fn clear_flag(
    may: May<ContractsWrite>,
    State(plane): State<ControlPlane>,
    PathOf((line, flag)): PathOf<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (line, flag) = (line_ref(&plane, &line)?, read_flag(&flag)?);
    plane.shared.store.clear_flag(&line, flag, may.change()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A roaming event that was kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoamingEvent)]
pub(crate) struct RoamingView {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// The contract whose subscriber is told.
    #[schema(format = Uuid)]
    contract: String,
    /// When it came. RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
}

/// Notes that overseas roaming was set on a line: forwarding may have to be set again, and the
/// subscriber is told so (S06). The same Idempotency-Key is the same event.
#[utoipa::path(post, path = "/v1/lines/{line}/roaming", tag = "lines",
    params(LinePath,
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
            pattern = "^[!#-~]{1,255}$", description = "Names this event, such as a UUID")),
    responses((status = 201, body = RoamingView),
        (status = 404, body = ProblemBody, content_type = "application/problem+json",
            description = "The line has no contract")),
    security(("key" = ["contracts:write"])))]
pub(crate) async fn roaming(
    may: May<ContractsWrite>,
    State(plane): State<ControlPlane>,
    PathOf(line): PathOf<String>,
    repeat: RepeatKey,
) -> Result<(StatusCode, axum::Json<RoamingView>), Problem> {
    let (line, change) = (line_ref(&plane, &line)?, may.change());
    let event = repeat.id(&format!("{} {}", change.by, line.hash), &plane.shared.pepper);
    let guide = plane.shared.config.public_url.clone();
    let kept = plane.shared.store.keep_roaming(&line, event, guide, change).await?;
    plane.shared.outbox_wake.wake();
    let view = RoamingView {
        id: kept.id.to_string(),
        contract: kept.contract.to_string(),
        created_at: time_utc(kept.at),
    };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

async fn view(plane: &ControlPlane, line: &Line) -> Result<axum::Json<LineView>, Problem> {
    let facts = plane.shared.store.line(line).await?;
    let (voicemail, contract) = match facts.service {
        Some((LineService::Smart(contract), _)) => (Some("smart"), Some(contract.to_string())),
        Some((LineService::Carrier, _)) => (Some("carrier"), None),
        None => (None, None),
    };
    Ok(axum::Json(LineView {
        line: line.reveal().to_owned(),
        voicemail,
        since: facts.service.map(|(_, since)| time_utc(since)),
        contract,
        flags: facts.flags.into_iter().map(Into::into).collect(),
    }))
}

/// A line in a path.
pub(crate) fn read(line: &str) -> Result<Line, Problem> {
    Line::read(line).map_err(malformed)
}

fn read_flag(flag: &str) -> Result<LineFlag, Problem> {
    LineFlag::from_name(flag).ok_or_else(|| malformed(LineError::Flag))
}

fn malformed(error: LineError) -> Problem {
    Problem::new(Kind::MalformedPath, error.to_string())
}

fn line_ref(plane: &ControlPlane, line: &str) -> Result<LineRef, Problem> {
    let line = read(line)?;
    Ok(LineRef { hash: line.hash(&plane.shared.pepper), line })
}
