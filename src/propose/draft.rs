//! What readers of manifests hand on: tasks and processes without their final names.

use std::collections::{BTreeMap, BTreeSet};

use super::{name::legal, paths};
use crate::pattern::escape;

/// A task or a process, as one file of another tool has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// What `after` calls it: see [`key`].
    pub(super) key: String,
    /// The tool, which makes a name another where two would be alike.
    pub(super) tool: &'static str,
    /// What it is called there.
    pub(super) wish: String,
    pub(super) is_process: bool,
    /// Of a process: whether it is started where none is named.
    pub(super) is_enabled: bool,
    /// The file it is from, and the place in it.
    pub(super) origin: String,
    /// What a person should know.
    pub(super) remarks: Vec<String>,
    pub(super) description: Option<String>,
    /// The keys of what comes first.
    pub(super) after: Vec<String>,
    /// Directories of which it may read every file that no other task makes.
    pub(super) reads: Vec<String>,
    /// Further patterns, as its file has them.
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    /// Whether one of these is nothing but a sign that the rest is there.
    pub(super) is_marked: bool,
    /// Whether it writes a lock file that is not there yet.
    pub(super) locks: bool,
    /// None: it only stands for what it is after.
    pub(super) exec: Option<String>,
    /// Why it is commented out.
    pub(super) off: Option<String>,
    /// Whether it may need something that is not there: one of its name that another file has is the better one.
    pub(super) is_guess: bool,
    /// Whether it is left out where a task of its name was proposed already.
    pub(super) yields: bool,
}

impl Draft {
    /// Has it leave an empty file in a directory that is too large to be an output itself: once that is gone, so is the
    /// file, and the task runs. `within` is the directory as the task sees it.
    pub(super) fn marked(mut self, within: &str, name: &str) -> Self {
        let marker = paths::join(within, name);
        let exec = self.exec.as_deref().unwrap_or_default().trim_end();
        let joined = if exec.contains('\n') { "\n" } else { " && " };
        let end = if exec.contains('\n') { "\n" } else { "" };
        self.exec = Some(format!("{exec}{joined}: > {}{end}", paths::word(&marker)));
        self.outputs.push(escape(&marker));
        self.is_marked = true;
        self
    }
}

/// What tells a draft from all others.
pub(super) fn key(dir: &str, tool: &str, name: &str) -> String {
    // None of these can have this character.
    format!("{dir}\0{tool}\0{name}")
}

/// A directory that gets a task file.
#[derive(Clone, Debug, Default)]
pub(super) struct Project {
    /// What it would be called.
    pub(super) wish: Option<String>,
    pub(super) drafts: Vec<Draft>,
    /// Patterns for what is made in it.
    pub(super) made: BTreeSet<String>,
    /// Lines at the end of its file.
    pub(super) remarks: Vec<String>,
    /// Tables that are complete as they are.
    pub(super) tables: Vec<String>,
}

impl Project {
    /// Adds to what is made in it.
    pub(super) fn makes<S: Into<String>>(&mut self, patterns: impl IntoIterator<Item = S>) {
        self.made.extend(patterns.into_iter().map(Into::into));
    }
}

/// All of them, by their directories.
pub(super) type Projects = BTreeMap<String, Project>;

/// The names that are given in a directory so far.
pub(super) fn taken(projects: &Projects, dir: &str) -> BTreeSet<String> {
    let drafts = projects.get(dir).into_iter().flat_map(|project| &project.drafts);
    drafts
        .filter(|draft| draft.off.is_none() && !draft.is_process && !draft.is_guess)
        .map(|draft| legal(&draft.wish))
        .collect()
}

/// The project of a directory, which calls itself so.
pub(super) fn project<'a>(projects: &'a mut Projects, dir: &str, wish: Option<&str>) -> &'a mut Project {
    let project = projects.entry(dir.to_owned()).or_default();
    if project.wish.is_none() {
        project.wish = wish.map(str::to_owned);
    }
    project
}
