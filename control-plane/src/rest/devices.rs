//! A subscriber's devices over REST: list, rename, sign out of one or of all.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{JsonBody, PathId, QueryOf};
use super::page::{PageOf, PageQuery, cut, read_page};
use super::problem::Problem;
use super::subscriber::Subscriber;
use crate::clock;
use crate::plane::ControlPlane;
use crate::store::After;
use crate::subscriber::{Device, DeviceId, DeviceName};
use crate::wording::time_utc;

/// A signed-in device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub(crate) struct DeviceView {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// What the subscriber calls it (S37).
    #[schema(example = "わたしのiPhone")]
    name: String,
    /// Whether it is the one that asks.
    this: bool,
    /// When it was registered. RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last asked for something, to the hour. RFC 3339, UTC.
    #[schema(format = DateTime)]
    seen_at: String,
}

impl DeviceView {
    pub(crate) fn of(device: Device, this: DeviceId) -> Self {
        Self {
            id: device.id.to_string(),
            this: device.id == this,
            name: device.name,
            created_at: time_utc(device.created_at),
            seen_at: time_utc(device.seen_at),
        }
    }
}

/// A change of a device.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceChange {
    /// A new name.
    #[schema(min_length = 1, max_length = 50, pattern = "^[^\\s\\x00-\\x1f\\x7f-\\x9f]+$")]
    name: String,
}

/// Lists the contract's devices, oldest first. Any number of them share one fee (S37).
#[utoipa::path(get, path = "/v1/me/devices", tag = "subscriber", params(PageQuery),
    responses((status = 200, body = PageOf<DeviceView>)), security(("session" = [])))]
pub(crate) async fn list(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<axum::Json<PageOf<DeviceView>>, Problem> {
    let page = read_page(query.limit, query.cursor.as_deref())?;
    let found = plane.shared.store.devices(subscriber.mailbox, page).await?;
    let at = |device: &Device| After { at: device.created_at, id: device.id.as_u128() };
    let (items, next) = cut(found, page, at);
    let view = |device| DeviceView::of(device, subscriber.device);
    Ok(axum::Json(PageOf { items: items.into_iter().map(view).collect(), next }))
}

/// Renames a device.
#[utoipa::path(patch, path = "/v1/me/devices/{id}", tag = "subscriber",
    params(("id" = String, Path, format = Uuid)), request_body = DeviceChange,
    responses((status = 200, body = DeviceView)), security(("session" = [])))]
pub(crate) async fn rename(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<DeviceId>,
    JsonBody(change): JsonBody<DeviceChange>,
) -> Result<axum::Json<DeviceView>, Problem> {
    let name = DeviceName::read(&change.name)?;
    let store = &plane.shared.store;
    let device = store.rename_device(subscriber.mailbox, id, name.as_str()).await?;
    let device = device.ok_or_else(no_device)?;
    Ok(axum::Json(DeviceView::of(device, subscriber.device)))
}

/// Signs one device out: its session ends at once.
#[utoipa::path(delete, path = "/v1/me/devices/{id}", tag = "subscriber",
    params(("id" = String, Path, format = Uuid)), responses((status = 204)),
    security(("session" = [])))]
pub(crate) async fn sign_out(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<DeviceId>,
) -> Result<StatusCode, Problem> {
    let store = &plane.shared.store;
    match store.sign_out(subscriber.mailbox, Some(id), clock::now()).await? {
        0 => Err(no_device()),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// Signs the device out that asks.
#[utoipa::path(post, path = "/v1/me/sign-out", tag = "subscriber", responses((status = 204)),
    security(("session" = [])))]
pub(crate) async fn sign_out_self(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<StatusCode, Problem> {
    let store = &plane.shared.store;
    store.sign_out(subscriber.mailbox, Some(subscriber.device), clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Signs every device out, the one that asks, too.
#[utoipa::path(delete, path = "/v1/me/devices", tag = "subscriber", responses((status = 204)),
    security(("session" = [])))]
pub(crate) async fn sign_out_all(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<StatusCode, Problem> {
    plane.shared.store.sign_out(subscriber.mailbox, None, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_device() -> Problem {
    Problem::not_found("device with this id among yours")
}
