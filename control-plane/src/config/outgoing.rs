//! Settings of the ways out beside SMTP: SMS, and signatures of mails.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// How SMS leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmsConfig {
    /// To a message centre, over SMPP 3.4.
    Smpp(SmppConfig),
    /// To an HTTP gateway, as JSON.
    Http(SmsHttpConfig),
}

/// A message centre.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmppConfig {
    /// Its host name.
    pub host: String,
    /// Its port; by default 2775.
    #[serde(default)]
    pub port: Option<u16>,
    /// Whether the connection is TLS from the first byte.
    #[serde(default)]
    pub tls: bool,
    /// Who we are to it; at most 15 characters.
    pub system_id: String,
    /// The password for `system_id`; at most 8 characters.
    pub password: String,
    /// What kind of system we are, if the centre asks; at most 12 characters.
    #[serde(default)]
    pub system_type: String,
    /// Sender of SMS: a number in E.164, a short code, or up to 11 letters.
    pub from: String,
    /// Most SMS parts in a second.
    #[serde(default = "ten")]
    pub per_second_max: u32,
    /// Whether long texts go in one piece (`message_payload`) for the centre to cut.
    #[serde(default)]
    pub message_payload: bool,
}

const fn ten() -> u32 {
    10
}

impl SmppConfig {
    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(2_775)
    }
}

impl fmt::Debug for SmppConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password never reaches a log.
        f.debug_struct("SmppConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("system_id", &self.system_id)
            .field("from", &self.from)
            .field("per_second_max", &self.per_second_max)
            .field("message_payload", &self.message_payload)
            .finish_non_exhaustive()
    }
}

/// An HTTP gateway for SMS.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsHttpConfig {
    /// Where SMS are sent to, as JSON.
    pub url: String,
    /// The bearer token that it asks for.
    #[serde(default)]
    pub token: Option<String>,
    /// Sender of SMS, if the gateway takes one.
    #[serde(default)]
    pub from: Option<String>,
}

impl fmt::Debug for SmsHttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token never reaches a log.
        f.debug_struct("SmsHttpConfig")
            .field("url", &self.url)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// A signature of mails (RFC 6376, RFC 8463).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DkimConfig {
    /// The domain that signs: that of `mail_from`, or one above it.
    pub domain: String,
    /// Names the key: its public half is in DNS at `<selector>._domainkey.<domain>`.
    pub selector: String,
    /// PEM file with the private key, RSA or Ed25519.
    pub key_file: PathBuf,
}

pub(super) fn check(sms: Option<&SmsConfig>, dkim: &[DkimConfig]) -> Result<(), ConfigError> {
    match sms {
        Some(SmsConfig::Http(http)) => super::check_url("sms.http.url", Some(&http.url))?,
        Some(SmsConfig::Smpp(smpp)) if smpp.host.is_empty() || smpp.per_second_max == 0 => {
            return Err(ConfigError::Smpp);
        }
        Some(SmsConfig::Smpp(_)) | None => {}
    }
    for one in dkim {
        let is_name = |name: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
            !name.is_empty() && name.len() <= 253 && name.bytes().all(plain)
        };
        if !is_name(&one.domain) || !is_name(&one.selector) {
            return Err(ConfigError::Dkim);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PlaneConfig;

    fn read(text: &str) -> Result<PlaneConfig, String> {
        let config: PlaneConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check().map(|()| config).map_err(|e| e.to_string())
    }

    #[test]
    fn each_way_out_is_configured_by_its_name() {
        let smpp = r#"
            [sms.smpp]
            host = "smsc.example.jp"
            system_id = "rusuden"
            password = "hunter2"
            from = "+819000000000"
        "#;
        let config = read(smpp).unwrap();
        let Some(SmsConfig::Smpp(smpp)) = &config.sms else { panic!("{config:?}") };
        assert_eq!((smpp.port(), smpp.per_second_max), (2_775, 10));
        assert!(!format!("{config:?}").contains("hunter2"));
        let http = read("sms.http = { url = \"https://sms.example.jp\", token = \"hunter2\" }");
        assert!(!format!("{:?}", http.unwrap()).contains("hunter2"));
        let dkim = "dkim = [{ domain = \"example.jp\", selector = \"a\", key_file = \"a.pem\" }]";
        assert_eq!(read(dkim).unwrap().dkim.len(), 1);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        assert!(
            read("sms.http = { url = \"sms.example.jp\" }").unwrap_err().contains("sms.http.url")
        );
        let smpp = "sms.smpp = { host = \"\", system_id = \"a\", password = \"b\", from = \"c\" }";
        assert!(read(smpp).unwrap_err().contains("sms.smpp"));
        let dkim = "dkim = [{ domain = \"a; b\", selector = \"a\", key_file = \"a.pem\" }]";
        assert!(read(dkim).unwrap_err().contains("dkim"));
        assert!(read("sms.pigeon = {}").unwrap_err().contains("pigeon"));
    }
}
