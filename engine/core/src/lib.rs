//! Every media decision of Rusuden, without I/O.
//!
//! In: packets, ticks of a clock that the caller owns, results of I/O. Out: what to write, send,
//! seal, transcribe. This crate never sees a socket, a file, a thread, a clock or chance; shells
//! (`ingress`, `engine-media`, `control-plane`) act on what it decides and meet only on its types.
//!
//! The modules follow the flow packet → call → recording → samples → text → message; a module
//! uses nouns on its left, never on its right.

pub mod batcher;
pub mod call;
pub mod caller;
pub mod codec;
pub mod directory;
pub mod dtmf;
pub mod event;
pub mod file_work;
pub mod guards;
pub mod handoff;
pub mod hotwords;
pub mod id;
pub mod jitter;
pub mod journal;
pub mod latch;
pub mod limits;
pub mod loudness;
pub mod manner;
pub mod marks;
pub mod packet;
pub mod player;
pub mod private;
pub mod recorder;
pub mod recording;
pub mod recovery;
pub mod sound;
pub mod subtitles;
pub mod text;
pub mod time;
pub mod timeline;
pub mod transcript;
pub mod words;
pub mod work;
