//! A cluster in one call.

fn main() {}
