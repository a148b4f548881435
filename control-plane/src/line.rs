//! Lines: subscribers' own mobile numbers, and what the operator notes of them. Pure: text in, a
//! checked number or a refusal out.

use std::fmt;

use engine_core::time::WallTime;

use crate::contract::ContractId;
use crate::limits::REASON_CHARS_MAX;
use crate::pepper::Pepper;
use crate::telephone::national_digits;

/// A Japanese mobile number in E.164: 060, 070, 080 or 090 and eight digits (S37). `Debug` does
/// not show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Line(String);

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line(‹private›)")
    }
}

impl Line {
    /// Reads E.164 (`+819012345678`) or what is written in Japan (`090-1234-5678`).
    pub fn read(text: &str) -> Result<Self, LineError> {
        let digits = match text.strip_prefix("+81") {
            Some(rest) => rest.to_owned(),
            None => national_digits(text)
                .and_then(|digits| digits.strip_prefix('0').map(str::to_owned))
                .ok_or(LineError::Number)?,
        };
        let bytes = digits.as_bytes();
        let is_mobile = bytes.len() == 10
            && bytes.iter().all(u8::is_ascii_digit)
            && matches!(bytes[0], b'6'..=b'9')
            && bytes[1] == b'0';
        if is_mobile { Ok(Self(format!("+81{digits}"))) } else { Err(LineError::Number) }
    }

    /// The number, for its owner, the operator and their rows; never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What stands for it where it must be found again but not read.
    pub fn hash(&self, pepper: &Pepper) -> String {
        pepper.hash("line", &self.0)
    }
}

/// The voicemail that a line has: never both (S28).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineService {
    /// Ours, under this contract.
    Smart(ContractId),
    /// The carrier's own (留守番電話).
    Carrier,
}

/// Why a line gets no free period (S66–S68).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFlag {
    /// Charges are unpaid.
    Arrears,
    /// The terms were broken.
    Breach,
    /// Otherwise judged unsuitable.
    Unsuitable,
}

impl LineFlag {
    /// Every flag.
    pub const ALL: [Self; 3] = [Self::Arrears, Self::Breach, Self::Unsuitable];

    /// Stable name for APIs and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arrears => "arrears",
            Self::Breach => "breach",
            Self::Unsuitable => "unsuitable",
        }
    }

    /// Reads [`LineFlag::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flag| flag.name() == name)
    }
}

/// A flag as it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flagged {
    /// Which.
    pub flag: LineFlag,
    /// Why, in the operator's words.
    pub reason: String,
    /// By whom, as in the audit log.
    pub set_by: String,
    /// When.
    pub set_at: WallTime,
}

/// Checks a flag's reason: some words, not too many.
pub fn check_reason(reason: &str) -> Result<(), LineError> {
    let fits = reason.chars().count() <= REASON_CHARS_MAX;
    if fits && !reason.trim().is_empty() { Ok(()) } else { Err(LineError::Reason) }
}

/// Why a line or flag cannot be as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Not a Japanese mobile number.
    #[error("line must be a Japanese mobile number (060, 070, 080 or 090), such as +819012345678")]
    Number,
    /// No such flag.
    #[error("a flag is one of arrears, breach, unsuitable")]
    Flag,
    /// No words, or too many.
    #[error("reason needs 1 to {REASON_CHARS_MAX} characters")]
    Reason,
}

impl LineError {
    /// Name of the field that is wrong.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Number => "line",
            Self::Flag => "flag",
            Self::Reason => "reason",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s37_mobile_numbers_are_read_in_both_spellings() {
        for (text, wanted) in [
            ("+819012345678", "+819012345678"),
            ("090-1234-5678", "+819012345678"),
            ("08012345678", "+818012345678"),
            ("070-1234-5678", "+817012345678"),
            ("06012345678", "+816012345678"),
        ] {
            assert_eq!(Line::read(text).unwrap().reveal(), wanted);
        }
    }

    #[test]
    fn s37_other_numbers_are_refused() {
        let wrong = [
            "",
            "0",
            "+81",
            "050-1234-5678",
            "+815012345678",
            "0312345678",
            "+81901234567",
            "+8190123456789",
            "+81-90-1234-5678",
            "+829012345678",
            "9012345678",
            "０９０１２３４５６７８",
            "09112345678",
            "+8109012345678",
        ];
        for text in wrong {
            assert_eq!(Line::read(text), Err(LineError::Number), "{text}");
        }
    }

    #[test]
    fn a_line_is_not_printed() {
        let line = Line::read("+819012345678").unwrap();
        assert!(!format!("{line:?}").contains("9012"));
        let pepper = Pepper::from_bytes([1; 32]);
        assert_eq!(line.hash(&pepper).len(), 64);
    }

    #[test]
    fn a_reason_has_words_up_to_its_limit() {
        assert_eq!(check_reason(" "), Err(LineError::Reason));
        assert_eq!(check_reason(&"理".repeat(REASON_CHARS_MAX)), Ok(()));
        assert_eq!(check_reason(&"理".repeat(REASON_CHARS_MAX + 1)), Err(LineError::Reason));
    }
}
