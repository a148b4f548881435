//! Benches of core.
fn main() {}
