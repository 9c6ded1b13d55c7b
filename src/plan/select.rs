//! Selecting tasks by name (spec section 1.1).

use serde::{Deserialize, Serialize};

use crate::{
    diagnostic::nearest,
    graph::TaskGraph,
    model::{TaskId, TaskSet},
};

/// A name that selects nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectFault {
    /// What was typed.
    pub typed: String,
    /// Up to three names that may have been meant, nearest first.
    pub suggestions: Vec<String>,
}

/// From where names are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standpoint {
    /// The project of the working directory, for local names.
    pub project: Option<String>,
    /// The project whose tasks are taken where no names are given; none: all.
    pub default_project: Option<String>,
}

/// The tasks the names select, each once, in the order they were named.
///
/// `project` is the project of the working directory, for local names. The rules are tried in the order
/// of spec section 1.1: a full name, a local name, a namespace, a pattern.
///
/// # Errors
/// Every name that selects nothing.
pub fn select(
    graph: &TaskGraph,
    project: Option<&str>,
    names: &[impl AsRef<str>],
) -> Result<Vec<TaskId>, Vec<SelectFault>> {
    let mut seen = TaskSet::new();
    let mut selected = Vec::new();
    let mut faults = Vec::new();
    for name in names {
        let typed = name.as_ref().trim();
        let found = one(graph, project, typed);
        if found.is_empty() {
            faults.push(SelectFault { typed: typed.to_owned(), suggestions: suggestions(graph, typed) });
        }
        selected.extend(found.into_iter().filter(|id| seen.insert(*id)));
    }
    if faults.is_empty() { Ok(selected) } else { Err(faults) }
}

fn one(graph: &TaskGraph, project: Option<&str>, typed: &str) -> Vec<TaskId> {
    if typed.is_empty() || typed.starts_with(':') || typed.contains("::") {
        return Vec::new();
    }
    if let Some(id) = graph.id(typed) {
        return vec![id];
    }
    if let Some(id) = project.and_then(|project| graph.id(&format!("{project}:{typed}"))) {
        return vec![id];
    }
    let namespace = typed.strip_suffix(':').unwrap_or(typed);
    let under: Vec<TaskId> = graph.ids().filter(|id| graph.name(*id).is_under(namespace)).collect();
    if !under.is_empty() || !typed.contains('*') {
        return under;
    }
    graph.ids().filter(|id| matches(typed, graph.name(*id).as_str())).collect()
}

/// `*` stands for exactly one whole segment.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split(':'), name.split(':'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(w), Some(g)) if w == "*" || w == g => {}
            _ => return false,
        }
    }
}

/// Names near what was typed: whole names, or names whose last part is near.
fn suggestions(graph: &TaskGraph, typed: &str) -> Vec<String> {
    let names: Vec<&str> = graph.ids().map(|id| graph.name(id).as_str()).collect();
    let mut near: Vec<String> =
        nearest(typed, names.iter().copied(), 3).into_iter().map(str::to_owned).collect();
    let last = |name: &str| name.rsplit(':').next().unwrap_or(name).to_owned();
    let lasts: Vec<String> = names.iter().map(|n| last(n)).collect();
    for candidate in nearest(&last(typed), lasts.iter().map(String::as_str), 3) {
        let full = names.iter().zip(&lasts).filter(|(_, l)| *l == candidate).map(|(n, _)| (*n).to_owned());
        near.extend(full);
    }
    let mut seen = std::collections::HashSet::new();
    near.retain(|name| seen.insert(name.clone()));
    near.truncate(3);
    near
}

/// What a run takes without names: the one-shot tasks of `project` (`None`: of all projects)
/// that no other task of that selection depends on, directly or through others (spec section 1.1).
#[must_use]
pub fn default_selection(graph: &TaskGraph, project: Option<&str>) -> Vec<TaskId> {
    let is_candidate = |id: TaskId| {
        let task = graph.task(id);
        !graph.is_builtin(id) && !task.is_process() && project.is_none_or(|p| &*task.project == p)
    };
    // Tasks with a candidate somewhere downstream: downstream comes first, so one pass is enough.
    let mut needed = TaskSet::new();
    for &id in graph.topological().iter().rev() {
        if graph.downstream(id).any(|e| is_candidate(e.task) || needed.contains(e.task)) {
            needed.insert(id);
        }
    }
    graph.ids().filter(|id| is_candidate(*id) && !needed.contains(*id)).collect()
}
