//! Mailboxes, messages, notification and the REST API.
//!
//! In: sealed recordings and call events from `ingress`, text and MP3 from the engine, requests
//! from subscribers' and operators' programs. Out: rows, objects, work, mails, answers. It meets
//! the other parts only as `engine-core` types and never sees a packet or a sample.
//!
//! Rules are pure modules (`mailbox`, `message`, `forwarding_cost`, `backoff`, `notice`,
//! `outbox`, `quiet`, `wording`); shells act on them (`intake`, `jobs`, `notify`, `mail`, `sms`,
//! `push`, `webhook`, `rest`). Rows are the
//! truth: a queue or a wake-up may be lost or come twice.

pub mod backoff;
mod clock;
pub mod config;
mod directory;
mod events;
pub mod forwarding_cost;
mod intake;
mod jobs;
pub mod keys;
pub mod limits;
mod mail;
pub mod mailbox;
pub mod message;
pub mod notice;
mod notify;
pub mod objects;
pub mod outbox;
mod outgoing;
mod plane;
pub mod push;
pub mod quiet;
mod rest;
mod secret_file;
mod sms;
pub mod store;
mod template;
mod ways;
pub mod webhook;
mod whole_file;
pub mod wording;
mod worker;

pub use config::{
    ConfigError, DkimConfig, PlaneConfig, SmppConfig, SmsConfig, SmsHttpConfig, SmtpConfig,
    SmtpSecurity,
};
pub use keys::{ApiKey, KeyError, KeyId, Keys, Scope};
pub use mail::dkim::DkimError;
pub use mail::send::MailerError;
pub use outgoing::TargetError;
pub use plane::{ControlPlane, PlaneDeps, PlaneError, Readiness};
pub use secret_file::SecretFileError;
pub use sms::SmsError;
pub use ways::WaysError;
