//! The program: arguments in, events out.
fn main() {}
