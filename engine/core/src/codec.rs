//! The speech codecs that we accept, with their clocks.

/// How a call's sound is coded on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, static payload type 0 (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
    /// G.722 at 64 kbit/s, static payload type 9; samples at 16 kHz, RTP clock 8 kHz
    /// (RFC 3551 §4.5.2).
    G722,
    /// Opus, dynamic payload type; RTP clock always 48 kHz (RFC 7587 §4.1).
    Opus,
}

impl Codec {
    /// Every codec, in our order of preference.
    pub const ALL: [Self; 4] = [Self::Opus, Self::G722, Self::Pcmu, Self::Pcma];

    /// RTP clock rate in ticks per second.
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
        }
    }

    /// RTP ticks in 20 ms.
    pub const fn ticks_per_20ms(self) -> u32 {
        self.clock_hz() / 50
    }

    /// Static RTP payload type, if the codec has one (RFC 3551 table 4).
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::Opus => None,
        }
    }

    /// Encoding name in SDP's rtpmap.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// The codec with this SDP encoding name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// Code in our own files.
    pub const fn code(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 1,
            Self::G722 => 2,
            Self::Opus => 3,
        }
    }

    /// Reads [`Codec::code`] back.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.code() == code)
    }

    /// RTP ticks that a payload covers, where its length says so: one octet is one tick in G.711
    /// and G.722. Opus is measured from its TOC octet (RFC 6716 §3.1); `None` when malformed.
    pub fn payload_ticks(self, payload: &[u8]) -> Option<u32> {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => u32::try_from(payload.len()).ok(),
            Self::Opus => opus_ticks(payload),
        }
    }
}

/// Duration of an Opus packet in 48 kHz ticks (RFC 6716 §3.1, table 2, and §3.2).
fn opus_ticks(payload: &[u8]) -> Option<u32> {
    let toc = *payload.first()?;
    let config = toc >> 3;
    let frame = match config {
        0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*payload.get(1)? & 0x3f),
    };
    let ticks = frame * count;
    // A packet holds at most 120 ms (RFC 6716 §3.2.5).
    (count > 0 && ticks <= 5_760).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_read_back() {
        for codec in Codec::ALL {
            assert_eq!(Codec::from_name(codec.name()), Some(codec));
            assert_eq!(Codec::from_code(codec.code()), Some(codec));
        }
        assert_eq!(Codec::from_name("OPUS"), Some(Codec::Opus));
        assert_eq!(Codec::from_name("AMR"), None);
    }

    #[test]
    fn opus_durations_follow_the_toc() {
        assert_eq!(Codec::Opus.payload_ticks(&[0b0000_1000]), Some(960)); // SILK NB 20 ms, one
        assert_eq!(Codec::Opus.payload_ticks(&[0b1111_1001, 0]), Some(1_920)); // CELT FB 20 ms, two
        assert_eq!(Codec::Opus.payload_ticks(&[0b0001_1011, 3]), None); // 3 × 60 ms > 120 ms
        assert_eq!(Codec::Opus.payload_ticks(&[3]), None);
        assert_eq!(Codec::Opus.payload_ticks(&[]), None);
    }
}
