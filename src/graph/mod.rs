//! The task graph: proof that a set of declarations is sound.
//!
//! Floor 3, pure. A [`TaskGraph`] can only be had from [`TaskGraph::build`], which reports every fault of
//! the edges at once (spec section 2): duplicates, unknown names, states that cannot be reached, cycles; and
//! every reference to a port that no process has.
//! Whoever holds one may rely on its being acyclic. It knows nothing of what is selected or running.

mod build;
mod cycle;
mod draft;
pub mod picture;
mod ports;
pub mod render;
mod stored;

use std::collections::HashMap;

use petgraph::{Direction, graph::DiGraph, visit::EdgeRef as _};

pub use build::GraphBuilder;
pub use draft::TaskDraft;
pub(crate) use stored::Stored;

use crate::{
    diagnostic::{Diagnostic, Place},
    model::{Condition, Declaration, Task, TaskId, TaskName},
};

/// The event before a shell is entered (spec section 1.3).
pub const ENTER_SHELL: &str = "devenv:enterShell";
/// The event before tests run (spec section 1.3).
pub const ENTER_TEST: &str = "devenv:enterTest";

/// The conditions of one edge: two declarations of a pair must both be satisfied (spec section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Conditions(u8);

impl Conditions {
    /// Adds a condition.
    pub fn insert(&mut self, condition: Condition) {
        self.0 |= 1 << condition as u8;
    }

    /// Whether a condition is among them.
    #[must_use]
    pub const fn contains(self, condition: Condition) -> bool {
        self.0 & (1 << condition as u8) != 0
    }

    /// The conditions.
    pub fn iter(self) -> impl Iterator<Item = Condition> {
        Condition::ALL.into_iter().filter(move |c| self.contains(*c))
    }

    /// Whether the edge lets a failure of its upstream pass unharmed: all of it is `@completed`.
    #[must_use]
    pub const fn is_soft(self) -> bool {
        self.0 == 1 << Condition::Completed as u8
    }

    /// Whether results travel along the edge: any state but `@started` (spec section 3, environment).
    #[must_use]
    pub const fn hands_on(self) -> bool {
        self.0 & !(1 << Condition::Started as u8) != 0
    }
}

impl FromIterator<Condition> for Conditions {
    fn from_iter<I: IntoIterator<Item = Condition>>(all: I) -> Self {
        let mut set = Self::default();
        for condition in all {
            set.insert(condition);
        }
        set
    }
}

/// An edge as seen from one of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The task at the other end.
    pub task: TaskId,
    /// What must hold of the upstream before the downstream may begin.
    pub conditions: Conditions,
}

/// A sound, acyclic graph of tasks.
#[derive(Clone, Debug)]
pub struct TaskGraph {
    tasks: Vec<Task>,
    places: Vec<Option<Place>>,
    /// How many tasks, counted from the end, no file declares.
    builtin: u32,
    by_name: HashMap<TaskName, TaskId>,
    edges: DiGraph<(), Conditions>,
    order: Vec<TaskId>,
}

impl TaskGraph {
    /// Builds a graph from declarations, adding the built-in events.
    ///
    /// # Errors
    /// Every fault of the names and edges.
    pub fn build(declarations: Vec<Declaration>) -> Result<Self, Vec<Diagnostic>> {
        build::build(declarations)
    }

    /// Starts a graph by hand.
    #[must_use]
    pub fn builder() -> GraphBuilder {
        GraphBuilder::default()
    }

    /// The task with this id.
    ///
    /// # Panics
    /// If the id is of another graph.
    #[must_use]
    pub fn task(&self, id: TaskId) -> &Task {
        &self.tasks[id.index()]
    }

    /// Changes what tasks are, but for their names: edges stay as they are.
    pub(crate) fn each_task(&mut self, mut change: impl FnMut(&mut Task)) {
        self.tasks.iter_mut().for_each(&mut change);
    }

    /// Where the task is declared, if it comes from a file.
    #[must_use]
    pub fn place(&self, id: TaskId) -> Option<&Place> {
        self.places[id.index()].as_ref()
    }

    /// Whether the task is a built-in event that no file declares.
    #[must_use]
    pub fn is_builtin(&self, id: TaskId) -> bool {
        id.index() + self.builtin as usize >= self.tasks.len()
    }

    /// The id of the task with this name.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<TaskId> {
        self.by_name.get(name).copied()
    }

    /// The name of the task with this id.
    #[must_use]
    pub fn name(&self, id: TaskId) -> &TaskName {
        &self.task(id).name
    }

    /// How many tasks there are, built-in events included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Every id, in the order of declaration.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = TaskId> + use<> {
        (0..self.tasks.len()).map(TaskId::new)
    }

    /// Every id, upstream before downstream, ties by name.
    #[must_use]
    pub fn topological(&self) -> &[TaskId] {
        &self.order
    }

    /// The edges into a task.
    pub fn upstream(&self, id: TaskId) -> impl Iterator<Item = Edge> + '_ {
        self.edges
            .edges_directed(node(id), Direction::Incoming)
            .map(|e| Edge { task: TaskId::new(e.source().index()), conditions: *e.weight() })
    }

    /// The edges out of a task.
    pub fn downstream(&self, id: TaskId) -> impl Iterator<Item = Edge> + '_ {
        self.edges
            .edges_directed(node(id), Direction::Outgoing)
            .map(|e| Edge { task: TaskId::new(e.target().index()), conditions: *e.weight() })
    }
}

/// What an edge without a suffix waits for (spec section 2).
fn default_condition(upstream: &Task) -> Condition {
    if upstream.is_process() { Condition::Ready } else { Condition::Succeeded }
}

fn node(id: TaskId) -> petgraph::graph::NodeIndex {
    petgraph::graph::NodeIndex::new(id.index())
}

#[cfg(test)]
pub(crate) mod tests;
