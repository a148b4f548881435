//! Whose mailbox a forwarded call is for (S07), read from what the trunk says about the forwarding.
//!
//! In: the Request-URI, To, and the forwarding headers as text, with the order in which the trunk
//! wants them believed. Out: candidate numbers in E.164, best first, or why the call is refused.
//! Pure; whether anybody owns a number is the directory's to say, and whether a peer may be
//! believed at all is the trunk configuration's.

use serde::Deserialize;

use super::address::Address;
use super::limits::{CANDIDATES_MAX, DIVERSIONS_MAX};
use super::number::{NumberError, to_e164};

/// Where the mailbox number may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MailboxSource {
    /// `target=` of the Request-URI (RFC 4458 §2).
    Target,
    /// The user part of the Request-URI: the called 050 number.
    RequestUri,
    /// History-Info (RFC 7044; older peers RFC 4244).
    HistoryInfo,
    /// Diversion (RFC 5806).
    Diversion,
    /// P-Called-Party-ID (RFC 7315 §4.2).
    CalledParty,
    /// To.
    To,
}

impl MailboxSource {
    /// The order in use where a trunk says nothing.
    pub const DEFAULT_ORDER: [Self; 6] = [
        Self::Target,
        Self::RequestUri,
        Self::HistoryInfo,
        Self::Diversion,
        Self::CalledParty,
        Self::To,
    ];
    /// What an untrusted peer may use: what it dialled, nothing that it claims about others.
    pub const UNTRUSTED_ORDER: [Self; 1] = [Self::RequestUri];
}

/// The headers that say whom a call was for, as they stand in the INVITE.
#[derive(Debug, Clone, Default)]
pub struct ForwardingHeaders<'a> {
    /// Request-URI.
    pub request_uri: &'a str,
    /// To.
    pub to: &'a str,
    /// Every History-Info header, top first.
    pub history_info: Vec<&'a str>,
    /// Every Diversion header, top first.
    pub diversion: Vec<&'a str>,
    /// P-Called-Party-ID.
    pub called_party: Option<&'a str>,
}

/// Why a forwarded call is refused before any lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardingError {
    /// No source holds a number.
    #[error("the call names no mailbox number")]
    NoNumber,
    /// The forwarding target was registered with a dialling prefix (S24).
    #[error(
        "the forwarding target carries the dialling prefix {prefix}; register the 050 number alone"
    )]
    DiallingPrefix {
        /// Which.
        prefix: &'static str,
    },
    /// Forwarded more often than any sane path does.
    #[error("the call was forwarded {times} times; at most {limit} are followed")]
    Loop {
        /// How often.
        times: usize,
        /// The limit.
        limit: usize,
    },
}

/// Candidate mailbox numbers in E.164, each once, best first, at most eight.
pub fn candidates(
    order: &[MailboxSource],
    headers: &ForwardingHeaders<'_>,
) -> Result<Vec<String>, ForwardingError> {
    let reads = |wanted| order.contains(&wanted);
    let diversions = if reads(MailboxSource::Diversion) { diversions(headers) } else { Vec::new() };
    let history = if reads(MailboxSource::HistoryInfo) { history(headers) } else { Vec::new() };
    guard_against_loops(&diversions, &history)?;

    let mut found: Vec<String> = Vec::new();
    let request_uri = Address::parse_uri(headers.request_uri);
    for source in order {
        let texts: Vec<String> = match source {
            MailboxSource::Target => request_uri.iter().filter_map(target_parameter).collect(),
            MailboxSource::RequestUri => request_uri.iter().map(|uri| uri.user.clone()).collect(),
            MailboxSource::HistoryInfo => first_target(&history).into_iter().collect(),
            // RFC 5806 §5: the top entry is the latest; the bottom one is whom the caller dialled.
            MailboxSource::Diversion => {
                diversions.iter().rev().map(|entry| entry.user.clone()).collect()
            }
            MailboxSource::CalledParty => {
                headers.called_party.and_then(Address::parse).map(|a| a.user).into_iter().collect()
            }
            MailboxSource::To => Address::parse(headers.to).map(|a| a.user).into_iter().collect(),
        };
        let is_target = matches!(source, MailboxSource::Target | MailboxSource::RequestUri);
        for text in texts {
            match to_e164(&text) {
                Ok(number) if !found.contains(&number) => found.push(number),
                Err(NumberError::DiallingPrefix { prefix }) if is_target => {
                    return Err(ForwardingError::DiallingPrefix { prefix });
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    found.truncate(CANDIDATES_MAX);
    if found.is_empty() { Err(ForwardingError::NoNumber) } else { Ok(found) }
}

/// RFC 4458 §2: `target=` holds a percent-encoded URI or number.
fn target_parameter(uri: &Address) -> Option<String> {
    let target = uri.uri_parameter("target")?;
    Some(Address::parse(target).map_or_else(|| target.to_owned(), |address| address.user))
}

fn diversions(headers: &ForwardingHeaders<'_>) -> Vec<Address> {
    headers.diversion.iter().flat_map(|line| Address::parse_list(line)).collect()
}

struct HistoryEntry {
    address: Address,
    index: Vec<u32>,
}

/// Every hi-entry that is not private, ordered by its index (RFC 7044 §5).
fn history(headers: &ForwardingHeaders<'_>) -> Vec<HistoryEntry> {
    let mut entries: Vec<_> = headers
        .history_info
        .iter()
        .flat_map(|line| Address::parse_list(line))
        .map(|address| HistoryEntry {
            index: index_of(address.parameter("index").unwrap_or_default()),
            address,
        })
        .collect();
    entries.sort_by(|a, b| a.index.cmp(&b.index));
    entries
}

fn index_of(text: &str) -> Vec<u32> {
    text.split('.').map_while(|part| part.trim().parse().ok()).take(32).collect()
}

/// Whom the call was for before it was first retargeted.
fn first_target(history: &[HistoryEntry]) -> Option<String> {
    let position = retargeted_from(history)?;
    let entry = &history[position].address;
    // RFC 7044 §10.1.2: an entry marked so is not to be used.
    let private = entry.uri_header("privacy").is_some_and(|privacy| privacy.contains("history"));
    (!private).then(|| entry.user.clone())
}

fn retargeted_from(history: &[HistoryEntry]) -> Option<usize> {
    // RFC 7044 §5: `mp` and `rc` name the entry that the retargeting started from.
    let mapped = history.iter().find_map(|entry| {
        let parent = entry.address.parameter("mp").or_else(|| entry.address.parameter("rc"))?;
        let parent = index_of(parent);
        history.iter().position(|other| other.index == parent)
    });
    // RFC 4458 §2: `cause=` marks the target of a diversion; the entry before was diverted.
    let caused = || {
        history
            .iter()
            .position(|entry| entry.address.uri_parameter("cause").is_some())
            .and_then(|at| at.checked_sub(1))
    };
    // RFC 4244 has neither: the last entry is where the call went, the one before whom it was for.
    mapped.or_else(caused).or_else(|| history.len().checked_sub(2))
}

fn guard_against_loops(
    diversions: &[Address],
    history: &[HistoryEntry],
) -> Result<(), ForwardingError> {
    let counted: usize = diversions
        .iter()
        .map(|entry| {
            entry.parameter("counter").and_then(|c| c.parse().ok()).unwrap_or(1_usize).max(1)
        })
        .fold(0, usize::saturating_add);
    let times = counted.max(history.len().saturating_sub(1));
    if times > DIVERSIONS_MAX {
        return Err(ForwardingError::Loop { times, limit: DIVERSIONS_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAILBOX: &str = "+815011112222";

    fn only(source: MailboxSource, headers: &ForwardingHeaders<'_>) -> Vec<String> {
        candidates(&[source], headers).unwrap_or_default()
    }

    #[test]
    fn request_uri_names_the_mailbox() {
        for uri in [
            "sip:+815011112222@vm.example;user=phone",
            "sip:05011112222@192.0.2.1:5060",
            "tel:+81-50-1111-2222",
            "sip:+815011112222;npdi;rn=+815000000000@vm.example",
        ] {
            let headers = ForwardingHeaders { request_uri: uri, ..Default::default() };
            assert_eq!(only(MailboxSource::RequestUri, &headers), [MAILBOX], "{uri}");
        }
    }

    #[test]
    fn target_parameter_is_decoded() {
        for uri in [
            "sip:voicemail@vm.example;target=sip:%2B815011112222%40carrier.example;cause=408",
            "sip:voicemail@vm.example;target=tel%3A%2B815011112222",
            "sip:voicemail@vm.example;target=05011112222",
        ] {
            let headers = ForwardingHeaders { request_uri: uri, ..Default::default() };
            assert_eq!(only(MailboxSource::Target, &headers), [MAILBOX], "{uri}");
        }
    }

    /// S07: History-Info.
    #[test]
    fn history_info_of_both_generations_is_read() {
        let cases: [(&str, &[&str]); 5] = [
            (
                "RFC 7044 with mp",
                &[
                    "<sip:+815011112222@a>;index=1",
                    "<sip:vm@a;cause=302>;index=1.1;mp=1, <sip:vm2@a>;index=1.1.1;rc=1.1",
                ],
            ),
            (
                "out of order",
                &[
                    "<sip:vm@a;cause=408>;index=1.10;mp=1.2, <sip:05011112222@a>;index=1.2, <sip:x@a>;index=1",
                ],
            ),
            (
                "cause only",
                &[
                    "<sip:+815011112222@a>;index=1, <sip:vm@a;cause=486>;index=1.1, <sip:y@a>;index=1.2",
                ],
            ),
            (
                "RFC 4244",
                &[
                    "<sip:z@a>;index=1, <sip:+815011112222@a?Reason=SIP%3Bcause%3D302>;index=1.1, <sip:vm@a>;index=1.2",
                ],
            ),
            ("tel", &["<tel:+81-50-1111-2222>;index=1,<sip:vm@a>;index=1.1"]),
        ];
        for (name, lines) in cases {
            let headers = ForwardingHeaders { history_info: lines.to_vec(), ..Default::default() };
            assert_eq!(only(MailboxSource::HistoryInfo, &headers), [MAILBOX], "{name}");
        }
    }

    #[test]
    fn private_history_is_not_used() {
        let headers = ForwardingHeaders {
            history_info: vec![
                "<sip:+815011112222@a?Privacy=history>;index=1, <sip:vm@a>;index=1.1;mp=1",
            ],
            ..Default::default()
        };
        assert!(only(MailboxSource::HistoryInfo, &headers).is_empty());
    }

    /// S07: Diversion.
    #[test]
    fn the_first_called_stands_at_the_bottom_of_diversion() {
        let headers = ForwardingHeaders {
            diversion: vec![
                "<sip:+819000000001@a>;reason=no-answer",
                "\"Subscriber\" <sip:05011112222@a>;reason=user-busy;counter=2",
            ],
            ..Default::default()
        };
        assert_eq!(only(MailboxSource::Diversion, &headers), [MAILBOX, "+819000000001"]);
    }

    #[test]
    fn called_party_and_to_are_last_resorts() {
        let headers = ForwardingHeaders {
            called_party: Some("<sip:+815011112222@ims.example>"),
            to: "\"x\" <sip:05033334444@h>;tag=1",
            ..Default::default()
        };
        let found = candidates(&MailboxSource::DEFAULT_ORDER, &headers).unwrap();
        assert_eq!(found, [MAILBOX, "+815033334444"]);
    }

    #[test]
    fn order_is_the_trunks_and_numbers_come_once() {
        let headers = ForwardingHeaders {
            request_uri: "sip:05011112222@h;target=sip:05033334444%40h",
            to: "<sip:+815011112222@h>",
            ..Default::default()
        };
        assert_eq!(
            candidates(&MailboxSource::DEFAULT_ORDER, &headers).unwrap(),
            ["+815033334444", MAILBOX]
        );
        assert_eq!(
            candidates(&[MailboxSource::To, MailboxSource::RequestUri], &headers).unwrap(),
            [MAILBOX]
        );
    }

    #[test]
    fn what_the_order_leaves_out_is_not_read() {
        let headers = ForwardingHeaders {
            request_uri: "sip:pilot@h;target=sip:05033334444%40h",
            diversion: vec!["<sip:05011112222@h>"],
            ..Default::default()
        };
        assert_eq!(
            candidates(&MailboxSource::UNTRUSTED_ORDER, &headers),
            Err(ForwardingError::NoNumber)
        );
    }

    /// S24.
    #[test]
    fn a_target_with_a_dialling_prefix_is_refused() {
        let headers = ForwardingHeaders {
            request_uri: "sip:00376805011112222@h",
            to: "<sip:05011112222@h>",
            ..Default::default()
        };
        assert_eq!(
            candidates(&MailboxSource::DEFAULT_ORDER, &headers),
            Err(ForwardingError::DiallingPrefix { prefix: "003768" })
        );
    }

    #[test]
    fn forwarding_is_followed_up_to_the_limit() {
        let line = |count: usize| vec!["<sip:05011112222@h>"; count].join(",");
        for (count, ok) in [(DIVERSIONS_MAX, true), (DIVERSIONS_MAX + 1, false)] {
            let text = line(count);
            let headers = ForwardingHeaders { diversion: vec![&text], ..Default::default() };
            assert_eq!(candidates(&[MailboxSource::Diversion], &headers).is_ok(), ok, "{count}");
        }
        let headers = ForwardingHeaders {
            diversion: vec![
                "<sip:05011112222@h>;counter=99999999999999999999, <sip:1@h>;counter=18446744073709551615",
            ],
            ..Default::default()
        };
        assert!(matches!(
            candidates(&[MailboxSource::Diversion], &headers),
            Err(ForwardingError::Loop { .. })
        ));
    }
}
