//! The first look at every message, before any transaction or task exists for it.
//!
//! In: what the transports received. Out: the message, or nothing when it was refused here,
//! statelessly (RFC 3261 §8.2.7), so that floods cost one answer each and no memory: malformed
//! requests, unknown peers, calls that do not exist, more new calls than the rate, a full or
//! stopping house.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Instant;

use rsipstack::dialog::DialogId;
use rsipstack::sip::prelude::{HeadersExt, ToTypedHeader};
use rsipstack::sip::{Header, Method, Request, Response, SipMessage, Version};
use rsipstack::transaction::endpoint::{EndpointInner, TransportEventInspector};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};
use tracing::debug;

use super::counters::count;
use super::refusal::Refusal;
use super::screen::screen;
use super::server::Shared;

pub(crate) struct Gate {
    shared: Arc<Shared>,
    endpoint: Arc<OnceLock<Weak<EndpointInner>>>,
    tags: RandomState,
}

impl Gate {
    pub(crate) fn new(shared: Arc<Shared>, endpoint: Arc<OnceLock<Weak<EndpointInner>>>) -> Self {
        Self { shared, endpoint, tags: RandomState::new() }
    }

    /// Whether this request belongs to a transaction that exists.
    fn is_known(&self, request: &Request) -> bool {
        let key = TransactionKey::from_request(request, TransactionRole::Server);
        let endpoint = self.endpoint.get().and_then(Weak::upgrade);
        match (key, endpoint) {
            (Ok(key), Some(endpoint)) => {
                endpoint.transactions.contains_key(&key)
                    || endpoint.finished_transactions.contains_key(&key)
            }
            _ => false,
        }
    }

    /// Whether this request names both ends of a call that is up. Its peer need not be a trunk: a
    /// carrier may send BYE from another machine than INVITE, and the tags cannot be guessed.
    fn is_in_call(&self, request: &Request) -> bool {
        let dialog = DialogId::try_from((request, TransactionRole::Server));
        dialog.is_ok_and(|dialog| self.shared.calls.by_dialog(&dialog.to_string()).is_some())
    }

    fn admit(&self, request: &Request, source: Option<SocketAddr>) -> Result<(), Refusal> {
        screen(request)?;
        let tagged = request.to_header().is_ok_and(|to| to.tag().is_ok_and(|tag| tag.is_some()));
        if self.is_known(request) || (tagged && self.is_in_call(request)) {
            return Ok(());
        }
        let is_invite = request.method == Method::Invite;
        if is_invite && !tagged {
            count(&self.shared.counters.offered);
        }
        let judged = self.judge(request, source, tagged);
        if let (true, Err(refusal)) = (is_invite, &judged) {
            self.shared.counters.refuse(refusal.reason);
        }
        judged
    }

    /// What may pass of a request that belongs to nothing that exists.
    fn judge(
        &self,
        request: &Request,
        source: Option<SocketAddr>,
        tagged: bool,
    ) -> Result<(), Refusal> {
        if !self.shared.is_trusted(source) {
            return Err(Refusal::new(403, "unknown peer"));
        }
        match request.method {
            // rsipstack drops the one and answers 481 to the other, without a transaction.
            Method::Ack | Method::Cancel => Ok(()),
            // RFC 3261 §12.2.2.
            _ if tagged => Err(Refusal::no_call()),
            Method::Invite => self.shared.refuse_new_call().map_or(Ok(()), Err),
            _ => Ok(()),
        }
    }

    /// RFC 3261 §8.2.7: the same request gets the same To tag.
    fn response(&self, request: &Request, refusal: &Refusal) -> Response {
        let mut headers = rsipstack::sip::Headers::default();
        for header in request.headers.iter() {
            match header {
                Header::Via(_) | Header::From(_) | Header::CallId(_) | Header::CSeq(_) => {
                    headers.push(header.clone());
                }
                Header::To(to) => headers.push(match to.clone().typed() {
                    Ok(typed) if to.tag().is_ok_and(|tag| tag.is_none()) => {
                        let via = request.via_header().map_or("", |via| via.value());
                        let call = request.call_id_header().map_or("", |id| id.value());
                        let tag = format!("{:016x}", self.tags.hash_one((via, call)));
                        typed.with_tag(tag.into()).into()
                    }
                    _ => header.clone(),
                }),
                _ => {}
            }
        }
        headers.extend(refusal.header_list(&self.shared.config.user_agent));
        headers.push(Header::Server(self.shared.config.user_agent.clone().into()));
        headers.push(Header::ContentLength(0.into()));
        Response {
            status_code: refusal.status_code(),
            wire_reason: None,
            version: Version::V2,
            headers,
            body: Vec::new(),
        }
    }

    async fn pass(
        &self,
        request: Request,
        connection: SipConnection,
        from: SipAddr,
    ) -> Option<TransportEvent> {
        let Err(refusal) = self.admit(&request, from.get_socketaddr().ok()) else {
            return Some(TransportEvent::Incoming(request.into(), connection, from));
        };
        debug!(status = refusal.status, reason = refusal.reason, "Refused a request at the gate.");
        // RFC 3261 §17: an ACK is never answered.
        if request.method != Method::Ack {
            let response = self.response(&request, &refusal);
            let to = (!connection.is_reliable()).then_some(&from);
            if connection.send(response.into(), to).await.is_err() {
                debug!("A refusal could not be sent.");
            }
        }
        None
    }
}

impl TransportEventInspector for Gate {
    fn handle<'gate, 'run>(
        &'gate self,
        event: TransportEvent,
    ) -> Pin<Box<dyn Future<Output = Option<TransportEvent>> + Send + 'run>>
    where
        'gate: 'run,
        Self: 'run,
    {
        Box::pin(async move {
            match event {
                TransportEvent::Incoming(SipMessage::Request(request), connection, from) => {
                    self.pass(request, connection, from).await
                }
                other => Some(other),
            }
        })
    }
}

/// A token bucket: `rate` a second, bursts of one second's worth.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: f64,
    state: Mutex<(f64, Option<Instant>)>,
}

impl Rate {
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, state: Mutex::new((per_second, None)) }
    }

    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut state = self.state.lock().expect("nothing panics while counting");
        let (tokens, before) = *state;
        let passed = before.map_or(0.0, |b| now.saturating_duration_since(b).as_secs_f64());
        let tokens = (tokens + passed * self.per_second).min(self.per_second);
        let taken = tokens >= 1.0;
        *state = (if taken { tokens - 1.0 } else { tokens }, Some(now));
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_rate_is_kept_at_the_limit() {
        let rate = Rate::new(10);
        let start = Instant::now();
        assert_eq!((0..20).filter(|_| rate.take(start)).count(), 10);
        let later = start + Duration::from_millis(501);
        assert_eq!((0..20).filter(|_| rate.take(later)).count(), 5);
        assert_eq!((0..99).filter(|_| rate.take(later + Duration::from_mins(1))).count(), 10);
    }
}
