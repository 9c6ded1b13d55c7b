//! The most memory a command or anything it started ever held.
//!
//! The kernel hands a child what its parent held when it was started, so the parent has to be small: the
//! bench starts itself anew for it.

use std::process::{Command, ExitCode, Stdio};

use nix::sys::resource::{UsageWho, getrusage};

use super::program::Program;

/// The mode of the helper.
pub(crate) const PEAK: &str = "--helper-peak";

/// The peak of the largest process of this command, in MB; it must succeed.
pub(crate) fn of(program: &Program) -> f64 {
    let (peak, code) = and_code(program);
    assert_eq!(code, 0, "{:?}", program.line);
    peak
}

/// The peak of the largest process of this command, in MB, and how it ended (-1: by a signal).
pub(crate) fn and_code(program: &Program) -> (f64, i32) {
    let output = program.within(PEAK).command().stdout(Stdio::piped()).output().expect("the helper starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
    let mut next = || -> i64 { numbers.next().expect("the helper says two numbers") };
    (next() as f64 / 1e6, i32::try_from(next()).expect("an exit code is small"))
}

/// Runs the command; prints the peak in bytes and the exit code.
pub(crate) fn main(line: &[String]) -> ExitCode {
    let mut command = Command::new(&line[0]);
    let status = command.args(&line[1..]).stdout(Stdio::null()).status().expect("it starts");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the system counts");
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    println!("{} {}", usage.max_rss() * unit, status.code().unwrap_or(-1));
    ExitCode::SUCCESS
}
