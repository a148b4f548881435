//! The control plane as its neighbours meet it: real queues, a real data folder, real HTTP and
//! SMTP. Only the engine and the sound bank stand in, since this crate must not see them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod audio;
mod audit;
mod billing;
mod blocked;
mod campaigns;
mod client;
mod contracts;
mod description;
mod dkim;
mod edge;
mod events;
mod export;
mod flow;
mod guides;
mod isolation;
mod keeping;
mod languages;
mod mail;
mod mailboxes;
mod messages;
mod peers;
mod protection;
mod provoked;
mod push;
mod races;
mod refusals;
mod search;
mod setup;
mod sms;
mod subscriber;
mod support;
mod webhooks;
