//! Whoever computes gives way to whoever receives and answers.
//!
//! A text may come a moment later; a packet or an answer may not. Where both want the processor, the
//! kernel gives the engine's threads and readers about a tenth of what it gives the others, and all
//! of what these leave.

/// Of 19 at most (`nice(2)`).
const NICENESS: i32 = 10;

/// For the calling thread and all that it starts; for a process when its first thread calls it.
pub(crate) fn give_way() {
    // Giving way is always permitted; where it fails none the less, all is as it was.
    if rustix::process::getpriority_process(None).is_ok_and(|niceness| niceness < NICENESS) {
        let _ = rustix::process::setpriority_process(None, NICENESS);
    }
}
