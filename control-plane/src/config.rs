//! What an operator may set. Every field has a default, so an empty configuration runs on
//! loopback with mails as files. Unknown keys are refused with their name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use lettre::Address;
use lettre::message::Mailbox as MailAddress;
use serde::{Deserialize, Serialize};

use crate::rest::EdgeConfig;
use crate::vault::VaultConfig;
mod outgoing;

pub use outgoing::{DkimConfig, SmppConfig, SmsConfig, SmsHttpConfig};

/// Settings of the control plane. The data folder is given apart, since every part shares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlaneConfig {
    /// Where REST listens.
    pub listen: SocketAddr,
    /// Reverse proxies whose `X-Forwarded-For` is believed; nobody else's is. Limits per address
    /// need it where a proxy stands before this service. This machine's own, if nothing is said.
    pub trusted_proxies: Vec<IpAddr>,
    /// How subscribers reach this service, such as `https://rusuden.example`; mails link there.
    /// Without it mails carry no link.
    pub public_url: Option<String>,
    /// The carrier's member page (S27); mails link there. Without it they carry no such link.
    pub member_url: Option<String>,
    /// The terms of service (S29), linked in the mail that carries the serial number.
    pub terms_url: Option<String>,
    /// Sender of mails, such as `留守番電話 <rusuden@example.jp>`. Its domain names our
    /// Message-IDs.
    pub mail_from: String,
    /// The mail server. Without it mails land as `.eml` files in the data folder's `mail`.
    pub smtp: Option<SmtpConfig>,
    /// Signatures of mails; none by default. Two, RSA and Ed25519, suit every reader.
    pub dkim: Vec<DkimConfig>,
    /// How SMS leave. Without it they land as `.sms` files in the data folder's `sms`.
    pub sms: Option<SmsConfig>,
    /// Whom push services may write to, as `mailto:…` or `https://…`; by default the address of
    /// `mail_from`.
    pub push_contact: Option<String>,
    /// Whether webhooks and push endpoints may be on private addresses, and without TLS.
    pub private_targets: bool,
    /// Recordings that are with the engine at once.
    pub transcriptions_max: usize,
    /// Where data keys are kept and what wraps them.
    pub vault: VaultConfig,
    /// Who may ask how much.
    pub edge: EdgeConfig,
    /// When only so many 050 numbers are left, the operator is told.
    pub numbers_low_water: u32,
}

impl Default for PlaneConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8_080)),
            trusted_proxies: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            public_url: None,
            member_url: None,
            terms_url: None,
            mail_from: "Rusuden <rusuden@localhost>".to_owned(),
            smtp: None,
            dkim: Vec::new(),
            sms: None,
            push_contact: None,
            private_targets: false,
            transcriptions_max: 64,
            vault: VaultConfig::default(),
            edge: EdgeConfig::default(),
            numbers_low_water: 100,
        }
    }
}

/// How mails leave.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Host name of the mail server.
    pub host: String,
    /// Its port; by default 587 for `starttls`, 465 for `tls`, 25 for `plain`.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub security: SmtpSecurity,
    /// Login name, if the server wants one.
    #[serde(default)]
    pub user: Option<String>,
    /// Password for `user`.
    #[serde(default)]
    pub password: Option<String>,
    /// PEM file with a certificate authority to trust besides the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for SmtpConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password never reaches a log.
        f.debug_struct("SmtpConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .field("user", &self.user)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

impl SmtpConfig {
    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            SmtpSecurity::Starttls => 587,
            SmtpSecurity::Tls => 465,
            SmtpSecurity::Plain => 25,
        })
    }
}

/// Protection of the connection to the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpSecurity {
    /// Starts in the clear and must turn to TLS (RFC 3207).
    #[default]
    Starttls,
    /// TLS from the first byte (RFC 8314 §3).
    Tls,
    /// In the clear: for a relay on the same machine only.
    Plain,
}

/// A setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `mail_from` is no address.
    #[error("mail_from = {given:?} is not a mail address; write it as \"Name <user@example.jp>\"")]
    MailFrom {
        /// What was set.
        given: String,
    },
    /// `public_url`, `member_url` or `terms_url` is no URL.
    #[error("{key} = {given:?} must start with http:// or https:// and hold no spaces")]
    Url {
        /// Which key.
        key: &'static str,
        /// What was set.
        given: String,
    },
    /// `push_contact` is no URI that a push service takes (RFC 8292 §2.1).
    #[error("push_contact = {given:?} must start with mailto: or https://")]
    PushContact {
        /// What was set.
        given: String,
    },
    /// The message centre cannot be reached so.
    #[error("sms.smpp needs a host, and per_second_max of 1 or more")]
    Smpp,
    /// A signature that could not stand in a header.
    #[error("dkim: domain and selector are letters, digits, dots and hyphens")]
    Dkim,
    /// Nothing would ever be transcribed.
    #[error("transcriptions_max = 0 would transcribe nothing; set it to 1 or more")]
    NoTranscriptions,
    /// One of user and password is missing.
    #[error("smtp.user and smtp.password belong together; set both or none")]
    HalfLogin,
    /// A password would cross the network readable by all.
    #[error(
        "smtp.security = \"plain\" would send the password in the clear; use starttls or tls, \
         or drop smtp.user"
    )]
    PasswordInTheClear,
}

impl PlaneConfig {
    /// Checks what the types alone cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.sender()?;
        check_url("public_url", self.public_url.as_deref())?;
        check_url("member_url", self.member_url.as_deref())?;
        check_url("terms_url", self.terms_url.as_deref())?;
        outgoing::check(self.sms.as_ref(), &self.dkim)?;
        if let Some(given) = &self.push_contact
            && !(given.starts_with("mailto:") || given.starts_with("https://"))
        {
            return Err(ConfigError::PushContact { given: given.clone() });
        }
        if self.transcriptions_max == 0 {
            return Err(ConfigError::NoTranscriptions);
        }
        let Some(smtp) = &self.smtp else { return Ok(()) };
        match (&smtp.user, &smtp.password, smtp.security) {
            (Some(_), None, _) | (None, Some(_), _) => Err(ConfigError::HalfLogin),
            (Some(_), Some(_), SmtpSecurity::Plain) if !is_loopback(&smtp.host) => {
                Err(ConfigError::PasswordInTheClear)
            }
            _ => Ok(()),
        }
    }

    /// Whom push services may write to.
    pub(crate) fn push_contact(&self) -> Result<String, ConfigError> {
        let sender = || self.sender().map(|sender| format!("mailto:{}", sender.email));
        self.push_contact.clone().map_or_else(sender, Ok)
    }

    /// The sender of mails, read.
    pub(crate) fn sender(&self) -> Result<MailAddress, ConfigError> {
        let wrong = || ConfigError::MailFrom { given: self.mail_from.clone() };
        let sender: MailAddress = self.mail_from.parse().map_err(|_| wrong())?;
        let whole = Address::new(sender.email.user(), sender.email.domain());
        whole.map(|_| sender).map_err(|_| wrong())
    }
}

fn check_url(key: &'static str, url: Option<&str>) -> Result<(), ConfigError> {
    let Some(url) = url else { return Ok(()) };
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if host.is_none_or(str::is_empty) || url.contains(char::is_whitespace) {
        return Err(ConfigError::Url { key, given: url.to_owned() });
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smtp(security: SmtpSecurity, user: Option<&str>, password: Option<&str>) -> PlaneConfig {
        let smtp = SmtpConfig {
            host: "mail.example.jp".to_owned(),
            port: None,
            security,
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
            ca_file: None,
        };
        PlaneConfig { smtp: Some(smtp), ..PlaneConfig::default() }
    }

    #[test]
    fn the_default_can_run() {
        assert_eq!(PlaneConfig::default().check(), Ok(()));
        assert_eq!(serde_json::from_str::<PlaneConfig>("{}").unwrap(), PlaneConfig::default());
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = serde_json::from_str::<PlaneConfig>(r#"{"lisen": "[::1]:80"}"#).unwrap_err();
        assert!(error.to_string().contains("lisen"), "{error}");
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let with = |change: fn(&mut PlaneConfig)| {
            let mut config = PlaneConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(with(|c| c.mail_from = "nobody".to_owned()).contains("mail_from"));
        assert!(with(|c| c.public_url = Some("rusuden.example".to_owned())).contains("https://"));
        assert!(with(|c| c.transcriptions_max = 0).contains("1 or more"));
    }

    #[test]
    fn a_password_is_never_sent_in_the_clear_to_another_machine() {
        let plain = smtp(SmtpSecurity::Plain, Some("u"), Some("p"));
        assert_eq!(plain.check(), Err(ConfigError::PasswordInTheClear));
        assert_eq!(smtp(SmtpSecurity::Tls, Some("u"), Some("p")).check(), Ok(()));
        assert_eq!(smtp(SmtpSecurity::Tls, Some("u"), None).check(), Err(ConfigError::HalfLogin));
        assert_eq!(smtp(SmtpSecurity::Plain, None, None).check(), Ok(()));
    }

    #[test]
    fn a_password_is_not_printed() {
        let printed = format!("{:?}", smtp(SmtpSecurity::Tls, Some("u"), Some("hunter2")));
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
