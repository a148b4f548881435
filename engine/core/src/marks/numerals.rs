//! Characters to numbers: Arabic digits with or without thousands' commas, kanji numerals by
//! place (二〇二六) or by name (二十三), and both together (3万5千). Half width only.

/// A number at the start of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numeral {
    pub(super) value: u64,
    /// Characters that it takes.
    pub(super) length: usize,
}

/// A digit by itself.
pub(super) fn digit(c: char) -> Option<u8> {
    match c {
        '0'..='9' => Some(c as u8 - b'0'),
        '〇' | '零' => Some(0),
        '一' => Some(1),
        '二' => Some(2),
        '三' => Some(3),
        '四' => Some(4),
        '五' => Some(5),
        '六' => Some(6),
        '七' => Some(7),
        '八' => Some(8),
        '九' => Some(9),
        _ => None,
    }
}

/// The number that a text begins with. Too large a one is none.
pub(super) fn numeral(text: &[char]) -> Option<Numeral> {
    let (mut total, mut section, mut current): (u64, u64, Option<u64>) = (0, 0, None);
    let mut at = 0;
    while let Some(&c) = text.get(at) {
        if let Some(digit) = digit(c) {
            current = Some(current.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit))?);
        } else if c == ',' && at > 0 && is_thousands(&text[at..]) {
            // The digits behind it go on.
        } else if let Some(unit) = small_unit(c) {
            section = section.checked_add(current.take().unwrap_or(1).checked_mul(unit)?)?;
        } else if let Some(unit) = large_unit(c) {
            let many = section.checked_add(current.take().unwrap_or(0))?;
            if many == 0 {
                break;
            }
            total = total.checked_add(many.checked_mul(unit)?)?;
            section = 0;
        } else {
            break;
        }
        at += 1;
    }
    let value = total.checked_add(section)?.checked_add(current.unwrap_or(0))?;
    (at > 0).then_some(Numeral { value, length: at })
}

/// A comma with exactly three digits behind it.
fn is_thousands(text: &[char]) -> bool {
    let behind = text[1..].iter().take_while(|c| c.is_ascii_digit()).count();
    behind == 3
}

const fn small_unit(c: char) -> Option<u64> {
    match c {
        '十' => Some(10),
        '百' => Some(100),
        '千' => Some(1_000),
        _ => None,
    }
}

const fn large_unit(c: char) -> Option<u64> {
    match c {
        '万' => Some(10_000),
        '億' => Some(100_000_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_written() {
        for (text, value, length) in [
            ("0", 0, 1),
            ("007", 7, 3),
            ("12,300円", 12_300, 6),
            ("1,2", 1, 1),
            ("1,2345", 1, 1),
            ("二〇二六年", 2_026, 4),
            ("二十三", 23, 3),
            ("百", 100, 1),
            ("千九百八十四", 1_984, 6),
            ("3万5千", 35_000, 4),
            ("一億二千万", 120_000_000, 5),
        ] {
            let text: Vec<char> = text.chars().collect();
            assert_eq!(numeral(&text), Some(Numeral { value, length }), "{text:?}");
        }
        for text in ["", "円", ",5", "万", "99999999999999999999999"] {
            let text: Vec<char> = text.chars().collect();
            assert_eq!(numeral(&text), None, "{text:?}");
        }
    }
}
