//! Finds task files, reads them, and joins their projects into one list of declarations.
//!
//! Floor 8, synchronous. Everything about *where* a task comes from is decided here: the search upward, the root, includes,
//! dotenv files, devenv's lists. What a text *means* is the business of [`config`](crate::config), and
//! whether the tasks make a graph is that of the graph. It reads no variable and no home directory by
//! itself: what it needs of these stands in the [`LoadRequest`]. It runs nothing (hazard E1)
//! but task servers whose lists are not known, and these only for who says that programs of the tree may be started
//! ([`Asking::within`]).

mod current;
mod devenv;
mod dotenv;
mod find;
mod include;
mod kept;
mod project;
mod read;
mod servers;
mod tree;
mod world;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    config::{Settings, normalise},
    diagnostic::{Diagnostic, Place, Sources},
    model::{Declaration, TaskServer},
};
pub(crate) use current::is_same_place;
use find::Found;
pub use find::upward;
pub use kept::{Keeper, Resolved};
use read::Reading;
pub use servers::{Asking, forget_list, kept_list};
use world::{Observation, World};

/// What is to be loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadRequest {
    /// Where devtask was started, or what `-C` says: absolute.
    pub start_dir: PathBuf,
    /// The file `-f` names, relative to `start_dir`; nothing else is looked for then.
    pub file: Option<PathBuf>,
    /// The user's home: the search upward does not leave it (hazard E4).
    pub home: Option<PathBuf>,
    /// `$DEVENV_TASKS`: devenv's list as JSON text.
    pub devenv_tasks: Option<OsString>,
    /// `$DEVENV_TASK_FILE`: the path of a file with such a list.
    pub devenv_task_file: Option<OsString>,
    /// `$DEVENV_ROOT`: the root of the tasks in these two.
    pub devenv_root: Option<OsString>,
}

/// Whose task files these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Our own.
    Devtask,
    /// devenv's list.
    Devenv,
}

/// A task file that was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its name: the namespace of its tasks.
    pub name: String,
    /// The directory of its file.
    pub dir: PathBuf,
    /// Its file; none for JSON from a variable.
    pub file: Option<PathBuf>,
}

/// A tree of projects without a fault of its files. Its tasks may still not make a graph.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The directory of the root's file, where the state lives: absolute, lexically normalised.
    pub root: PathBuf,
    /// Whose files these are.
    pub kind: Kind,
    /// Every task of every project, in the order of the files.
    pub declarations: Vec<Declaration>,
    /// The servers whose tasks are still to be added ([`with_server_tasks`](Self::with_server_tasks)), and where each
    /// is declared.
    pub servers: Vec<(TaskServer, Place)>,
    /// Whether tasks of servers are among the declarations as they were told some time ago.
    pub has_kept_lists: bool,
    /// Every project, the root first.
    pub projects: Vec<Project>,
    /// The name of the project whose directory is the nearest one above the start directory.
    pub current_project: Option<String>,
    /// The settings of the root's file.
    pub settings: Settings,
    /// The variables of the root's file: `[env]` over dotenv files, without those that name a port.
    pub env: BTreeMap<String, String>,
    /// Every text, for rendering faults.
    pub sources: Sources,
    /// What is no fault but worth a word.
    pub warnings: Vec<Diagnostic>,
    /// Every file this depends on: task files and dotenv files, also dotenv files that do not exist.
    pub files: Vec<PathBuf>,
    /// What this rests on.
    pub(crate) observed: Observed,
}

impl Loaded {
    /// A tree without a task file, for tasks made in code.
    #[must_use]
    pub fn without_file(root: &Path) -> Self {
        Self {
            root: normalise(root),
            kind: Kind::Devtask,
            declarations: Vec::new(),
            servers: Vec::new(),
            has_kept_lists: false,
            projects: Vec::new(),
            current_project: None,
            settings: Settings::default(),
            env: BTreeMap::new(),
            sources: Sources::default(),
            warnings: Vec::new(),
            files: Vec::new(),
            observed: Observed::default(),
        }
    }
}

/// Every question that was put to the world while loading, with its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    list: Vec<Observation>,
    /// Before the first was put, in nanoseconds since the epoch.
    since_ns: i128,
    /// Whether it may rest on disk.
    may_be_kept: bool,
}

/// Why nothing can run, and what could be read nevertheless, so that the faults of the graph can be
/// reported together with these.
#[derive(Clone, Debug, Default, thiserror::Error)]
#[error("the task files have {} faults", diagnostics.iter().filter(|d| d.is_error()).count())]
pub struct Faults {
    /// Every fault of every file, and the warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// Every text, for rendering them.
    pub sources: Sources,
    /// The tasks that could be read.
    pub declarations: Vec<Declaration>,
    /// Whether every task's name is known. If not, a task may seem unknown that is not.
    pub complete: bool,
    /// Every file that was read or looked for: a change of one may mend this.
    pub files: Vec<PathBuf>,
}

/// Finds and reads everything the request asks for.
///
/// # Errors
/// If any file has a fault: all faults of all files.
pub fn load(request: &LoadRequest) -> Result<Loaded, Box<Faults>> {
    let mut reading = Reading { base: normalise(&request.start_dir), ..Reading::default() };
    match find::find(request, &mut reading) {
        Some(Found::Devtask(file)) => project::load(request, &file, reading),
        Some(Found::Devenv { source, text, file, root }) => {
            devenv::load(request, source, &text, file, &root, reading)
        }
        None => Err(reading.into_faults(Vec::new(), false)),
    }
}

/// The project whose directory is the nearest one above `start_dir`.
fn current_project(projects: &[Project], start_dir: &Path, world: &World) -> Option<String> {
    let start = world.canonical(start_dir);
    projects
        .iter()
        .map(|project| (world.canonical(&project.dir), project))
        .filter(|(dir, _)| start.starts_with(dir))
        .max_by_key(|(dir, _)| dir.components().count())
        .map(|(_, project)| project.name.clone())
}

#[cfg(test)]
mod current_tests;
#[cfg(test)]
mod kept_tests;
#[cfg(test)]
mod tests;
