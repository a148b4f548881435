//! The tests of `rtp_allocations`, received by epoll and written by threads: kernels without `io_uring`.

#[path = "rtp_allocations.rs"]
mod rtp_allocations;
