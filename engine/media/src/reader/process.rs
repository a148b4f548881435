//! A reader's process that is replaced when it is lost.
//!
//! In: the program, batches. Out: readings, or why there are none. Lost is what died, answered
//! nothing for too long, or refuses one batch after the other: a GPU that failed once may refuse
//! everything from then on.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use engine_core::manner::Manner;

use super::apart::{Apart, ApartError, ReaderProgram};
use super::wire::Hello;
use super::{Losses, Patience};
use crate::desk::Desk;
use crate::limits::{
    READER_AGAIN_AFTER, READER_AGAIN_AFTER_MAX, READER_LOAD_MAX, READER_POLL, READER_REFUSALS_MAX,
};
use crate::whisper::{Heard, Reading};

/// A process, and all that is needed to start it anew.
pub(super) struct Process {
    program: ReaderProgram,
    hello: Hello,
    running: Option<Apart>,
    patience: Patience,
    losses: Losses,
    /// Batches that the model refused one after the other.
    refusals: u32,
}

impl Process {
    /// Starts one; [`Process::loaded`] waits until it has its model.
    pub(super) fn start(
        program: ReaderProgram,
        hello: Hello,
        patience: Patience,
        losses: Losses,
    ) -> Result<Self, ApartError> {
        let running = Some(Apart::start(&program, &hello)?);
        Ok(Self { program, hello, running, patience, losses, refusals: 0 })
    }

    pub(super) fn loaded(&mut self, is_over: &dyn Fn() -> bool) -> Result<(), ApartError> {
        match &mut self.running {
            Some(apart) => apart.loaded(READER_LOAD_MAX, is_over),
            None => Err(ApartError::Lost("is gone".to_owned())),
        }
    }

    /// Whether there is one; that it ended while it waited is noticed here.
    pub(super) fn is_there(&mut self) -> bool {
        if let Some(why) = self.running.as_mut().and_then(Apart::ended) {
            self.lose(&why);
        }
        self.running.is_some()
    }

    fn lose(&mut self, why: &str) {
        self.running = None;
        self.refusals = 0;
        self.losses.fetch_add(1, Ordering::Relaxed);
        tracing::error!("A reader's process {why}; another takes its place.");
    }

    /// Sees that there is one, however long that takes; `false`: the desk was closed meanwhile.
    pub(super) fn be_ready(&mut self, desk: &Desk) -> bool {
        if self.is_there() {
            return true;
        }
        desk.lose_reader();
        let is_over = || desk.is_closed();
        let mut pause = READER_AGAIN_AFTER;
        while !is_over() {
            let started = Apart::start(&self.program, &self.hello).and_then(|apart| {
                self.running = Some(apart);
                self.loaded(&is_over)
            });
            let Err(why) = started else {
                desk.find_reader();
                return true;
            };
            self.running = None;
            if is_over() {
                break;
            }
            tracing::error!(%why, "A reader cannot be started anew; it is tried again.");
            desk.despair(&why.to_string());
            let until = Instant::now() + pause;
            while Instant::now() < until && !is_over() {
                std::thread::sleep(READER_POLL);
            }
            pause = (pause * 2).min(READER_AGAIN_AFTER_MAX);
        }
        false
    }

    /// Has a batch read.
    pub(super) fn read(
        &mut self,
        windows: &[Heard<'_>],
        (frames, manner): (usize, Manner),
        padded: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Vec<Reading>, String> {
        let limit = self.patience.of(padded, windows.len());
        let apart = self.running.as_mut().ok_or("the reader has no process")?;
        match apart.read(windows, frames, manner, limit, is_over) {
            Ok(readings) => {
                self.refusals = 0;
                Ok(readings)
            }
            Err(why) => {
                match &why {
                    _ if is_over() => {}
                    ApartError::Lost(how) => self.lose(how),
                    ApartError::Refused(_) => self.refused(),
                }
                Err(why.to_string())
            }
        }
    }

    fn refused(&mut self) {
        self.refusals += 1;
        if self.refusals >= READER_REFUSALS_MAX {
            self.lose("refuses one batch after the other");
        }
    }
}
