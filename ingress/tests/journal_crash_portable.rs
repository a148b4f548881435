//! The tests of `journal_crash`, received by epoll and written by threads: kernels without `io_uring`.

#[path = "journal_crash.rs"]
mod journal_crash;
