//! Which tasks a change of files affects (`--affected`, `guide::spec` section 7).

use std::path::{Path, PathBuf};

use super::{Plan, check::About};
use crate::{
    graph::TaskGraph,
    model::{TaskId, TaskSet},
    pattern::{PatternKind, PatternSet},
    plan::Mode,
};

/// The tasks that files affect, and everything downstream of these. A task is affected by a file that its patterns
/// match; one without patterns may look at anything, and is taken to look at all of its project's directory. A changed
/// task file affects the tasks it declares; another file that declarations rest on (a dotenv file), all.
///
/// `changed` are absolute paths, also of what was deleted; `files` the files that declarations rest on, with the
/// project whose task file it is; `dirs` the directory of each project.
#[must_use]
pub fn affected(
    graph: &TaskGraph,
    changed: &[PathBuf],
    files: &[(PathBuf, Option<String>)],
    dirs: &[(String, PathBuf)],
) -> TaskSet {
    let declared: Vec<Option<&str>> = files
        .iter()
        .filter(|(file, _)| changed.contains(file))
        .map(|(_, project)| project.as_deref())
        .collect();
    let dir_of = |project: &str| dirs.iter().find(|(name, _)| name == project).map(|(_, dir)| dir.as_path());
    let is_affected = |id: &TaskId| {
        let task = graph.task(*id);
        let is_declared = |project: &Option<&str>| project.is_none_or(|project| *project == *task.project);
        if graph.is_builtin(*id) {
            return false;
        }
        if declared.iter().any(is_declared) {
            return true;
        }
        if task.check.is_some() {
            let is_about = About::of(graph, *id);
            return changed.iter().any(|path| is_about.has(path) || is_about.rests_on(path));
        }
        if task.exec_if_modified.is_empty() {
            let beneath = dir_of(&task.project).unwrap_or(Path::new("/"));
            return task.has_command() && changed.iter().any(|path| path.starts_with(beneath));
        }
        let patterns: Vec<String> =
            task.exec_if_modified.iter().map(|pattern| pattern.value.clone()).collect();
        // What was loaded is sound; anything else is taken to be affected.
        PatternSet::new(&task.pattern_bases, &patterns, PatternKind::Inputs)
            .map_or(true, |set| changed.iter().any(|path| set.matches(path)))
    };
    let first: Vec<TaskId> = graph.ids().filter(is_affected).collect();
    Plan::new(graph, first, Mode::After).scheduled().clone()
}
