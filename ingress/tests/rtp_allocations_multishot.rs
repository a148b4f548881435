//! The tests of `rtp_allocations`, received by `io_uring` multishot: who may not attach programs.

#[path = "rtp_allocations.rs"]
mod rtp_allocations;
