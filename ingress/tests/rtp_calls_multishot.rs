//! The tests of `rtp_calls`, received by `io_uring` multishot: who may not attach programs.

#[path = "rtp_calls.rs"]
mod rtp_calls;
