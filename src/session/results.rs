//! What tasks hand on, and who sees it (spec section 3, environment; section 4.1, key).

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::{fingerprint::Handed, graph::TaskGraph, model::TaskId, store::Success};

/// The result of one task of a run, as far as others need it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskResult {
    /// What it hands on. Shared: a chain of tasks passes it along without copies.
    pub(crate) handed: Arc<HandedOn>,
    /// Of a task without a command: the tasks right upstream of it whose declared outputs it passes on.
    pub(crate) passes: Arc<Vec<TaskId>>,
    /// In a dry run: it would execute, so what it hands on is not known.
    pub(crate) would_run: bool,
    /// In a dry run: assumed to hand on what it did before, whatever that was.
    pub(crate) assumed: bool,
    /// The exit code of a task that failed.
    pub(crate) failure: Option<i32>,
    /// Upstream tasks that hand on something, upstream first: what this one sees.
    pub(crate) visible: Arc<Vec<TaskId>>,
}

/// Output, exports and messages of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HandedOn {
    pub(crate) output: Option<Value>,
    /// In the order they were written; the value's bytes need not be UTF-8.
    pub(crate) exports: Vec<(String, Vec<u8>)>,
    pub(crate) messages: Vec<String>,
}

impl HandedOn {
    /// Whether a task downstream could see it.
    pub(crate) fn is_empty(&self) -> bool {
        self.output.is_none() && self.exports.is_empty()
    }

    /// What a record of a success holds.
    pub(crate) fn from_record(success: &Success) -> Self {
        Self {
            // A record holds only what was once parsed, so this never drops anything.
            output: success.output.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            exports: success.exports.clone(),
            messages: success.messages.clone(),
        }
    }
}

/// What a task receives from one task upstream.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) task: TaskId,
    pub(crate) handed: Arc<HandedOn>,
}

impl Received {
    pub(crate) fn as_handed<'a>(&'a self, graph: &'a TaskGraph) -> Handed<'a> {
        Handed {
            task: graph.name(self.task),
            output: self.handed.output.as_ref(),
            exports: &self.handed.exports,
            files: None,
        }
    }
}

/// The results of a run, by task.
#[derive(Debug)]
pub(crate) struct Results {
    graph: Arc<TaskGraph>,
    all: Vec<TaskResult>,
    /// The place of each task in the topological order.
    rank: Vec<u32>,
}

impl Results {
    pub(crate) fn new(graph: Arc<TaskGraph>) -> Self {
        let mut rank = vec![0; graph.len()];
        for (at, id) in (0u32..).zip(graph.topological()) {
            rank[id.index()] = at;
        }
        Self { all: vec![TaskResult::default(); graph.len()], graph, rank }
    }

    pub(crate) fn get(&self, id: TaskId) -> &TaskResult {
        &self.all[id.index()]
    }

    /// Takes the result of a task; what it sees is filled in from its upstream.
    pub(crate) fn set(&mut self, id: TaskId, mut result: TaskResult) {
        result.visible = self.visible(id);
        if !self.graph.task(id).has_command() {
            result.passes = self.producers(id);
        }
        self.all[id.index()] = result;
    }

    /// The upstream closure of a task through every edge but `@started`, of that what hands on something,
    /// in topological order. Built from the closures of the direct upstream, so that a long chain in which
    /// nobody hands on anything costs nothing.
    pub(crate) fn visible(&self, id: TaskId) -> Arc<Vec<TaskId>> {
        let mut sets: Vec<Arc<Vec<TaskId>>> = Vec::new();
        let mut own: Vec<TaskId> = Vec::new();
        for edge in self.graph.upstream(id).filter(|e| e.conditions.hands_on()) {
            let upstream = self.get(edge.task);
            if !upstream.handed.is_empty() || upstream.assumed {
                own.push(edge.task);
            }
            if !upstream.visible.is_empty() && !sets.iter().any(|s| Arc::ptr_eq(s, &upstream.visible)) {
                sets.push(Arc::clone(&upstream.visible));
            }
        }
        if let (true, [only]) = (own.is_empty(), sets.as_slice()) {
            return Arc::clone(only);
        }
        own.extend(sets.iter().flat_map(|set| set.iter().copied()));
        own.sort_by_key(|id| self.rank[id.index()]);
        own.dedup();
        Arc::new(own)
    }

    /// What a task sees of what upstream tasks hand on, in the order in which exports are applied.
    pub(crate) fn received(&self, id: TaskId) -> Vec<Received> {
        let of = |task: &TaskId| Received { task: *task, handed: Arc::clone(&self.get(*task).handed) };
        self.visible(id).iter().map(of).collect()
    }

    /// The tasks whose declared outputs are part of a task's key: those right upstream of it, and those right
    /// upstream of tasks without a command that are (spec section 4.1).
    pub(crate) fn producers(&self, id: TaskId) -> Arc<Vec<TaskId>> {
        let mut own: Vec<TaskId> = Vec::new();
        let mut passed: Vec<Arc<Vec<TaskId>>> = Vec::new();
        for edge in self.graph.upstream(id).filter(|e| e.conditions.hands_on()) {
            let task = self.graph.task(edge.task);
            if !task.has_command() {
                passed.push(Arc::clone(&self.get(edge.task).passes));
            } else if !task.outputs.is_empty() {
                own.push(edge.task);
            }
        }
        if let (true, [only]) = (own.is_empty(), passed.as_slice()) {
            return Arc::clone(only);
        }
        own.extend(passed.iter().flat_map(|set| set.iter().copied()));
        own.sort_by_key(|id| self.rank[id.index()]);
        own.dedup();
        Arc::new(own)
    }

    /// What a task after all of these would see of exports: the last value of each.
    pub(crate) fn exports_of(&self, roots: impl Iterator<Item = TaskId>) -> BTreeMap<String, Vec<u8>> {
        let seen = |root: TaskId| self.visible(root).iter().copied().chain([root]).collect::<Vec<_>>();
        let mut tasks: Vec<TaskId> = roots.flat_map(seen).collect();
        tasks.sort_by_key(|id| self.rank[id.index()]);
        tasks.dedup();
        tasks.iter().flat_map(|id| self.get(*id).handed.exports.iter().cloned()).collect()
    }

    /// Direct upstream tasks that would run in this dry run (through tasks without a command, too).
    pub(crate) fn upstream_would_run(&self, id: TaskId) -> Option<TaskId> {
        let mut edges = self.graph.upstream(id).filter(|e| e.conditions.hands_on());
        edges.find(|e| self.get(e.task).would_run).map(|e| e.task)
    }

    /// `DEVENV_TASKS_OUTPUTS` of a task: upstream task name to its output.
    pub(crate) fn outputs_json(&self, id: TaskId) -> serde_json::Map<String, Value> {
        let visible = self.visible(id);
        let outputs = visible.iter().filter_map(|task| {
            let output = self.get(*task).handed.output.clone()?;
            Some((self.graph.name(*task).to_string(), output))
        });
        outputs.collect()
    }

    /// The exports a task sees, in the order they are to be applied: later ones win.
    pub(crate) fn exports(&self, id: TaskId) -> Vec<(String, Vec<u8>)> {
        let visible = self.visible(id);
        visible.iter().flat_map(|task| self.get(*task).handed.exports.iter().cloned()).collect()
    }
}
