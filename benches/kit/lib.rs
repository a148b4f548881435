//! What the load kits share: samples and their quantiles, what a process uses, plots over time.

pub mod figures;
pub mod plot;
pub mod process;
