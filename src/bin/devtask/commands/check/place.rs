//! Where checks look: in place, or in a private checkout of what is meant.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use devtask::{
    git::{Checkout, Repository},
    plan::{Assigned, Candidate, concerned},
    store::StateDir,
};

use super::{files::Version, work::Work};
use crate::{
    app::{App, Tree, internal},
    args::Globals,
    commands::affected::failed,
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
        version: &Version,
        repository: Option<Repository>,
    ) -> Result<Self, Exit> {
        let Some(repository) = repository.filter(|_| *version != Version::WorkTree) else {
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

/// A file that is concerned and not there as it is meant.
fn odd(
    work: &Work<'_>,
    assigned: &[Assigned],
    version: &Version,
    repository: &Repository,
) -> Result<Option<PathBuf>, Exit> {
    let graph = &work.tree.graph;
    let (changes, untracked) = match version {
        Version::Commit(commit) => (repository.since(commit), Ok(Vec::new())),
        _ => {
            let looks = |assigned: &Assigned| {
                graph.task(assigned.task).check.as_ref().is_some_and(|check| !check.passes_files)
            };
            // Only who looks around sees what is not added.
            let untracked = if assigned.iter().any(looks) { repository.untracked() } else { Ok(Vec::new()) };
            (repository.unstaged(), untracked)
        }
    };
    let changed = changes.map_err(|error| failed(&error))?.into_iter().map(|change| change.path);
    let changed: Vec<PathBuf> = changed.map(|path| repository.top().join(path)).collect();
    if let Some(file) = changed.iter().find(|path| work.tree.loaded.files.contains(path)) {
        return Ok(Some(file.clone()));
    }
    let untracked = untracked.map_err(|error| failed(&error))?;
    let all: Vec<PathBuf> =
        changed.into_iter().chain(untracked.into_iter().map(|path| repository.top().join(path))).collect();
    Ok(concerned(graph, assigned, &all).cloned())
}

impl Aside {
    fn bring(
        work: &Work<'_>,
        version: &Version,
        repository: Repository,
        because: &Path,
    ) -> Result<Self, Exit> {
        let state_dir = work.app.state_dir(work.tree);
        // Its own ignore file keeps what is in it out of everybody's sight.
        StateDir::create(&state_dir).map_err(|error| internal(&error.to_string()))?;
        let dir = state_dir.join("checkout");
        let dir = state_dir.canonicalize().map_or(dir, |real| real.join("checkout"));
        let is_held = || eprintln!("Waiting for another devtask to be done with {}", dir.display());
        let checkout = Checkout::open(&dir, &repository, is_held).map_err(|error| failed(&error))?;
        let links = links(work.tree, &repository);
        let brought = match version {
            Version::Commit(commit) => checkout.bring_commit(&repository, commit, &links),
            _ => checkout.bring_index(&repository, &links),
        };
        brought.map_err(|error| failed(&error))?;
        let what = if *version == Version::Index { "the index" } else { "the commit" };
        let because = because.strip_prefix(repository.top()).unwrap_or(because);
        let because = shown(&because.display().to_string());
        let whose = format!("{because} is not as in {what}: looking at a checkout of it");
        work.say("Note", &whose);
        let aside = |path: &Path| {
            path.strip_prefix(repository.top()).map_or_else(|_| path.to_owned(), |p| dir.join(p))
        };
        carry(work.tree, &aside)
            .map_err(|(path, error)| internal(&format!("cannot copy {}: {error}", path.display())))?;
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

/// The ignored directories that checks want to be shown, beneath the top of the work tree.
fn links(tree: &Tree, repository: &Repository) -> BTreeSet<PathBuf> {
    let checks = tree.graph.ids().filter_map(|id| tree.graph.task(id).check.as_ref());
    let links = checks.flat_map(|check| &check.links);
    links.filter_map(|link| Some(link.strip_prefix(repository.top()).ok()?.to_owned())).collect()
}

/// Copies what declares the checks where it is not part of what is checked: task files that are not added yet, dotenv files
/// that are ignored.
fn carry(tree: &Tree, aside: &impl Fn(&Path) -> PathBuf) -> Result<(), (PathBuf, std::io::Error)> {
    for file in &tree.loaded.files {
        let to = aside(file);
        if to == *file || to.symlink_metadata().is_ok() || !file.is_file() {
            continue;
        }
        let copy = || {
            to.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::copy(file, &to).map(drop)
        };
        copy().map_err(|error| (file.clone(), error))?;
    }
    Ok(())
}
