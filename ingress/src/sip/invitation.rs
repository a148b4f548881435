//! What an INVITE says, read once: whose mailbox, who calls, which codec, which session timer.
//!
//! In: the request, how far its peer is trusted, our codecs. Out: an [`Invitation`], or the
//! refusal. Pure.

use engine_core::caller::Caller;
use engine_core::codec::Codec;
use rsipstack::sip::prelude::HeadersExt;
use rsipstack::sip::{Header, Request};

use super::body;
use super::caller_id::{CallerHeaders, caller};
use super::config::Trust;
use super::forwarding::{ForwardingError, ForwardingHeaders, candidates};
use super::refusal::Refusal;
use super::sdp::{Agreed, Remote, SdpError};
use super::session_timer::{Asked, SessionTimer};

/// Everything that an INVITE says, read once.
pub(crate) struct Invitation {
    pub(crate) numbers: Vec<String>,
    pub(crate) caller: Caller,
    /// The caller's offer; `None`: we offer in the 200 and are answered in the ACK.
    pub(crate) offered: Option<Remote>,
    pub(crate) agreed: Agreed,
    pub(crate) timer: Option<SessionTimer>,
    /// The caller insists on reliable provisional responses, so it gets none.
    pub(crate) no_ringing: bool,
    pub(crate) caller_updates: bool,
    pub(crate) sequence: u32,
}

/// Every value of a header that may stand there more than once, by its name.
fn all<'a>(request: &'a Request, name: &str) -> Vec<String> {
    let named = |header: &&'a Header| header.name().eq_ignore_ascii_case(name);
    request.headers.iter().filter(named).map(|header| header.value().to_owned()).collect()
}

fn has_token(request: &Request, name: &str, token: &str) -> bool {
    all(request, name)
        .iter()
        .flat_map(|line| line.split(','))
        .any(|tag| tag.trim().eq_ignore_ascii_case(token))
}

/// What a request says about session timers (RFC 4028).
pub(crate) fn session_timer(
    request: &Request,
    min_seconds: u32,
) -> Result<Option<SessionTimer>, Refusal> {
    let session_expires = all(request, "Session-Expires");
    let min_se = all(request, "Min-SE");
    let asked = Asked {
        session_expires: session_expires.first().map(String::as_str),
        min_se: min_se.first().map(String::as_str),
        supported: has_token(request, "Supported", "timer")
            || has_token(request, "k", "timer")
            || has_token(request, "Require", "timer"),
    };
    SessionTimer::negotiate(&asked, min_seconds)
}

/// Reads an INVITE of a peer that is trusted so far.
pub(crate) fn read(
    request: &Request,
    trust: &Trust,
    codecs: &[Codec],
    session_min_seconds: u32,
) -> Result<Invitation, Refusal> {
    let timer = session_timer(request, session_min_seconds)?;
    let offered = body::sdp(request)?.map(Remote::parse).transpose().map_err(|e| no_sdp(&e))?;
    let agreed = match &offered {
        Some(remote) => remote.choose(codecs).map_err(|e| no_sdp(&e))?,
        None => our_choice(codecs),
    };
    let history = all(request, "History-Info");
    let diversion = all(request, "Diversion");
    let called_party = all(request, "P-Called-Party-ID");
    let uri = request.uri.to_string();
    let numbers = candidates(
        &trust.order,
        &ForwardingHeaders {
            request_uri: &uri,
            to: request.to_header().map_or("", |to| to.value()),
            history_info: history.iter().map(String::as_str).collect(),
            diversion: diversion.iter().map(String::as_str).collect(),
            called_party: called_party.first().map(String::as_str),
        },
    )
    .map_err(|error| match error {
        ForwardingError::NoNumber => Refusal::new(404, "no mailbox number"),
        // S24: the subscriber's own forwarding setting is wrong; say so.
        ForwardingError::DiallingPrefix { .. } => {
            Refusal::new(404, "dialling prefix").warn(error.to_string())
        }
        ForwardingError::Loop { .. } => Refusal::new(482, "loop").warn(error.to_string()),
    })?;
    let (asserted, privacy) = (all(request, "P-Asserted-Identity"), all(request, "Privacy"));
    let caller = caller(
        &CallerHeaders {
            from: request.from_header().map_or("", |from| from.value()),
            asserted: asserted.iter().map(String::as_str).collect(),
            privacy: privacy.iter().map(String::as_str).collect(),
        },
        trust.believed,
    );
    Ok(Invitation {
        numbers,
        caller,
        offered,
        agreed,
        timer,
        no_ringing: has_token(request, "Require", "100rel"),
        caller_updates: has_token(request, "Allow", "UPDATE"),
        sequence: request.cseq_header().ok().and_then(|cseq| cseq.seq().ok()).unwrap_or(0),
    })
}

/// RFC 3264 §6: 488 where nothing is common; 400 where nothing can be read.
pub(crate) fn no_sdp(error: &SdpError) -> Refusal {
    match error {
        SdpError::NoSound | SdpError::NoCommonCodec | SdpError::CodecChanged => {
            Refusal::new(488, "no common codec").warn(error.to_string())
        }
        // The parser's own words may hold what the caller wrote.
        _ => Refusal::new(400, "malformed").warn("the SDP cannot be read"),
    }
}

/// What we offer to a caller that offers nothing: one codec, since the recording's codec is fixed
/// at the answer and the caller's choice would come after it (in the ACK). G.711 where it is
/// configured: every phone has it.
fn our_choice(codecs: &[Codec]) -> Agreed {
    let is_g711 = |codec: &&Codec| matches!(codec, Codec::Pcmu | Codec::Pcma);
    let codec = codecs.iter().find(is_g711).or(codecs.first()).copied().unwrap_or(Codec::Pcmu);
    let payload_type = codec.static_payload_type().unwrap_or(96);
    Agreed { codec, payload_type, digits: Some((101, codec.clock_hz())) }
}
