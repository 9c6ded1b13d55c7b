//! A run as its starter sees it: events to read, a summary to wait for, a way to end it.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::mpsc;

use super::{SessionError, drive::Command, followed::Followed};
use crate::{
    event::{Event, RunStatus},
    model::{Outcome, TaskName, TaskSet},
};

/// A run under way. Dropping it ends the run.
#[derive(Debug)]
pub struct Run {
    pub(super) followed: Followed<RunSummary>,
    pub(super) commands: RunControl,
    /// Whether all it does is to wait for processes.
    pub(super) only_waits: Arc<AtomicBool>,
}

/// Ends or pauses a run from wherever it is held.
#[derive(Clone, Debug)]
pub struct RunControl(pub(super) mpsc::UnboundedSender<Command>);

impl RunControl {
    /// How long what is to end has from SIGTERM to SIGKILL (spec section 3).
    pub const GRACE: Duration = Duration::from_secs(5);

    /// Nothing new starts; what runs gets SIGTERM, and SIGKILL after [`GRACE`](Self::GRACE).
    pub fn interrupt(&self) {
        self.send(Command::Interrupt);
    }

    /// What runs gets SIGKILL now.
    pub fn kill(&self) {
        self.send(Command::Kill);
    }

    /// Stops the process groups of what runs; its time limits stand still.
    pub fn pause(&self) {
        self.send(Command::Pause);
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.send(Command::Resume);
    }

    /// Ends those of these tasks that execute, and begins them anew with what their files are then.
    pub(crate) fn restart(&self, tasks: TaskSet) {
        self.send(Command::Restart(tasks));
    }

    fn send(&self, command: Command) {
        // A run that is over has nothing to end.
        let _ = self.0.send(command);
    }
}

impl Run {
    /// The next event; none once the run is over. Events that are not read wait; lines that are not read
    /// hold up their tasks, unless the request asked for lossy ones. An interactive task does not start
    /// before the event after its `task_started` is asked for: whoever draws on its terminal has time to stop.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.followed.next_event().await
    }

    /// A handle to end it with.
    #[must_use]
    pub fn control(&self) -> RunControl {
        self.commands.clone()
    }

    /// Waits for the end; events nobody has read are thrown away.
    ///
    /// # Errors
    /// [`SessionError::Internal`] if the library itself failed.
    pub async fn finish(mut self) -> Result<RunSummary, SessionError> {
        self.followed.finish().await
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.followed.is_under_way() {
            self.commands.interrupt();
        }
    }
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunSummary {
    /// Its id.
    pub run: String,
    /// How it ended.
    pub status: RunStatus,
    /// How each scheduled task ended, in the order in which they did. In a dry run, what would run is not
    /// among them.
    pub outcomes: Vec<(TaskName, Outcome)>,
    /// The output of every task that handed one on.
    pub outputs: BTreeMap<String, Value>,
    /// The variables that the selected tasks hand on, and what they see of upstream, as a task after all of them would
    /// see them: each once, the value that wins.
    pub exports: BTreeMap<String, Vec<u8>>,
    /// Messages to show, in the order the tasks ended.
    pub messages: Vec<(TaskName, String)>,
    /// In a dry run: the tasks that would run, without those that always do and those whose `status`
    /// decides.
    pub would_run: Vec<TaskName>,
    /// In a dry run: the tasks of which an earlier result would come back.
    pub would_restore: Vec<TaskName>,
    /// Whether a task failed whose failure counts.
    pub failed: bool,
    /// The exit code of the first task whose failure counts, if it exited.
    pub first_exit_code: Option<i32>,
    /// Why results could not be saved, if they could not: the next run repeats this one's work.
    pub not_saved: Option<String>,
    /// Whether a part of the library itself broke down.
    pub internal_failure: bool,
    /// Wall-clock time.
    pub duration: Duration,
}

impl RunSummary {
    pub(crate) const fn new(run: String) -> Self {
        Self {
            run,
            status: RunStatus::Succeeded,
            outcomes: Vec::new(),
            outputs: BTreeMap::new(),
            exports: BTreeMap::new(),
            messages: Vec::new(),
            would_run: Vec::new(),
            would_restore: Vec::new(),
            failed: false,
            first_exit_code: None,
            not_saved: None,
            internal_failure: false,
            duration: Duration::ZERO,
        }
    }
}
