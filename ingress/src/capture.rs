//! RTP streams out of a capture file, as recordings.
//!
//! In: a pcap or pcapng file (Ethernet, Linux cooked, raw IP, loopback; IPv4 and IPv6). Out: one
//! recording per RTP stream, in the format of the journal, put in order by the same jitter core as
//! live calls. Static payload types are known; dynamic ones are read from SDP seen in the capture,
//! or given. Knows nothing of sockets.

mod frames;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::jitter::{Input, Jitter, JitterConfig, Output};
use engine_core::limits::CHUNK_FLUSH_BYTES;
use engine_core::packet::Packet;
use engine_core::recording::{ChunkWriter, EndReason, Opened, Sealed};
use engine_core::text::LanguageChoice;
use engine_core::time::{Instant, RtpTicks, WallTime};

use self::frames::{Datagram, datagrams};
use crate::limits::{CAPTURE_BYTES_MAX, CAPTURE_STREAMS_MAX};
use crate::rtp::wire;

/// Packets that a stream must have before it is believed to be RTP.
const STREAM_PACKETS_MIN: u64 = 5;

/// Why a capture gave no streams.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// Neither pcap nor pcapng, or cut off within its header.
    #[error("this is not a capture we can read ({why}); give a pcap or pcapng file")]
    Unreadable {
        /// What the reader said.
        why: String,
    },
    /// Longer than we read.
    #[error(
        "the capture has {bytes} bytes; cut out the call, at most {CAPTURE_BYTES_MAX} are read"
    )]
    TooLong {
        /// Its length.
        bytes: u64,
    },
    /// Nothing in it looks like a speech stream.
    #[error(
        "the capture holds no RTP stream with a known codec; for a dynamic payload type give its \
         codec, such as opus"
    )]
    NoStream,
}

/// What to read of a capture.
#[derive(Debug, Clone, Copy)]
pub struct CaptureOptions {
    /// Codec of dynamic payload types that no SDP in the capture names.
    pub dynamic: Option<Codec>,
    /// Language of recognition, written into the recordings.
    pub language: LanguageChoice,
}

/// One RTP stream of a capture.
#[derive(Debug, Clone)]
pub struct CapturedStream {
    /// Its SSRC.
    pub ssrc: u32,
    /// How it is coded.
    pub codec: Codec,
    /// Who sent it.
    pub source: SocketAddr,
    /// The recording: chunks, as in the journal.
    pub sound: Bytes,
    /// Packets kept.
    pub packets: u64,
    /// Packets that are missing.
    pub lost: u32,
}

/// A stream while it is being read.
struct Stream {
    codec: Codec,
    key: Key,
    jitter: Jitter,
    writer: ChunkWriter,
    /// Chunks that are finished.
    sound: BytesMut,
    opened: Opened,
    first: Instant,
    last: Instant,
    frames: u32,
    end: RtpTicks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: SocketAddr,
    target: SocketAddr,
    ssrc: u32,
    payload_type: u8,
}

/// Reads a capture's RTP streams in order of appearance.
pub fn read(file: &[u8], options: CaptureOptions) -> Result<Vec<CapturedStream>, CaptureError> {
    let bytes = file.len() as u64;
    if bytes > CAPTURE_BYTES_MAX {
        return Err(CaptureError::TooLong { bytes });
    }
    let named = named_payload_types(file)?;
    let mut streams: Vec<Stream> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    datagrams(file, &mut |datagram| {
        let Some(packet) = rtp_of(&datagram) else { return };
        let key = Key {
            source: datagram.source,
            target: datagram.target,
            ssrc: packet.ssrc,
            payload_type: packet.payload_type,
        };
        let place = places.get(&key).copied().or_else(|| {
            let codec = codec_of(&key, &named, options.dynamic)?;
            if streams.len() == CAPTURE_STREAMS_MAX {
                return None;
            }
            streams.push(Stream::new(codec, key, &datagram, options.language));
            places.insert(key, streams.len() - 1);
            Some(streams.len() - 1)
        });
        if let Some(place) = place {
            streams[place].take(datagram.at, packet);
        }
    })?;
    let found: Vec<CapturedStream> = streams.into_iter().filter_map(Stream::finish).collect();
    if found.is_empty() { Err(CaptureError::NoStream) } else { Ok(found) }
}

fn rtp_of(datagram: &Datagram<'_>) -> Option<Packet> {
    // RFC 3550 §11: RTP takes even ports. Anything else with a plausible header is a coincidence
    // that the packet count will tell.
    if datagram.payload.len() <= wire::HEADER_BYTES {
        return None;
    }
    wire::parse(BytesMut::from(datagram.payload)).ok().filter(|packet| !packet.payload.is_empty())
}

/// Dynamic types by the address they are to be sent to; the caller's offer and our answer may
/// give the same number to different codecs.
type Named = HashMap<(Option<SocketAddr>, u8), Codec>;

fn codec_of(key: &Key, named: &Named, dynamic: Option<Codec>) -> Option<Codec> {
    let is_static = |codec: &Codec| codec.static_payload_type() == Some(key.payload_type);
    if let Some(codec) = Codec::ALL.into_iter().find(is_static) {
        return Some(codec);
    }
    if key.payload_type < 96 {
        return None;
    }
    let by_target = named.get(&(Some(key.target), key.payload_type));
    let by_number = named.get(&(None, key.payload_type));
    by_target.or(by_number).copied().or(dynamic.filter(|_| !is_key_press(named, key)))
}

fn is_key_press(named: &Named, key: &Key) -> bool {
    // Without SDP, 101 is telephone-event by custom and never speech.
    named.is_empty() && key.payload_type == 101
}

/// All rtpmap lines of SDP bodies in the capture.
fn named_payload_types(file: &[u8]) -> Result<Named, CaptureError> {
    let mut named = Named::new();
    let mut ambiguous = HashSet::new();
    datagrams(file, &mut |datagram| {
        let Some(at) = find(datagram.payload, b"\nv=0") else { return };
        let Ok(session) = sdp_types::Session::parse(&datagram.payload[at + 1..]) else { return };
        for media in session.medias.iter().filter(|media| media.media == "audio") {
            let connection = media.connections.first().or(session.connection.as_ref());
            let target = connection
                .and_then(|connection| connection.connection_address.parse().ok())
                .map(|address| SocketAddr::new(address, media.port));
            for attribute in media.attributes.iter().filter(|a| a.attribute == "rtpmap") {
                let Some(value) = &attribute.value else { continue };
                let Some((number, codec)) = rtpmap(value) else { continue };
                named.insert((target, number), codec);
                let before = named.insert((None, number), codec);
                if before.is_some_and(|before| before != codec) {
                    ambiguous.insert(number);
                }
            }
        }
    })?;
    for number in ambiguous {
        named.remove(&(None, number));
    }
    Ok(named)
}

/// `111 opus/48000/2` (RFC 8866 §6.6).
fn rtpmap(value: &str) -> Option<(u8, Codec)> {
    let (number, encoding) = value.trim().split_once(' ')?;
    let name = encoding.trim().split('/').next()?;
    Some((number.parse().ok()?, Codec::from_name(name)?))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

impl Stream {
    fn new(codec: Codec, key: Key, datagram: &Datagram<'_>, language: LanguageChoice) -> Self {
        let recording = RecordingId::from_u128(uuid::Uuid::now_v7().as_u128());
        let opened = Opened {
            recording,
            mailbox: MailboxId::from_u128(0),
            caller: Caller::Unavailable,
            codec,
            language,
            answered_at: WallTime::from_unix_millis((datagram.at.as_nanos() / 1_000_000) as i64),
        };
        let mut writer = ChunkWriter::new(recording, 64 << 10);
        writer.open(&opened);
        let config = JitterConfig { codec, payload_type: key.payload_type };
        let (first, last) = (datagram.at, datagram.at);
        let jitter = Jitter::new(config);
        let (sound, frames, end) = (BytesMut::new(), 0, RtpTicks(0));
        Self { codec, key, jitter, writer, sound, opened, first, last, frames, end }
    }

    fn take(&mut self, at: Instant, packet: Packet) {
        // Captures of several interfaces may step back in time; the jitter's clock must not.
        self.last = self.last.max(at);
        self.jitter.handle(self.last, Input::Packet(packet));
        self.jitter.handle(self.last, Input::Tick);
        self.write();
    }

    fn write(&mut self) {
        while let Output::Packet(released) = self.jitter.poll() {
            if released.payload_type == self.key.payload_type {
                self.writer.frame(released.ticks, released.after_silence, &released.payload);
                self.frames += 1;
                self.end = self.end.max(RtpTicks(released.ticks.0 + released.duration.0));
                if self.writer.pending_bytes() >= CHUNK_FLUSH_BYTES {
                    self.finish_chunk();
                }
            }
        }
    }

    fn finish_chunk(&mut self) {
        if let Some(chunk) = self.writer.finish(CHUNK_FLUSH_BYTES) {
            self.sound.extend_from_slice(&chunk);
        }
    }

    fn finish(mut self) -> Option<CapturedStream> {
        self.jitter.handle(self.last, Input::Drain);
        self.write();
        let stats = self.jitter.stats();
        if stats.packets < STREAM_PACKETS_MIN {
            return None;
        }
        let call = self.last.since(self.first);
        let call_ms = u64::try_from(call.as_millis()).unwrap_or(u64::MAX);
        self.writer.seal(&Sealed {
            recording: self.opened.recording,
            reason: EndReason::HungUp,
            ended_at: WallTime::from_unix_millis((self.last.as_nanos() / 1_000_000) as i64),
            frames: self.frames,
            duration: self.end,
            call_ms,
            lost: stats.lost,
        });
        self.finish_chunk();
        Some(CapturedStream {
            ssrc: self.key.ssrc,
            codec: self.codec,
            source: self.key.source,
            sound: self.sound.freeze(),
            packets: stats.packets,
            lost: stats.lost,
        })
    }
}
