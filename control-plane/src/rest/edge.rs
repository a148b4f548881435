//! The edge: who may ask how much, and the headers that keep browsers from doing harm. Looks at a
//! request's address and credential only as names of a caller; who that is, others find out.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::client::address_of;
use super::problem::Problem;
use crate::plane::ControlPlane;
use crate::rate::{Limiter, Rate};

/// Paths that are always answered: who watches the service must see it under load, too.
const FREE: [&str; 2] = ["/healthz", "/readyz"];
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Answers are data: nothing in them may load, run or be framed.
const DATA_ONLY: &str = "default-src 'none'; frame-ancestors 'none'";
/// The page of the description runs its own scripts, none from elsewhere.
const OWN_PAGE: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
                        frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Who may ask how much. Beyond it, 429 with Retry-After.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeConfig {
    /// Each API key.
    pub key: Rate,
    /// Each subscriber's device.
    pub token: Rate,
    /// Each address, for requests without key or token, and for wrong ones.
    pub address: Rate,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            key: Rate { per_minute: 60_000, burst: 2_000 },
            token: Rate { per_minute: 1_200, burst: 200 },
            address: Rate { per_minute: 3_000, burst: 500 },
        }
    }
}

/// What the edge remembers.
#[derive(Debug)]
pub(crate) struct Edge {
    limiter: Mutex<Limiter>,
    started: Instant,
}

impl Default for Edge {
    fn default() -> Self {
        Self { limiter: Mutex::default(), started: Instant::now() }
    }
}

/// A name under which requests are counted.
#[derive(Debug, Hash)]
enum Who<'a> {
    Credential(&'a [u8]),
    Address(IpAddr),
}

impl Edge {
    fn with<T>(&self, act: impl FnOnce(&mut Limiter, Duration) -> T) -> T {
        // A panic elsewhere cannot leave the limiter wrong: every step is one insert.
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut limiter, self.started.elapsed())
    }
}

/// Counts a request under its key, token or address, and refuses one too many.
pub(crate) async fn admit(
    State(plane): State<ControlPlane>,
    request: Request,
    next: Next,
) -> Response {
    if FREE.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let (edge, config) = (&plane.shared.edge, &plane.shared.config.edge);
    let trusted = &plane.shared.config.trusted_proxies;
    let address = address_of(request.extensions(), request.headers(), trusted);
    let credential = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let taken = edge.with(|limiter, now| match credential {
        Some(credential) => {
            // Who sends wrong ones must not get a new limit with each.
            limiter.look_ahead(Who::Address(address), config.address, now)?;
            limiter.take(Who::Credential(credential), rate_of(credential, config), now)
        }
        None => limiter.take(Who::Address(address), config.address, now),
    });
    if let Err(wait) = taken {
        return Problem::too_many_requests(wait).into_response();
    }
    let has_credential = credential.is_some();
    let response = next.run(request).await;
    if has_credential && response.status() == StatusCode::UNAUTHORIZED {
        // It was looked ahead; one that came between is counted all the same.
        let _ = edge.with(|limiter, now| limiter.take(Who::Address(address), config.address, now));
    }
    response
}

/// Gives every answer the headers that keep browsers from doing harm, unless it has its own.
pub(crate) async fn secure(
    State(plane): State<ControlPlane>,
    request: Request,
    next: Next,
) -> Response {
    let is_page = request.uri().path().starts_with("/docs");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = if is_page { OWN_PAGE } else { DATA_ONLY };
    let mut put = |name, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    put(CONTENT_SECURITY_POLICY, policy);
    put(X_FRAME_OPTIONS, "DENY");
    put(REFERRER_POLICY, "no-referrer");
    put(RESOURCE_POLICY, "same-origin");
    let url = plane.shared.config.public_url.as_deref();
    if url.is_some_and(|url| url.starts_with("https://")) {
        // RFC 6797: only where the service is reached over TLS at all.
        put(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

fn rate_of(credential: &[u8], config: &EdgeConfig) -> Rate {
    let secret = credential.split(|&byte| byte == b' ').next_back().unwrap_or_default();
    if secret.starts_with(b"rst_") { config.token } else { config.key }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_keys_have_their_own_rates() {
        let config = EdgeConfig::default();
        assert_eq!(rate_of(b"Bearer rst_00", &config), config.token);
        assert_eq!(rate_of(b"Bearer rsk_00", &config), config.key);
        assert_eq!(rate_of(b"", &config), config.key);
    }
}
