//! What goes into a job, and what comes out of it.

use std::{io, path::PathBuf, time::Duration};

use super::{Command, LineSink, LogTarget};

/// What is started, and what becomes of its output.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// The program.
    pub command: Command,
    /// Where its output is kept; none: nowhere.
    pub log: Option<LogTarget>,
    /// Where its lines go while it runs; none: nowhere.
    pub lines: Option<LineSink>,
    /// How long it may run; none: for ever. Time while it is paused does not count.
    pub timeout: Option<Timeout>,
}

/// How long something may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// Until SIGTERM.
    pub after: Duration,
    /// From SIGTERM until SIGKILL.
    pub grace: Duration,
}

/// How a job ended.
#[derive(Debug)]
pub struct Ended {
    /// How its first process ended.
    pub exit: Exit,
    /// Whether it left something running in the background that had to be let go or ended.
    pub leaky: bool,
    /// Whether it was ended because it wanted the terminal, which only a foreground job has (hazard C10).
    pub wanted_terminal: bool,
    /// What ended it, if it did not end by itself.
    pub ended_by: Option<EndedBy>,
    /// The last lines it wrote, of both streams as they came: at most 1 MiB, none longer than 64 KiB.
    pub tail: Vec<Vec<u8>>,
    /// Lines it wrote in all.
    pub lines: u64,
    /// Its log, if it wrote anything.
    pub log: Option<PathBuf>,
    /// Why the log is not complete.
    pub log_fault: Option<io::Error>,
}

/// How a process ended. Both are none if somebody else of this program took its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
}

impl Exit {
    /// Whether it exited with 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self.code == Some(0)
    }
}

/// What ended a job that did not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Its time was up.
    Timeout,
    /// It was asked to terminate.
    Terminated,
    /// It was killed on request.
    Killed,
}
