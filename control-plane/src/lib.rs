//! Mailboxes, messages, notification and the REST API.
//!
//! In: sealed recordings and call events from `ingress`, text and MP3 from the engine, requests
//! from subscribers' and operators' programs. Out: rows, objects, work, mails, answers. It meets
//! the other parts only as `engine-core` types and never sees a packet or a sample.
//!
//! Rules are pure modules (`mailbox`, `message`, `forwarding_cost`, `backoff`, `notice`, `outbox`,
//! `quiet`, `search`, `wording`); shells act on them (`intake`, `jobs`, `notify`, `mail`, `rest`). Rows are the
//! Rules are pure modules (`mailbox`, `message`, `backoff`, `notice`, `outbox`, `quiet`, `wording`; of
//! money `money`, `japan`, `plan`, `usage`, `campaign`, `cancellation`, `billing`); shells act on
//! them (`intake`, `jobs`, `notify`, `mail`, `rest`). Rows are the
//! Rules are pure modules (`mailbox`, `message`, `backoff`, `notice`, `outbox`, `quiet`, `wording`;
//! of money `money`, `japan`, `plan`, `usage`, `campaign`, `cancellation`, `billing`); shells act
//! on them (`intake`, `jobs`, `notify`, `mail`, `rest`). Rows are the
//! Rules are pure modules: of mailboxes and messages `mailbox`, `message`, `search`, `wording`; of
//! telling `backoff`, `notice`, `outbox`, `quiet`; of contracts `contract`, `line`, `numbers`,
//! `serial`, `terms`; of money `money`, `japan`, `plan`, `usage`, `campaign`, `cancellation`,
//! `billing`. Shells act on them (`intake`, `jobs`, `notify`, `mail`, `sms`, `push`, `webhook`,
//! `rest`). Rows are the truth: a queue or a wake-up may be lost or come twice.

pub mod audit;
mod audit_log;
pub mod backoff;
pub mod billing;
pub mod billing_export;
pub mod blocked;
pub mod campaign;
pub mod cancellation;
mod clock;
pub mod config;
pub mod contract;
mod contract_notice;
mod copies;
#[cfg(test)]
mod day_by_day;
mod directory;
mod events;
mod guide;
mod hotwords;
mod intake;
pub mod japan;
mod jobs;
pub mod keys;
pub mod limits;
pub mod line;
mod mail;
pub mod mailbox;
pub mod message;
pub mod money;
pub mod notice;
mod notify;
pub mod numbers;
pub mod objects;
pub mod one_time_code;
pub mod outbox;
mod outgoing;
pub mod pepper;
pub mod plan;
mod plane;
pub mod push;
pub mod quiet;
mod rate;
mod readiness;
pub mod receipt;
mod rest;
mod sealing;
pub mod search;
mod secret_file;
pub mod serial;
pub mod sessions;
pub mod setup;
mod sms;
pub mod store;
pub mod subscriber;
pub mod telephone;
mod template;
pub mod terms;
pub mod turns;
pub mod usage;
pub mod vault;
mod ways;
pub mod webhook;
mod whole_file;
pub mod wording;
mod worker;
mod zip;

pub use audit_log::{AuditError, AuditLog, Head};
pub use config::{
    ConfigError, DkimConfig, PlaneConfig, SmppConfig, SmsConfig, SmsHttpConfig, SmtpConfig,
    SmtpSecurity,
};
pub use keys::{ApiKey, KeyError, KeyId, Keys, Scope};
pub use mail::dkim::DkimError;
pub use mail::send::MailerError;
pub use outgoing::TargetError;
pub use plane::{ControlPlane, PlaneDeps, PlaneError};
pub use rate::Rate;
pub use readiness::Readiness;
pub use rest::EdgeConfig;
pub use secret_file::SecretFileError;
pub use sessions::{NewDevice, SessionError, Sessions};
pub use sms::SmsError;
pub use vault::VaultConfig;
pub use ways::WaysError;
