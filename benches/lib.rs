//! Shared figures and fixtures of the benches.
