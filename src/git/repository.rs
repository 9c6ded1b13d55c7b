//! Finding the repository, and the index a hook is about.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Component, Path, PathBuf},
};

use super::{
    GitError,
    call::{Caller, first_words, line},
};

/// A repository with a work tree.
#[derive(Clone, Debug)]
pub struct Repository {
    /// In its work tree, with a clean environment.
    pub(super) caller: Caller,
    top: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    index: PathBuf,
    is_in_hook: bool,
}

/// A version of git.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

/// What a hook's environment says of the repository at hand; git itself goes by it.
const OF_HOOKS: [&str; 4] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE"];

impl Repository {
    /// The repository `dir` lies in, if it lies in one. The work tree around `dir` counts, whatever the environment says:
    /// a hook of one repository may call us in another (hazard C23). Only where there is none around, `GIT_DIR` counts.
    /// Of the environment the index a hook is about is taken where it is one of this repository.
    ///
    /// # Errors
    /// [`GitError::NotStarted`], [`GitError::Bare`], and git's own.
    pub fn around(dir: &Path, environment: &[(OsString, OsString)]) -> Result<Option<Self>, GitError> {
        let value =
            |name: &str| environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let bare = Caller { environment: without_repository(environment), dir: dir.to_owned(), holds: None };
        let around = places(&bare)?;
        // A hook is started at the top of the work tree.
        let base = around.as_ref().map_or(dir, |places| &places.top);
        let git_dir_of = |name: &OsString| base.join(name);
        let named = value("GIT_DIR").map(|name| git_dir_of(&name));
        let tied = || {
            let others = OF_HOOKS.into_iter().take(3).filter_map(|name| Some((name, value(name)?)));
            let tie = named.iter().map(|git_dir| ("GIT_DIR", git_dir.clone().into_os_string()));
            bare.at(base).with(others.chain(tie))
        };
        let by_name = match (&named, &around) {
            (Some(_), None) => places(&tied())?,
            // What is named may be about another work tree, and has no say then.
            (Some(_), Some(_)) if value("GIT_WORK_TREE").is_some() => places(&tied()).ok().flatten(),
            _ => None,
        };
        let by_name = by_name.map(|found| (tied(), found));
        let found = match (around, by_name) {
            // Two repositories over one work tree: the one that is named.
            (Some(around), Some((caller, named))) if named.top == around.top => Some((caller, named)),
            (Some(around), _) => Some((bare.clone(), around)),
            (None, by_name) => by_name,
        };
        let Some((caller, Places { top, git_dir, common_dir })) = found else { return Ok(None) };
        let is_here = named.as_ref().is_none_or(|named| same(named, &git_dir));
        let hooks = value("GIT_INDEX_FILE").filter(|_| is_here).map(|index| top.join(index));
        let is_ours = |index: &PathBuf| {
            index.is_file() && index.parent().is_some_and(|dir| same(dir, &git_dir) || !is_git_dir(dir))
        };
        let hooks = hooks.filter(is_ours);
        let is_in_hook = hooks.is_some();
        let index = hooks.unwrap_or_else(|| git_dir.join("index"));
        let caller = caller.at(&top);
        Ok(Some(Self { caller, top, git_dir, common_dir, index, is_in_hook }))
    }

    /// The top of its work tree: absolute, without links.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// The directory of its own files; that of this work tree, if it has several.
    #[must_use]
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The directory all its work trees share.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The index that is about to be committed: that of the hook that surrounds us, else the usual one.
    #[must_use]
    pub fn index(&self) -> &Path {
        &self.index
    }

    /// Whether a hook surrounds us that is about an index of this repository.
    #[must_use]
    pub const fn is_in_hook(&self) -> bool {
        self.is_in_hook
    }

    /// Whether that index is the one that stays when the hook is over: `git commit -a` makes one of its own.
    #[must_use]
    pub fn has_usual_index(&self) -> bool {
        same(&self.index, &self.git_dir.join("index"))
    }

    /// What git writes when it is called with these words at the top of the work tree: with a clean environment,
    /// without hooks, pagers and monitors of the repository.
    ///
    /// # Errors
    /// That it could not be started, or failed.
    pub fn read<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Vec<u8>, GitError> {
        self.caller.read(arguments)
    }

    /// One line of git's, if it did what it was asked.
    #[must_use]
    pub fn ask<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Option<OsString> {
        self.caller.ask(arguments).map(OsString::from_vec)
    }

    /// The version of git.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        Version::parse(&String::from_utf8_lossy(&self.caller.ask(&["version"])?))
    }

    /// The commit that a name stands for.
    ///
    /// # Errors
    /// That there is none.
    pub fn commit(&self, name: &OsStr) -> Result<String, GitError> {
        let mut wanted = name.to_owned();
        wanted.push("^{commit}");
        let words = [OsStr::new("rev-parse"), "--verify".as_ref(), "--end-of-options".as_ref(), &wanted];
        let found = self.caller.read(&words)?;
        text(found).ok_or_else(|| GitError::Unexpected { command: first_words(&words) })
    }

    /// The commit the work tree is at, if there is one yet.
    #[must_use]
    pub fn head(&self) -> Option<String> {
        text(self.caller.ask(&["rev-parse", "--quiet", "--verify", "HEAD^{commit}"])?)
    }

    /// The tree without a file, which git knows everywhere.
    ///
    /// # Errors
    /// Git's.
    pub fn empty_tree(&self) -> Result<String, GitError> {
        let words = ["hash-object", "-t", "tree", "--stdin"];
        text(self.caller.read(&words)?).ok_or_else(|| GitError::Unexpected { command: first_words(&words) })
    }

    /// Calls that are about the index about to be committed.
    pub(super) fn with_index(&self) -> Caller {
        self.caller.with([("GIT_INDEX_FILE", &self.index)])
    }
}

impl Version {
    /// From what `git version` says.
    #[must_use]
    pub fn parse(said: &str) -> Option<Self> {
        let numbers = said.trim().strip_prefix("git version ")?;
        let mut numbers = numbers.split(|c: char| !c.is_ascii_digit());
        Some(Self(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

struct Places {
    top: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
}

/// Where the repository is; none if there is none.
fn places(caller: &Caller) -> Result<Option<Places>, GitError> {
    let words =
        ["rev-parse", "--is-inside-work-tree", "--absolute-git-dir", "--git-common-dir", "--show-toplevel"];
    let output = caller.call(&words, Vec::new())?;
    let failed = || {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        GitError::Failed { command: first_words(&words), said }
    };
    // One line for each question.
    if output.stdout.iter().filter(|byte| **byte == b'\n').count() >= words.len() {
        return Err(GitError::Newline(caller.dir.clone()));
    }
    let mut lines =
        output.stdout.split(|byte| *byte == b'\n').map(|line| PathBuf::from(OsStr::from_bytes(line)));
    let Some(is_inside) = lines.next().filter(|line| !line.as_os_str().is_empty()) else {
        // Its words are git's own, in the language we asked for.
        let is_none = String::from_utf8_lossy(&output.stderr).contains("not a git repository");
        return if is_none { Ok(None) } else { Err(failed()) };
    };
    let (Some(git_dir), Some(common)) = (lines.next(), lines.next()) else { return Err(failed()) };
    if is_inside != Path::new("true") {
        return Err(GitError::Bare(git_dir));
    }
    let top = lines.next().filter(|_| output.status.success()).ok_or_else(failed)?;
    let common_dir = caller.dir.join(common);
    let canonical = |path: PathBuf| path.canonicalize().unwrap_or(path);
    Ok(Some(Places { top: canonical(top), git_dir: canonical(git_dir), common_dir: canonical(common_dir) }))
}

/// The environment without what ties git to one repository. Settings that somebody gave along (`git -c`) stay.
pub(super) fn without_repository(environment: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
    let is_kept = |name: &OsStr| !LOCAL.iter().any(|known| name == *known);
    environment.iter().filter(|(name, _)| is_kept(name)).cloned().collect()
}

const LOCAL: [&str; 15] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Whether these are the own files of a repository, or of a work tree of one.
fn is_git_dir(dir: &Path) -> bool {
    dir.join("HEAD").exists() && (dir.join("objects").exists() || dir.join("commondir").exists())
}

fn same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// One line that is text.
pub(super) fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(line(bytes)).ok().filter(|text| !text.is_empty())
}

/// A path of git's, beneath the top of the work tree: one that leads nowhere else.
pub(super) fn inner(bytes: &[u8]) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(bytes));
    let is_inner = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_inner && !bytes.is_empty()).then(|| path.to_owned())
}
