//! matcher
fn main() {}
