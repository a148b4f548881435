//! Short messages: a number and a text in; a part of the outcome out. Through a message centre
//! (SMPP), through an HTTP gateway, or as `.sms` files in a folder.
//!
//! `segment` cuts texts, `answer` and `receipt` read what comes back (all pure); `smpp` and `gateway` send.

mod answer;
mod gateway;
mod receipt;
mod segment;
mod smpp;

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::gateway::Gateway;
use self::smpp::Smpp;
use crate::config::SmsConfig;
use crate::outbox::Outcome;
use crate::store::SharedStore;
use crate::whole_file::write_whole;

/// Why SMS cannot leave at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmsError {
    /// The client for the gateway could not be set up.
    #[error("sms.url: the HTTP client cannot be set up: {0}")]
    Http(#[from] reqwest::Error),
    /// A value does not fit into SMPP.
    #[error("sms.{key} does not fit: {why}")]
    Smpp {
        /// Which key.
        key: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The folder for SMS cannot be used.
    #[error("the folder {path} for SMS cannot be made: {why}")]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
}

/// One SMS.
#[derive(Debug)]
pub(crate) struct Sms<'a> {
    /// Stable name of the delivery.
    pub(crate) name: &'a str,
    /// To whom, in E.164.
    pub(crate) to: &'a str,
    /// What it says.
    pub(crate) text: &'a str,
    /// How long it makes sense.
    pub(crate) validity: Option<Duration>,
}

/// How an attempt went, and how the centre calls its parts, for receipts.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) outcome: Outcome,
    pub(crate) references: Vec<String>,
}

impl From<Outcome> for Sent {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, references: Vec::new() }
    }
}

/// The way out.
pub(crate) enum SmsSender {
    /// Through a message centre.
    Smpp(Box<Smpp>),
    /// Through an HTTP gateway.
    Gateway(Gateway),
    /// Into this folder.
    Folder(PathBuf),
}

impl SmsSender {
    /// The way that the configuration names; without one, the folder.
    pub(crate) fn new(config: Option<&SmsConfig>, folder: PathBuf) -> Result<Self, SmsError> {
        match config {
            Some(SmsConfig::Smpp(config)) => Ok(Self::Smpp(Box::new(Smpp::new(config.clone())?))),
            Some(SmsConfig::Http(config)) => Ok(Self::Gateway(Gateway::new(config.clone())?)),
            None => {
                let refused = |e: std::io::Error| SmsError::Folder {
                    path: folder.clone(),
                    why: e.to_string(),
                };
                std::fs::create_dir_all(&folder).map_err(refused)?;
                Ok(Self::Folder(folder))
            }
        }
    }

    /// Stable name of the way, for APIs.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Smpp(_) => "smpp",
            Self::Gateway(_) => "http",
            Self::Folder(_) => "folder",
        }
    }

    /// Keeps the connection to a message centre up until `stop`; nothing where there is none.
    pub(crate) fn start(
        &self,
        store: SharedStore,
        stop: CancellationToken,
    ) -> Option<JoinHandle<()>> {
        match self {
            Self::Smpp(smpp) => Some(smpp.start(store, stop)),
            Self::Gateway(_) | Self::Folder(_) => None,
        }
    }

    /// Hands one SMS over.
    pub(crate) async fn send(&self, sms: Sms<'_>) -> Sent {
        match self {
            Self::Smpp(smpp) => smpp.send(&sms).await,
            Self::Gateway(gateway) => gateway.send(&sms).await.into(),
            Self::Folder(folder) => {
                let (folder, file) = (folder.clone(), format!("{}.sms", sms.name));
                let content = format!("To: {}\n\n{}\n", sms.to, sms.text);
                let written = tokio::task::spawn_blocking(move || {
                    write_whole(&folder, &file, content.as_bytes())
                });
                match written.await {
                    Ok(Ok(())) => Outcome::Delivered.into(),
                    Ok(Err(error)) => Outcome::Transient(error.to_string()).into(),
                    Err(error) => Outcome::Transient(error.to_string()).into(),
                }
            }
        }
    }
}
