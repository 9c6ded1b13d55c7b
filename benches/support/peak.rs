//! The most memory a command or anything it started ever held.
//!
//! The kernel hands a child what its parent held when it was started, so the parent has to be small: the
//! bench starts itself anew for it.

use std::process::{Command, ExitCode, Stdio};

use nix::sys::resource::{UsageWho, getrusage};

use super::program::Program;

/// The mode of the helper.
pub(crate) const PEAK: &str = "--helper-peak";

/// The peak of the largest process of this command, in MB.
pub(crate) fn of(program: &Program) -> f64 {
    let mut command = program.within(PEAK).command();
    let output = command.stdout(Stdio::piped()).output().expect("the helper starts");
    assert!(output.status.success(), "{:?}: {}", program.line, output.status);
    let bytes: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    bytes / 1e6
}

/// Runs the command, prints the peak in bytes, ends like it.
pub(crate) fn main(line: &[String]) -> ExitCode {
    let mut command = Command::new(&line[0]);
    let status = command.args(&line[1..]).stdout(Stdio::null()).status();
    let status = status.expect("it starts");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system counts");
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    println!("{}", usage.max_rss() * unit);
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
