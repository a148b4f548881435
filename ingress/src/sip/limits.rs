//! All limits of the SIP side, with their relations checked at compile time.

use std::time::Duration;

/// Most numbers of one INVITE that the directory is asked for.
pub(crate) const CANDIDATES_MAX: usize = 8;
/// Most forwardings that a call may have behind it.
pub(crate) const DIVERSIONS_MAX: usize = 10;
/// Most header lines of a request that we look at; more is refused with 400.
pub(crate) const HEADERS_MAX: usize = 128;
/// Largest UDP message that is read: rsipstack's receive buffer. RFC 3261 §18.1.1 tells senders to
/// use TCP above 1 300 octets, so a trunk that needs more than this must use TCP.
pub(crate) const UDP_MESSAGE_BYTES_MAX: usize = 8_192;
/// Largest SDP that is read.
pub(crate) const SDP_BYTES_MAX: usize = 16_384;
/// Most media lines of an offer.
pub(crate) const SDP_MEDIA_MAX: usize = 16;
/// Most payload formats on a media line that are looked at.
pub(crate) const SDP_FORMATS_MAX: usize = 64;
/// Longest wait for the directory.
pub(crate) const DIRECTORY_WAIT_MAX: Duration = Duration::from_secs(3);
/// Requests of one call that wait for it; one more is answered 500 with Retry-After.
pub(crate) const CALL_QUEUE_MAX: usize = 16;
/// Requests outside calls that are worked on at once; one more is answered 503.
pub(crate) const REQUESTS_AT_ONCE_MAX: usize = 4_096;
/// Refused INVITEs whose ACK is waited for at once, so that a lost refusal is repeated. Further
/// ones are repeated only when the INVITE is (RFC 3261 §17.2.1 without Timer G).
pub(crate) const REFUSED_AWAITED_MAX: usize = 4_096;
/// A session interval may not be shorter (RFC 4028 §4).
pub(crate) const SESSION_INTERVAL_MIN: Duration = Duration::from_secs(90);
/// Longest caller number that is kept as the network gave it.
pub(crate) const CALLER_CHARACTERS_MAX: usize = 64;
/// How long after its drain a stopping server waits for the answers to its BYEs.
pub(crate) const GOODBYE_WAIT_MAX: Duration = Duration::from_secs(2);

const _: () = assert!(CANDIDATES_MAX <= DIVERSIONS_MAX);
const _: () = assert!(UDP_MESSAGE_BYTES_MAX <= SDP_BYTES_MAX);
const _: () = assert!(DIRECTORY_WAIT_MAX.as_secs() < 32, "answer before the caller gives up");
