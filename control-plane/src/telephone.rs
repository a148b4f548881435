//! Telephone numbers as subscribers type and read them. In: what a person wrote. Out: E.164, or
//! what to write instead. Pure; does not know who owns a number, and no error repeats one.

/// Why a text is no own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TelephoneError {
    /// Not a mobile number.
    #[error("write a mobile number that begins with 060, 070, 080 or 090, such as 090-1234-5678")]
    NotMobile,
}

/// Reads a Japanese mobile number (060, 070, 080, 090 and eight digits; S37) into E.164.
///
/// Takes the forms that people type: `090-1234-5678`, `090 1234 5678`, `(090)1234-5678`,
/// `+81 90 1234 5678`, `+81 (0)90…`, `8190…`, full-width digits and signs, every kind of dash.
pub fn read_mobile(text: &str) -> Result<String, TelephoneError> {
    let mut plus = false;
    let mut digits = String::with_capacity(13);
    for c in text.trim().chars() {
        match c {
            '0'..='9' => digits.push(c),
            // Full-width digits U+FF10–FF19, as Japanese keyboards write them.
            '０'..='９' => digits.push(char::from(b'0' + (c as u32 - '０' as u32) as u8)),
            '+' | '＋' if digits.is_empty() && !plus => plus = true,
            '-' | '.' | '(' | ')' | ' ' | '（' | '）' | '　' | '－' | '‐' | '‑' | '–' | '—'
            | '−' | 'ー' | 'ｰ' => {}
            _ => return Err(TelephoneError::NotMobile),
        }
        if digits.len() > 13 {
            return Err(TelephoneError::NotMobile);
        }
    }
    let national = match digits.strip_prefix("81") {
        // "+81 (0)90…": the trunk 0 has no place there, but people write it.
        Some(rest) if plus || digits.len() > 11 => rest.strip_prefix('0').unwrap_or(rest),
        _ if plus => return Err(TelephoneError::NotMobile),
        _ => digits.strip_prefix('0').ok_or(TelephoneError::NotMobile)?,
    };
    let is_mobile = ["60", "70", "80", "90"].iter().any(|prefix| national.starts_with(prefix));
    if is_mobile && national.len() == 10 {
        Ok(format!("+81{national}"))
    } else {
        Err(TelephoneError::NotMobile)
    }
}

/// The digits of `0X0-XXXX-XXXX`, each of the hyphens there or not; `None` for anything else. What
/// programs send is read so strictly that a schema can say what is taken.
pub(crate) fn national_digits(text: &str) -> Option<String> {
    let (head, rest) = text.split_at_checked(3)?;
    let (middle, last) = rest.strip_prefix('-').unwrap_or(rest).split_at_checked(4)?;
    let last = last.strip_prefix('-').unwrap_or(last);
    let digits = format!("{head}{middle}{last}");
    (digits.len() == 11 && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// A number as it is written in Japan, `050-1234-5678` (S36); others as they came.
pub fn as_written_in_japan(e164: &str) -> String {
    let national = e164.strip_prefix("+81").filter(|rest| {
        rest.len() == 10 && rest.bytes().all(|b| b.is_ascii_digit()) && rest.as_bytes()[1] == b'0'
    });
    match national {
        Some(rest) => format!("0{}-{}-{}", &rest[..2], &rest[2..6], &rest[6..]),
        None => e164.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s37_mobile_numbers_are_read_as_people_type_them() {
        for text in [
            "09012345678",
            "090-1234-5678",
            " 090 1234 5678 ",
            "(090)1234-5678",
            "090.1234.5678",
            "０９０１２３４５６７８",
            "０９０－１２３４－５６７８",
            "090ー1234ー5678",
            "（０９０）１２３４‐５６７８",
            "+819012345678",
            "+81 90-1234-5678",
            "+81 (0)90 1234 5678",
            "＋８１９０１２３４５６７８",
            "819012345678",
            "8109012345678",
        ] {
            assert_eq!(read_mobile(text).as_deref(), Ok("+819012345678"), "{text}");
        }
        for prefix in ["60", "70", "80"] {
            assert_eq!(
                read_mobile(&format!("0{prefix}12345678")),
                Ok(format!("+81{prefix}12345678"))
            );
        }
    }

    #[test]
    fn s37_other_numbers_are_refused() {
        for text in [
            "",
            "+",
            "0901234567",
            "090123456789",
            "05012345678",
            "0312345678",
            "02012345678",
            "9012345678",
            "+14155550100",
            "+81312345678",
            "++819012345678",
            "090+12345678",
            "0901234567a",
            "090:1234:5678",
            "00819012345678",
            "09012345678\u{0}",
        ] {
            assert_eq!(read_mobile(text), Err(TelephoneError::NotMobile), "{text}");
        }
        assert_eq!(read_mobile(&"0".repeat(100_000)), Err(TelephoneError::NotMobile));
    }

    #[test]
    fn s36_an_050_number_is_shown_as_it_is_written_in_japan() {
        assert_eq!(as_written_in_japan("+815012345678"), "050-1234-5678");
        assert_eq!(as_written_in_japan("+819012345678"), "090-1234-5678");
        assert_eq!(as_written_in_japan("+81312345678"), "+81312345678");
        assert_eq!(as_written_in_japan("+8150１２３"), "+8150１２３");
    }
}
