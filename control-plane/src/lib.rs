//! Mailboxes, messages, notification and the REST API.
//!
//! In: sealed recordings and call events from `ingress`, text and MP3 from the engine, requests
//! from subscribers' and operators' programs. Out: rows, objects, work, mails, answers. It meets
//! the other parts only as `engine-core` types and never sees a packet or a sample.
//!
//! Rules are pure modules (`mailbox`, `message`, `forwarding_cost`, `backoff`, `outbox`,
//! `wording`); shells act on them (`intake`, `jobs`, `notify`, `mail`, `rest`). Rows are the
//! truth: a queue or a wake-up may be lost or come twice.

pub mod audit;
pub mod backoff;
mod clock;
pub mod config;
pub mod contract;
mod directory;
mod events;
pub mod forwarding_cost;
mod intake;
mod jobs;
pub mod keys;
pub mod limits;
pub mod line;
mod mail;
pub mod mailbox;
pub mod message;
mod notify;
pub mod numbers;
pub mod objects;
pub mod one_time_code;
pub mod outbox;
pub mod pepper;
mod plane;
pub mod quiet;
mod rest;
pub mod sessions;
pub mod setup;
pub mod store;
pub mod subscriber;
pub mod telephone;
pub mod turns;
pub mod serial;
pub mod store;
pub mod terms;
pub mod wording;
mod worker;

pub use config::{ConfigError, PlaneConfig, SmtpConfig, SmtpSecurity};
pub use keys::{ApiKey, KeyError, KeyId, Keys, Scope};
pub use mail::send::MailerError;
pub use plane::{ControlPlane, PlaneDeps, PlaneError, Readiness};
pub use sessions::{NewDevice, SessionError, Sessions};
