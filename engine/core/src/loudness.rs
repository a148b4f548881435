//! Whether a payload is loud, without decoding it.
//!
//! In: payloads in order. Out: loud or quiet, roughly at −50 to −46 dBFS, where line noise ends and
//! speech begins. A cheap estimate for the quiet limit only: G.711 from a table over every fourth
//! octet, G.722 from the scale factor that its lower band's decoder would follow (ITU-T G.722
//! §3.5), Opus from the packet's size, since DTX and comfort noise are tiny (RFC 6716 §2.1.9).

use crate::codec::Codec;

/// Follows one call's loudness.
#[derive(Debug)]
pub struct Loudness {
    codec: Codec,
    /// G.722: logarithmic scale factor of the lower band, 2,048 an octave.
    scale: i32,
}

impl Loudness {
    /// Nothing heard yet.
    pub const fn new(codec: Codec) -> Self {
        Self { codec, scale: 0 }
    }

    /// Whether this payload is loud.
    pub fn is_loud(&mut self, payload: &[u8]) -> bool {
        match self.codec {
            Codec::Pcmu => is_loud_g711(&ULAW, payload),
            Codec::Pcma => is_loud_g711(&ALAW, payload),
            Codec::G722 => self.is_loud_g722(payload),
            Codec::Opus => {
                let ticks = self.codec.payload_ticks(payload).unwrap_or(960).max(120);
                payload.len() as u64 * 960 > u64::from(ticks) * OPUS_QUIET_OCTETS
            }
        }
    }

    fn is_loud_g722(&mut self, payload: &[u8]) -> bool {
        let mut loudest = 0;
        for &octet in payload {
            let step = G722_STEP[usize::from(octet >> 2 & 0x0f)];
            self.scale = (((self.scale * 127) >> 7) + step).clamp(0, G722_SCALE_MAX);
            loudest = loudest.max(self.scale);
        }
        loudest > G722_LOUD
    }
}

fn is_loud_g711(table: &[u16; 256], payload: &[u8]) -> bool {
    let octets = payload.iter().step_by(4);
    let count = octets.len() as u32;
    let sum: u32 = octets.map(|&octet| u32::from(table[usize::from(octet)])).sum();
    sum > count * G711_LOUD
}

/// Mean magnitude of a 16-bit sample above which G.711 is loud: −46 dBFS.
const G711_LOUD: u32 = 164;
/// Octets in 20 ms of Opus up to which a packet is silence.
const OPUS_QUIET_OCTETS: u64 = 12;
/// Scale factor of the G.722 lower band above which it is loud. Measured with white noise: −52 dBFS
/// peaks at 7,700, −48 at 8,900, −46 at 9,500. A steady tone reads far lower, since the predictor
/// follows it, so the limit errs towards loud: a caller who speaks is not cut off.
const G722_LOUD: i32 = 8_000;
const G722_SCALE_MAX: i32 = 18_432;
/// `WL[RL42[code]]` of ITU-T G.722 §3.5.3, tables 12 and 15.
const G722_STEP: [i32; 16] =
    [-60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60];

const ULAW: [u16; 256] = ulaw_magnitudes();
const ALAW: [u16; 256] = alaw_magnitudes();

/// Magnitudes of µ-law octets (ITU-T G.711 table 2), scaled to 16 bits.
const fn ulaw_magnitudes() -> [u16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let code = !(octet as u8);
        let mantissa = ((code & 0x0f) as u32) << 3;
        let magnitude = ((mantissa + 0x84) << ((code & 0x70) >> 4)) - 0x84;
        table[octet] = magnitude as u16;
        octet += 1;
    }
    table
}

/// Magnitudes of A-law octets (ITU-T G.711 table 1), scaled to 16 bits.
const fn alaw_magnitudes() -> [u16; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let code = octet as u8 ^ 0x55;
        let mantissa = ((code & 0x0f) as u32) << 4;
        let magnitude = match (code & 0x70) >> 4 {
            0 => mantissa + 8,
            segment => (mantissa + 0x108) << (segment - 1),
        };
        table[octet] = magnitude as u16;
        octet += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_tables_have_the_standards_ends() {
        assert_eq!((ULAW[0xff], ULAW[0x7f], ULAW[0x00], ULAW[0x80]), (0, 0, 32_124, 32_124));
        assert_eq!((ALAW[0xd5], ALAW[0x55], ALAW[0xaa], ALAW[0x2a]), (8, 8, 32_256, 32_256));
    }

    #[test]
    fn g711_is_loud_above_the_threshold_only() {
        let below = (0..=255).rev().find(|&o: &u8| u32::from(ULAW[usize::from(o)]) <= G711_LOUD);
        for (codec, table) in [(Codec::Pcmu, &ULAW), (Codec::Pcma, &ALAW)] {
            for octet in 0..=255_u8 {
                let loud = Loudness::new(codec).is_loud(&[octet; 160]);
                assert_eq!(loud, u32::from(table[usize::from(octet)]) > G711_LOUD);
            }
        }
        assert!(below.is_some());
        assert!(!Loudness::new(Codec::Pcmu).is_loud(&[]));
    }

    #[test]
    fn g722_grows_loud_on_large_codes_and_quiet_again_on_small_ones() {
        let mut loudness = Loudness::new(Codec::G722);
        assert!(!loudness.is_loud(&[0xff; 160]));
        assert!(loudness.is_loud(&[1 << 2; 160]));
        let quiet_after = (0..20).find(|_| !loudness.is_loud(&[0xff; 160]));
        assert!(quiet_after.is_some());
    }

    #[test]
    fn opus_is_quiet_up_to_the_limit() {
        let mut payload = vec![0_u8; OPUS_QUIET_OCTETS as usize];
        payload[0] = 0b0000_1000;
        assert!(!Loudness::new(Codec::Opus).is_loud(&payload));
        payload.push(0);
        assert!(Loudness::new(Codec::Opus).is_loud(&payload));
        assert!(!Loudness::new(Codec::Opus).is_loud(&[]));
    }
}
