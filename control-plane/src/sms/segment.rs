//! A text as the parts of an SMS. Pure: text in, octets out (3GPP TS 23.038, 23.040 §9.2.3.24.1).

use crate::limits::SMS_PARTS_MAX;

/// How the octets are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// GSM 7-bit default alphabet, one character in each octet as SMPP carries it.
    Gsm,
    /// UCS-2, big-endian.
    Ucs2,
}

/// The parts of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    /// How they are to be read.
    pub(crate) coding: Coding,
    /// Octets of each; with a user data header when there is more than one.
    pub(crate) parts: Vec<Vec<u8>>,
}

/// A text that takes more parts than we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text takes more than {SMS_PARTS_MAX} SMS")]
pub(crate) struct TooLong;

/// Characters of one SMS, and of a part of several beside the header of six octets.
const GSM_WHOLE: usize = 160;
const GSM_PART: usize = 153;
const UCS2_WHOLE: usize = 70;
const UCS2_PART: usize = 67;

/// Cuts a text into parts; `reference` tells the parts of one text from another's.
pub(crate) fn cut(text: &str, reference: u8) -> Result<Parts, TooLong> {
    if text.chars().all(is_plain) {
        let octets: Vec<Vec<u8>> = split(text, GSM_WHOLE, GSM_PART, |_| 1)
            .into_iter()
            .map(|part| part.as_bytes().to_vec())
            .collect();
        return with_headers(Coding::Gsm, octets, reference);
    }
    let octets = split(text, UCS2_WHOLE, UCS2_PART, char::len_utf16)
        .into_iter()
        .map(|part| part.encode_utf16().flat_map(u16::to_be_bytes).collect())
        .collect();
    with_headers(Coding::Ucs2, octets, reference)
}

/// The whole text in one piece, for message centres that cut it themselves.
pub(crate) fn whole(text: &str) -> (Coding, Vec<u8>) {
    if text.chars().all(is_plain) {
        return (Coding::Gsm, text.as_bytes().to_vec());
    }
    (Coding::Ucs2, text.encode_utf16().flat_map(u16::to_be_bytes).collect())
}

/// Characters that have the same code in ASCII and in the GSM alphabet, so that nobody has to
/// guess which one a message centre takes.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || " \n\r!\"#%&'()*+,-./:;<=>?".contains(c)
}

/// Cuts between characters, never inside of one.
fn split(text: &str, whole: usize, part: usize, width: fn(char) -> usize) -> Vec<&str> {
    if text.chars().map(width).sum::<usize>() <= whole {
        return vec![text];
    }
    let mut parts = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, c) in text.char_indices() {
        if used + width(c) > part {
            parts.push(&text[start..at]);
            (start, used) = (at, 0);
        }
        used += width(c);
    }
    parts.push(&text[start..]);
    parts
}

fn with_headers(coding: Coding, octets: Vec<Vec<u8>>, reference: u8) -> Result<Parts, TooLong> {
    let count = u8::try_from(octets.len()).ok().filter(|&n| usize::from(n) <= SMS_PARTS_MAX);
    let count = count.ok_or(TooLong)?;
    if count == 1 {
        return Ok(Parts { coding, parts: octets });
    }
    let header = |number: u8| [5, 0, 3, reference, count, number];
    let numbered = (1..=count).zip(octets);
    let parts = numbered.map(|(n, text)| [&header(n)[..], &text[..]].concat()).collect();
    Ok(Parts { coding, parts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(parts: &Parts) -> String {
        let header = if parts.parts.len() > 1 { 6 } else { 0 };
        let octets: Vec<u8> = parts.parts.iter().flat_map(|part| part[header..].to_vec()).collect();
        match parts.coding {
            Coding::Gsm => String::from_utf8(octets).unwrap(),
            Coding::Ucs2 => {
                let units = octets.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                String::from_utf16(&units.collect::<Vec<_>>()).unwrap()
            }
        }
    }

    #[test]
    fn one_sms_holds_70_japanese_or_160_plain_characters() {
        for (c, whole, part) in [('あ', 70, 67), ('a', 160, 153)] {
            let count = |n: usize| cut(&c.to_string().repeat(n), 1).unwrap().parts.len();
            assert_eq!((count(0), count(whole), count(whole + 1)), (1, 1, 2), "{c}");
            assert_eq!((count(2 * part), count(2 * part + 1)), (2, 3), "{c}");
            assert_eq!(count(part * SMS_PARTS_MAX), SMS_PARTS_MAX);
            assert_eq!(cut(&c.to_string().repeat(part * SMS_PARTS_MAX + 1), 1), Err(TooLong));
        }
    }

    #[test]
    fn parts_carry_reference_count_and_number() {
        let parts = cut(&"あ".repeat(71), 9).unwrap();
        assert_eq!(parts.coding, Coding::Ucs2);
        assert_eq!(parts.parts[0][..6], [5, 0, 3, 9, 2, 1]);
        assert_eq!(parts.parts[1][..6], [5, 0, 3, 9, 2, 2]);
        assert!(parts.parts.iter().all(|part| part.len() <= 140));
    }

    #[test]
    fn a_character_of_two_units_is_never_torn() {
        let parts = cut(&format!("{}{}", "あ".repeat(66), "😀".repeat(10)), 1).unwrap();
        assert_eq!(parts.parts[0].len(), 6 + 66 * 2);
        assert!(read(&parts).ends_with('😀'));
    }

    #[test]
    fn what_differs_between_ascii_and_gsm_is_sent_as_ucs2() {
        for text in ["@", "$", "[a]", "a_b", "`", "\u{20ac}", "é"] {
            assert_eq!(cut(text, 1).unwrap().coding, Coding::Ucs2, "{text}");
        }
        assert_eq!(whole("Code: 4711").0, Coding::Gsm);
        assert_eq!(whole("コード").1, [0x30, 0xb3, 0x30, 0xfc, 0x30, 0xc9]);
    }

    proptest! {
        #[test]
        fn any_text_comes_out_as_it_went_in(text in "\\PC{0,300}") {
            let parts = cut(&text, 3).unwrap();
            prop_assert_eq!(read(&parts), text);
            let most = if parts.coding == Coding::Gsm { GSM_WHOLE } else { 2 * UCS2_WHOLE };
            prop_assert!(parts.parts.iter().all(|part| part.len() <= most));
        }
    }
}
