//! Which files are meant, and in which version.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use devtask::{
    checks::Ground,
    config::normalise,
    git::{Change, Entry, GitError, Repository},
    model::TaskId,
    pattern::{PatternKind, PatternSet},
    plan::{Candidate, patterns_of},
};

use crate::{
    app::{App, Tree, complain, misused, misused_with},
    args::check::FileSet,
    commands::affected,
    exit::Exit,
    render::text::shown,
};

/// The tree without a file, by both of git's hashes.
const EMPTY_TREES: [&str; 2] = [
    "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
];

/// The files somebody means.
#[derive(Debug)]
pub(super) enum Wanted {
    /// What is about to be committed.
    Staged,
    /// All there are.
    All,
    /// These, and what lies beneath those that are directories.
    These(Vec<PathBuf>),
    /// What a commit changed since it parted from another.
    Between(OsString, OsString),
    /// What the branch changed since it left its base, with what is not committed.
    Since(OsString),
}

/// In which version they are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AsIn {
    /// As they are in the work tree.
    WorkTree,
    /// As they are in the index.
    Index,
    /// As they are in a commit.
    Commit(String),
}

impl Wanted {
    /// As it was typed.
    pub(super) fn of(
        app: &App,
        set: &FileSet,
        files: Vec<PathBuf>,
        repository: Option<&Repository>,
    ) -> Result<Self, Exit> {
        if let (Some(file), true) = (&set.files0_from, files.is_empty()) {
            return listed(app, file).map(Self::These);
        }
        let has_set = set.staged || set.all_files || set.from_ref.is_some() || set.affected.is_some();
        if !files.is_empty() && (has_set || set.files0_from.is_some()) {
            return Err(misused("files are named, and a set of files is chosen besides: choose one of them"));
        }
        if set.files || !files.is_empty() {
            return Ok(Self::These(files));
        }
        Ok(match (&set.from_ref, &set.affected) {
            (Some(from), _) => {
                Self::Between(from.clone(), set.to_ref.clone().unwrap_or_else(|| "HEAD".into()))
            }
            (_, Some(base)) => Self::Since(base.clone()),
            _ if set.staged => Self::Staged,
            _ if !set.all_files && repository.is_some_and(Repository::is_in_hook) => Self::Staged,
            _ => Self::All,
        })
    }

    /// What people call them.
    pub(super) fn called(&self, count: usize) -> String {
        let s = if count == 1 { "" } else { "s" };
        match self {
            Self::Staged => format!("{count} staged file{s}"),
            Self::All => format!("all files ({count})"),
            Self::These(_) => format!("{count} file{s}"),
            Self::Between(from, to) => {
                // The tree without a file is what something new is compared with.
                let name = |name: &OsStr| match name.to_string_lossy() {
                    name if EMPTY_TREES.contains(&&*name) => "nothing".to_owned(),
                    name if [40, 64].contains(&name.len()) && name.bytes().all(|b| b.is_ascii_hexdigit()) => {
                        name[..10].to_owned()
                    }
                    name => shown(&name),
                };
                format!("{count} file{s} changed from {} to {}", name(from), name(to))
            }
            Self::Since(_) => format!("{count} changed file{s}"),
        }
    }

    /// The files, and the version in which they are to be looked at.
    pub(super) fn find(
        &self,
        tree: &Tree,
        tasks: &[TaskId],
        ground: &Ground,
        repository: Option<&Repository>,
    ) -> Result<(Vec<Candidate>, AsIn), Exit> {
        let needed = || {
            let root = tree.loaded.root.display().to_string();
            let message = format!("{} is not in a git repository", shown(&root));
            repository.ok_or_else(|| {
                misused_with(&message, "without one, `--all-files` and named files can be checked")
            })
        };
        match self {
            Self::Staged => {
                let repository = needed()?;
                let unmerged = repository.unmerged().map_err(|error| affected::failed(&error))?;
                if !unmerged.is_empty() {
                    for path in &unmerged {
                        complain(&format!("{} is unmerged", path.display()));
                    }
                    eprintln!("  help: resolve the conflicts and `git add` the files first");
                    return Err(Exit::Usage);
                }
                let changes = repository.staged().map_err(|error| affected::failed(&error))?;
                Ok((candidates(tree, repository, &changes), AsIn::Index))
            }
            Self::Between(from, to) => {
                let repository = needed()?;
                let commit = |name: &OsStr| repository.commit(name).map_err(|error| no_commit(name, &error));
                // The tree without a file: what has no other side yet is all new.
                let empty = repository.empty_tree().map_err(|error| affected::failed(&error))?;
                let from = if **from == *empty { empty } else { commit(from)? };
                let to = commit(to)?;
                let base = repository.merge_base(&from, &to).unwrap_or(from);
                let changes = repository.between(&base, &to).map_err(|error| affected::failed(&error))?;
                Ok((candidates(tree, repository, &changes), AsIn::Commit(to)))
            }
            Self::Since(base) => {
                let repository = needed()?;
                let changes = affected::changes(repository, base)?;
                Ok((candidates(tree, repository, &changes), AsIn::WorkTree))
            }
            Self::All => {
                // In a project of its own its files are meant, whoever's checks are about them.
                let project = tree.loaded.standpoint().default_project;
                let project = tree.loaded.projects.iter().find(|known| Some(&known.name) == project.as_ref());
                let within: Vec<PathBuf> = project.map(|project| project.dir.clone()).into_iter().collect();
                Ok((all(tree, tasks, ground, &within), AsIn::WorkTree))
            }
            Self::These(files) => Ok((these(tree, tasks, ground, files)?, AsIn::WorkTree)),
        }
    }
}

fn no_commit(name: &OsStr, error: &GitError) -> Exit {
    match error {
        GitError::Failed { .. } => misused_with(
            &format!("there is no commit `{}`", name.to_string_lossy()),
            "name a branch, tag or commit that is known here; `git fetch` brings what is not",
        ),
        _ => affected::failed(error),
    }
}

/// Names that were typed: those of checks, and files.
pub(super) fn told_apart(
    app: &App,
    names: &[OsString],
    is_check: impl Fn(&str) -> bool,
    only_files: bool,
) -> Result<(Vec<String>, Vec<PathBuf>), Exit> {
    let (mut checks, mut files, mut missing) = (Vec::new(), Vec::new(), false);
    for name in names {
        let path = app.start_dir.join(name);
        match name.to_str().filter(|name| !only_files && is_check(name)) {
            Some(name) => checks.push(name.to_owned()),
            None if path.symlink_metadata().is_ok() => files.push(path),
            None if only_files => {
                complain(&format!("there is no file {}", Path::new(name).display()));
                missing = true;
            }
            // It is told as one: a name that means no check.
            None => checks.push(name.to_string_lossy().into_owned()),
        }
    }
    if missing { Err(Exit::Usage) } else { Ok((checks, files)) }
}

/// The names in a file, each ended by NUL.
fn listed(app: &App, file: &Path) -> Result<Vec<PathBuf>, Exit> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if file == Path::new("-") {
            io::stdin().lock().read_to_end(&mut bytes)?;
        } else {
            bytes = fs::read(app.start_dir.join(file))?;
        }
        Ok(bytes)
    };
    let bytes = read().map_err(|error| misused(&format!("cannot read {}: {error}", file.display())))?;
    let names = bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| app.start_dir.join(OsStr::from_bytes(name))).collect())
}

/// What git calls changed, by all names there are for it.
fn candidates(tree: &Tree, repository: &Repository, changes: &[Change]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for change in changes {
        let is_file = change.now == Some(Entry::File);
        let names = affected::named(tree, [repository.top().join(&change.path)]);
        candidates.extend(names.into_iter().map(|path| Candidate { path, is_file }));
    }
    candidates
}

/// What the checks are about, as it is found beneath the root; only beneath `within`, if that says something.
fn all(tree: &Tree, tasks: &[TaskId], ground: &Ground, within: &[PathBuf]) -> Vec<Candidate> {
    let everything = |task: TaskId| {
        let base = tree.graph.task(task).cwd.clone();
        let all = ["**", "**/.*", "**/.*/**", "!**/.git", "!**/.git/**"].map(str::to_owned);
        PatternSet::new(&[base], &all, PatternKind::Inputs).unwrap_or(PatternSet::empty(PatternKind::Inputs))
    };
    let sets = tasks.iter().map(|task| patterns_of(&tree.graph, *task).unwrap_or_else(|| everything(*task)));
    let sets: Vec<PatternSet> = sets.collect();
    let found = ground.scanner().walk(&sets.iter().collect::<Vec<_>>());
    let paths: BTreeSet<&Path> =
        found.iter().flat_map(|set| &set.entries).map(|entry| &*entry.path).collect();
    let is_within = |path: &&Path| within.is_empty() || within.iter().any(|dir| path.starts_with(dir));
    paths.into_iter().filter(is_within).map(|path| there(path.to_owned())).collect()
}

fn there(path: PathBuf) -> Candidate {
    Candidate { is_file: path.symlink_metadata().is_ok_and(|meta| meta.is_file()), path }
}

fn these(tree: &Tree, tasks: &[TaskId], ground: &Ground, files: &[PathBuf]) -> Result<Vec<Candidate>, Exit> {
    let (mut found, mut dirs, mut missing) = (BTreeSet::new(), Vec::new(), false);
    for file in files {
        // A file is known by the name its directory really has.
        let path = normalise(file);
        let parent = path.parent().map(|dir| dir.canonicalize().unwrap_or_else(|_| dir.to_owned()));
        let path = match (parent, path.file_name()) {
            (Some(parent), Some(name)) => parent.join(name),
            _ => path,
        };
        match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => dirs.push(path),
            Ok(_) => drop(found.insert(there(path))),
            Err(error) => {
                complain(&format!("cannot look at {}: {error}", file.display()));
                missing = true;
            }
        }
    }
    if missing {
        return Err(Exit::Usage);
    }
    if !dirs.is_empty() {
        found.extend(all(tree, tasks, ground, &dirs));
    }
    Ok(found.into_iter().collect())
}
