//! What forwarded calls cost the subscriber, estimated (S05, S22–S23), and which number calls may
//! be forwarded to (S24). Pure: spans and numbers in, yen and plain numbers out.
//!
//! The carrier bills ¥20 (¥22 with tax) per started 30 s from the answer to the end of the call,
//! greeting included. A call of no length started no unit. The carrier knows the true charge; a
//! subscriber's plan there may differ.

use engine_core::text::Language;
use unicode_normalization::UnicodeNormalization;

use crate::limits::FORWARD_TARGET_CHARS_MAX;
use crate::money::Yen;

/// One unit without tax.
pub const UNIT: Yen = Yen::new(20);
/// One unit with tax, in yen.
pub const UNIT_YEN_WITH_TAX: i64 = UNIT.with_tax().get();
/// Length of a unit in milliseconds.
pub const UNIT_MS: u64 = 30_000;

/// Units that a forwarded call of `call_ms`, greeting included, started.
pub const fn units(call_ms: u64) -> u64 {
    call_ms.div_ceil(UNIT_MS)
}

/// Cost in yen, with tax, of a forwarded call that lasted `call_ms`, greeting included.
pub const fn forwarding_cost_yen(call_ms: u64) -> i64 {
    // A year of calling is about a million units: far from the end of i64.
    (units(call_ms) as i64).saturating_mul(UNIT_YEN_WITH_TAX)
}

/// Forwarded calls, summed up. The carrier prices each unit with its tax, so the sum is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForwardedCalls {
    /// How many.
    pub calls: u64,
    /// Their lengths in milliseconds, greetings included.
    pub call_ms: u64,
    /// Started units.
    pub units: u64,
}

impl ForwardedCalls {
    /// Adds a call.
    pub const fn add(&mut self, call_ms: u64) {
        self.calls += 1;
        self.call_ms = self.call_ms.saturating_add(call_ms);
        self.units = self.units.saturating_add(units(call_ms));
    }

    /// Estimated cost without tax.
    pub fn cost(&self) -> Yen {
        UNIT * i64::try_from(self.units).unwrap_or(i64::MAX)
    }

    /// Estimated cost with tax.
    pub fn cost_with_tax(&self) -> Yen {
        Yen::new(UNIT_YEN_WITH_TAX) * i64::try_from(self.units).unwrap_or(i64::MAX)
    }
}

/// Why calls cannot be forwarded to a number. Says nothing of the number itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The prefix of Rakuten Denwa (S24).
    #[error(
        "forwarding does not work through the Rakuten Denwa prefix 0037-68; set the 050 number \
         alone, without a prefix"
    )]
    RakutenDenwa,
    /// Another prefix: 00XY of a carrier, 010 of calls abroad, 184 or 186 of the caller's number.
    #[error("forwarding does not work through a dialling prefix; set the 050 number alone")]
    DiallingPrefix,
    /// No 050 number.
    #[error("the forwarding target is the 050 number shown at set-up, such as 050-1234-5678")]
    NotOurs,
}

impl TargetError {
    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RakutenDenwa => "rakuten_denwa_prefix",
            Self::DiallingPrefix => "dialling_prefix",
            Self::NotOurs => "not_a_050_number",
        }
    }

    /// The reason as a subscriber reads it.
    pub fn words(self, language: Language) -> String {
        let words = match (self, language) {
            (_, Language::English) => return self.to_string(),
            (Self::RakutenDenwa, _) => {
                "楽天でんわの番号（0037-68）を付けると転送できません。\
                 先頭に何も付けず、050の番号だけを設定してください。"
            }
            (Self::DiallingPrefix, _) => {
                "先頭に番号を付けると転送できません。050の番号だけを設定してください。"
            }
            (Self::NotOurs, _) => {
                "転送先には、設定時に表示された050の番号（050-1234-5678など）を設定してください。"
            }
        };
        words.to_owned()
    }
}

/// Reads the number that calls are to be forwarded to, as people write it, into E.164.
pub fn read_forward_target(text: &str) -> Result<String, TargetError> {
    if text.chars().count() > FORWARD_TARGET_CHARS_MAX {
        return Err(TargetError::NotOurs);
    }
    let plain: String = text.nfkc().filter(|c| !is_spacing(*c)).collect();
    let shown = ["184", "186"].iter().find_map(|prefix| plain.strip_prefix(prefix));
    let dialled = shown.unwrap_or(&plain);
    if dialled.starts_with("003768") {
        return Err(TargetError::RakutenDenwa);
    }
    if shown.is_some() || dialled.starts_with("00") || dialled.starts_with("010") {
        return Err(TargetError::DiallingPrefix);
    }
    let national = plain.strip_prefix("+81").or_else(|| plain.strip_prefix('0'));
    let own = national.and_then(|rest| rest.strip_prefix("50"));
    match own {
        Some(own) if own.len() == 8 && own.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(format!("+8150{own}"))
        }
        _ => Err(TargetError::NotOurs),
    }
}

/// What people put between digits: spaces, brackets, and the many dashes of Japanese input.
fn is_spacing(c: char) -> bool {
    c.is_whitespace() || "()-.・‐‑‒–—―−ー".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s05_each_started_thirty_seconds_cost_22_yen() {
        let table = [(0, 0), (1, 22), (29, 22), (30, 22), (31, 44), (59, 44), (60, 44), (61, 66)];
        for (seconds, yen) in table {
            assert_eq!(forwarding_cost_yen(seconds * 1_000), yen, "{seconds} s");
        }
    }

    #[test]
    fn s05_one_millisecond_past_a_unit_starts_the_next() {
        assert_eq!(forwarding_cost_yen(1), 22);
        assert_eq!(forwarding_cost_yen(30_000), 22);
        assert_eq!(forwarding_cost_yen(30_001), 44);
        assert_eq!(forwarding_cost_yen(60_001), 66);
    }

    #[test]
    fn s22_s23_greeting_and_message_are_charged_together() {
        assert_eq!(forwarding_cost_yen((10 + 60) * 1_000), 66);
    }

    #[test]
    fn s22_calls_are_charged_each_for_itself() {
        let mut usage = ForwardedCalls::default();
        for call_ms in [0, 1, 30_000, 70_000] {
            usage.add(call_ms);
        }
        assert_eq!((usage.calls, usage.call_ms, usage.units), (4, 100_001, 5));
        assert_eq!((usage.cost(), usage.cost_with_tax()), (Yen::new(100), Yen::new(110)));
    }

    proptest::proptest! {
        #[test]
        fn s05_a_unit_is_charged_as_each_thirty_seconds_begin(call_ms in 0_u64..400_000) {
            // By walking through the call: a unit begins at 0, 30, 60 … s while it still lasts.
            let begun = (0..).step_by(30_000).take_while(|begin| *begin < call_ms).count();
            proptest::prop_assert_eq!(forwarding_cost_yen(call_ms), 22 * begun as i64);
        }

        #[test]
        fn no_text_breaks_the_reading_of_a_target(text in ".{0,60}") {
            if let Ok(number) = read_forward_target(&text) {
                proptest::prop_assert!(number.starts_with("+8150") && number.len() == 13);
            }
        }
    }

    #[test]
    fn s24_a_target_with_the_rakuten_denwa_prefix_is_refused_with_that_reason() {
        let prefixed = [
            "0037-68-050-1234-5678",
            "00376805012345678",
            "003768 050 1234 5678",
            "００３７－６８－０５０－１２３４－５６７８",
            "(0037)68 05012345678",
            "186-0037-68-050-1234-5678",
        ];
        for target in prefixed {
            assert_eq!(read_forward_target(target), Err(TargetError::RakutenDenwa), "{target}");
        }
        assert!(TargetError::RakutenDenwa.to_string().contains("Rakuten Denwa prefix 0037-68"));
        let japanese = TargetError::RakutenDenwa.words(Language::Japanese);
        assert!(japanese.contains("楽天でんわ") && japanese.contains("0037-68"));
    }

    #[test]
    fn s24_other_prefixes_and_numbers_are_refused_each_with_its_reason() {
        let prefixes =
            ["0077-05012345678", "0081 50 1234 5678", "010815012345678", "18405012345678"];
        for target in prefixes {
            assert_eq!(read_forward_target(target), Err(TargetError::DiallingPrefix), "{target}");
        }
        let others = [
            "",
            "1429",
            "09012345678",
            "0501234567",
            "050123456789",
            "+1 50 1234 5678",
            "050-1234-567x",
            "*9205012345678",
        ];
        for target in others {
            assert_eq!(read_forward_target(target), Err(TargetError::NotOurs), "{target}");
        }
        let long = "0".repeat(FORWARD_TARGET_CHARS_MAX + 1);
        assert_eq!(read_forward_target(&long), Err(TargetError::NotOurs));
    }

    #[test]
    fn a_050_number_is_read_however_it_is_written() {
        let written = [
            "+815012345678",
            "05012345678",
            "050-1234-5678",
            "０５０ー１２３４ー５６７８",
            " +81 50 (1234) 5678 ",
        ];
        for target in written {
            assert_eq!(read_forward_target(target).unwrap(), "+815012345678", "{target}");
        }
    }
}
