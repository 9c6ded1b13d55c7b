//! Where checks look: in place, or in a private checkout of what is meant.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use devtask::{
    git::{Beside, Checkout, Repository},
    plan::{Assigned, Candidate, concerned, looks_beyond},
    store::{STATE_DIR, StateDir},
};

use super::{Verb, files::AsIn, work::Work};
use crate::{
    app::{App, Tree, complain_with, internal, is_nested_in},
    args::Globals,
    commands::affected::{failed, named},
    exit::Exit,
    render::text::shown,
};

/// Where.
pub(super) enum Place {
    /// In the work tree, of this repository if it lies in one.
    Here(Option<Repository>),
    /// In a checkout.
    Aside(Box<Aside>),
}

/// The tree as it is in the checkout.
pub(super) struct Aside {
    pub(super) repository: Repository,
    pub(super) checkout: Checkout,
    pub(super) app: App,
    pub(super) tree: Tree,
}

impl Place {
    /// In place if everything concerned is there as it is meant.
    pub(super) fn find(
        work: &Work<'_>,
        assigned: &[Assigned],
        version: &AsIn,
        repository: Option<Repository>,
    ) -> Result<Self, Exit> {
        let Some(repository) = repository.filter(|_| *version != AsIn::WorkTree) else {
            return Ok(Self::Here(None));
        };
        match odd(work, assigned, version, &repository)? {
            None => Ok(Self::Here(Some(repository))),
            Some(path) => {
                Aside::bring(work, version, repository, &path).map(|aside| Self::Aside(Box::new(aside)))
            }
        }
    }
}

/// The end of a check in place: what it says holds for what is meant only if that was in place all the time.
pub(super) fn still_holds(
    work: &Work<'_>,
    assigned: &[Assigned],
    version: &AsIn,
    repository: Option<&Repository>,
    exit: Exit,
) -> Result<Exit, Exit> {
    let (Some(repository), Exit::Done, Verb::Check) = (repository, exit, work.verb) else { return Ok(exit) };
    match odd(work, assigned, version, repository)? {
        None => Ok(exit),
        Some(path) => {
            let name = shown(&path.strip_prefix(repository.top()).unwrap_or(&path).display().to_string());
            complain_with(
                &format!("{name} changed meanwhile"),
                "what is meant was not looked at: run it again",
            );
            Ok(Exit::Failed)
        }
    }
}

/// A file that is concerned and not there as it is meant.
fn odd(
    work: &Work<'_>,
    assigned: &[Assigned],
    version: &AsIn,
    repository: &Repository,
) -> Result<Option<PathBuf>, Exit> {
    let graph = &work.tree.graph;
    let (changes, untracked) = match version {
        AsIn::Commit(commit) => (repository.since(commit), Ok(Vec::new())),
        _ => {
            // Who only looks at what is given sees nothing that is not added.
            let looks = looks_beyond(graph, assigned);
            let untracked = if looks { repository.untracked() } else { Ok(Vec::new()) };
            (repository.unstaged(), untracked)
        }
    };
    let changed = changes.map_err(|error| failed(&error))?.into_iter().map(|change| change.path);
    let changed: Vec<PathBuf> = changed.map(|path| repository.top().join(path)).collect();
    if let Some(file) = changed.iter().find(|path| work.tree.loaded.files.contains(path)) {
        return Ok(Some(file.clone()));
    }
    let untracked = untracked.map_err(|error| failed(&error))?;
    let untracked = untracked.into_iter().map(|path| repository.top().join(path));
    let all = named(work.tree, changed.into_iter().chain(untracked));
    Ok(concerned(graph, assigned, &all).cloned())
}

/// The root of the tree beneath the top of the work tree.
fn beneath<'a>(work: &'a Work<'_>, repository: &Repository) -> &'a Path {
    work.tree.loaded.root.strip_prefix(repository.top()).unwrap_or(Path::new(""))
}

impl Aside {
    fn bring(work: &Work<'_>, version: &AsIn, repository: Repository, because: &Path) -> Result<Self, Exit> {
        let state_dir = work.app.state_dir(work.tree);
        // Its own ignore file keeps what is in it out of everybody's sight.
        StateDir::create(&state_dir).map_err(|error| internal(&error.to_string()))?;
        let checkouts = state_dir.canonicalize().unwrap_or_else(|_| state_dir.clone()).join("checkout");
        // A project may have its name from its directory's.
        let dir = checkouts.join(repository.top().file_name().unwrap_or(OsStr::new("tree")));
        let name = shown(&dir.display().to_string());
        let waits = || {
            // Who was called by what is looked at there would wait for itself.
            let waits = !is_nested_in(&dir.join(beneath(work, &repository)).join(STATE_DIR));
            if waits {
                eprintln!("{:<17} for another devtask to be done with {name}", "Waiting");
            }
            waits && !work.app.globals.no_wait
        };
        let checkout = Checkout::open(&dir, &repository, waits).map_err(|error| failed(&error))?;
        let beside = beside(work.tree, &repository);
        let brought = match version {
            AsIn::Commit(commit) => checkout.bring_commit(&repository, commit, &beside),
            _ => checkout.bring_index(&repository, &beside),
        };
        brought.map_err(|error| failed(&error))?;
        let what = if *version == AsIn::Index { "the index" } else { "the commit" };
        let because = because.strip_prefix(repository.top()).unwrap_or(because);
        let because = shown(&because.display().to_string());
        let whose = format!("{because} is not as in {what}: looking at a checkout of it");
        work.say("Note", &whose);
        let aside = |path: &Path| {
            path.strip_prefix(repository.top()).map_or_else(|_| path.to_owned(), |p| dir.join(p))
        };
        let globals = Globals {
            directory: Some(aside(&work.tree.loaded.root)),
            file: work.app.globals.file.as_ref().map(|file| aside(&work.app.start_dir.join(file))),
            state_dir: work.app.globals.state_dir.as_ref().map(|_| dir.join(".git/devtask")),
            ..work.app.globals.clone()
        };
        let mut app = App::new(globals)?;
        app.may_start = true;
        app.checkout = Some((dir.clone(), repository.top().to_owned()));
        let tree = app.load()?;
        Ok(Self { repository, checkout, app, tree })
    }

    /// What leads from the root of a tree to that of its checkout, for people.
    pub(super) fn logs(&self, tree: &Tree) -> String {
        let root = &self.tree.loaded.root;
        let beneath = root.strip_prefix(&tree.loaded.root).unwrap_or(root);
        format!("{}/", beneath.display())
    }

    /// The same files where they are in the checkout.
    pub(super) fn moved(&self, candidates: &[Candidate]) -> Vec<Candidate> {
        let moved = |candidate: &Candidate| {
            let beneath = candidate.path.strip_prefix(self.repository.top()).ok()?;
            let path = self.checkout.dir().join(beneath);
            Some(Candidate { is_file: path.symlink_metadata().is_ok_and(|meta| meta.is_file()), path })
        };
        candidates.iter().filter_map(moved).collect()
    }
}

/// What is shown there though it is not part of what is checked: ignored directories that checks name; and what declares
/// the checks, task files that are not added yet and dotenv files that are ignored.
fn beside(tree: &Tree, repository: &Repository) -> Beside {
    let beneath = |path: &PathBuf| Some(path.strip_prefix(repository.top()).ok()?.to_owned());
    let checks = tree.graph.ids().filter_map(|id| tree.graph.task(id).check.as_ref());
    Beside {
        links: checks.flat_map(|check| &check.links).filter_map(beneath).collect(),
        copies: tree.loaded.files.iter().filter_map(beneath).collect(),
    }
}
