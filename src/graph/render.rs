//! A part of a graph as text for people and for other tools (the verbs `graph` and `list`).
//!
//! Without colour, and in an order that depends only on names. Which part is the business of whoever
//! plans: here it is only a set of tasks. Nothing recurses: a chain may be 100,000 tasks long.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt::Write as _,
};

use serde_json::{Value, json};

use super::{
    Conditions, Edge, TaskGraph, default_condition,
    picture::{Colors, Ending, RunSeen},
};
use crate::model::{TaskId, TaskSet};

/// How far a tree is indented. What lies deeper is drawn as a tree of its own further down, so that the
/// text stays linear in the number of edges.
const DEEPEST: usize = 40;

/// One line of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The lines that lead to the task; empty for the top of a tree.
    pub lead: String,
    /// The task.
    pub task: TaskId,
    /// The states the task one level up waits for, where they are not the default: `@started`.
    pub suffix: String,
    /// Where what the task needs is drawn, if it is not right beneath.
    pub elsewhere: Option<Elsewhere>,
}

/// Where a task that is mentioned is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// Further up.
    Above,
    /// Further down.
    Below,
}

/// The lines of a tree of the scheduled tasks: at the top those that no other needs, roots first, and
/// beneath each task what it needs. Each task is drawn once and only mentioned after that.
#[must_use]
pub fn rows(graph: &TaskGraph, scheduled: &TaskSet, roots: &TaskSet) -> Vec<Row> {
    let mut forest =
        Forest { graph, scheduled, rows: Vec::new(), drawn: TaskSet::new(), later: VecDeque::new() };
    for top in tops(graph, scheduled, roots) {
        forest.draw(top);
    }
    while let Some(top) = forest.later.pop_front() {
        if !forest.drawn.contains(top) {
            forest.draw(top);
        }
    }
    forest.rows
}

/// [`rows`] as text, later mentions marked `(above)` or `(below)`, the others with how they fared in `run`.
#[must_use]
pub fn tree(graph: &TaskGraph, scheduled: &TaskSet, roots: &TaskSet, run: Option<&RunSeen>) -> String {
    let mut text = String::new();
    for Row { lead, task, suffix, elsewhere } in rows(graph, scheduled, roots) {
        let mark = match elsewhere {
            None => "",
            Some(Elsewhere::Above) => " (above)",
            Some(Elsewhere::Below) => " (below)",
        };
        text.extend([&lead, graph.name(task).as_str(), &suffix, mark]);
        if let Some(run) = run.filter(|_| elsewhere != Some(Elsewhere::Above)) {
            text.extend(["  ", &run.words(graph.name(task))]);
        }
        text.push('\n');
    }
    text
}

/// The scheduled tasks as a Graphviz graph, coloured by how they fared in `run`; edges point from a task to those
/// that need it.
#[must_use]
pub fn dot(graph: &TaskGraph, scheduled: &TaskSet, run: Option<&RunSeen>) -> String {
    // The characters of a task name need no escape within quotes.
    let mut text = String::from("digraph tasks {\n  rankdir=LR;\n  node [shape=box];\n");
    for id in order(graph, scheduled) {
        let name = graph.name(id);
        let style = match (graph.task(id).is_process(), run) {
            (false, None) => String::new(),
            (true, None) => " [style=rounded]".to_owned(),
            (is_process, Some(run)) => {
                let shade = Colors::LIGHT.shade(Some(run.ending(name)));
                let style = if is_process { "rounded,filled" } else { "filled" };
                let words = run.words(name);
                format!(
                    " [style=\"{style}\" fillcolor=\"{}\" color=\"{}\" label=\"{name}\\n{words}\"]",
                    shade.fill, shade.line
                )
            }
        };
        line(&mut text, format_args!("  \"{name}\"{style};"));
    }
    for (from, to, conditions) in edges(graph, scheduled) {
        let suffix = suffix(graph, from, conditions);
        let label = if suffix.is_empty() { suffix } else { format!(" [label=\"{suffix}\"]") };
        line(&mut text, format_args!("  \"{}\" -> \"{}\"{label};", graph.name(from), graph.name(to)));
    }
    text + "}\n"
}

/// The scheduled tasks as a Mermaid flowchart, coloured by how they fared in `run`; edges point from a task to
/// those that need it.
#[must_use]
pub fn mermaid(graph: &TaskGraph, scheduled: &TaskSet, run: Option<&RunSeen>) -> String {
    let mut text = String::from("flowchart LR\n");
    // Names stand only in quotes: some, such as those that end in `end`, mean something to Mermaid.
    for id in order(graph, scheduled) {
        let (open, close) = if graph.task(id).is_process() { ("([", "])") } else { ("[", "]") };
        let name = graph.name(id);
        let class = run.map_or(String::new(), |run| format!(":::e{}", run.ending(name) as usize));
        let words = run.map_or(String::new(), |run| format!("<br>{}", run.words(name)));
        line(&mut text, format_args!("  t{}{open}\"{name}{words}\"{close}{class}", id.index()));
    }
    if let Some(run) = run {
        let there: BTreeSet<Ending> = order(graph, scheduled).map(|id| run.ending(graph.name(id))).collect();
        for ending in there {
            let (shade, ink) = (Colors::LIGHT.shade(Some(ending)), Colors::LIGHT.ink);
            let look = format_args!("fill:{},stroke:{},color:{ink}", shade.fill, shade.line);
            line(&mut text, format_args!("  classDef e{} {look}", ending as usize));
        }
    }
    for (from, to, conditions) in edges(graph, scheduled) {
        let suffix = suffix(graph, from, conditions);
        let label = if suffix.is_empty() { suffix } else { format!("|\"{suffix}\"|") };
        line(&mut text, format_args!("  t{} -->{label} t{}", from.index(), to.index()));
    }
    text
}

/// The scheduled tasks as JSON: `{tasks: [{name, project, description, type, root}], edges: [{from, to,
/// conditions}]}`, upstream before downstream. With a run: its id as `run`, and each task with its `ending` and, if
/// it executed, its `durationMs`.
#[must_use]
pub fn json(graph: &TaskGraph, scheduled: &TaskSet, roots: &TaskSet, run: Option<&RunSeen>) -> Value {
    let task = |id: TaskId| {
        let task = graph.task(id);
        let mut value = json!({
            "name": task.name.as_str(),
            "project": &*task.project,
            "description": task.description,
            "type": if task.is_process() { "process" } else { "oneshot" },
            "root": roots.contains(id),
        });
        if let Some(run) = run {
            value["ending"] = run.ending(&task.name).label().into();
            value["durationMs"] = run.task(&task.name).and_then(|seen| seen.duration_ms).into();
        }
        value
    };
    let edge = |(from, to, conditions): (TaskId, TaskId, Conditions)| {
        let conditions: Vec<&str> = conditions.iter().map(|c| c.as_str()).collect();
        json!({ "from": graph.name(from).as_str(), "to": graph.name(to).as_str(), "conditions": conditions })
    };
    let tasks: Vec<Value> = order(graph, scheduled).map(task).collect();
    let edges: Vec<Value> = edges(graph, scheduled).map(edge).collect();
    let mut value = json!({ "tasks": tasks, "edges": edges });
    if let Some(run) = run {
        value["run"] = run.run().into();
    }
    value
}

/// A tree being drawn.
struct Forest<'a> {
    graph: &'a TaskGraph,
    scheduled: &'a TaskSet,
    rows: Vec<Row>,
    drawn: TaskSet,
    /// Tasks that lie too deep, to be drawn as trees of their own.
    later: VecDeque<TaskId>,
}

/// A task to be drawn, with the indentation of what lies beneath it.
struct Branch {
    row: Row,
    beneath: String,
    depth: usize,
}

impl Forest<'_> {
    fn draw(&mut self, top: TaskId) {
        let row = Row { lead: String::new(), task: top, suffix: String::new(), elsewhere: None };
        let mut stack = vec![Branch { row, beneath: String::new(), depth: 0 }];
        while let Some(Branch { mut row, beneath, depth }) = stack.pop() {
            let needs = needs(self.graph, self.scheduled, row.task);
            if self.drawn.contains(row.task) {
                row.elsewhere = Some(Elsewhere::Above);
            } else if depth == DEEPEST && !needs.is_empty() {
                row.elsewhere = Some(Elsewhere::Below);
                self.later.push_back(row.task);
            } else {
                self.drawn.insert(row.task);
                stack.extend(self.branches(&needs, &beneath, depth + 1));
            }
            self.rows.push(row);
        }
    }

    /// What lies beneath a task, the last first, since a stack turns it round.
    fn branches(&self, needs: &[Edge], beneath: &str, depth: usize) -> Vec<Branch> {
        let branch = |(from_last, edge): (usize, &Edge)| {
            let (corner, line) =
                if from_last == 0 { ("└── ", "    ") } else { ("├── ", "│   ") };
            let row = Row {
                lead: format!("{beneath}{corner}"),
                task: edge.task,
                suffix: suffix(self.graph, edge.task, edge.conditions),
                elsewhere: None,
            };
            Branch { row, beneath: format!("{beneath}{line}"), depth }
        };
        needs.iter().rev().enumerate().map(branch).collect()
    }
}

/// The scheduled tasks no other scheduled task needs: roots first, then by name.
fn tops(graph: &TaskGraph, scheduled: &TaskSet, roots: &TaskSet) -> Vec<TaskId> {
    let is_needed = |id: TaskId| graph.downstream(id).any(|e| scheduled.contains(e.task));
    let mut tops: Vec<TaskId> = scheduled.iter().filter(|id| !is_needed(*id)).collect();
    tops.sort_by_key(|id| (!roots.contains(*id), graph.name(*id)));
    tops
}

/// The scheduled edges into a task, by name.
fn needs(graph: &TaskGraph, scheduled: &TaskSet, id: TaskId) -> Vec<Edge> {
    let mut needs: Vec<Edge> = graph.upstream(id).filter(|e| scheduled.contains(e.task)).collect();
    needs.sort_by_key(|e| graph.name(e.task));
    needs
}

pub(super) fn order(graph: &TaskGraph, scheduled: &TaskSet) -> impl Iterator<Item = TaskId> {
    graph.topological().iter().copied().filter(|id| scheduled.contains(*id))
}

/// Upstream, downstream and what must hold, in the order of the downstream tasks.
pub(super) fn edges(
    graph: &TaskGraph,
    scheduled: &TaskSet,
) -> impl Iterator<Item = (TaskId, TaskId, Conditions)> {
    order(graph, scheduled)
        .flat_map(|to| needs(graph, scheduled, to).into_iter().map(move |e| (e.task, to, e.conditions)))
}

/// How the conditions of an edge out of `upstream` are written: nothing for the default.
pub(super) fn suffix(graph: &TaskGraph, upstream: TaskId, conditions: Conditions) -> String {
    if conditions == [default_condition(graph.task(upstream))].into_iter().collect() {
        return String::new();
    }
    conditions.iter().map(|c| format!("@{c}")).collect::<Vec<_>>().join(" ")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
