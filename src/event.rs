//! What happened in a run: the only road to the screen, the run log, JSON, `why`, timings.
//!
//! Floor 2. Data with a versioned JSON form, one object a line; readers ignore what they do not know.
//! It knows no clock: whoever emits an event supplies the time.

use std::{collections::BTreeMap, io::Write as _, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::model::{Compared, Outcome, Reason, Stage, TaskName};

/// The version written into every line.
pub const VERSION: u32 = 1;

/// One thing that happened, with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The version of this form: [`VERSION`].
    pub v: u32,
    /// When, as RFC 3339 in UTC.
    #[serde(with = "rfc3339")]
    pub time: SystemTime,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

impl Event {
    /// Appends its JSON form, as a line. What `serde_json` makes of it is the same, but goes through a map of its
    /// own, which takes twice as long; a run writes two lines a task.
    pub(crate) fn write_line(&self, to: &mut Vec<u8>) {
        let time = humantime::format_rfc3339_millis(self.time);
        let begin = to.len();
        // Memory takes whatever is written, and events have a JSON form: an object that is not empty.
        let head = write!(to, "{{\"v\":{},\"time\":\"{time}\"", self.v);
        let brace = to.len();
        match head.is_ok() && serde_json::to_writer(&mut *to, &self.what).is_ok() {
            true => to[brace] = b',',
            false => return to.truncate(begin),
        }
        to.push(b'\n');
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// A run begins.
    RunStarted {
        /// Its id; log files and records refer to it.
        run: String,
        /// The selected tasks.
        roots: Vec<TaskName>,
        /// Whether nothing is executed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    },
    /// What is scheduled, in topological order.
    Plan {
        /// The scheduled tasks.
        tasks: Vec<TaskName>,
        /// For each of these, which of them are directly upstream of it, by their places in `tasks`. Empty: not told,
        /// as in logs of earlier versions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        after: Vec<Vec<u32>>,
    },
    /// What is to be done with a task, and why.
    Decision {
        /// The task.
        task: TaskName,
        /// What is to be done.
        action: Decided,
        /// Why; empty unless it runs.
        reasons: Vec<Reason>,
        /// What was compared and found equal; told in a dry run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        compared: Option<Compared>,
        /// Its last success, if its last execution was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_success: Option<LastSuccess>,
        /// The earlier success that comes back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        restores: Option<LastSuccess>,
    },
    /// A task begins to execute.
    TaskStarted {
        /// The task.
        task: TaskName,
    },
    /// One line a task wrote. Not in the run log: the task's own log has it.
    Log {
        /// The task.
        task: TaskName,
        /// Where it wrote.
        stream: Stream,
        /// The line without its end; what is no UTF-8 is replaced.
        line: String,
    },
    /// Lines that were not passed on because the reader was too slow; the task's log has them.
    LogGap {
        /// The task.
        task: TaskName,
        /// How many.
        lines: u64,
    },
    /// How far a task is. Not in the run log.
    Progress {
        /// The task.
        task: TaskName,
        /// How much is done.
        done: f64,
        /// Of how much, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<f64>,
        /// What it is at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Something a task has to say about a place in a file. Not in the run log: the task's own log has it as a line.
    Diagnostic {
        /// The task.
        task: TaskName,
        /// The file, as the task names it.
        file: String,
        /// The line, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
        /// The column, from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        col: Option<u64>,
        /// `error`, `warning` or `note`, if it says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        severity: Option<String>,
        /// What it says.
        message: String,
    },
    /// Something the user should know that is no failure.
    Warning {
        /// The task it concerns, if one.
        task: Option<TaskName>,
        /// One sentence.
        message: String,
    },
    /// A task ended.
    TaskFinished(Box<Finished>),
    /// A message a task wants shown at the end (spec section 3).
    Message {
        /// The task.
        task: TaskName,
        /// The message.
        text: String,
    },
    /// The run is over.
    RunFinished {
        /// How many tasks ended in which way.
        counts: BTreeMap<Outcome, usize>,
        /// How the run ended.
        status: RunStatus,
        /// Wall-clock time in milliseconds.
        duration_ms: f64,
    },
    /// A tree is watched from now on.
    WatchStarted {
        /// The selected tasks.
        tasks: Vec<TaskName>,
        /// How many others are kept true before or with them.
        before: usize,
        /// How many files they rest on.
        files: usize,
        /// In how many directories these are looked for.
        directories: usize,
    },
    /// How the tasks of a watch stand, for who begins to read while it is under way: after `watch_started`, and
    /// before `waiting`, unless a cycle is under way.
    Standings {
        /// How each that was looked at ended last.
        outcomes: BTreeMap<TaskName, Outcome>,
        /// How many cycles there were, the first run and the one under way included.
        cycles: u64,
        /// Whether a cycle is under way.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_busy: bool,
    },
    /// A cycle of a watch begins because files changed.
    FilesChanged {
        /// Some of them, relative to the root where they lie beneath it.
        paths: Vec<String>,
        /// How many others there are.
        #[serde(default, skip_serializing_if = "is_zero")]
        more: usize,
        /// The tasks that are looked at again.
        tasks: Vec<TaskName>,
    },
    /// A watch has nothing to do.
    Waiting {
        /// The tasks that stand as failed.
        failed: Vec<TaskName>,
        /// The tasks that caused themselves to run too often, and do not any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        stuck: Vec<TaskName>,
        /// Whether it starts nothing until it is told to.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        on_hold: bool,
    },
    /// A watch sees less than it should, or again as well as it should.
    WatchHealth {
        /// What is wrong, and what helps.
        degraded: Option<String>,
    },
    /// A task has been run again and again because files changed while it, or what it causes, ran. It is not run any
    /// more until something else changes.
    LoopFound {
        /// The task.
        task: TaskName,
        /// The files.
        paths: Vec<String>,
    },
    /// A task has waited for some time for another run, which executes it, or had begun to: `devtask watch` for one.
    HeldUp {
        /// The task.
        task: TaskName,
    },
    /// A process has come to another stage, or something else is known of it.
    ProcessState(Box<ProcessStatus>),
    /// Task files were edited, and a watch goes on with what they say now.
    Reloaded {
        /// The tasks that are others than before.
        tasks: Vec<TaskName>,
    },
    /// Task files were edited and have a fault: a watch goes on with what they said before.
    ReloadFailed {
        /// What is wrong, for people.
        text: String,
    },
    /// Something a later version writes.
    #[serde(other)]
    Unknown,
}

/// A task's last success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSuccess {
    /// When it ended, in milliseconds since the epoch.
    pub at_ms: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The run it was part of.
    pub run: String,
}

/// What is to be done with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// It executes.
    Run,
    /// It would execute (dry run).
    WouldRun,
    /// It is fresh: its results are handed on.
    Cached,
    /// An earlier success had the same key: what it left comes back (spec section 4.5).
    Restore,
    /// It would come back (dry run).
    WouldRestore,
    /// It has no command.
    Skip,
}

/// Where a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a task ended, with what a person needs to see of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The task.
    pub task: TaskName,
    /// How it ended.
    pub status: Outcome,
    /// Its exit code, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// How long it executed, in milliseconds; none if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Why it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// What went wrong, where the exit code does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The upstream tasks whose failure kept it from running.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<TaskName>,
    /// The first line of what it executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Its working directory relative to the root, if it is not the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Its log file, relative to the root where it lies beneath it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Lines it wrote in all.
    #[serde(default)]
    pub lines: u64,
    /// The last lines it wrote, if it failed; a later reader finds them in the log.
    #[serde(skip)]
    pub tail: Vec<String>,
    /// Why its result is not recorded as fresh although it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_fresh: Option<Reason>,
    /// Whether something it left running in the background had to be detached and ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaky: bool,
    /// Whether its failure counts for the run (spec section 2: a failure may be soft).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub soft: bool,
    /// The earlier success that came back instead of its execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<LastSuccess>,
}

impl Finished {
    /// The end of a task that executed nothing.
    #[must_use]
    pub fn without_execution(task: TaskName, status: Outcome) -> Self {
        Self {
            task,
            status,
            exit_code: None,
            signal: None,
            duration_ms: None,
            reasons: Vec::new(),
            error: None,
            because: Vec::new(),
            command: None,
            cwd: None,
            log: None,
            lines: 0,
            tail: Vec::new(),
            not_fresh: None,
            leaky: false,
            soft: false,
            restored: None,
        }
    }
}

/// What is known of a long-running process (spec section 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Its task.
    pub task: TaskName,
    /// Where it stands.
    pub stage: Stage,
    /// The number of its first process, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How often it was restarted since somebody asked for it, within the window where there is one.
    #[serde(default, skip_serializing_if = "is_none_of_it")]
    pub restarts: u32,
    /// The exit code it ended with last, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it last, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// What it says of itself (`STATUS=` on its notify socket).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// What is wrong: what its probe came to last, or why it could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The ports it was given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, u16>,
    /// Its log file, relative to the root where it lies beneath it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// When it came to this stage, in milliseconds since the epoch.
    #[serde(default)]
    pub since_ms: u64,
}

impl ProcessStatus {
    /// Whether it is as those want it who wait for it to be ready: it is, or it has done what it was for.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.stage == Stage::Ready || self.stage == Stage::Exited && self.exit_code == Some(0)
    }

    /// Of a process nobody has asked for.
    #[must_use]
    pub const fn not_started(task: TaskName) -> Self {
        Self {
            task,
            stage: Stage::NotStarted,
            pid: None,
            restarts: 0,
            exit_code: None,
            signal: None,
            says: None,
            trouble: None,
            ports: BTreeMap::new(),
            log: None,
            since_ms: 0,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Everything that counts succeeded.
    Succeeded,
    /// A task failed, and its failure counts.
    Failed,
    /// It was ended from outside.
    Interrupted,
}

/// For what is left out of lines.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks in this form")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks in this form")]
fn is_none_of_it(number: &u32) -> bool {
    *number == 0
}

mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_rfc3339_millis(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_line_is_what_the_library_would_make_of_the_event() {
        let task = || TaskName::new("a:t").unwrap();
        let finished = Finished::without_execution(task(), Outcome::Cached);
        for what in [
            What::Plan { tasks: vec![task()], after: Vec::new() },
            What::Plan { tasks: vec![task(), task()], after: vec![vec![], vec![0]] },
            What::Warning { task: None, message: "a\n\"b\"\u{1}".to_owned() },
            What::TaskFinished(Box::new(finished)),
            What::Unknown,
        ] {
            let event = Event { v: VERSION, time: UNIX_EPOCH + Duration::from_millis(1_234_567), what };
            let mut line = b"before ".to_vec();
            event.write_line(&mut line);
            let expected = format!("before {}\n", serde_json::to_string(&event).unwrap());
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }
}
