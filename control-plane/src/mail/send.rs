//! Hands mails over: to an SMTP server, or as `.eml` files to a folder. A mail in, an outcome
//! out; whether and when to try again is the outbox core's business.

use std::path::PathBuf;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::{self, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::config::{SmtpConfig, SmtpSecurity};
use crate::limits::{SMTP_CONNECTIONS_MAX, SMTP_TIMEOUT};
use crate::outbox::Outcome;
use crate::whole_file::write_whole;

/// Why mails cannot leave at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailerError {
    /// TLS could not be set up.
    #[error("smtp: TLS cannot be set up: {0}")]
    Tls(#[from] smtp::Error),
    /// The certificate file could not be read.
    #[error("smtp.ca_file: {path} cannot be read as PEM: {why}")]
    Authority {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// The folder for mails cannot be used.
    #[error("the folder {path} for mails cannot be made: {why}")]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
}

/// The way out.
#[derive(Debug, Clone)]
pub(crate) enum Mailer {
    /// Through a server.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// Into this folder.
    Folder(PathBuf),
}

impl Mailer {
    /// The way that the configuration names; without one, the folder.
    pub(crate) fn new(smtp: Option<&SmtpConfig>, folder: PathBuf) -> Result<Self, MailerError> {
        let Some(config) = smtp else {
            std::fs::create_dir_all(&folder)
                .map_err(|e| MailerError::Folder { path: folder.clone(), why: e.to_string() })?;
            return Ok(Self::Folder(folder));
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port())
            .timeout(Some(SMTP_TIMEOUT))
            .pool_config(PoolConfig::new().max_size(SMTP_CONNECTIONS_MAX))
            .tls(tls(config)?);
        if let (Some(user), Some(password)) = (&config.user, &config.password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
        }
        Ok(Self::Smtp(builder.build()))
    }

    /// Stable name of the way, for APIs.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Smtp(_) => "smtp",
            Self::Folder(_) => "folder",
        }
    }

    /// Hands one mail over; `name` is its file's name in a folder.
    pub(crate) async fn send(&self, name: String, to: &Envelope, mail: Vec<u8>) -> Outcome {
        match self {
            Self::Smtp(transport) => match transport.send_raw(to, &mail).await {
                Ok(_) => Outcome::Delivered,
                Err(error) => judge(&error),
            },
            Self::Folder(folder) => {
                let folder = folder.clone();
                let written = tokio::task::spawn_blocking(move || {
                    write_whole(&folder, &format!("{name}.eml"), &mail)
                });
                match written.await {
                    Ok(Ok(())) => Outcome::Delivered,
                    Ok(Err(error)) => Outcome::Transient(error.to_string()),
                    Err(error) => Outcome::Transient(error.to_string()),
                }
            }
        }
    }
}

fn tls(config: &SmtpConfig) -> Result<Tls, MailerError> {
    if config.security == SmtpSecurity::Plain {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(config.host.clone());
    if let Some(path) = &config.ca_file {
        let refused = |why: String| MailerError::Authority { path: path.clone(), why };
        let pem = std::fs::read(path).map_err(|e| refused(e.to_string()))?;
        let authority = Certificate::from_pem(&pem).map_err(|e| refused(e.to_string()))?;
        parameters = parameters.add_root_certificate(authority);
    }
    let parameters = parameters.build()?;
    Ok(match config.security {
        SmtpSecurity::Tls => Tls::Wrapper(parameters),
        _ => Tls::Required(parameters),
    })
}

/// RFC 5321 §4.2.1: 5yz is permanent, 4yz transient. A refused login (RFC 4954 §6) speaks of our
/// settings, not of the mail: it waits for the operator.
fn judge(error: &smtp::Error) -> Outcome {
    let code = error.status().map(u16::from);
    let about_login = matches!(code, Some(530 | 534 | 535 | 538));
    if error.is_permanent() && !about_login {
        Outcome::Permanent(error.to_string())
    } else {
        Outcome::Transient(error.to_string())
    }
}
