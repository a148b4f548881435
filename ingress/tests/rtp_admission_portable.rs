//! The tests of `rtp_admission`, received by epoll and written by threads: kernels without `io_uring`.

#[path = "rtp_admission.rs"]
mod rtp_admission;
