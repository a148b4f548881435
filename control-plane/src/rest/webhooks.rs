//! Webhooks over REST: endpoints, their secrets, the log of what they were told, and replays.

use axum::extract::State;
use axum::http::StatusCode;
use engine_core::time::WallTime;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{May, WebhooksRead, WebhooksWrite};
use super::extract::{JsonBody, PathId, QueryOf};
use super::page::{PageOf, PageQuery, cut, read_page};
use super::problem::{Kind, Problem};
use super::webhook_bodies::{NewWebhook, ReplayChoice, ReplayRequest, WebhookChange};
use crate::clock;
use crate::limits::{WEBHOOK_SECRET_OVERLAP, WEBHOOKS_MAX};
use crate::notice::NoticeId;
use crate::plane::ControlPlane;
use crate::store::{After, Replay};
use crate::webhook::{WEBHOOK_TEST, Webhook, WebhookDelivery, WebhookId, message_id};
use crate::wording::time_utc;

/// A program that is told of events, as the Standard Webhooks convention asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookView {
    /// Its id.
    #[schema(format = Uuid)]
    id: String,
    /// Where events are sent to.
    #[schema(example = "https://example.jp/rusuden")]
    url: String,
    /// What it is told of; empty: everything.
    events: Vec<String>,
    /// What people call it.
    description: String,
    /// Whether it is told at all. An answer of 410 switches it off.
    enabled: bool,
    /// Until when the secret before signs as well; null when only one does.
    #[schema(format = DateTime)]
    old_secret_until: Option<String>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        let until = webhook.rotated_at.map(|at| clock::after(at, WEBHOOK_SECRET_OVERLAP));
        Self {
            id: webhook.id.to_string(),
            url: webhook.url,
            events: webhook.events,
            description: webhook.description,
            enabled: webhook.enabled,
            old_secret_until: until.filter(|end| *end > clock::now()).map(time_utc),
            created_at: time_utc(webhook.created_at),
            updated_at: time_utc(webhook.updated_at),
        }
    }
}

/// A webhook with its secret, which is shown only here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookSecret {
    webhook: WebhookView,
    /// Verifies `webhook-signature`.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
}

/// How much is told again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    /// Deliveries that will be tried at once.
    deliveries: u64,
}

/// What a webhook was told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(crate) struct DeliveryView {
    /// Its id, for a replay.
    #[schema(format = Uuid)]
    id: String,
    /// What the program sees as `webhook-id`.
    message_id: String,
    /// Which event.
    #[schema(example = "message.received")]
    event: String,
    /// `pending`, `sent` or `given_up`.
    state: String,
    /// Attempts that failed.
    failed_attempts: u32,
    /// When it happened. RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it is tried next, while it is pending.
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// When it was taken or given up.
    #[schema(format = DateTime)]
    settled_at: Option<String>,
    /// What failed last.
    last_error: Option<String>,
}

impl From<WebhookDelivery> for DeliveryView {
    fn from(delivery: WebhookDelivery) -> Self {
        Self {
            id: delivery.notice.to_string(),
            message_id: message_id(delivery.notice),
            event: delivery.event,
            state: delivery.state,
            failed_attempts: delivery.attempts,
            created_at: time_utc(delivery.created_at),
            next_attempt_at: delivery.next_at.map(time_utc),
            settled_at: delivery.settled_at.map(time_utc),
            last_error: delivery.last_error,
        }
    }
}

/// Makes a webhook and shows its secret, once.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses((status = 201, body = WebhookSecret)), security(("key" = ["webhooks:write"])))]
pub(crate) async fn create(
    may: May<WebhooksWrite>,
    State(plane): State<ControlPlane>,
    JsonBody(new): JsonBody<NewWebhook>,
) -> Result<(StatusCode, axum::Json<WebhookSecret>), Problem> {
    let change = may.change();
    let now = change.at;
    let webhook = Webhook {
        id: WebhookId(uuid::Uuid::now_v7()),
        url: new.url,
        events: new.events,
        description: new.description,
        enabled: true,
        generation: 1,
        rotated_at: None,
        created_at: now,
        updated_at: now,
    };
    check(&plane, &webhook)?;
    if !plane.shared.store.create_webhook(&webhook, WEBHOOKS_MAX, change).await? {
        let detail = format!("there are {WEBHOOKS_MAX} webhooks already; delete one first");
        return Err(Problem::new(Kind::TooMany, detail));
    }
    Ok((StatusCode::CREATED, axum::Json(with_secret(&plane, webhook))))
}

/// Lists webhooks, oldest first.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", params(PageQuery),
    responses((status = 200, body = PageOf<WebhookView>)), security(("key" = ["webhooks:read"])))]
pub(crate) async fn list(
    _: May<WebhooksRead>,
    State(plane): State<ControlPlane>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<axum::Json<PageOf<WebhookView>>, Problem> {
    let page = read_page(query.limit, query.cursor.as_deref())?;
    let rows = plane.shared.store.webhooks(page).await?;
    let (rows, next) = cut(rows, page, |row| After { at: row.created_at, id: row.id.0.as_u128() });
    Ok(axum::Json(PageOf { items: rows.into_iter().map(Into::into).collect(), next }))
}

/// Shows a webhook.
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = WebhookView)),
    security(("key" = ["webhooks:read"])))]
pub(crate) async fn show(
    _: May<WebhooksRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<WebhookId>,
) -> Result<axum::Json<WebhookView>, Problem> {
    Ok(axum::Json(find(&plane, id).await?.into()))
}

/// Changes a webhook.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, format = Uuid)), request_body = WebhookChange,
    responses((status = 200, body = WebhookView)), security(("key" = ["webhooks:write"])))]
pub(crate) async fn update(
    may: May<WebhooksWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<WebhookId>,
    JsonBody(patch): JsonBody<WebhookChange>,
) -> Result<axum::Json<WebhookView>, Problem> {
    let change = may.change();
    let old = find(&plane, id).await?;
    let webhook = Webhook {
        url: patch.url.unwrap_or(old.url),
        events: patch.events.unwrap_or(old.events),
        description: patch.description.unwrap_or(old.description),
        enabled: patch.enabled.unwrap_or(old.enabled),
        updated_at: change.at,
        ..old
    };
    check(&plane, &webhook)?;
    if !plane.shared.store.update_webhook(&webhook, change).await? {
        return Err(unknown());
    }
    Ok(axum::Json(webhook.into()))
}

/// Deletes a webhook with the log of its deliveries. What is still to be told is dropped.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, format = Uuid)), responses((status = 204)),
    security(("key" = ["webhooks:write"])))]
pub(crate) async fn remove(
    may: May<WebhooksWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<WebhookId>,
) -> Result<StatusCode, Problem> {
    let is_deleted = plane.shared.store.delete_webhook(id, may.change()).await?;
    if is_deleted { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}

/// Gives a webhook a new secret and shows it, once. For 24 hours the old one signs as well.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate", tag = "webhooks",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = WebhookSecret)),
    security(("key" = ["webhooks:write"])))]
pub(crate) async fn rotate(
    may: May<WebhooksWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<WebhookId>,
) -> Result<axum::Json<WebhookSecret>, Problem> {
    let rotated = plane.shared.store.rotate_webhook(id, may.change()).await?;
    Ok(axum::Json(with_secret(&plane, rotated.ok_or_else(unknown)?)))
}

/// Sends the event `webhook.test` to a webhook, whatever it chose.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "webhooks",
    params(("id" = String, Path, format = Uuid)), responses((status = 202, body = Replayed)),
    security(("key" = ["webhooks:write"])))]
pub(crate) async fn test(
    may: May<WebhooksWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<WebhookId>,
) -> Result<(StatusCode, axum::Json<Replayed>), Problem> {
    let webhook = find(&plane, id).await?;
    let data = serde_json::json!({"webhook": webhook.id.to_string()});
    plane.shared.store.put_event_for(id, WEBHOOK_TEST, data, may.change()).await?;
    plane.shared.outbox_wake.wake();
    Ok((StatusCode::ACCEPTED, axum::Json(Replayed { deliveries: 1 })))
}

/// Lists what a webhook was told in the last 30 days, newest first.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = String, Path, format = Uuid), PageQuery),
    responses((status = 200, body = PageOf<DeliveryView>)),
    security(("key" = ["webhooks:read"])))]
pub(crate) async fn deliveries(
    _: May<WebhooksRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<WebhookId>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<axum::Json<PageOf<DeliveryView>>, Problem> {
    let page = read_page(query.limit, query.cursor.as_deref())?;
    find(&plane, id).await?;
    let rows = plane.shared.store.webhook_deliveries(id, page).await?;
    let (rows, next) =
        cut(rows, page, |row| After { at: row.created_at, id: row.notice.as_u128() });
    Ok(axum::Json(PageOf { items: rows.into_iter().map(Into::into).collect(), next }))
}

/// Tells a webhook again: one delivery, or all that were given up since a time.
#[utoipa::path(post, path = "/v1/webhooks/{id}/replay", tag = "webhooks",
    params(("id" = String, Path, format = Uuid)), request_body = ReplayChoice,
    responses((status = 202, body = Replayed)), security(("key" = ["webhooks:write"])))]
pub(crate) async fn replay(
    may: May<WebhooksWrite>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<WebhookId>,
    JsonBody(request): JsonBody<ReplayRequest>,
) -> Result<(StatusCode, axum::Json<Replayed>), Problem> {
    let which = read_replay(&request)?;
    find(&plane, id).await?;
    let deliveries = plane.shared.store.replay_webhook(id, which, may.change()).await?;
    if deliveries == 0 && matches!(which, Replay::One(_)) {
        return Err(Problem::not_found("delivery with this id to this webhook"));
    }
    plane.shared.outbox_wake.wake();
    Ok((StatusCode::ACCEPTED, axum::Json(Replayed { deliveries })))
}

fn read_replay(request: &ReplayRequest) -> Result<Replay, Problem> {
    let wrong = |field, detail: String| Err(Problem::invalid_field(field, detail));
    match request {
        ReplayRequest::Delivery(id) => match id.parse::<NoticeId>() {
            Ok(id) => Ok(Replay::One(id)),
            Err(why) => wrong("delivery", why.to_string()),
        },
        ReplayRequest::FailedSince(text) => match text.parse::<Timestamp>() {
            Ok(at) => Ok(Replay::FailedSince(WallTime::from_unix_millis(at.as_millisecond()))),
            Err(_) => wrong(
                "failed_since",
                "failed_since must be a time such as 2026-11-23T00:00:00Z".to_owned(),
            ),
        },
    }
}

fn check(plane: &ControlPlane, webhook: &Webhook) -> Result<(), Problem> {
    webhook.check().map_err(|e| Problem::invalid_field(e.field(), e.to_string()))?;
    let ways = &plane.shared.ways;
    ways.webhooks.check_url(&webhook.url).map_err(|e| Problem::invalid_field("url", e.to_string()))
}

async fn find(plane: &ControlPlane, id: WebhookId) -> Result<Webhook, Problem> {
    plane.shared.store.webhook(id).await?.ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::not_found("webhook with this id")
}

fn with_secret(plane: &ControlPlane, webhook: Webhook) -> WebhookSecret {
    let secret = plane.shared.ways.webhooks.secret(&webhook);
    WebhookSecret { webhook: webhook.into(), secret }
}
