//! The edge: who may ask how much, and the headers that keep browsers from doing harm. Looks at a
//! request's address and credential only as names of a caller; who that is, others find out.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::limits::FORWARDED_HOPS_MAX;
use crate::plane::ControlPlane;
use crate::rate::{Limiter, Rate};

/// Paths that are always answered: who watches the service must see it under load, too.
const FREE: [&str; 2] = ["/healthz", "/readyz"];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
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
    /// Proxies whose `X-Forwarded-For` names the caller's address.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            key: Rate { per_minute: 60_000, burst: 2_000 },
            token: Rate { per_minute: 1_200, burst: 200 },
            address: Rate { per_minute: 3_000, burst: 500 },
            trusted_proxies: vec![
                IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ],
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
    let address = caller(&request, &config.trusted_proxies);
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

fn caller(request: &Request, trusted: &[IpAddr]) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
    network(behind_proxies(peer.to_canonical(), request.headers(), trusted))
}

/// The last address of `X-Forwarded-For` that no proxy of ours has: what stands before it is what
/// the caller claims.
fn behind_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let mut address = peer;
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
    for hop in hops.take(FORWARDED_HOPS_MAX) {
        if !trusted.contains(&address) {
            break;
        }
        let Ok(next) = hop.trim().parse::<IpAddr>() else { break };
        address = next.to_canonical();
    }
    address
}

/// One customer has a whole /64 of IPv6 (RFC 6177 §2), so that is one caller.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(peer: &str, lines: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
        }
        let trusted = EdgeConfig::default().trusted_proxies;
        behind_proxies(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_our_proxies_are_believed_and_only_as_far_as_they_saw() {
        assert_eq!(forwarded("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(forwarded("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(forwarded("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(forwarded("127.0.0.1", &["10.0.0.1, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(forwarded("127.0.0.1", &["10.0.0.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(forwarded("::1", &["198.51.100.1, 127.0.0.1"]), "198.51.100.1");
        assert_eq!(forwarded("::1", &["nonsense"]), "::1");
        assert_eq!(forwarded("::1", &["::ffff:198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn a_customer_of_ipv6_is_one_caller() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_ne!(of("198.51.100.1"), of("198.51.100.2"));
    }

    #[test]
    fn tokens_and_keys_have_their_own_rates() {
        let config = EdgeConfig::default();
        assert_eq!(rate_of(b"Bearer rst_00", &config), config.token);
        assert_eq!(rate_of(b"Bearer rsk_00", &config), config.key);
        assert_eq!(rate_of(b"", &config), config.key);
    }
}
