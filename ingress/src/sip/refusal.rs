//! A refusal: status, the reason it is counted under, and what the caller is told.

use rsipstack::sip::{Header, StatusCode};

/// The methods that we serve, for Allow (RFC 3261 §20.5).
pub(crate) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE";
/// Extensions that we speak, for Supported. `replaces`, `100rel` and the rest are not.
pub(crate) const SUPPORTED: &str = "timer, histinfo";
/// Option tags that may stand in Require: 100rel is met by answering at once (RFC 3262 §3 asks for
/// reliable provisional responses only where there are any).
pub(crate) const REQUIRABLE: [&str; 3] = ["timer", "100rel", "histinfo"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// For counters and logs; never holds anything from the message.
    pub(crate) reason: &'static str,
    /// Said in a Warning header (399, RFC 3261 §20.43) when there is something to say.
    pub(crate) warning: Option<String>,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Refusal {
    pub(crate) const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, warning: None, headers: Vec::new() }
    }

    pub(crate) fn warn(mut self, text: impl Into<String>) -> Self {
        self.warning = Some(text.into());
        self
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// 503 with Retry-After (RFC 3261 §21.5.4).
    pub(crate) fn busy(reason: &'static str, retry_after_seconds: u32) -> Self {
        Self::new(503, reason).with("Retry-After", retry_after_seconds.to_string())
    }

    /// 405 with Allow (RFC 3261 §8.2.1).
    pub(crate) fn method() -> Self {
        Self::new(405, "method").with("Allow", ALLOW)
    }

    /// 481 (RFC 3261 §12.2.2).
    pub(crate) const fn no_call() -> Self {
        Self::new(481, "no such call")
    }

    pub(crate) fn status_code(&self) -> StatusCode {
        StatusCode::from(self.status)
    }

    pub(crate) fn header_list(&self, agent: &str) -> Vec<Header> {
        let mut headers: Vec<Header> = self
            .headers
            .iter()
            .map(|(name, value)| Header::Other((*name).to_owned(), value.clone()))
            .collect();
        if let Some(warning) = &self.warning {
            let text: String = warning.chars().filter(|c| !c.is_control() && *c != '"').collect();
            let agent = agent.split('/').next().unwrap_or("rusuden");
            headers.push(Header::Other("Warning".to_owned(), format!("399 {agent} \"{text}\"")));
        }
        headers
    }
}
