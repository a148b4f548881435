//! SIP and RTP in, sealed recordings out: the I/O side of a call.
//!
//! `sip` answers, `rtp` receives and sends on shards (one thread and one ring each), `journal`
//! writes what arrives and recovers it after a crash, `sys` holds what needs `unsafe`. `media` is
//! what `sip` and `rtp` know of each other. Decisions about a call live in `engine_core`; this
//! crate only acts.

pub mod caller;
pub mod capture;
pub mod journal;
pub mod limits;
pub mod media;
pub mod rtp;
pub mod sip;
pub mod sys;
