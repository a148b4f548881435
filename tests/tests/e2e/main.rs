//! End to end: the real binary, called by baresip, SIPp, a fleet of our own and `rusuden call`.
//! Each test starts a service and loads the machine, so each first waits until it is alone.

use std::sync::{Mutex, MutexGuard, PoisonError};

mod blocked;
mod calls;
mod cli;
mod crash;
mod hostile;
mod load;
mod proofs;
mod readers;
mod speech;
mod stop;

/// Held by a test for as long as it runs; a test that failed does not fail the next.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}
