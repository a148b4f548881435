//! What must be well for calls and messages to be taken. Pure.

/// Whether the service can take calls and messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Rows can be written.
    pub store: bool,
    /// The workers run.
    pub workers: bool,
    /// Work finds an engine.
    pub engine: bool,
}

impl Readiness {
    /// Whether everything is well.
    pub const fn is_ready(&self) -> bool {
        self.store && self.workers && self.engine
    }
}
