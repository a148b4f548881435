//! The compute of Rusuden: a recording's payload to samples, text and MP3.
//!
//! In: chunks of recordings under way, whole recordings as work, sound files. Out: transcripts,
//! MP3 files, sounds coded for calls. It has threads and heavy arithmetic, and no sockets, no
//! database and no idea what a call or a subscriber is.
//!
//! The modules follow the flow: `codec` → `resample` → `speech` → `mel` → `whisper`, with `mp3`
//! beside it; `engine` drives them for many recordings at once.

#[cfg(feature = "whisper")]
mod clerk;
pub mod codec;
#[cfg(feature = "whisper")]
mod desk;
#[cfg(feature = "whisper")]
pub mod engine;
pub mod files;
mod join;
mod kept;
pub mod limits;
pub mod listen;
#[cfg(feature = "whisper")]
mod listener;
pub mod mel;
pub mod mp3;
#[cfg(feature = "whisper")]
mod priority;
#[cfg(feature = "whisper")]
pub mod reader;
#[cfg(feature = "whisper")]
mod readings;
pub mod resample;
#[cfg(feature = "whisper")]
mod service;
#[cfg(feature = "whisper")]
mod settings;
pub mod sounds;
pub mod speech;
#[cfg(feature = "whisper")]
mod take;
mod tone;
mod voice;
pub mod whisper;
