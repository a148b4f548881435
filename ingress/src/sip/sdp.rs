//! SDP: what a caller offers, what we answer (RFC 3264, RFC 8866).
//!
//! In: SDP octets from the network, our codecs in order, our address. Out: which codec and payload
//! types are used, where the caller listens and in which direction sound flows, and the SDP that
//! we send. Pure; ports are opened elsewhere.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use engine_core::codec::Codec;
use sdp_types::{Attribute, Connection, Media, Session};

use super::limits::{SDP_BYTES_MAX, SDP_FORMATS_MAX, SDP_MEDIA_MAX};
use crate::media::RemoteChange;

/// Why an SDP cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// Not SDP.
    #[error("the SDP cannot be read: {why}")]
    Unreadable {
        /// What the parser said.
        why: String,
    },
    /// Larger than is read.
    #[error("the SDP has {bytes} octets; at most {limit} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// More media lines than are read.
    #[error("the SDP has {lines} media lines; at most {limit} are read")]
    TooManyMedia {
        /// How many.
        lines: usize,
        /// The limit.
        limit: usize,
    },
    /// No plain RTP sound in it.
    #[error("the SDP offers no sound over RTP/AVP")]
    NoSound,
    /// None of our codecs.
    #[error("the SDP holds none of the codecs we speak")]
    NoCommonCodec,
    /// The codec or its payload type changed within a call.
    #[error("the codec of a call cannot change")]
    CodecChanged,
}

/// What both sides use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// The codec.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: u8,
    /// telephone-event (RFC 4733): payload type and clock.
    pub digits: Option<(u8, u32)>,
}

/// Where we are and which description of the session this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Where we receive RTP, as the caller may reach it.
    pub rtp: SocketAddr,
    /// Session id of the `o=` line.
    pub session: u64,
    /// Version of the `o=` line: one more for each description that we send.
    pub version: u64,
}

/// A description that came from the other side, as far as we use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where it wants our sound, and what flows: nothing while the address is zero.
    pub change: RemoteChange,
    /// The directions as they stand there, for our answer.
    direction: Direction,
    formats: Vec<Format>,
    lines: Vec<Line>,
    times: Vec<(u64, u64)>,
    sound: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Direction {
    sends: bool,
    receives: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Format {
    payload_type: u8,
    name: String,
    clock_hz: u32,
    parameters: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    media: String,
    proto: String,
    formats: String,
}

impl Remote {
    /// Reads an offer or an answer.
    pub fn parse(octets: &[u8]) -> Result<Self, SdpError> {
        if octets.len() > SDP_BYTES_MAX {
            return Err(SdpError::TooLarge { bytes: octets.len(), limit: SDP_BYTES_MAX });
        }
        let session = Session::parse(octets)
            .map_err(|error| SdpError::Unreadable { why: error.to_string() })?;
        if session.medias.len() > SDP_MEDIA_MAX {
            return Err(SdpError::TooManyMedia {
                lines: session.medias.len(),
                limit: SDP_MEDIA_MAX,
            });
        }
        let sound = session.medias.iter().position(is_sound).ok_or(SdpError::NoSound)?;
        let media = &session.medias[sound];
        let lines = session.medias.iter().map(Line::of).collect();
        let times = session.times.iter().take(4).map(|t| (t.start_time, t.stop_time)).collect();
        let direction = Direction::of(&session, media);
        let change = change(&session, media, direction);
        Ok(Self { change, direction, formats: formats(media), lines, times, sound })
    }

    /// The first of `codecs` that is offered.
    pub fn choose(&self, codecs: &[Codec]) -> Result<Agreed, SdpError> {
        codecs.iter().find_map(|&codec| self.with_codec(codec)).ok_or(SdpError::NoCommonCodec)
    }

    /// Whether a call can go on as `agreed` under this description (re-INVITE, UPDATE, ACK).
    /// telephone-event stays only under its payload type.
    pub fn keeps(&self, agreed: &Agreed) -> Result<Agreed, SdpError> {
        let format = self
            .formats
            .iter()
            .find(|f| f.payload_type == agreed.payload_type && f.codec() == Some(agreed.codec))
            .ok_or(SdpError::CodecChanged)?;
        let digits = agreed.digits.filter(|&(payload_type, _)| {
            self.formats.iter().any(|f| f.payload_type == payload_type && f.is_digits())
        });
        Ok(Agreed { digits, payload_type: format.payload_type, ..*agreed })
    }

    fn with_codec(&self, codec: Codec) -> Option<Agreed> {
        let format = self.formats.iter().find(|format| format.codec() == Some(codec))?;
        let digits = || self.formats.iter().filter(|format| format.is_digits());
        // RFC 4733 §2.5.1.2: events share the sound's clock; some offer only one clock.
        let digits = digits().find(|f| f.clock_hz == codec.clock_hz()).or_else(|| digits().next());
        Some(Agreed {
            codec,
            payload_type: format.payload_type,
            digits: digits.map(|format| (format.payload_type, format.clock_hz)),
        })
    }

    /// Our answer. Media lines keep their order; all but the sound are refused with port 0
    /// (RFC 3264 §6). rtcp-mux, feedback, ICE and encryption are not answered, so they are off.
    pub fn answer(&self, agreed: &Agreed, local: &Local) -> String {
        let mut sdp = head(local, &self.times);
        for (at, line) in self.lines.iter().enumerate() {
            if at == self.sound {
                // RFC 6337 §5.4: our direction answers theirs, also where the address is zero.
                let (sends, receives) = (self.direction.receives, self.direction.sends);
                let used_dtx = self.formats.iter().any(|format| {
                    format.payload_type == agreed.payload_type
                        && format.parameters.contains("usedtx=1")
                });
                sound(&mut sdp, &line.proto, agreed, local, Flow { sends, receives, used_dtx });
            } else {
                let _ = write!(sdp, "m={} 0 {} {}\r\n", line.media, line.proto, line.formats);
            }
        }
        sdp
    }
}

/// Our own offer, of one codec.
pub fn offer(agreed: &Agreed, local: &Local) -> String {
    let mut sdp = head(local, &[]);
    let flow = Flow { sends: true, receives: true, used_dtx: false };
    sound(&mut sdp, "RTP/AVP", agreed, local, flow);
    sdp
}

impl Format {
    fn codec(&self) -> Option<Codec> {
        let codec = Codec::from_name(&self.name)?;
        (codec.clock_hz() == self.clock_hz).then_some(codec)
    }

    fn is_digits(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event") && matches!(self.clock_hz, 8_000 | 48_000)
    }
}

impl Line {
    fn of(media: &Media) -> Self {
        // Echoed into our answer: one format is enough for a refused line.
        let formats = media.fmt.split_ascii_whitespace().next().unwrap_or("0").to_owned();
        Self { media: media.media.clone(), proto: media.proto.clone(), formats }
    }
}

fn is_sound(media: &Media) -> bool {
    media.media.eq_ignore_ascii_case("audio")
        && media.port != 0
        && matches!(media.proto.to_ascii_uppercase().as_str(), "RTP/AVP" | "RTP/AVPF")
}

impl Direction {
    fn of(session: &Session, media: &Media) -> Self {
        let direction = direction(&media.attributes).or_else(|| direction(&session.attributes));
        let (sends, receives) = match direction {
            Some("sendonly") => (true, false),
            Some("recvonly") => (false, true),
            Some("inactive") => (false, false),
            _ => (true, true),
        };
        Self { sends, receives }
    }
}

fn change(session: &Session, media: &Media, direction: Direction) -> RemoteChange {
    let connection = media.connections.first().or(session.connection.as_ref());
    let ip = connection.and_then(connection_ip);
    // RFC 3264 §8.4: nothing may be sent to the zero address, the old way to hold. Who holds so
    // falls silent as a rule, and that must not end the call as a silent line. What it sends all
    // the same is recorded.
    let held = ip.is_some_and(|ip| ip.is_unspecified());
    RemoteChange {
        address: ip.filter(|ip| !ip.is_unspecified()).map(|ip| SocketAddr::new(ip, media.port)),
        sends: direction.sends && !held,
        receives: direction.receives && !held,
    }
}

fn connection_ip(connection: &Connection) -> Option<IpAddr> {
    // A TTL or count may follow the address (RFC 8866 §5.7); a name is left to source latching.
    let text = connection.connection_address.split('/').next()?;
    let ip: IpAddr = text.trim().parse().ok()?;
    (!ip.is_multicast()).then_some(ip)
}

fn direction(attributes: &[Attribute]) -> Option<&str> {
    attributes
        .iter()
        .map(|attribute| attribute.attribute.as_str())
        .find(|name| matches!(*name, "sendrecv" | "sendonly" | "recvonly" | "inactive"))
}

/// The formats of a media line in its order, with static payload types filled in (RFC 3551 §6).
fn formats(media: &Media) -> Vec<Format> {
    let attribute = |wanted: &str, payload_type: u8| {
        media
            .attributes
            .iter()
            .filter(|attribute| attribute.attribute.eq_ignore_ascii_case(wanted))
            .filter_map(|attribute| {
                attribute.value.as_deref()?.trim().split_once(char::is_whitespace)
            })
            .find(|(number, _)| number.parse() == Ok(payload_type))
            .map(|(_, rest)| rest.trim().to_owned())
    };
    media
        .fmt
        .split_ascii_whitespace()
        .take(SDP_FORMATS_MAX)
        .filter_map(|text| text.parse().ok().filter(|payload_type| *payload_type < 128))
        .filter_map(|payload_type: u8| {
            let (name, clock_hz) = if let Some(map) = attribute("rtpmap", payload_type) {
                let mut parts = map.split('/');
                (parts.next()?.to_owned(), parts.next()?.trim().parse().ok()?)
            } else {
                let codec = Codec::ALL
                    .into_iter()
                    .find(|codec| codec.static_payload_type() == Some(payload_type))?;
                (codec.name().to_owned(), codec.clock_hz())
            };
            let parameters = attribute("fmtp", payload_type).unwrap_or_default();
            Some(Format { payload_type, name, clock_hz, parameters })
        })
        .collect()
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IP4" } else { "IP6" }
}

fn head(local: &Local, times: &[(u64, u64)]) -> String {
    let ip = local.rtp.ip();
    let mut sdp = format!(
        "v=0\r\no=rusuden {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\n",
        local.session,
        local.version,
        family = family(ip),
    );
    // RFC 3264 §6: the t= lines of an answer equal those of the offer.
    for (start, stop) in if times.is_empty() { &[(0, 0)] } else { times } {
        let _ = write!(sdp, "t={start} {stop}\r\n");
    }
    sdp
}

#[derive(Clone, Copy)]
struct Flow {
    sends: bool,
    receives: bool,
    used_dtx: bool,
}

fn sound(sdp: &mut String, proto: &str, agreed: &Agreed, local: &Local, flow: Flow) {
    let payload_type = agreed.payload_type;
    let _ = write!(sdp, "m=audio {} {proto} {payload_type}", local.rtp.port());
    if let Some((digits, _)) = agreed.digits {
        let _ = write!(sdp, " {digits}");
    }
    sdp.push_str("\r\n");
    let name = agreed.codec.name();
    // RFC 7587 §7: Opus is always written as two channels at 48 kHz.
    let channels = if agreed.codec == Codec::Opus { "/2" } else { "" };
    let _ = write!(sdp, "a=rtpmap:{payload_type} {name}/{}{channels}\r\n", agreed.codec.clock_hz());
    if agreed.codec == Codec::Opus {
        let dtx = if flow.used_dtx { ";usedtx=1" } else { "" };
        let _ = write!(sdp, "a=fmtp:{payload_type} useinbandfec=1;stereo=0{dtx}\r\n");
        sdp.push_str("a=maxptime:60\r\n");
    }
    if let Some((digits, clock_hz)) = agreed.digits {
        let _ = write!(sdp, "a=rtpmap:{digits} telephone-event/{clock_hz}\r\n");
        let _ = write!(sdp, "a=fmtp:{digits} 0-15\r\n");
    }
    sdp.push_str("a=ptime:20\r\n");
    sdp.push_str(match (flow.sends, flow.receives) {
        (true, true) => "a=sendrecv\r\n",
        (true, false) => "a=sendonly\r\n",
        (false, true) => "a=recvonly\r\n",
        (false, false) => "a=inactive\r\n",
    });
}

#[cfg(test)]
#[path = "sdp_tests.rs"]
mod tests;
