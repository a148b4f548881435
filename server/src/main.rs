//! rusuden
fn main() {}
