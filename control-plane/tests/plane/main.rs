//! The control plane as its neighbours meet it: real queues, a real data folder, real HTTP and
//! SMTP. Only the engine and the sound bank stand in, since this crate must not see them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod billing;
mod blocked;
mod campaigns;
mod contracts;
mod dkim;
mod events;
mod export;
mod flow;
mod guides;
mod keeping;
mod mail;
mod mailboxes;
mod messages;
mod peers;
mod push;
mod refusals;
mod search;
mod sms;
mod subscriber;
mod support;
mod webhooks;
