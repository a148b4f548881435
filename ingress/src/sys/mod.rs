//! What needs `unsafe`: the receive ring and the system calls that no safe crate offers.
//!
//! In: sockets. Out: borrowed bytes and counts, by safe functions whose contracts the compiler
//! checks. Everything outside this folder is free of `unsafe`. Knows nothing of RTP.

pub mod addressed;
pub mod memory;
pub mod mmsg;
pub mod prefetch;
pub mod realtime;
pub mod ring;
pub mod socket;
pub mod steer;
