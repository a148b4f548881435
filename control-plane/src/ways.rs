//! Every way on which notices leave, as the configuration names them, and what they work with.

use std::path::Path;
use std::sync::Arc;

use lettre::message::Mailbox as MailAddress;

use crate::config::{ConfigError, PlaneConfig};
use crate::events::EventHub;
use crate::mail::dkim::{Dkim, DkimError};
use crate::mail::send::{Mailer, MailerError};
use crate::objects::Objects;
use crate::outgoing::Outgoing;
use crate::push::Push;
use crate::secret_file::SecretFileError;
use crate::sms::{SmsError, SmsSender};
use crate::store::SharedStore;
use crate::template::{Links, TemplateError, Templates};
use crate::webhook::{WebhookKey, Webhooks};

/// Why notices cannot leave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaysError {
    /// A setting cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Mails cannot leave.
    #[error(transparent)]
    Mailer(#[from] MailerError),
    /// Mails cannot be signed.
    #[error(transparent)]
    Dkim(#[from] DkimError),
    /// SMS cannot leave.
    #[error(transparent)]
    Sms(#[from] SmsError),
    /// A key of ours cannot be read or made.
    #[error(transparent)]
    SecretFile(#[from] SecretFileError),
    /// Webhooks and push services cannot be called.
    #[error("the HTTP client cannot be set up: {0}")]
    Outgoing(#[from] reqwest::Error),
    /// A template is broken: a fault of this program.
    #[error("a template is broken: {0}")]
    Template(String),
}

impl From<TemplateError> for WaysError {
    fn from(error: TemplateError) -> Self {
        Self::Template(error.to_string())
    }
}

/// The ways out.
pub(crate) struct Ways {
    pub(crate) store: SharedStore,
    pub(crate) objects: Objects,
    pub(crate) mailer: Mailer,
    pub(crate) dkim: Dkim,
    pub(crate) sms: SmsSender,
    pub(crate) push: Push,
    pub(crate) webhooks: Webhooks,
    pub(crate) templates: Templates,
    pub(crate) from: MailAddress,
    pub(crate) links: Links,
    pub(crate) events: Arc<EventHub>,
}

impl Ways {
    /// Opens all ways; keys that are not there yet are made in the data folder.
    pub(crate) fn open(
        config: &PlaneConfig,
        data_dir: &Path,
        store: SharedStore,
        objects: Objects,
        events: Arc<EventHub>,
    ) -> Result<Self, WaysError> {
        let outgoing = Outgoing::new(config.private_targets)?;
        let webhook_key = WebhookKey::open(&data_dir.join("webhook.key"))?;
        let vapid_key = data_dir.join("vapid.key");
        Ok(Self {
            mailer: Mailer::new(config.smtp.as_ref(), data_dir.join("mail"))?,
            dkim: Dkim::open(&config.dkim)?,
            sms: SmsSender::new(config.sms.as_ref(), data_dir.join("sms"))?,
            push: Push::open(&vapid_key, config.push_contact()?, outgoing.clone())?,
            webhooks: Webhooks::new(webhook_key, outgoing),
            templates: Templates::new()?,
            from: config.sender()?,
            links: Links {
                app: config.public_url.clone(),
                member: config.member_url.clone(),
                terms: config.terms_url.clone(),
            },
            store,
            objects,
            events,
        })
    }
}
