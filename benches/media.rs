//! Benches of media.
fn main() {}
