//! Checks: which are meant, which files each is about, in what portions they are given (`guide::spec` section 7).

use std::{
    collections::BTreeSet,
    ffi::OsString,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{
    Plan,
    modes::Mode,
    select::{SelectFault, all, is_void, matches, suggestions},
};
use crate::{
    graph::TaskGraph,
    model::{CHECKS, Check, CheckRole, FIXES, TaskId, Written},
    pattern::{PatternKind, PatternSet},
};

/// A file that a check may be about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Absolute.
    pub path: PathBuf,
    /// Whether it is a regular file that is there. What was deleted, links and other repositories are given to nobody, but
    /// they are changes.
    pub is_file: bool,
}

/// A check with the files it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Its task, or that of its fix.
    pub task: TaskId,
    /// The files, in the order of their paths: absolute, and all regular. They are its arguments if it takes any.
    pub files: Vec<PathBuf>,
}

/// The checks that names mean: in full (`web:fmt`), one of `project` (`fmt`), all of a project (`web`), a pattern (`*:fmt`),
/// or else all that are called so in any project. Without names all of `project`, or all there are.
///
/// # Errors
/// Every name that means none.
pub fn choose(
    graph: &TaskGraph,
    project: Option<&str>,
    names: &[impl AsRef<str>],
) -> Result<Vec<TaskId>, Vec<SelectFault>> {
    let checks: Vec<TaskId> = graph.ids().filter(|id| role(graph, *id) == Some(CheckRole::Check)).collect();
    if names.is_empty() {
        let is_own = |id: &TaskId| project.is_none_or(|project| &*graph.task(*id).project == project);
        return Ok(checks.into_iter().filter(is_own).collect());
    }
    all(names, |typed| {
        let found = some(graph, &checks, project, typed);
        if !found.is_empty() {
            return Ok(found);
        }
        Err(SelectFault {
            typed: typed.to_owned(),
            suggestions: suggestions(checks.iter().map(|id| Check::called(graph.name(*id))), typed),
            is_of_processes: false,
            no_process: None,
            is_check: false,
        })
    })
}

fn some(graph: &TaskGraph, checks: &[TaskId], project: Option<&str>, typed: &str) -> Vec<TaskId> {
    let typed = typed.strip_prefix(CHECKS).and_then(|rest| rest.strip_prefix(':')).unwrap_or(typed);
    if is_void(typed) {
        return Vec::new();
    }
    let called = |id: &TaskId| Check::called(graph.name(*id));
    let those = |is: &dyn Fn(&str) -> bool| -> Vec<TaskId> {
        checks.iter().copied().filter(|id| is(called(id))).collect()
    };
    let local = project.map(|project| format!("{project}:{typed}"));
    let namespace = format!("{}:", typed.strip_suffix(':').unwrap_or(typed));
    let last = |name: &str| name.rsplit(':').next() == Some(typed);
    let found = [
        those(&|name| name == typed),
        those(&|name| Some(name) == local.as_deref()),
        those(&|name| name.starts_with(&namespace)),
        those(&|name| typed.contains('*') && matches(typed, name)),
        those(&last),
    ];
    found.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

/// Whether one of these names, as they stand in `SKIP`, means the check: in full, or without its project.
#[must_use]
pub fn is_skipped(graph: &TaskGraph, check: TaskId, skip: &[impl AsRef<str>]) -> bool {
    let called = Check::called(graph.name(check));
    let last = called.rsplit(':').next();
    skip.iter().map(|name| name.as_ref().trim()).any(|name| name == called || Some(name) == last)
}

/// The fix that belongs to a check.
#[must_use]
pub fn fix_of(graph: &TaskGraph, check: TaskId) -> Option<TaskId> {
    graph.id(&format!("{FIXES}:{}", Check::called(graph.name(check))))
}

/// The check that a fix belongs to.
#[must_use]
pub fn check_of(graph: &TaskGraph, fix: TaskId) -> Option<TaskId> {
    graph.id(&format!("{CHECKS}:{}", Check::called(graph.name(fix))))
}

fn role(graph: &TaskGraph, id: TaskId) -> Option<CheckRole> {
    graph.task(id).check.as_ref().map(|check| check.role)
}

/// The checks, or fixes, that are about any of the candidates.
#[must_use]
pub fn assign(graph: &TaskGraph, tasks: &[TaskId], candidates: &[Candidate]) -> Vec<Assigned> {
    let mut assigned = Vec::new();
    for &task in tasks {
        let about = About::of(graph, task);
        let mut own: Vec<&Candidate> = candidates.iter().filter(|c| about.has(&c.path)).collect();
        own.sort_by(|a, b| a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()));
        own.dedup();
        let takes = graph.task(task).check.as_ref().is_some_and(|check| check.passes_files);
        let files: Vec<PathBuf> = own.iter().filter(|c| c.is_file).map(|c| c.path.clone()).collect();
        if if takes { !files.is_empty() } else { !own.is_empty() } {
            assigned.push(Assigned { task, files });
        }
    }
    assigned
}

/// The patterns of the files a check is about; none: every file beneath its `cwd`.
#[must_use]
pub fn patterns_of(graph: &TaskGraph, task: TaskId) -> Option<PatternSet> {
    let task = graph.task(task);
    let files = task.check.as_ref().map(|check| check.files.as_slice()).unwrap_or_default();
    (!files.is_empty()).then(|| compiled(&task.pattern_bases, files))
}

/// Patterns that were found good when they were loaded.
fn compiled(bases: &[PathBuf], patterns: &[Written<String>]) -> PatternSet {
    let patterns: Vec<String> = patterns.iter().map(|pattern| pattern.value.clone()).collect();
    PatternSet::new(bases, &patterns, PatternKind::Inputs).unwrap_or(PatternSet::empty(PatternKind::Inputs))
}

/// The files a check is about, and what else it rests on.
pub(super) struct About<'a> {
    patterns: Option<PatternSet>,
    inputs: PatternSet,
    beneath: &'a Path,
}

impl<'a> About<'a> {
    pub(super) fn of(graph: &'a TaskGraph, id: TaskId) -> Self {
        let task = graph.task(id);
        let inputs = task.check.as_ref().map(|check| check.inputs.as_slice()).unwrap_or_default();
        let inputs = compiled(&task.pattern_bases, inputs);
        Self { patterns: patterns_of(graph, id), inputs, beneath: &task.cwd }
    }

    /// Whether it is about this file.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.patterns.as_ref().map_or_else(|| path.starts_with(self.beneath), |set| set.matches(path))
    }

    /// Whether this file is among what else it rests on.
    pub(super) fn rests_on(&self, path: &Path) -> bool {
        self.inputs.matches(path)
    }
}

/// Whether what these checks come to can depend on a file: they are given it, or they or what they need look at it.
#[must_use]
pub fn concerned<'p>(graph: &TaskGraph, assigned: &[Assigned], paths: &'p [PathBuf]) -> Option<&'p PathBuf> {
    let given: BTreeSet<&PathBuf> = assigned.iter().flat_map(|assigned| &assigned.files).collect();
    let plan = Plan::new(graph, assigned.iter().map(|assigned| assigned.task), Mode::Before);
    let (mut checks, mut sets, mut everything) = (Vec::new(), Vec::new(), Vec::new());
    for &id in plan.order() {
        let task = graph.task(id);
        match &task.check {
            Some(check) => checks.push((About::of(graph, id), check.passes_files)),
            // What runs always may look at anything.
            None if task.has_command() && task.exec_if_modified.is_empty() => everything.push(&task.cwd),
            None => sets.push(compiled(&task.pattern_bases, &task.exec_if_modified)),
        }
    }
    paths.iter().find(|path| {
        // Who is given files sees no others.
        let looks_at = |(about, takes): &(About<'_>, bool)| about.rests_on(path) || !takes && about.has(path);
        given.contains(path)
            || everything.iter().any(|dir| path.starts_with(dir))
            || sets.iter().any(|set| set.matches(path))
            || checks.iter().any(looks_at)
    })
}

/// Whether these checks, or what they need, look at files they are not given.
#[must_use]
pub fn looks_beyond(graph: &TaskGraph, assigned: &[Assigned]) -> bool {
    let plan = Plan::new(graph, assigned.iter().map(|assigned| assigned.task), Mode::Before);
    plan.order().iter().map(|id| graph.task(*id)).any(|task| match &task.check {
        Some(check) => !check.passes_files || !check.inputs.is_empty(),
        None => task.has_command(),
    })
}

/// The files as arguments, relative to `cwd`, in portions of at most `limit` bytes as the system counts them: each with its
/// end and a pointer. A single one that is longer is a portion by itself. One that begins with `-` gets a `./`.
#[must_use]
pub fn portions(files: &[PathBuf], cwd: &Path, limit: usize) -> Vec<Vec<OsString>> {
    const POINTER: usize = 8;
    let mut portions: Vec<Vec<OsString>> = Vec::new();
    let mut length = 0;
    for file in files {
        let argument = relative(file, cwd);
        let cost = argument.len() + 1 + POINTER;
        match portions.last_mut().filter(|_| length + cost <= limit) {
            Some(portion) => portion.push(argument),
            None => {
                portions.push(vec![argument]);
                length = 0;
            }
        }
        length += cost;
    }
    portions
}

fn relative(file: &Path, cwd: &Path) -> OsString {
    let mut up = PathBuf::new();
    let beneath = cwd.ancestors().find_map(|dir| {
        let beneath = file.strip_prefix(dir).ok();
        if beneath.is_none() {
            up.push("..");
        }
        beneath
    });
    let path = beneath.map_or_else(|| file.to_owned(), |beneath| up.join(beneath));
    let is_option = path.as_os_str().as_bytes().starts_with(b"-");
    if is_option { Path::new(".").join(path).into() } else { path.into() }
}

/// Which of these may mend at the same time, round after round: two that touch the same file never do, and the one that is
/// declared first comes first. One that is given no files may touch all.
#[must_use]
pub fn rounds(graph: &TaskGraph, assigned: &[Assigned]) -> Vec<Vec<usize>> {
    let is_free =
        |at: usize| graph.task(assigned[at].task).check.as_ref().is_none_or(|check| !check.passes_files);
    let sets: Vec<BTreeSet<&PathBuf>> =
        assigned.iter().map(|assigned| assigned.files.iter().collect()).collect();
    let meet = |a: usize, b: usize| is_free(a) || is_free(b) || !sets[a].is_disjoint(&sets[b]);
    let mut round_of: Vec<usize> = Vec::new();
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for at in 0..assigned.len() {
        let round = (0..at).filter(|earlier| meet(*earlier, at)).map(|earlier| round_of[earlier] + 1).max();
        let round = round.unwrap_or(0);
        round_of.push(round);
        if rounds.len() <= round {
            rounds.resize(round + 1, Vec::new());
        }
        rounds[round].push(at);
    }
    rounds
}
