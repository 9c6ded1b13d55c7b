//! The program: arguments in, events out.
#[cfg(test)]
mod render;

fn main() {}
