//! Serial numbers of contracts (S30). In: a contract's id and the pepper, or what somebody typed.
//! Out: the serial, its words, and the hash under which it is kept. Pure.
//!
//! A serial is 95 bits that only the pepper's owner can compute, so that it can be told again in a
//! retried answer or mail without ever being stored. It is written as twenty characters in five
//! groups of four; the last is a check over GF(32) that catches every single wrong character and
//! every swap of two characters, wherever they stand.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::contract::ContractId;
use crate::pepper::Pepper;

/// Characters without the look-alikes I, L, O and U (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters with the check.
const LEN: usize = 20;
const GROUP: usize = 4;
/// Longest text that is looked at: twenty characters, generously separated.
const TYPED_CHARS_MAX: usize = 100;

/// Text that is no serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no serial number; it has five groups of four characters, as in the mail, and one \
     character or more is missing or mistyped"
)]
#[non_exhaustive]
pub struct SerialError;

/// A serial number. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Serial([u8; LEN]);

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serial(‹private›)")
    }
}

impl Serial {
    /// The serial number of a contract, always the same.
    pub fn of(contract: ContractId, pepper: &Pepper) -> Self {
        let mac = pepper.mac("serial", &contract.as_u128().to_be_bytes());
        let bits = mac[..16].iter().fold(0_u128, |bits, &byte| bits << 8 | u128::from(byte));
        let mut values = [0; LEN];
        for (at, value) in values[..LEN - 1].iter_mut().enumerate() {
            *value = (bits >> (5 * at) & 31) as u8;
        }
        values[LEN - 1] = times_alpha(fold(&values[..LEN - 1]));
        Self(values)
    }

    /// Reads what somebody typed: any case, full-width or half, any separators, O for 0, I or L
    /// for 1.
    pub fn read(typed: &str) -> Result<Self, SerialError> {
        if typed.chars().count() > TYPED_CHARS_MAX {
            return Err(SerialError);
        }
        let mut values = [0; LEN];
        let mut count = 0;
        for letter in typed.nfkc().filter(|&c| !is_separator(c)) {
            let value = value_of(letter).ok_or(SerialError)?;
            *values.get_mut(count).ok_or(SerialError)? = value;
            count += 1;
        }
        if count == LEN && fold(&values) == 0 { Ok(Self(values)) } else { Err(SerialError) }
    }

    /// Groups of four, as in mails: `7K3M-…`.
    pub fn words(&self) -> String {
        let groups = self.0.chunks(GROUP).map(|group| {
            group.iter().map(|&v| char::from(ALPHABET[usize::from(v)])).collect::<String>()
        });
        groups.collect::<Vec<_>>().join("-")
    }

    /// What is kept of it: HMAC-SHA-256 with the pepper, as hex.
    pub fn hash(&self, pepper: &Pepper) -> String {
        pepper.hash("serial-lookup", &self.words())
    }
}

fn value_of(letter: char) -> Option<u8> {
    let letter = match letter.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET.iter().position(|&c| char::from(c) == letter).map(|at| at as u8)
}

/// Spaces and whatever a keyboard offers for a hyphen, the long-vowel mark included.
fn is_separator(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '-' | '‐'..='―' | '−' | 'ー' | '_' | '.')
}

/// Horner's rule at α over GF(32): zero for a whole serial. Position `i` weighs α^i, and α has
/// order 31, so all weights of 20 positions differ: a change or a swap cannot cancel out.
fn fold(values: &[u8]) -> u8 {
    values.iter().fold(0, |sum, &value| times_alpha(sum) ^ value)
}

/// Multiplies by α in GF(2)[x] / (x^5 + x^2 + 1).
const fn times_alpha(value: u8) -> u8 {
    let doubled = value << 1;
    if doubled & 32 == 0 { doubled } else { doubled ^ 0b10_0101 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn serial(id: u128) -> Serial {
        Serial::of(ContractId::from_u128(id), &Pepper::from_bytes([3; 32]))
    }

    #[test]
    fn a_serial_is_grouped_and_reads_back_however_it_is_typed() {
        let serial = serial(1);
        let words = serial.words();
        assert_eq!(words.len(), 24);
        assert_eq!(words.split('-').map(str::len).collect::<Vec<_>>(), [4; 5]);
        let wide: String = words
            .chars()
            .map(|c| if c == '-' { 'ー' } else { char::from_u32(c as u32 + 0xFEE0).unwrap() })
            .collect();
        for typed in [words.clone(), words.to_lowercase(), words.replace('-', " "), wide] {
            assert_eq!(Serial::read(&typed), Ok(serial.clone()), "{typed}");
        }
        let alike = words.replace('0', "O").replace('1', "l");
        assert_eq!(Serial::read(&alike), Ok(serial));
    }

    #[test]
    fn serials_differ_by_contract_and_pepper_and_stay_the_same() {
        assert_eq!(serial(1), serial(1));
        assert_ne!(serial(1), serial(2));
        let other = Pepper::from_bytes([4; 32]);
        assert_ne!(serial(1), Serial::of(ContractId::from_u128(1), &other));
        assert!(!format!("{:?}", serial(1)).contains(&serial(1).words()[..4]));
    }

    /// S30: exhaustive over positions and characters for a few serials.
    #[test]
    fn s30_every_single_wrong_character_is_caught() {
        for id in 0..20 {
            let Serial(values) = serial(id);
            for at in 0..LEN {
                for wrong in (0..32).filter(|&v| v != values[at]) {
                    let mut typo = values;
                    typo[at] = wrong;
                    assert_eq!(Serial::read(&Serial(typo).words()), Err(SerialError));
                }
            }
        }
    }

    #[test]
    fn s30_every_swap_of_two_characters_is_caught() {
        for id in 0..50 {
            let Serial(values) = serial(id);
            for at in 0..LEN {
                for with in (at + 1..LEN).filter(|&with| values[with] != values[at]) {
                    let mut typo = values;
                    typo.swap(at, with);
                    assert_eq!(Serial::read(&Serial(typo).words()), Err(SerialError));
                }
            }
        }
    }

    #[test]
    fn s30_a_missing_or_doubled_character_is_caught() {
        let words = serial(9).words();
        assert_eq!(Serial::read(&words[1..]), Err(SerialError));
        assert_eq!(Serial::read(&format!("{words}0")), Err(SerialError));
        assert_eq!(Serial::read(""), Err(SerialError));
        assert_eq!(Serial::read(&" ".repeat(TYPED_CHARS_MAX + 1)), Err(SerialError));
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_read_or_refused_without_a_panic(typed in ".{0,60}") {
            let _ = Serial::read(&typed);
        }

        #[test]
        fn every_serial_reads_back(id in any::<u128>()) {
            prop_assert_eq!(Serial::read(&serial(id).words()), Ok(serial(id)));
        }
    }
}
