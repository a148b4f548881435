//! From which address a request comes. In: the connection, and what trusted proxies say. Out: an
//! address, or its keyed hash to count under. A header of an untrusted peer is never believed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use super::problem::Problem;
use crate::limits::FORWARDED_HOPS_MAX;
use crate::pepper::Pepper;
use crate::plane::ControlPlane;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address as limits count it: a whole /64 of IPv6 is one household.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress(IpAddr);

impl ClientAddress {
    /// What the address is counted under; the address itself is kept nowhere.
    pub(crate) fn mac(self, pepper: &Pepper) -> String {
        pepper.hash("client-address", &self.0.to_string())
    }
}

impl FromRequestParts<ControlPlane> for ClientAddress {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, plane: &ControlPlane) -> Result<Self, Problem> {
        let trusted = &plane.shared.config.trusted_proxies;
        Ok(Self(address_of(&parts.extensions, &parts.headers, trusted)))
    }
}

/// The address from which a request comes, as limits count it.
pub(super) fn address_of(
    connection: &Extensions,
    headers: &HeaderMap,
    trusted: &[IpAddr],
) -> IpAddr {
    let peer = connection.get::<ConnectInfo<SocketAddr>>();
    // Without a connection (a router called in a test) all are one client.
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
    household(client_of(peer.to_canonical(), headers, trusted))
}

/// The nearest address that is no trusted proxy, read from the right of `X-Forwarded-For`: what
/// stands to the left of it was written by whoever sent the request.
fn client_of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let mut client = peer;
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
    for hop in hops.take(FORWARDED_HOPS_MAX) {
        if !trusted.contains(&client) {
            break;
        }
        let Ok(next) = hop.trim().parse::<IpAddr>() else { break };
        client = next.to_canonical();
    }
    client
}

/// One customer has a whole /64 of IPv6 (RFC 6177 §2), so that is one client.
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(peer: &str, forwarded: &[&'static str], trusted: &[&str]) -> IpAddr {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
        }
        let trusted: Vec<_> = trusted.iter().map(|text| ip(text)).collect();
        client_of(ip(peer), &headers, &trusted)
    }

    #[test]
    fn only_a_trusted_proxys_word_counts() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"], &[]), ip("192.0.2.1"));
        let trusted = ["127.0.0.1", "10.0.0.2"];
        assert_eq!(client("127.0.0.1", &["198.51.100.7"], &trusted), ip("198.51.100.7"));
        assert_eq!(
            client("127.0.0.1", &["1.2.3.4, 198.51.100.7, 10.0.0.2"], &trusted),
            ip("198.51.100.7"),
            "what the client wrote itself is not believed"
        );
        assert_eq!(client("127.0.0.1", &["1.2.3.4", "198.51.100.7"], &trusted), ip("198.51.100.7"));
        assert_eq!(client("127.0.0.1", &[], &trusted), ip("127.0.0.1"));
        assert_eq!(client("127.0.0.1", &["1.2.3.4, nonsense"], &trusted), ip("127.0.0.1"));
        assert_eq!(client("127.0.0.1", &["::ffff:198.51.100.7"], &trusted), ip("198.51.100.7"));
    }

    #[test]
    fn a_household_of_ipv6_is_one_client() {
        assert_eq!(household(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(household(ip("192.0.2.1")), ip("192.0.2.1"));
    }
}
