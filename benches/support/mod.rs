//! What the benches of whole processes share: the workspace, the floors beneath it, and rounds in which
//! every contender takes its turn, so that a busy machine is busy for all of them.
#![allow(dead_code, clippy::allow_attributes, reason = "each bench uses a part of this")]

pub(crate) mod args;
pub(crate) mod empty;
pub(crate) mod floor;
pub(crate) mod peak;
pub(crate) mod program;
pub(crate) mod rounds;
pub(crate) mod workspace;

use std::{process::ExitCode, thread, time::Duration};

/// The program that is measured.
pub(crate) const DEVTASK: &str = env!("CARGO_BIN_EXE_devtask");

/// The flags of a run whose output nobody reads.
pub(crate) const RUN: [&str; 4] = ["run", "--quiet", "--outputs", "none"];

/// So long after it was written a time stamp is trusted by everybody.
pub(crate) const AGED: Duration = Duration::from_millis(2100);

/// Two changes so far apart have different time stamps on every file system worth measuring on.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Everything runs; when its stamps are old enough to be trusted, it looks once more, and when those of what it keeps are,
/// once again.
pub(crate) fn settle(programs: &[(&str, program::Program)], smoke: bool) {
    let run = || programs.iter().for_each(|(_, program)| program.run());
    run();
    for _ in 0..2 {
        if !smoke {
            thread::sleep(AGED);
        }
        run();
    }
}

/// A bench starts itself for what has to be a process of its own: `Some` if this is such a start.
pub(crate) fn helper() -> Option<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some(mode @ (floor::STAT | floor::HASH)) => Some(floor::main(mode, &args[1..])),
        Some(peak::PEAK) => Some(peak::main(&args[1..])),
        _ => None,
    }
}
