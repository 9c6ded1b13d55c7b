//! Several runs of one session at a time, and runs that tasks of a run ask for.

mod host;
#[cfg(target_os = "linux")]
mod kept;
#[cfg(target_os = "linux")]
mod kills;
mod nested;
mod reload;
mod runs;
#[path = "../support/mod.rs"]
mod support;
