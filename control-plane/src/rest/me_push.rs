//! A device's subscription to push (RFC 8030) over REST, as its browser gives it.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::JsonBody;
use super::problem::{Kind, Problem};
use super::subscriber::Subscriber;
use crate::limits::PUSH_ENDPOINTS_MAX;
use crate::plane::ControlPlane;
use crate::push::{PushEndpoint, PushError};

/// What a browser needs to subscribe.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Push)]
pub(crate) struct PushView {
    /// Our public key, for `applicationServerKey`: base64url of an uncompressed point of P-256
    /// (RFC 8292 §3.2).
    public_key: String,
    /// Whether the device that asks is subscribed.
    subscribed: bool,
}

/// Keys of a subscription.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushKeys {
    /// The browser's public key (RFC 8291 §3.1), base64url.
    #[schema(max_length = 100)]
    p256dh: String,
    /// Its secret (RFC 8291 §3.2), base64url.
    #[schema(max_length = 30)]
    auth: String,
}

/// A subscription as `PushSubscription.toJSON()` gives it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct PushSubscribed {
    /// Where the push service takes messages.
    #[schema(format = "uri", max_length = 2000)]
    endpoint: String,
    /// Milliseconds since the Unix epoch; not looked at: the push service says when it is over.
    #[serde(default, rename = "expirationTime")]
    _expiration_time: Option<f64>,
    keys: PushKeys,
}

/// Gives the key with which a browser subscribes, and whether this device has.
#[utoipa::path(get, path = "/v1/me/push", tag = "subscriber",
    responses((status = 200, body = PushView)), security(("session" = [])))]
pub(crate) async fn show(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<axum::Json<PushView>, Problem> {
    Ok(axum::Json(PushView {
        public_key: plane.shared.ways.push.public_key(),
        subscribed: !own(&plane, &subscriber).await?.is_empty(),
    }))
}

/// Subscribes this device; a subscription that it had before is replaced.
#[utoipa::path(put, path = "/v1/me/push", tag = "subscriber", request_body = PushSubscribed,
    responses((status = 204)), security(("session" = [])))]
pub(crate) async fn put(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
    JsonBody(given): JsonBody<PushSubscribed>,
) -> Result<StatusCode, Problem> {
    let parts = (given.endpoint.as_str(), given.keys.p256dh.as_str(), given.keys.auth.as_str());
    let device = Some(subscriber.device.to_string());
    let endpoint = plane.push_endpoint(subscriber.mailbox, device, parts)?;
    let store = &plane.shared.store;
    for old in own(&plane, &subscriber).await? {
        if old.id != endpoint.id {
            store.drop_push_endpoint(old.id).await?;
        }
    }
    if store.put_push_endpoint(&endpoint, PUSH_ENDPOINTS_MAX).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    let detail = format!(
        "at most {PUSH_ENDPOINTS_MAX} devices of a contract take push; unsubscribe another first"
    );
    Err(Problem::new(Kind::PushEndpointsFull, detail))
}

/// Ends this device's subscription.
#[utoipa::path(delete, path = "/v1/me/push", tag = "subscriber", responses((status = 204)),
    security(("session" = [])))]
pub(crate) async fn remove(
    subscriber: Subscriber,
    State(plane): State<ControlPlane>,
) -> Result<StatusCode, Problem> {
    for endpoint in own(&plane, &subscriber).await? {
        plane.shared.store.drop_push_endpoint(endpoint.id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The subscriptions of the device that asks.
async fn own(plane: &ControlPlane, subscriber: &Subscriber) -> Result<Vec<PushEndpoint>, Problem> {
    let mut endpoints = plane.shared.store.push_endpoints(subscriber.mailbox).await?;
    let device = subscriber.device.to_string();
    endpoints.retain(|endpoint| endpoint.device.as_deref() == Some(&*device));
    Ok(endpoints)
}

impl From<PushError> for Problem {
    fn from(error: PushError) -> Self {
        let field = match error {
            PushError::Target(_) => "endpoint",
            PushError::Key | PushError::Auth => "keys",
        };
        Self::of(Kind::InvalidField, &error).about(field)
    }
}
