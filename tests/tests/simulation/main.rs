//! Ten thousand calls in virtual time, from one seed, through jitter, call and journal.
//!
//! Callers lose, reorder and repeat packets, restart, change their SSRC; third parties send to
//! their ports; the disk is slow or fails; the machine dies and comes back. What comes out is
//! compared with a model that knows only what was sent and when it arrived. A failure prints the
//! seed; `SIM_SEED=… cargo test -p rusuden-tests --test simulation` replays it.

mod caller;
mod disk;
mod model;
mod world;

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use crate::world::{Outcome, World};

const WORLDS: u64 = 100;
const CALLS_A_WORLD: usize = 100;

/// Prints how to replay the run when it fails.
struct Replay(u64);

impl Drop for Replay {
    #[expect(clippy::print_stderr, reason = "the seed is for whoever reads the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("The simulation failed; SIM_SEED={} replays it.", self.0);
        }
    }
}

#[test]
fn ten_thousand_calls_come_out_as_they_were_spoken() {
    let seed = match std::env::var("SIM_SEED") {
        Ok(text) => text.parse().expect("SIM_SEED is a number"),
        Err(_) => 20_261_122,
    };
    let _replay = Replay(seed);
    let mut seeds = StdRng::seed_from_u64(seed);
    let mut total = Outcome::default();
    for _ in 0..WORLDS {
        let rng = StdRng::seed_from_u64(seeds.next_u64());
        total.add(&World::new(rng, CALLS_A_WORLD).run());
    }
    // The run is worth something only if all of it happened, and often.
    assert_eq!(total.calls, WORLDS * CALLS_A_WORLD as u64);
    for (what, count, at_least) in [
        ("delivered recordings", total.delivered, 4_000),
        ("recovered recordings", total.recovered, 300),
        ("frames compared", total.frames, 500_000),
        ("packets put right", total.reordered, 5_000),
        ("packets lost", total.lost, 5_000),
        ("packets that came twice", total.duplicated, 5_000),
        ("packets of third parties", total.hijacks, 5_000),
        ("restarts and changes of SSRC", total.restarts, 1_000),
        ("full messages", total.full, 100),
        ("messages ended by a key", total.pound, 300),
        ("failed writes", total.failed_writes, 100),
        ("failed syncs", total.failed_syncs, 100),
        ("crashes", total.crashes, 20),
        ("calls ended by a full disk", total.refused, 50),
    ] {
        assert!(count >= at_least, "only {count} {what}, {at_least} were meant to happen");
    }
}
