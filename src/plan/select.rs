//! Selecting tasks by name (spec section 1.1).

use serde::{Deserialize, Serialize};

use crate::{
    diagnostic::nearest,
    graph::TaskGraph,
    model::{PROCESSES, TaskId, TaskKind, TaskName, TaskSet},
};

/// A name that selects nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectFault {
    /// What was typed.
    pub typed: String,
    /// Up to three names that may have been meant, nearest first.
    pub suggestions: Vec<String>,
    /// Whether only a process will do.
    pub is_of_processes: bool,
    /// The task of that name, where only a process will do and it is none.
    pub no_process: Option<TaskName>,
    /// Whether it is a check that has to be given files.
    pub is_check: bool,
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
    let fault = |typed: &str| SelectFault {
        typed: typed.to_owned(),
        suggestions: suggestions(graph.ids().map(|id| graph.name(id).as_str()), typed),
        is_of_processes: false,
        no_process: None,
        is_check: false,
    };
    all(names, |typed| {
        Some(one(graph, project, typed)).filter(|found| !found.is_empty()).ok_or_else(|| fault(typed))
    })
}

/// The processes the names select, each once, in the order they were named: for `up` and for what is done to
/// processes.
///
/// `project` is the project of the working directory. A name is tried as the full name of a process; as a local name:
/// `api` is a process of that project, or else of the root (as in [`TaskGraph::process`]); then as a namespace and
/// as a pattern, of which the processes are taken. Each also counts where `devenv:processes:` is left out: `web:api`
/// is the process `api` of project `web`, and `web` all its processes.
///
/// # Errors
/// Every name that selects no process, with suggestions among processes.
pub fn select_processes(
    graph: &TaskGraph,
    project: Option<&str>,
    names: &[String],
) -> Result<Vec<TaskId>, Vec<SelectFault>> {
    let is_process = |id: &TaskId| graph.task(*id).is_process();
    all(names, |typed| {
        let found = some_processes(graph, project, typed);
        if !found.is_empty() {
            return Ok(found);
        }
        let processes = graph.ids().filter(is_process).map(|id| graph.name(id).as_str());
        Err(SelectFault {
            typed: typed.to_owned(),
            suggestions: suggestions(processes, typed),
            is_of_processes: true,
            no_process: exactly(graph, project, typed).map(|id| graph.name(id).clone()),
            is_check: false,
        })
    })
}

/// The processes that `up` starts without names: those with `start.enable`, of `project` or of all (`None`).
#[must_use]
pub fn processes_to_start(graph: &TaskGraph, project: Option<&str>) -> Vec<TaskId> {
    let is_started = |id: &TaskId| {
        let task = graph.task(*id);
        matches!(&task.kind, TaskKind::Process(spec) if spec.autostart)
            && project.is_none_or(|project| &*task.project == project)
    };
    graph.ids().filter(is_started).collect()
}

/// What the names select, each task once.
pub(super) fn all(
    names: &[impl AsRef<str>],
    one: impl Fn(&str) -> Result<Vec<TaskId>, SelectFault>,
) -> Result<Vec<TaskId>, Vec<SelectFault>> {
    let mut seen = TaskSet::new();
    let (mut selected, mut faults) = (Vec::new(), Vec::new());
    for name in names {
        match one(name.as_ref().trim()) {
            Ok(found) => selected.extend(found.into_iter().filter(|id| seen.insert(*id))),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(selected) } else { Err(faults) }
}

/// Whether a name can mean nothing at all.
pub(super) fn is_void(typed: &str) -> bool {
    typed.is_empty() || typed.starts_with(':') || typed.contains("::")
}

/// The task with that full name, or that local name.
fn exactly(graph: &TaskGraph, project: Option<&str>, typed: &str) -> Option<TaskId> {
    graph.id(typed).or_else(|| graph.id(&format!("{}:{typed}", project?)))
}

fn some_processes(graph: &TaskGraph, project: Option<&str>, typed: &str) -> Vec<TaskId> {
    if is_void(typed) {
        return Vec::new();
    }
    if let Some(id) = graph.id(typed) {
        return Some(id).filter(|id| graph.task(*id).is_process()).into_iter().collect();
    }
    // Nobody's project is called nothing: without a project only the root's processes are local.
    if let Some(id) = graph.process(project.unwrap_or_default(), typed) {
        return vec![id];
    }
    let among = |taken: &dyn Fn(&TaskName, &str) -> bool, text: &str| -> Vec<TaskId> {
        let long = format!("{PROCESSES}:{text}");
        let is_taken = |id: &TaskId| {
            let name = graph.name(*id);
            graph.task(*id).is_process() && (taken(name, text) || taken(name, &long))
        };
        graph.ids().filter(is_taken).collect()
    };
    let under = among(&TaskName::is_under, typed.strip_suffix(':').unwrap_or(typed));
    if !under.is_empty() || !typed.contains('*') {
        return under;
    }
    among(&|name, pattern| matches(pattern, name.as_str()), typed)
}

fn one(graph: &TaskGraph, project: Option<&str>, typed: &str) -> Vec<TaskId> {
    if is_void(typed) {
        return Vec::new();
    }
    if let Some(id) = exactly(graph, project, typed) {
        return vec![id];
    }
    let namespace = typed.strip_suffix(':').unwrap_or(typed);
    // Checks are `devtask check`'s; one by its full name is as good as a task if it needs no files.
    let tasks = || graph.ids().filter(|id| graph.task(*id).check.is_none());
    let under: Vec<TaskId> = tasks().filter(|id| graph.name(*id).is_under(namespace)).collect();
    if !under.is_empty() || !typed.contains('*') {
        return under;
    }
    tasks().filter(|id| matches(typed, graph.name(*id).as_str())).collect()
}

/// `*` stands for exactly one whole segment.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
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
pub(super) fn suggestions<'a>(names: impl Iterator<Item = &'a str>, typed: &str) -> Vec<String> {
    let names: Vec<&str> = names.collect();
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
        !graph.is_builtin(id)
            && !task.is_process()
            && task.check.is_none()
            && project.is_none_or(|p| &*task.project == p)
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
