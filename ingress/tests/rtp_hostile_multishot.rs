//! The tests of `rtp_hostile`, received by `io_uring` multishot: who may not attach programs.

#[path = "rtp_hostile.rs"]
mod rtp_hostile;
