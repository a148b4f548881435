//! Mailboxes, messages, notification and the REST API.
//!
//! In: sealed recordings and call events from `ingress`, text and MP3 from the engine, requests
//! from subscribers' and operators' programs. Out: rows, objects, work, mails, answers. It meets
//! the other parts only as `engine-core` types and never sees a packet or a sample.
//!
//! Rules are pure modules (`mailbox`, `message`, `forwarding_cost`, `backoff`, `notice`,
//! `outbox`, `quiet`, `wording`); shells act on them (`intake`, `jobs`, `notify`, `mail`, `rest`). Rows are the
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
mod plane;
pub mod quiet;
pub mod receipt;
mod rest;
mod sealing;
pub mod store;
mod template;
pub mod vault;
pub mod wording;
mod worker;

pub use config::{ConfigError, PlaneConfig, SmtpConfig, SmtpSecurity};
pub use keys::{ApiKey, KeyError, KeyId, Keys, Scope};
pub use mail::send::MailerError;
pub use plane::{ControlPlane, PlaneDeps, PlaneError, Readiness};
pub use vault::VaultConfig;
