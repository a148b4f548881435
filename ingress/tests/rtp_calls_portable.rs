//! The tests of `rtp_calls`, received by epoll and written by threads: kernels without `io_uring`.

#[path = "rtp_calls.rs"]
mod rtp_calls;
