//! The crash proof of the whole program: every call with which the store touches its file fails or is the
//! last one, the file is damaged, and stamps are too coarse. Whatever happened, the next run leaves what a clean one
//! would. (Power cuts are played in memory, beside the store: `src/store/tests/power.rs`.)

mod damage;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod outputs;
mod stamps;
#[path = "../support/mod.rs"]
mod support;
mod tree;
