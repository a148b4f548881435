//! Real-time scheduling of the calling thread.
//!
//! In: nothing. Out: whether the kernel grants it. Knows nothing of what the thread does.
#![allow(unsafe_code, reason = "no safe crate sets a policy that threads do not inherit")]

use std::io;

/// Above all that is not in real time, below the kernel's own.
const PRIORITY: libc::c_int = 1;

/// The calling thread runs whenever it has work (`SCHED_RR`, sched(7)); threads that it starts do
/// not. The kernel leaves everybody else a twentieth of the time (`sched_rt_runtime_us`).
///
/// # Errors
///
/// Neither `CAP_SYS_NICE` nor an `RLIMIT_RTPRIO` permits it.
pub fn run_in_real_time() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: 0 is the calling thread; the parameters are read during the call.
    let result = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_RR | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policy of the calling thread, as the kernel has it.
    fn policy() -> libc::c_int {
        // SAFETY: no pointers; 0 is the calling thread.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn it_is_the_threads_own_or_refused() {
        let thread = std::thread::spawn(|| {
            let granted = run_in_real_time();
            let child = std::thread::spawn(policy).join().unwrap();
            (granted, policy() & !libc::SCHED_RESET_ON_FORK, child)
        });
        match thread.join().unwrap() {
            (Ok(()), own, child) => assert_eq!((own, child), (libc::SCHED_RR, libc::SCHED_OTHER)),
            (Err(error), own, _) => {
                assert_eq!((error.raw_os_error(), own), (Some(libc::EPERM), libc::SCHED_OTHER));
            }
        }
    }
}
