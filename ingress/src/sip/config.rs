//! How the SIP side is configured, and what of it makes no sense.
//!
//! In: values from file, environment or flags. Out: the same, checked, with trunks ready to be
//! matched against a peer's address. Knows nothing of sockets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use engine_core::codec::Codec;
use serde::{Deserialize, Deserializer};

use super::forwarding::MailboxSource;
use super::limits::SESSION_INTERVAL_MIN;

/// The SIP side's configuration. Port 0 takes a free port; the handle reports which.
///
/// Where no trunk is configured and every listen address is a loopback address, loopback peers
/// are trusted as a trunk named `loopback`: the embedded default works without any configuration,
/// and nobody outside the machine can use it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SipConfig {
    /// UDP addresses to listen on, IPv4 and IPv6.
    pub udp: Vec<SocketAddr>,
    /// TCP addresses to listen on. Messages above 8 192 octets need TCP (RFC 3261 §18.1.1).
    pub tcp: Vec<SocketAddr>,
    /// Peers that are believed when they say who called and who forwarded.
    pub trunks: Vec<TrunkConfig>,
    /// What becomes of calls from anybody else.
    pub other_peers: OtherPeers,
    /// Addresses for media to advertise in SDP, one a family, where the machine's own address is
    /// not what callers reach (NAT). Without one, the address that faces the caller.
    pub media_addresses: Vec<IpAddr>,
    /// Most calls at once; one more is answered 503 with Retry-After.
    pub calls_max: usize,
    /// Most new calls a second; one more is answered 503 with Retry-After.
    pub invites_per_second: u32,
    /// What Retry-After says, in seconds.
    pub retry_after_seconds: u32,
    /// Shortest session interval taken (Min-SE, RFC 4028 §5), in seconds. The RFC wants 90; less is
    /// for tests.
    pub session_expires_min_seconds: u32,
    /// User-Agent and Server.
    pub user_agent: String,
    /// Codecs, best first.
    #[serde(deserialize_with = "codecs")]
    pub codecs: Vec<Codec>,
    /// RFC 3261's T1 in milliseconds: the estimate of the round trip that every SIP timer is a
    /// multiple of.
    pub t1_milliseconds: u32,
    /// `SO_RCVBUF` of each UDP socket, in bytes: room for bursts while the machine is busy.
    pub receive_buffer_bytes: usize,
    /// Most TCP connections at once; one more is closed at once.
    pub tcp_connections_max: usize,
}

impl Default for SipConfig {
    fn default() -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 5060));
        Self {
            udp: vec![any_port],
            tcp: vec![any_port],
            trunks: Vec::new(),
            other_peers: OtherPeers::Refuse,
            media_addresses: Vec::new(),
            calls_max: 1_000,
            invites_per_second: 200,
            retry_after_seconds: 5,
            session_expires_min_seconds: SESSION_INTERVAL_MIN.as_secs() as u32,
            user_agent: format!("Rusuden/{}", env!("CARGO_PKG_VERSION")),
            codecs: Codec::ALL.to_vec(),
            t1_milliseconds: 500,
            receive_buffer_bytes: 4 * 1024 * 1024,
            tcp_connections_max: 256,
        }
    }
}

fn codecs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Codec>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .into_iter()
        .map(|name| {
            Codec::from_name(&name).ok_or_else(|| {
                serde::de::Error::custom(format!(
                    "{name:?} is no codec we speak; use PCMU, PCMA, G722 or opus"
                ))
            })
        })
        .collect()
}

/// A carrier's or operator's SIP trunk.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkConfig {
    /// For logs and counters.
    pub name: String,
    /// Where its requests come from: addresses or networks (`192.0.2.0/24`, `2001:db8::/32`).
    pub addresses: Vec<Network>,
    /// Where the mailbox number stands, most believed first.
    #[serde(default = "default_order")]
    pub mailbox_sources: Vec<MailboxSource>,
}

fn default_order() -> Vec<MailboxSource> {
    MailboxSource::DEFAULT_ORDER.to_vec()
}

/// What becomes of calls from peers that are no trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherPeers {
    /// 403.
    #[default]
    Refuse,
    /// Taken, but only the number that they dialled and From are read.
    RequestUriOnly,
}

/// An address or a network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `ip` lies in it. IPv4 in IPv6 counts as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (u32::from(net) ^ u32::from(ip)) & mask == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (u128::from(net) ^ u128::from(ip)) & mask == 0
            }
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::Network { text: text.chars().take(64).collect() };
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => {
                prefix.trim().parse().ok().filter(|p| *p <= longest).ok_or_else(wrong)?
            }
            None => longest,
        };
        Ok(Self { address, prefix })
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not an address or network.
    #[error(
        "{text:?} is no network; write an address such as 192.0.2.1 or a network such as 192.0.2.0/24"
    )]
    Network {
        /// What was written.
        text: String,
    },
    /// Nothing to listen on.
    #[error("nothing to listen on; set udp or tcp to at least one address")]
    NoAddress,
    /// No codec is left.
    #[error("codecs is empty; name at least one of PCMU, PCMA, G722, opus")]
    NoCodec,
    /// A value is out of its range.
    #[error("{key} is {value}; it must be from {min} to {max}")]
    OutOfRange {
        /// Its name.
        key: &'static str,
        /// What was written.
        value: u64,
        /// Least.
        min: u64,
        /// Most.
        max: u64,
    },
    /// A trunk that nobody can match or that reads nothing.
    #[error("trunk {name:?} has no {missing}")]
    EmptyTrunk {
        /// Which.
        name: String,
        /// What it lacks.
        missing: &'static str,
    },
    /// Reachable from outside, yet nobody would be let in.
    #[error(
        "{address} is reachable from outside and no trunk is configured, so every call would be \
         refused; add a trunk or set other_peers to \"request-uri-only\""
    )]
    NobodyTrusted {
        /// The first such address.
        address: SocketAddr,
    },
}

/// How a peer is treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    pub(crate) name: String,
    pub(crate) order: Vec<MailboxSource>,
    /// Whether what it says about others is believed.
    pub(crate) believed: bool,
}

impl SipConfig {
    /// Checks what types cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.udp.is_empty() && self.tcp.is_empty() {
            return Err(ConfigError::NoAddress);
        }
        if self.codecs.is_empty() {
            return Err(ConfigError::NoCodec);
        }
        for (key, value, min, max) in [
            ("calls_max", self.calls_max as u64, 1, 1_000_000),
            ("invites_per_second", u64::from(self.invites_per_second), 1, 1_000_000),
            ("retry_after_seconds", u64::from(self.retry_after_seconds), 1, 86_400),
            ("session_expires_min_seconds", u64::from(self.session_expires_min_seconds), 3, 86_400),
            ("t1_milliseconds", u64::from(self.t1_milliseconds), 1, 10_000),
            ("receive_buffer_bytes", self.receive_buffer_bytes as u64, 65_536, 1 << 30),
            ("tcp_connections_max", self.tcp_connections_max as u64, 1, 1_000_000),
        ] {
            if !(min..=max).contains(&value) {
                return Err(ConfigError::OutOfRange { key, value, min, max });
            }
        }
        for trunk in &self.trunks {
            let empty = |missing| ConfigError::EmptyTrunk { name: trunk.name.clone(), missing };
            if trunk.addresses.is_empty() {
                return Err(empty("addresses"));
            }
            if trunk.mailbox_sources.is_empty() {
                return Err(empty("mailbox_sources"));
            }
        }
        let outside = self.udp.iter().chain(&self.tcp).find(|address| !address.ip().is_loopback());
        match outside {
            Some(&address) if self.trunks.is_empty() && self.other_peers == OtherPeers::Refuse => {
                Err(ConfigError::NobodyTrusted { address })
            }
            _ => Ok(()),
        }
    }

    /// How calls from `peer` are treated; `None`: refused.
    pub(crate) fn trust(&self, peer: IpAddr) -> Option<Trust> {
        let peer = peer.to_canonical();
        let trunk = self
            .trunks
            .iter()
            .find(|trunk| trunk.addresses.iter().any(|network| network.contains(peer)));
        if let Some(trunk) = trunk {
            return Some(Trust {
                name: trunk.name.clone(),
                order: trunk.mailbox_sources.clone(),
                believed: true,
            });
        }
        let inside = self.udp.iter().chain(&self.tcp).all(|address| address.ip().is_loopback());
        if self.trunks.is_empty() && inside && peer.is_loopback() {
            return Some(Trust {
                name: "loopback".to_owned(),
                order: default_order(),
                believed: true,
            });
        }
        match self.other_peers {
            OtherPeers::Refuse => None,
            OtherPeers::RequestUriOnly => Some(Trust {
                name: "other".to_owned(),
                order: MailboxSource::UNTRUSTED_ORDER.to_vec(),
                believed: false,
            }),
        }
    }

    pub(crate) fn t1(&self) -> Duration {
        Duration::from_millis(self.t1_milliseconds.into())
    }

    /// What to write into SDP for media that is received on `local`.
    pub(crate) fn advertised(&self, local: SocketAddr) -> SocketAddr {
        let same = self.media_addresses.iter().find(|ip| ip.is_ipv4() == local.is_ipv4());
        SocketAddr::new(same.copied().unwrap_or_else(|| local.ip()), local.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trunk(addresses: &[&str]) -> TrunkConfig {
        TrunkConfig {
            name: "carrier".to_owned(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            mailbox_sources: vec![MailboxSource::Diversion],
        }
    }

    #[test]
    fn networks_contain_their_addresses_only() {
        let cases = [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "192.0.2.1", false),
        ];
        for (network, ip, inside) in cases {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(ip.parse().unwrap()), inside, "{network:?} {ip}");
        }
        for text in ["", "x", "192.0.2.0/33", "::/129", "192.0.2.0/-1", "192.0.2.0/"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_trunks_are_believed() {
        let config = SipConfig { trunks: vec![trunk(&["192.0.2.0/24"])], ..Default::default() };
        let trust = config.trust("192.0.2.9".parse().unwrap()).unwrap();
        assert!(trust.believed);
        assert_eq!(trust.order, [MailboxSource::Diversion]);
        assert_eq!(config.trust("127.0.0.1".parse().unwrap()), None, "a trunk is configured");
        assert_eq!(config.trust("192.0.3.1".parse().unwrap()), None);
    }

    #[test]
    fn loopback_is_trusted_only_where_nobody_else_can_come() {
        let config = SipConfig::default();
        assert!(config.trust("127.0.0.1".parse().unwrap()).unwrap().believed);
        assert!(config.trust("::1".parse().unwrap()).unwrap().believed);
        assert_eq!(config.trust("192.0.2.1".parse().unwrap()), None);
        let outside = SipConfig {
            udp: vec!["0.0.0.0:5060".parse().unwrap()],
            other_peers: OtherPeers::RequestUriOnly,
            ..Default::default()
        };
        let trust = outside.trust("127.0.0.1".parse().unwrap()).unwrap();
        assert!(!trust.believed);
        assert_eq!(trust.order, MailboxSource::UNTRUSTED_ORDER);
    }

    #[test]
    fn a_configuration_file_is_read() {
        let config: SipConfig = toml::from_str(
            r#"
            udp = ["0.0.0.0:5060", "[::]:5060"]
            tcp = []
            other_peers = "request-uri-only"
            media_addresses = ["203.0.113.7"]
            codecs = ["PCMU", "opus"]

            [[trunks]]
            name = "carrier"
            addresses = ["192.0.2.0/24", "2001:db8::1"]
            mailbox_sources = ["request-uri", "diversion", "history-info"]

            [[trunks]]
            name = "other"
            addresses = ["198.51.100.1"]
            "#,
        )
        .unwrap();
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.codecs, [Codec::Pcmu, Codec::Opus]);
        assert_eq!(config.trunks[0].mailbox_sources.len(), 3);
        assert_eq!(config.trunks[1].mailbox_sources, MailboxSource::DEFAULT_ORDER);
        let rtp = |text: &str| config.advertised(text.parse().unwrap()).to_string();
        assert_eq!(rtp("10.0.0.1:40000"), "203.0.113.7:40000");
        assert_eq!(rtp("[2001:db8::2]:40000"), "[2001:db8::2]:40000");
        for (text, said) in [
            ("upd = []", "upd"),
            ("codecs = [\"AMR\"]", "AMR"),
            ("[[trunks]]\nname = \"x\"\naddresses = [\"192.0.2.0/99\"]", "192.0.2.0/99"),
        ] {
            let error = toml::from_str::<SipConfig>(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn senseless_configurations_name_the_key() {
        let base = SipConfig::default;
        assert_eq!(base().check(), Ok(()));
        let cases = [
            (SipConfig { udp: vec![], tcp: vec![], ..base() }, "udp"),
            (SipConfig { codecs: vec![], ..base() }, "codecs"),
            (SipConfig { calls_max: 0, ..base() }, "calls_max"),
            (SipConfig { session_expires_min_seconds: 2, ..base() }, "session_expires_min_seconds"),
            (
                SipConfig {
                    trunks: vec![TrunkConfig { addresses: vec![], ..trunk(&[]) }],
                    ..base()
                },
                "addresses",
            ),
            (SipConfig { udp: vec!["0.0.0.0:0".parse().unwrap()], ..base() }, "trunk"),
        ];
        for (config, said) in cases {
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(SipConfig { session_expires_min_seconds: 3, ..base() }.check(), Ok(()));
    }
}
