//! Which part of the graph a run schedules around its roots (spec section 2, modes).

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    graph::{Conditions, Edge, TaskGraph},
    model::{Condition, TaskId, TaskSet},
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
    follows: Follows,
}

/// What is scheduled because a task called it when it last ran, although no edge says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Follows {
    /// What a task called.
    calls: HashMap<TaskId, Vec<TaskId>>,
    /// The same from the other end.
    callers: HashMap<TaskId, Vec<TaskId>>,
    /// What is scheduled for no other reason.
    beside: TaskSet,
}

impl Plan {
    /// The plan for these roots.
    #[must_use]
    pub fn new(graph: &TaskGraph, roots: impl IntoIterator<Item = TaskId>, mode: Mode) -> Self {
        let roots: TaskSet = roots.into_iter().collect();
        let up = |from: &TaskSet| reach(from, |id| graph.upstream(id));
        // Checks are about files that somebody names: they are never run because of what they need.
        let is_no_check = |edge: &Edge| graph.task(edge.task).check.is_none();
        let down = |from: &TaskSet| reach(from, |id| graph.downstream(id).filter(is_no_check));
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
        Self { roots, scheduled, order, follows: Follows::default() }
    }

    /// Has tasks wait for those they called when they last ran, which are scheduled with all that is upstream of
    /// them if `extends`. Also returns the calls (caller first) that cannot be followed: to a long-running process, or
    /// to a task that would have to wait for its caller.
    #[must_use]
    pub fn following(
        mut self,
        graph: &TaskGraph,
        extends: bool,
        mut called_by: impl FnMut(TaskId) -> Vec<TaskId>,
    ) -> (Self, Vec<(TaskId, TaskId)>) {
        let mut todo: Vec<TaskId> = self.order.iter().rev().copied().collect();
        let mut refused = Vec::new();
        while let Some(caller) = todo.pop() {
            for called in called_by(caller) {
                if !extends && !self.scheduled.contains(called) {
                    continue;
                }
                match self.needed(graph, caller, called) {
                    Some(needed) => {
                        let new = needed.into_iter().filter(|id| extends && self.scheduled.insert(*id));
                        let new: Vec<TaskId> = new.collect();
                        self.follows.beside.extend(new.iter().copied());
                        todo.extend(new);
                        self.follows.calls.entry(caller).or_default().push(called);
                        self.follows.callers.entry(called).or_default().push(caller);
                    }
                    None => refused.push((caller, called)),
                }
            }
        }
        if !self.follows.calls.is_empty() {
            self.order = self.sorted(graph);
        }
        (self, refused)
    }

    /// All that a call needs; none if that is its caller, too, or a process.
    fn needed(&self, graph: &TaskGraph, caller: TaskId, called: TaskId) -> Option<Vec<TaskId>> {
        let mut seen: TaskSet = [called].into_iter().collect();
        let mut needed = vec![called];
        let mut at = 0;
        while let Some(&id) = needed.get(at) {
            at += 1;
            if id == caller || graph.task(id).is_process() {
                return None;
            }
            needed.extend(self.upstream(graph, id).map(|edge| edge.task).filter(|id| seen.insert(*id)));
        }
        Some(needed)
    }

    /// What is scheduled, upstream before downstream along calls, too.
    fn sorted(&self, graph: &TaskGraph) -> Vec<TaskId> {
        let (mut sorted, mut opened, mut placed) = (Vec::new(), TaskSet::new(), TaskSet::new());
        let all = graph.topological().iter().copied().filter(|id| self.scheduled.contains(*id));
        for first in all {
            let mut stack = vec![first];
            while let Some(&id) = stack.last() {
                if opened.insert(id) {
                    let upstream = self.upstream(graph, id).map(|edge| edge.task);
                    stack.extend(upstream.filter(|id| self.scheduled.contains(*id) && !opened.contains(*id)));
                    continue;
                }
                stack.pop();
                if placed.insert(id) {
                    sorted.push(id);
                }
            }
        }
        sorted
    }

    /// The edges into a task, with those from tasks it called.
    pub fn upstream<'a>(&'a self, graph: &'a TaskGraph, id: TaskId) -> impl Iterator<Item = Edge> + 'a {
        graph.upstream(id).chain(followed(self.follows.calls.get(&id)))
    }

    /// The edges out of a task, with those into tasks that called it.
    pub fn downstream<'a>(&'a self, graph: &'a TaskGraph, id: TaskId) -> impl Iterator<Item = Edge> + 'a {
        graph.downstream(id).chain(followed(self.follows.callers.get(&id)))
    }

    /// Whether a task is scheduled only because one that is called it when it last ran.
    #[must_use]
    pub fn is_beside(&self, id: TaskId) -> bool {
        self.follows.beside.contains(id)
    }

    /// Whether any call is followed.
    #[must_use]
    pub fn follows_calls(&self) -> bool {
        !self.follows.calls.is_empty()
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

/// A caller goes on whatever became of what it called: what to do about that is its own business.
fn followed(tasks: Option<&Vec<TaskId>>) -> impl Iterator<Item = Edge> + '_ {
    let conditions = Conditions::from_iter([Condition::Completed]);
    tasks.into_iter().flatten().map(move |task| Edge { task: *task, conditions })
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
