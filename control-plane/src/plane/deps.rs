//! What the control plane is given, and why it may not run.

use std::fmt;
use std::sync::Arc;

use engine_core::handoff::{Acks, ArrivalsOut, FilesIn, WorkIn};
use engine_core::sound::SoundBank;

use crate::config::ConfigError;
use crate::objects::ObjectError;
use crate::pepper::PepperError;
use crate::store::StoreError;
use crate::ways::WaysError;

/// What the other parts hand to the control plane.
pub struct PlaneDeps {
    /// Sealed recordings, durable in the journal.
    pub arrivals: ArrivalsOut,
    /// Where recordings go whose row is committed.
    pub acks: Acks,
    /// Where recordings go to become text.
    pub work: WorkIn,
    /// Where files go that somebody asks about.
    pub files: FilesIn,
    /// Where greetings are kept ready to play.
    pub sounds: Arc<dyn SoundBank>,
}

impl fmt::Debug for PlaneDeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaneDeps").finish_non_exhaustive()
    }
}

/// Why the control plane cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaneError {
    /// A setting cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The rows cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pepper cannot be used.
    #[error(transparent)]
    Pepper(#[from] PepperError),
    /// The objects cannot be used.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// Notices cannot leave.
    #[error(transparent)]
    Ways(#[from] WaysError),
    /// A thread could not be started, or the listener failed.
    #[error("the system refused: {0}")]
    System(#[from] std::io::Error),
}
