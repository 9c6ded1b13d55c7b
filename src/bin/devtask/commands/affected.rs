//! What a branch changed: for `--affected`.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::ErrorKind,
    path::PathBuf,
};

use devtask::{
    git::{Change, GitError, NoBase, Repository},
    model::{TaskId, TaskSet},
    plan::{affected, default_selection, select},
    session::SessionError,
};

use crate::{
    app::{App, Tree, complain, internal, misused, misused_with, refuse},
    args::RunArgs,
    exit::Exit,
    render::text::chain,
};

/// What is said where a branch affects nothing of what is meant.
pub(crate) const NOTHING: &str = "Nothing of it is affected";

/// The end after a failure of git, having said what failed.
pub(crate) fn failed(error: &GitError) -> Exit {
    match error {
        GitError::NotStarted(_) => misused_with(&chain(error), "install git, or name the files"),
        GitError::Bare(_) | GitError::Newline(_) => misused(&chain(error)),
        GitError::Foreign(_) => misused_with(&chain(error), "move it away, or choose another `--state-dir`"),
        GitError::Held(_) => {
            complain(&chain(error));
            Exit::Held
        }
        _ => internal(&chain(error)),
    }
}

/// The repository the tree lies in.
pub(crate) fn repository(tree: &Tree) -> Result<Option<Repository>, Exit> {
    let environment: Vec<(OsString, OsString)> = env::vars_os().collect();
    match Repository::around(&tree.loaded.root, &environment) {
        // Who has no git has no repository that matters here.
        Err(GitError::NotStarted(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map_err(|error| failed(&error)),
    }
}

/// What is another than where the branch left `base`, with what is not committed yet.
pub(crate) fn changes(repository: &Repository, base: &OsStr) -> Result<Vec<Change>, Exit> {
    let base = if base.is_empty() { usual_base(repository)? } else { base.to_owned() };
    let name = base.to_string_lossy();
    let commit = repository.commit(&base).map_err(|_| {
        let hint = "name a branch, tag or commit that is known here; `git fetch` brings what is not";
        misused_with(&format!("there is no commit `{name}`"), hint)
    })?;
    let parted = match repository.head() {
        None => commit,
        // It is told by the name that was typed.
        Some(head) => {
            repository.parted(&commit, &head).map_err(|_| unknown(&NoBase::NotParted(name.into_owned())))?
        }
    };
    repository.since(&parted).map_err(|error| failed(&error))
}

/// What a branch is compared with where nobody says.
fn usual_base(repository: &Repository) -> Result<OsString, Exit> {
    let requested = env::var("GITHUB_BASE_REF").ok().filter(|name| !name.is_empty());
    repository.usual_base(requested.as_deref()).map_err(|error| unknown(&error))
}

fn unknown(error: &NoBase) -> Exit {
    let hint = match error {
        NoBase::NotParted(_) => "a shallow clone does not know it: fetch with more depth (`fetch-depth: 0`)",
        NoBase::NotFetched(_) => {
            "fetch it (GITHUB_BASE_REF names it; `fetch-depth: 0` brings all), or name another: `--affected=BASE`"
        }
        _ => "name one: `--affected=BASE`",
    };
    misused_with(&error.to_string(), hint)
}

/// Files by the names the tree has for them, beside those git has: a project may be reached through a link.
pub(crate) fn named(tree: &Tree, paths: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let linked = tree.loaded.projects.iter().filter_map(|project| {
        let real = project.dir.canonicalize().ok()?;
        (real != project.dir).then_some((real, &project.dir))
    });
    let linked: Vec<(PathBuf, &PathBuf)> = linked.collect();
    let mut named = Vec::new();
    for path in paths {
        let others = linked.iter().filter_map(|(real, name)| Some(name.join(path.strip_prefix(real).ok()?)));
        named.extend(others);
        named.push(path);
    }
    named
}

/// The run of what a branch affects of what was named; none: that is nothing.
pub(crate) fn narrow(app: &mut App, mut args: Box<RunArgs>) -> Result<Option<Box<RunArgs>>, Exit> {
    let Some(base) = args.affected.take() else { return Ok(Some(args)) };
    let tree = app.load()?;
    let standpoint = tree.loaded.standpoint();
    let chosen = match args.names.is_empty() {
        true => default_selection(&tree.graph, standpoint.default_project.as_deref()),
        false => select(&tree.graph, standpoint.project.as_deref(), &args.names)
            .map_err(|faults| refuse(&SessionError::Unknown(faults)))?,
    };
    let chosen = among(app, &tree, &chosen, &base)?;
    if chosen.is_empty() {
        if !app.globals.quiet {
            eprintln!("{NOTHING}");
        }
        return Ok(None);
    }
    args.names = chosen.into_iter().map(|id| tree.graph.name(id).to_string()).collect();
    Ok(Some(args))
}

/// The tasks a branch affects, among these: those whose inputs differ, and what is downstream of them.
pub(crate) fn among(app: &App, tree: &Tree, tasks: &[TaskId], base: &OsStr) -> Result<Vec<TaskId>, Exit> {
    let repository = repository(tree)?.ok_or_else(|| {
        let root = tree.loaded.root.display().to_string();
        misused(&format!("{root} is not in a git repository, so nothing tells what a branch changed"))
    })?;
    let changed = changes(&repository, base)?.into_iter().map(|change| repository.top().join(change.path));
    let changed = named(tree, changed);
    let files: Vec<(PathBuf, Option<String>)> = tree
        .loaded
        .files
        .iter()
        .map(|file| {
            let owner = tree.loaded.projects.iter().find(|project| project.file.as_ref() == Some(file));
            (file.clone(), owner.map(|project| project.name.clone()))
        })
        .collect();
    let dirs: Vec<(String, PathBuf)> =
        tree.loaded.projects.iter().map(|project| (project.name.clone(), project.dir.clone())).collect();
    let state_dir = app.state_dir(tree);
    let changed: Vec<PathBuf> = changed.into_iter().filter(|path| !path.starts_with(&state_dir)).collect();
    let all: TaskSet = affected(&tree.graph, &changed, &files, &dirs);
    Ok(tasks.iter().copied().filter(|id| all.contains(*id)).collect())
}
