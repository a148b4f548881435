//! Terms of service (S29): versions, each in Japanese and English. Pure: texts in, checked terms
//! or a refusal out.

use engine_core::time::WallTime;

use crate::limits::{TERMS_TEXT_CHARS_MAX, TERMS_URL_CHARS_MAX};

/// Terms in one language: where they can be read, their words, or both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TermsText {
    /// Where they can be read.
    pub url: Option<String>,
    /// Their words.
    pub text: Option<String>,
}

/// A version of the terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Its number, from 1.
    pub version: i64,
    /// From when it holds, until a later version does.
    pub effective_from: WallTime,
    /// In Japanese.
    pub ja: TermsText,
    /// In English.
    pub en: TermsText,
    /// When it was published.
    pub created_at: WallTime,
}

/// Checks the terms in one language; `field` names it.
pub fn check(terms: &TermsText, field: &'static str) -> Result<(), TermsError> {
    if let Some(url) = &terms.url {
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        let is_plain = !url.contains(|c: char| c.is_whitespace() || c.is_control());
        if !is_web || !is_plain || url.chars().count() > TERMS_URL_CHARS_MAX {
            return Err(TermsError::Url { field });
        }
    }
    let has_words = |text: &String| !text.trim().is_empty();
    if let Some(text) = &terms.text
        && (!has_words(text) || text.chars().count() > TERMS_TEXT_CHARS_MAX)
    {
        return Err(TermsError::Text { field });
    }
    if terms.url.is_none() && terms.text.is_none() {
        return Err(TermsError::Nothing { field });
    }
    Ok(())
}

/// Why terms cannot be so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermsError {
    /// Not a URL of the web.
    #[error("{field}.url must start with http:// or https:// and hold no spaces")]
    Url {
        /// Which language.
        field: &'static str,
    },
    /// No words or too many.
    #[error("{field}.text needs 1 to {TERMS_TEXT_CHARS_MAX} characters; put longer ones at a URL")]
    Text {
        /// Which language.
        field: &'static str,
    },
    /// Nothing to read.
    #[error("{field} needs url or text, so that the subscriber can read what is accepted")]
    Nothing {
        /// Which language.
        field: &'static str,
    },
}

impl TermsError {
    /// Name of the field that is wrong.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Url { field } | Self::Text { field } | Self::Nothing { field } => field,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_need_something_to_read() {
        let terms = |url: Option<&str>, text: Option<String>| {
            check(&TermsText { url: url.map(str::to_owned), text }, "ja")
        };
        assert_eq!(terms(Some("https://example.jp/terms"), None), Ok(()));
        assert_eq!(terms(None, Some("約款".to_owned())), Ok(()));
        assert_eq!(terms(None, None), Err(TermsError::Nothing { field: "ja" }));
        assert_eq!(terms(Some("javascript:alert(1)"), None), Err(TermsError::Url { field: "ja" }));
        assert_eq!(terms(Some("https://a b"), None), Err(TermsError::Url { field: "ja" }));
        assert_eq!(terms(None, Some(" ".to_owned())), Err(TermsError::Text { field: "ja" }));
        assert_eq!(terms(None, Some("条".repeat(TERMS_TEXT_CHARS_MAX))), Ok(()));
        let long = terms(None, Some("条".repeat(TERMS_TEXT_CHARS_MAX + 1)));
        assert_eq!(long, Err(TermsError::Text { field: "ja" }));
    }
}
