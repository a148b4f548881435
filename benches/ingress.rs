//! Benches of ingress.
fn main() {}
