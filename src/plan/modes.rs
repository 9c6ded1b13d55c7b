//! Which part of the graph a run schedules around its roots (spec section 2, modes).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    graph::{Edge, TaskGraph},
    model::{TaskId, TaskSet},
};

/// How much of the graph is scheduled around the roots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Only the roots.
    Single,
    /// The roots and everything upstream of them.
    #[default]
    Before,
    /// The roots and everything downstream of them.
    After,
    /// Upstream of the roots, then downstream of the roots, then upstream of all that.
    All,
}

impl Mode {
    /// Every mode, in the order the specification lists them.
    pub const ALL: [Self; 4] = [Self::Single, Self::Before, Self::After, Self::All];

    /// The word of the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Before => "before",
            Self::After => "after",
            Self::All => "all",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a run wants: its roots and everything scheduled with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    roots: TaskSet,
    scheduled: TaskSet,
    order: Vec<TaskId>,
}

impl Plan {
    /// The plan for these roots.
    #[must_use]
    pub fn new(graph: &TaskGraph, roots: impl IntoIterator<Item = TaskId>, mode: Mode) -> Self {
        let roots: TaskSet = roots.into_iter().collect();
        let up = |from: &TaskSet| reach(from, |id| graph.upstream(id));
        let down = |from: &TaskSet| reach(from, |id| graph.downstream(id));
        let scheduled = match mode {
            Mode::Single => roots.clone(),
            Mode::Before => up(&roots),
            Mode::After => down(&roots),
            Mode::All => up(&down(&roots)),
        };
        Self::part(graph, roots, scheduled)
    }

    /// The plan that schedules just these tasks.
    #[must_use]
    pub(crate) fn part(graph: &TaskGraph, roots: TaskSet, scheduled: TaskSet) -> Self {
        let order = graph.topological().iter().copied().filter(|id| scheduled.contains(*id)).collect();
        Self { roots, scheduled, order }
    }

    /// The selected tasks.
    #[must_use]
    pub const fn roots(&self) -> &TaskSet {
        &self.roots
    }

    /// Everything scheduled, roots included.
    #[must_use]
    pub const fn scheduled(&self) -> &TaskSet {
        &self.scheduled
    }

    /// Everything scheduled, upstream before downstream.
    #[must_use]
    pub fn order(&self) -> &[TaskId] {
        &self.order
    }
}

/// Everything reachable from `from`, itself included. Iterative: chains may be 100,000 long.
fn reach<I: Iterator<Item = Edge>>(from: &TaskSet, next: impl Fn(TaskId) -> I) -> TaskSet {
    let mut seen = from.clone();
    let mut stack: Vec<TaskId> = from.iter().collect();
    while let Some(id) = stack.pop() {
        for edge in next(id) {
            if seen.insert(edge.task) {
                stack.push(edge.task);
            }
        }
    }
    seen
}
