//! From declarations to a sound graph, or every fault at once.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, hash_map::Entry},
};

use petgraph::{Direction, graph::DiGraph};

use super::{
    Conditions, ENTER_SHELL, ENTER_TEST, TaskDraft, TaskGraph, cycle, default_condition, node, ports,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Place, nearest},
    model::{Condition, Declaration, EdgeRef, PROCESSES, Task, TaskId, TaskKind, TaskName},
};

/// One declared edge, kept with its place until the graph is known to be sound.
pub(super) struct DeclaredEdge {
    pub(super) upstream: TaskId,
    pub(super) downstream: TaskId,
    pub(super) condition: Condition,
    pub(super) place: Option<Place>,
}

pub(super) fn build(declarations: Vec<Declaration>) -> Result<TaskGraph, Vec<Diagnostic>> {
    let mut faults = Vec::new();
    let declared = declarations.len();
    let declarations = with_events(declarations);
    let by_name = index_names(&declarations, &mut faults);
    let edges = resolve_edges(&declarations, &by_name, &mut faults);
    faults.extend(ports::faults(&declarations, &by_name));
    let graph = join(declarations.len(), &edges);
    faults.extend(cycle::faults(&graph, &declarations, &edges));
    if !faults.is_empty() {
        return Err(faults);
    }
    let (tasks, places): (Vec<Task>, Vec<_>) = declarations.into_iter().map(|d| (d.task, d.place)).unzip();
    let order = topological(&graph, &tasks);
    // There are two of them at most.
    let builtin = (tasks.len() - declared) as u32;
    Ok(TaskGraph { tasks, places, builtin, by_name, edges: graph, order })
}

/// Adds the built-in events where no file declares them, and the edge between them (spec section 1.3).
fn with_events(mut declarations: Vec<Declaration>) -> Vec<Declaration> {
    for event in [ENTER_SHELL, ENTER_TEST] {
        if !declarations.iter().any(|d| d.task.name.as_str() == event) {
            // Both are legal names, so this always adds one.
            declarations.extend(TaskName::new(event).ok().map(|name| Declaration {
                task: Task::empty(name, "/".as_ref()),
                place: None,
                after: Vec::new(),
                before: Vec::new(),
                ports: Vec::new(),
            }));
        }
    }
    let shell =
        declarations.iter().find(|d| d.task.name.as_str() == ENTER_SHELL).map(|d| d.task.name.clone());
    let test = declarations.iter_mut().find(|d| d.task.name.as_str() == ENTER_TEST);
    if let (Some(shell), Some(test)) = (shell, test) {
        test.after.push(EdgeRef { task: shell, condition: Some(Condition::Succeeded), place: None });
    }
    declarations
}

fn index_names(declarations: &[Declaration], faults: &mut Vec<Diagnostic>) -> HashMap<TaskName, TaskId> {
    let mut by_name: HashMap<TaskName, TaskId> = HashMap::with_capacity(declarations.len());
    for (at, declaration) in declarations.iter().enumerate() {
        match by_name.entry(declaration.task.name.clone()) {
            Entry::Vacant(free) => {
                free.insert(TaskId::new(at));
            }
            Entry::Occupied(first) => {
                let first = declarations[first.get().index()].place.as_ref();
                faults.push(
                    Diagnostic::error(
                        "duplicate-task",
                        format!("task `{}` is declared twice", declaration.task.name),
                    )
                    .at(declaration.place.as_ref(), "declared again here")
                    .at(first, "first declared here")
                    .hint("rename one of the two, or remove it"),
                );
            }
        }
    }
    by_name
}

fn resolve_edges(
    declarations: &[Declaration],
    by_name: &HashMap<TaskName, TaskId>,
    faults: &mut Vec<Diagnostic>,
) -> Vec<DeclaredEdge> {
    let mut edges = Vec::new();
    for (at, declaration) in declarations.iter().enumerate() {
        let here = TaskId::new(at);
        let ends =
            declaration.after.iter().map(|e| (e, true)).chain(declaration.before.iter().map(|e| (e, false)));
        for (edge, is_after) in ends {
            let Some(&there) = by_name.get(&edge.task) else {
                faults.push(unknown_task(edge, &declaration.task.project, by_name));
                continue;
            };
            let (upstream, downstream) = if is_after { (there, here) } else { (here, there) };
            if is_after && declarations[upstream.index()].task.check.is_some() {
                faults.push(on_a_check(edge));
                continue;
            }
            match condition_for(&declarations[upstream.index()].task, edge) {
                Ok(condition) => {
                    edges.push(DeclaredEdge { upstream, downstream, condition, place: edge.place.clone() });
                }
                Err(fault) => faults.push(*fault),
            }
        }
    }
    edges
}

/// A check is about the files it is given, and nobody gives it any in a run.
fn on_a_check(edge: &EdgeRef) -> Diagnostic {
    Diagnostic::error("after-a-check", format!("no task can come after the check `{}`", edge.task))
        .at(edge.place.as_ref(), "a check")
        .hint("run `devtask check` before it, or make it a task")
}

fn unknown_task(edge: &EdgeRef, project: &str, by_name: &HashMap<TaskName, TaskId>) -> Diagnostic {
    let local = edge.task.as_str().rsplit_once(':').map_or(edge.task.as_str(), |(_, local)| local);
    let names = [format!("{PROCESSES}:{project}:{local}"), format!("{PROCESSES}:{local}")];
    let process = names.iter().filter_map(|name| TaskName::new(name).ok()).find(|n| by_name.contains_key(n));
    let near = match &process {
        Some(process) => vec![process.as_str()],
        None => nearest(edge.task.as_str(), by_name.keys().map(TaskName::as_str), 3),
    };
    let fault = Diagnostic::error("unknown-task", format!("there is no task `{}`", edge.task))
        .at(edge.place.as_ref(), "no such task");
    if near.is_empty() {
        fault.hint("`devtask list` shows all tasks")
    } else {
        let near: Vec<String> = near.iter().map(|n| format!("`{n}`")).collect();
        fault.hint(format!("did you mean {}?", near.join(" or ")))
    }
}

/// The condition of an edge out of `upstream`, its default filled in (spec section 2).
fn condition_for(upstream: &Task, edge: &EdgeRef) -> Result<Condition, Box<Diagnostic>> {
    let condition = edge.condition.unwrap_or_else(|| default_condition(upstream));
    let TaskKind::Process(process) = &upstream.kind else {
        return Ok(condition);
    };
    let name = &upstream.name;
    match condition {
        Condition::Succeeded => Err(Box::new(
            Diagnostic::error("succeeded-on-process", format!("`{name}` is a process and never succeeds"))
                .at(edge.place.as_ref(), "`@succeeded` on a process")
                .hint(format!("use `{name}@ready`, or `{name}@completed` to wait for its end")),
        )),
        Condition::Ready if !process.can_be_ready() => Err(Box::new(
            Diagnostic::error("never-ready", format!("nothing tells when process `{name}` is ready"))
                .at(edge.place.as_ref(), "waits for `@ready`")
                .hint(match name.as_str().starts_with(PROCESSES) {
                    true => format!("give `{name}` a `ready` probe, or write `{name}@started`"),
                    false => format!(
                        "declare it in `[processes.<name>]`, with a `ready` probe, or write `{name}@started`"
                    ),
                }),
        )),
        condition => Ok(condition),
    }
}

fn join(tasks: usize, edges: &[DeclaredEdge]) -> DiGraph<(), Conditions> {
    let mut pairs: BTreeMap<(TaskId, TaskId), Conditions> = BTreeMap::new();
    for edge in edges {
        pairs.entry((edge.downstream, edge.upstream)).or_default().insert(edge.condition);
    }
    let mut graph = DiGraph::with_capacity(tasks, pairs.len());
    for _ in 0..tasks {
        graph.add_node(());
    }
    for ((downstream, upstream), conditions) in pairs {
        graph.add_edge(node(upstream), node(downstream), conditions);
    }
    graph
}

/// Upstream before downstream; among those free to go, by name (spec section 3, environment).
fn topological(graph: &DiGraph<(), Conditions>, tasks: &[Task]) -> Vec<TaskId> {
    let mut missing: Vec<usize> =
        graph.node_indices().map(|n| graph.neighbors_directed(n, Direction::Incoming).count()).collect();
    let mut free: BinaryHeap<Reverse<(&TaskName, usize)>> =
        (0..tasks.len()).filter(|&at| missing[at] == 0).map(|at| Reverse((&tasks[at].name, at))).collect();
    let mut order = Vec::with_capacity(tasks.len());
    while let Some(Reverse((_, at))) = free.pop() {
        order.push(TaskId::new(at));
        for next in graph.neighbors(node(TaskId::new(at))) {
            missing[next.index()] -= 1;
            if missing[next.index()] == 0 {
                free.push(Reverse((&tasks[next.index()].name, next.index())));
            }
        }
    }
    order
}

/// A graph put together in code.
///
/// ```
/// use devtask::{Condition, Task, TaskGraph};
/// let graph = TaskGraph::builder()
///     .task(Task::shell("app:gen", "make gen").exec_if_modified(["schema/**"]))
///     .task(Task::shell("app:test", "cargo test").after("app:gen", Condition::Succeeded))
///     .build()
///     .unwrap();
/// assert!(graph.id("app:gen").is_some());
/// ```
#[derive(Debug, Default)]
pub struct GraphBuilder {
    declarations: Vec<Declaration>,
    faults: Vec<Diagnostic>,
}

impl GraphBuilder {
    /// Adds a task with its edges.
    #[must_use]
    pub fn task(mut self, task: TaskDraft) -> Self {
        match task.finish() {
            Ok(declaration) => self.declarations.push(declaration),
            Err(faults) => self.faults.extend(faults),
        }
        self
    }

    /// The graph.
    ///
    /// # Errors
    /// Every fault of the names and edges.
    pub fn build(mut self) -> Result<TaskGraph, Diagnostics> {
        match build(self.declarations) {
            Ok(graph) if self.faults.is_empty() => Ok(graph),
            Ok(_) => Err(Diagnostics(self.faults)),
            Err(faults) => {
                self.faults.extend(faults);
                Err(Diagnostics(self.faults))
            }
        }
    }
}
