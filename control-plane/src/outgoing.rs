//! POSTs to addresses that others gave us: webhooks and push endpoints. A URL in; status and wish
//! for rest out. Unless configured, it reaches no private address, whatever name or redirect leads
//! there, so that nobody makes us knock on doors inside our own network (SSRF).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use rustls::crypto::CryptoProvider;

use crate::limits::{OUTGOING_CONNECT_MAX, OUTGOING_MAX, URL_BYTES_MAX};
use crate::outbox::Outcome;

/// Why a target is never called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Not a URL that we call.
    #[error(
        "the URL must be https://… with a host, without user name, in ASCII, and of at most \
         {URL_BYTES_MAX} bytes"
    )]
    Url,
    /// An address that is not on the public internet.
    #[error(
        "the URL leads to a private address; set control_plane.private_targets = true if that \
         is meant"
    )]
    Private,
}

/// What the other side said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// How long it wants to be left alone.
    pub(crate) rest: Option<Duration>,
}

impl Answer {
    /// What becomes of a delivery when any answer but 2xx may mend itself.
    pub(crate) fn outcome(&self) -> Outcome {
        let why = format!("it answered {}", self.status);
        match (self.status, self.rest) {
            (200..=299, _) => Outcome::Delivered,
            (_, Some(rest)) => Outcome::Busy { why, rest },
            _ => Outcome::Transient(why),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("{0}")]
    Failed(String),
}

impl PostError {
    /// What becomes of the delivery.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Target(why) => Outcome::Permanent(why.to_string()),
            Self::Failed(why) => Outcome::Transient(why),
        }
    }
}

/// The way out.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    http: reqwest::Client,
    private_targets: bool,
}

impl Outgoing {
    /// With `private_targets`, private addresses are called, and without TLS, too.
    pub(crate) fn new(private_targets: bool) -> Result<Self, reqwest::Error> {
        let http = client().dns_resolver(Arc::new(Resolver { private_targets })).build()?;
        Ok(Self { http, private_targets })
    }

    /// The URL, if it may be called as far as can be told without asking for its addresses.
    pub(crate) fn check(&self, url: &str) -> Result<Url, TargetError> {
        if url.len() > URL_BYTES_MAX {
            return Err(TargetError::Url);
        }
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TargetError::Url);
        }
        let url = Url::parse(url).map_err(|_| TargetError::Url)?;
        let is_safe = url.scheme() == "https" || url.scheme() == "http" && self.private_targets;
        if !is_safe || !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Url);
        }
        let host = url.host_str().ok_or(TargetError::Url)?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let is_private = match bare.parse::<IpAddr>() {
            Ok(ip) => !is_public(ip),
            // RFC 1123 §2.1: letters, digits and hyphens.
            Err(_) if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)) => {
                return Err(TargetError::Url);
            }
            Err(_) => is_local_name(host),
        };
        if is_private && !self.private_targets {
            return Err(TargetError::Private);
        }
        Ok(url)
    }

    /// Sends a body and waits for the answer's head.
    pub(crate) async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, PostError> {
        let url = self.check(url)?;
        let sent = self.http.post(url).headers(headers).body(body).send().await;
        let response = sent.map_err(explain)?;
        let rest = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        // RFC 9110 §10.2.3 allows a date, too; then our own rest holds.
        let rest = rest.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        Ok(Answer { status: response.status().as_u16(), rest })
    }
}

/// A client that follows no redirect: it would have to be checked again, and nobody needs one.
pub(crate) fn client() -> reqwest::ClientBuilder {
    if CryptoProvider::get_default().is_none() {
        // It fails only when another thread was faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(OUTGOING_CONNECT_MAX)
        .timeout(OUTGOING_MAX)
        .user_agent(concat!("rusuden/", env!("CARGO_PKG_VERSION")))
}

/// The deepest reason, without the URL: a push endpoint's is a secret of its browser.
fn explain(error: reqwest::Error) -> PostError {
    let error = error.without_url();
    let mut reason: &dyn std::error::Error = &error;
    while let Some(source) = reason.source() {
        if let Some(target) = source.downcast_ref::<TargetError>() {
            return PostError::Target(target.clone());
        }
        reason = source;
    }
    let late = if error.is_timeout() { "it was too slow: " } else { "" };
    PostError::Failed(format!("{late}{reason}"))
}

/// Looks names up and leaves out what may not be called.
struct Resolver {
    private_targets: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private_targets = self.private_targets;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let all: Vec<SocketAddr> = found.collect();
            let may = |address: &SocketAddr| private_targets || is_public(address.ip());
            let allowed: Vec<SocketAddr> = all.iter().copied().filter(may).collect();
            if allowed.is_empty() && !all.is_empty() {
                return Err(TargetError::Private.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Names that never leave this machine or network (RFC 6761 §6.3, RFC 6762 §3, RFC 9476).
fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    !host.contains('.') || ["localhost", "local", "internal", "alt"].contains(&last)
}

/// Whether an address is on the public internet (RFC 6890 and its registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // RFC 6598
        || (a == 192 && b == 0 && c == 0) // RFC 6890
        || (a == 192 && b == 88 && c == 99) // RFC 7526
        || (a == 198 && (b == 18 || b == 19)); // RFC 2544
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        // RFC 6052, RFC 3056: a translator or relay leads to the IPv4 address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => inner(high, low),
        // Teredo, benchmarking, ORCHID, documentation.
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        [0x3fff, second, ..] => second >= 0x1000,
        // Only 2000::/3 is global unicast; this leaves out ::1, mapped, fc00::/7, fe80::/10, ff00::/8.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "3fff::1",
        ];
        for ip in private {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        let public = [
            "8.8.8.8",
            "172.32.0.1",
            "172.15.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.3.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1",
            "2001:4860::8888",
            "64:ff9b::808:808",
            "2002:808:808::",
        ];
        for ip in public {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn urls_that_lead_inside_or_are_none_are_refused() {
        let out = Outgoing::new(false).unwrap();
        for url in ["https://example.jp/hook", "https://example.jp:8443/a?b=c", "https://8.8.8.8/"]
        {
            assert!(out.check(url).is_ok(), "{url}");
        }
        for url in [
            "https://127.0.0.1/",
            "https://localhost/",
            "https://a.localhost/",
            "https://[::1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://intranet/",
            "https://db.internal./",
            "https://[::ffff:10.0.0.1]/",
            "https://printer.local/",
        ] {
            assert_eq!(out.check(url), Err(TargetError::Private), "{url}");
        }
        let long = format!("https://example.jp/{}", "a".repeat(URL_BYTES_MAX));
        for url in [
            "",
            "example.jp",
            "http://example.jp/",
            "ftp://example.jp/",
            "https://",
            &long,
            "https://user:word@example.jp/",
        ] {
            assert_eq!(out.check(url), Err(TargetError::Url), "{url}");
        }
        let open = Outgoing::new(true).unwrap();
        assert!(open.check("http://127.0.0.1:9/").is_ok());
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_is_refused_when_it_is_called() {
        let resolver = Resolver { private_targets: false };
        let found = resolver.resolve("localhost".parse().unwrap()).await;
        let why = found.err().expect("localhost is private");
        assert_eq!(why.downcast_ref::<TargetError>(), Some(&TargetError::Private));
        let open = Resolver { private_targets: true };
        assert!(open.resolve("localhost".parse().unwrap()).await.unwrap().count() > 0);
    }

    #[test]
    fn only_2xx_is_delivered_and_a_wish_for_rest_is_kept() {
        let outcome = |status, rest| Answer { status, rest }.outcome();
        assert_eq!(outcome(204, None), Outcome::Delivered);
        for status in [302, 400, 404, 500] {
            assert!(matches!(outcome(status, None), Outcome::Transient(_)), "{status}");
        }
        let rest = Duration::from_mins(2);
        assert!(matches!(outcome(429, Some(rest)), Outcome::Busy { rest: r, .. } if r == rest));
    }
}
