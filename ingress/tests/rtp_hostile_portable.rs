//! The tests of `rtp_hostile`, received by epoll and written by threads: kernels without `io_uring`.

#[path = "rtp_hostile.rs"]
mod rtp_hostile;
