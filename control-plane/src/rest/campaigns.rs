//! Campaigns over REST (S58–S72): versions are added, never changed.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{BillingRead, CampaignsWrite, May};
use super::extract::{JsonBody, PathOf, QueryOf, Whole};
use super::page::{PageOf, PageQuery, cut, read_page};
use super::problem::Problem;
use crate::campaign::CampaignTerms;
use crate::clock;
use crate::japan::{date_of, read_date};
use crate::plane::ControlPlane;
use crate::store::{After, KeptCampaign};
use crate::wording::time_utc;

/// A version of the campaign to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCampaign {
    /// What people call it.
    #[schema(min_length = 1, max_length = 100, pattern = "^[!-~]([ -~]*[!-~])?$")]
    name: String,
    /// First date of application in Japan, yyyy-mm-dd. From then on no earlier version is in
    /// force, even once this one has ended.
    #[schema(
        pattern = "^2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$",
        example = "2026-07-01"
    )]
    starts_on: String,
    /// Last date of application in Japan, not before `starts_on`; without it, the version stays
    /// in force until another starts.
    #[serde(default)]
    #[schema(
        pattern = "^2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$",
        example = "2026-12-31"
    )]
    ends_on: Option<String>,
    /// Months without charge, the month of application counted as the first; 0 stops the
    /// campaign.
    #[schema(value_type = u32, minimum = 0, maximum = 12, example = 1)]
    free_months: Whole,
}

/// A version of the campaign. What it granted to a contract stays, whatever comes later (S72).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Campaign)]
pub(crate) struct CampaignView {
    /// Its number.
    version: i64,
    /// What people call it.
    name: String,
    /// First date of application in Japan.
    #[schema(format = Date)]
    starts_on: String,
    /// Last date of application in Japan; null: until another version starts.
    #[schema(format = Date)]
    ends_on: Option<String>,
    /// Months without charge.
    free_months: u32,
    /// Whether it is the version in force today, in Japan.
    in_force: bool,
    /// When it was made. RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
}

impl CampaignView {
    fn new(kept: KeptCampaign, current: Option<i64>) -> Self {
        let terms = kept.campaign.terms;
        Self {
            version: kept.campaign.version,
            name: terms.name,
            starts_on: terms.starts_on.to_string(),
            ends_on: terms.ends_on.map(|date| date.to_string()),
            free_months: terms.free_months,
            in_force: current == Some(kept.campaign.version),
            created_at: time_utc(kept.created_at),
        }
    }
}

/// Makes the next version of the campaign. It replaces the version before from its first day on.
#[utoipa::path(post, path = "/v1/campaigns", tag = "campaigns", request_body = NewCampaign,
    responses((status = 201, body = CampaignView)), security(("key" = ["campaigns:write"])))]
pub(crate) async fn create(
    may: May<CampaignsWrite>,
    State(plane): State<ControlPlane>,
    JsonBody(new): JsonBody<NewCampaign>,
) -> Result<(StatusCode, axum::Json<CampaignView>), Problem> {
    let date = |text: &str, field| {
        read_date(text).map_err(|why| Problem::invalid_field(field, why.to_string()))
    };
    let terms = CampaignTerms {
        name: new.name,
        starts_on: date(&new.starts_on, "starts_on")?,
        ends_on: new.ends_on.as_deref().map(|text| date(text, "ends_on")).transpose()?,
        free_months: new.free_months.0,
    };
    terms.check().map_err(|why| Problem::invalid_field(why.field(), why.to_string()))?;
    let kept = plane.shared.store.create_campaign(&terms, may.change()).await?;
    let current = current(&plane).await?;
    Ok((StatusCode::CREATED, axum::Json(CampaignView::new(kept, current))))
}

/// Lists all versions of the campaign, oldest first.
#[utoipa::path(get, path = "/v1/campaigns", tag = "campaigns", params(PageQuery),
    responses((status = 200, body = PageOf<CampaignView>)),
    security(("key" = ["billing:read"])))]
pub(crate) async fn list(
    _: May<BillingRead>,
    State(plane): State<ControlPlane>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<axum::Json<PageOf<CampaignView>>, Problem> {
    let page = read_page(query.limit, query.cursor.as_deref())?;
    let found = plane.shared.store.campaigns(page).await?;
    let at = |kept: &KeptCampaign| After {
        at: kept.created_at,
        id: u128::try_from(kept.campaign.version).unwrap_or_default(),
    };
    let (items, next) = cut(found, page, at);
    let current = current(&plane).await?;
    let items = items.into_iter().map(|kept| CampaignView::new(kept, current)).collect();
    Ok(axum::Json(PageOf { items, next }))
}

/// Shows a version of the campaign.
#[utoipa::path(get, path = "/v1/campaigns/{version}", tag = "campaigns",
    params(("version" = i64, Path, minimum = 1)), responses((status = 200, body = CampaignView)),
    security(("key" = ["billing:read"])))]
pub(crate) async fn show(
    _: May<BillingRead>,
    State(plane): State<ControlPlane>,
    PathOf(version): PathOf<i64>,
) -> Result<axum::Json<CampaignView>, Problem> {
    let kept = plane.shared.store.campaign(version).await?;
    let kept = kept.ok_or_else(|| Problem::not_found("campaign of this version"))?;
    Ok(axum::Json(CampaignView::new(kept, current(&plane).await?)))
}

async fn current(plane: &ControlPlane) -> Result<Option<i64>, Problem> {
    let today = date_of(clock::now());
    let campaign = plane.shared.store.campaign_on(today).await?;
    Ok(campaign.map(|campaign| campaign.version))
}
