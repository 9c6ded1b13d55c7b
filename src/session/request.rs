//! What a run is asked to do.

use std::{ffi::OsString, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cycle::Cycle;
use crate::{
    model::TaskName,
    plan::{Mode, Standpoint},
};

/// Whether the lines tasks write are passed on as events while they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LiveLines {
    /// Not at all; the logs have them.
    #[default]
    Off,
    /// All of them: a slow reader slows the tasks down, as any pipe does.
    All,
    /// What the reader keeps up with: a slow terminal never holds up a task (hazard C8).
    Lossy,
}

/// The task that asks for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The run it is part of.
    pub run: String,
    /// The task.
    pub task: TaskName,
}

/// One run: which tasks, and how. Start with [`Request::run`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// Names as a user types them (spec section 1.1); empty: the default selection.
    pub names: Vec<String>,
    /// How much of the graph is scheduled around them.
    pub mode: Mode,
    /// Merged over the `input` of the roots.
    pub inputs: Map<String, Value>,
    /// Arguments for the roots' scripts, as `"$@"`.
    pub arguments: Vec<OsString>,
    /// Arguments for single tasks, in place of [`arguments`](Self::arguments): the files a check is about.
    pub given: Vec<(TaskName, Vec<OsString>)>,
    /// How many one-shot tasks may execute at once; none: the session's number, which is the limit of all its runs
    /// together.
    pub jobs: Option<usize>,
    /// Whether the first failure that counts ends the run.
    pub fail_fast: bool,
    /// Whether the roots execute even if they are fresh.
    pub force: bool,
    /// Whether every task executes even if it is fresh.
    pub refresh: bool,
    /// Whether nothing executes, and only the decisions are told.
    pub dry_run: bool,
    /// Overrides every task's own limit.
    pub timeout: Option<Duration>,
    /// Overrides every task's own number.
    pub retries: Option<u32>,
    /// Whether a process whose port is taken fails, instead of getting the next free one.
    pub strict_ports: bool,
    /// Whether lines are passed on as events.
    pub lines: LiveLines,
    /// How many last lines of a failed task its event carries.
    pub tail: usize,
    /// From where the names are meant; none: from where the session was opened.
    pub standpoint: Option<Standpoint>,
    /// The environment tasks inherit, where it is not the session's.
    pub environment: Option<Arc<Vec<(OsString, OsString)>>>,
    /// The task that asks for this run while it executes in another run of this session (a nested run); none, and none
    /// that does not execute: nobody waits for it.
    pub caller: Option<Caller>,
    /// Only this part of it, in a watch.
    pub(crate) cycle: Option<Arc<Cycle>>,
    /// Whether the watch itself asks: what others do beside it it has to be told of.
    pub(crate) by_watch: bool,
    /// Whether the processes it needs stay up when it is over.
    pub(crate) keeps: bool,
}

impl Request {
    /// How many last lines of a failed task its event carries where nobody says otherwise.
    pub const TAIL: usize = 25;

    /// A run of these tasks with everything upstream of them.
    #[must_use]
    pub fn run<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            mode: Mode::default(),
            inputs: Map::new(),
            arguments: Vec::new(),
            given: Vec::new(),
            jobs: None,
            fail_fast: false,
            force: false,
            refresh: false,
            dry_run: false,
            timeout: None,
            retries: None,
            strict_ports: false,
            lines: LiveLines::default(),
            tail: Self::TAIL,
            cycle: None,
            by_watch: false,
            keeps: false,
            standpoint: None,
            environment: None,
            caller: None,
        }
    }

    /// Only judges: nothing executes, nothing is written.
    #[must_use]
    pub fn dry(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Has the processes it needs stay up when it is over, until somebody [stops](super::ProcessControl::stop) them or the
    /// session ends; then it does not wait for their end either.
    #[must_use]
    pub fn keeping_processes(mut self) -> Self {
        self.keeps = true;
        self
    }

    /// How much of the graph is scheduled.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }
}
