//! What became of a run, from the events it left: bars over time, what waited, what was long, and pages of that.
//!
//! Floor 3. The run log is the only source: a [`Log`] is what could be read of it, a [`Report`] what that comes to,
//! however much is missing. Pure: where a log lies, what time it is and where a page goes is for others to know.
//!
//! | file | story |
//! |---|---|
//! | `log` | a text of JSON lines, damaged or not, becomes events |
//! | `gather` | events become rows and sums |
//! | `chain` | who waited for whom: waiting for a slot, the critical path |
//! | `lanes` | bars side by side |
//! | `page` | one HTML file that needs nothing else |
//! | `trace` | trace events, for Perfetto |
//! | `junit` | JUnit XML, for what shows tests |

mod chain;
mod escape;
mod gather;
mod junit;
mod lanes;
mod log;
mod page;
mod trace;

use std::time::SystemTime;

use crate::{
    event::{LastSuccess, RunStatus},
    model::{Outcome, PROCESSES, Reason, TaskName},
};

pub use junit::junit;
pub use log::Log;
pub use page::page;
pub use trace::trace;

/// Puts a reason into words.
pub type Say<'a> = &'a dyn Fn(&Reason) -> String;

/// What became of a run, as far as its log tells. Times are milliseconds since the run began.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Its id.
    pub run: String,
    /// What was asked for.
    pub roots: Vec<TaskName>,
    /// When it began.
    pub started: Option<SystemTime>,
    /// How it ended; none if the log does not tell.
    pub status: Option<RunStatus>,
    /// How long it took; without an end, up to the last that is known.
    pub wall_ms: f64,
    /// Its tasks, upstream before downstream.
    pub rows: Vec<Row>,
    /// How many bars of tasks stood side by side: at least so many slots there were.
    pub slots: usize,
    /// How many bars of processes did.
    pub process_lanes: usize,
    /// The critical path: the places in `rows` of the tasks on the longest chain, each waiting for the one before it.
    pub path: Vec<usize>,
    /// How long these took together. No number of slots would have made the run shorter.
    pub path_ms: f64,
    /// How long the run would have taken with a slot for everybody, if tasks did not slow each other down; none where
    /// edges are not known.
    pub unlimited_ms: Option<f64>,
    /// How long all tasks took together, without processes.
    pub work_ms: f64,
    /// How long those took when they last executed that were fresh, or came back.
    pub saved_ms: f64,
    /// What is missing.
    pub remarks: Vec<Remark>,
}

/// One task of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The task.
    pub name: TaskName,
    /// Whether it is a long-running process.
    pub is_process: bool,
    /// How it ended.
    pub fate: Fate,
    /// When it executed, if it did, in this run.
    pub bar: Option<Bar>,
    /// When a process was ready.
    pub ready_ms: Option<f64>,
    /// When its end was told.
    pub told_ms: Option<f64>,
    /// How long it had nothing else to wait for than a slot; none if it did not execute, is a process, or
    /// edges are not known. The time
    /// its `status` takes is among it.
    pub waited_ms: Option<f64>,
    /// The places of those directly upstream of it.
    pub after: Vec<usize>,
    /// Whether it is on the critical path.
    pub is_critical: bool,
    /// Why it executed.
    pub reasons: Vec<Reason>,
    /// Its last success, of a task that was fresh or came back.
    pub last: Option<LastSuccess>,
    /// Whether another run executed it while this one waited for it.
    pub is_elsewhere: bool,
    /// How long it executed, as it was measured.
    pub duration_ms: Option<f64>,
    /// Its exit code, if it exited.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// What went wrong, where the exit code does not say it.
    pub error: Option<String>,
    /// Those upstream whose failure kept it from running.
    pub because: Vec<TaskName>,
    /// Whether its failure does not count for the run.
    pub soft: bool,
    /// The first line of what it executed.
    pub command: Option<String>,
}

/// When a task executed, and beside which others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// From when.
    pub begin_ms: f64,
    /// Until when; of what has no end, the last moment that is known of the run.
    pub end_ms: f64,
    /// Which lane it is in, from 0: of those of tasks, or of those of processes.
    pub lane: usize,
}

impl Bar {
    /// How long.
    #[must_use]
    pub fn length_ms(&self) -> f64 {
        self.end_ms - self.begin_ms
    }
}

/// How a task of a run ended, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It was told.
    Ended(Outcome),
    /// An earlier success came back instead of its execution.
    Restored,
    /// It began, and its end is not known.
    Cut,
    /// Nothing is known of it but that it was planned.
    Unreached,
}

impl Fate {
    /// The words for it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ended(outcome) => outcome.label(),
            Self::Restored => "Restored",
            Self::Cut => "Unfinished",
            Self::Unreached => "Not reached",
        }
    }
}

/// What is missing in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The run is under way, or was ended before it could say how it ended.
    NoEnd,
    /// So many lines cannot be read.
    Damaged(usize),
    /// So many lines are in words of another version.
    Foreign(usize),
    /// What waits for what is not told.
    NoEdges,
    /// What was planned is not told.
    NoPlan,
}

impl Remark {
    /// One sentence for people.
    #[must_use]
    pub fn text(self) -> String {
        let lines = |n: usize| if n == 1 { "1 line".to_owned() } else { format!("{n} lines") };
        match self {
            Self::NoEnd => "The log has no end: the run is under way, or was killed; what has no end is told up to the last \
                            moment that is known."
                .to_owned(),
            Self::Damaged(n) => format!("{} of the log cannot be read and are left out.", lines(n)),
            Self::Foreign(n) => {
                format!("{} of the log were written by another version of devtask; some may not be understood.", lines(n))
            }
            Self::NoEdges => "The log does not tell which task waits for which: the critical path is only its longest task, \
                              and waiting is not known."
                .to_owned(),
            Self::NoPlan => "The log does not tell what was planned: tasks of which nothing was told are missing.".to_owned(),
        }
    }
}

impl Report {
    /// How many tasks ended so; processes are tasks here.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        self.rows.iter().filter(|row| row.fate == fate).count()
    }

    /// How many tasks this run has executed, or begun to; without processes.
    #[must_use]
    pub fn executed(&self) -> usize {
        self.tasks().filter(|row| row.bar.is_some() && row.fate != Fate::Restored).count()
    }

    /// Its tasks that are no processes.
    pub fn tasks(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.is_process)
    }

    /// How many tasks were under way at once on average.
    #[must_use]
    pub fn parallelism(&self) -> f64 {
        if self.wall_ms > 0.0 { self.work_ms / self.wall_ms } else { 0.0 }
    }
}

/// Whether a file that begins so is a page, a trace or a JUnit file of ours, so that another may take its place.
#[must_use]
pub fn is_ours(head: &[u8]) -> bool {
    [page::MARK, trace::MARK, junit::MARK].iter().any(|mark| head.starts_with(mark.as_bytes()))
}

/// Whether a task is a long-running process (spec section 6).
fn is_process(task: &TaskName) -> bool {
    task.as_str().strip_prefix(PROCESSES).is_some_and(|rest| rest.starts_with(':'))
}

#[cfg(test)]
mod tests;
