//! What git ignores: the rules in force in a directory.
//!
//! A repository's rules are those of its `.gitignore` files from the top down, its `info/exclude` and the
//! user's global file, nearer files first. A repository within another starts afresh. Outside any
//! repository the `.gitignore` files from the root of the tree downwards count just the same, so that a
//! tree that was exported from git is scanned like its original.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::{
    regular::read_regular,
    system::{self, exists},
    table::{GRANULARITY, is_racy, system_now_ns},
    trail::{Fact, Grounds},
};
use crate::model::{FileKind, StatIdentity};

/// More bytes than this are no rules.
const LIMIT: u64 = 1 << 20;

/// The rules in force for the entries of one directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    nearest: Option<Arc<Level>>,
    /// What they rest on, whether or not there are any.
    grounds: Option<Arc<Grounds>>,
    /// The directory itself is ignored, and so is everything beneath it: nothing can be re-included.
    all: bool,
}

#[derive(Debug)]
struct Level {
    matcher: Arc<Gitignore>,
    above: Option<Arc<Level>>,
}

impl Rules {
    /// Whether git ignores this entry of the directory.
    pub(super) fn ignore(&self, path: &Path, is_directory: bool) -> bool {
        if self.all {
            return true;
        }
        let mut level = self.nearest.as_deref();
        while let Some(Level { matcher, above }) = level {
            match matcher.matched(path, is_directory) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => level = above.as_deref(),
            }
        }
        false
    }

    /// What they rest on.
    pub(super) const fn grounds(&self) -> Option<&Arc<Grounds>> {
        self.grounds.as_ref()
    }

    fn with(&self, read: Read, all: bool) -> Self {
        let nearest = match read.matcher {
            Some(matcher) => Some(Arc::new(Level { matcher, above: self.nearest.clone() })),
            None => self.nearest.clone(),
        };
        Self { nearest, all: self.all || all, ..self.resting_on(read.facts) }
    }

    fn resting_on(&self, own: Vec<(PathBuf, Fact)>) -> Self {
        let mut rules = self.clone();
        if !own.is_empty() {
            rules.grounds = Some(Arc::new(Grounds { own, above: self.grounds.clone() }));
        }
        rules
    }
}

/// What reading the rules of one directory came to.
#[derive(Default)]
struct Read {
    matcher: Option<Arc<Gitignore>>,
    facts: Vec<(PathBuf, Fact)>,
}

/// The files rules were read from, as they were.
type Stamps = Vec<Option<StatIdentity>>;

/// What was read in each directory, and from what.
type Parsed = HashMap<PathBuf, (Stamps, Option<Arc<Gitignore>>)>;

/// Reads rule files, each once for as long as it stays as it is.
#[derive(Debug)]
pub(super) struct Git {
    root: PathBuf,
    global: Option<PathBuf>,
    parsed: Mutex<Parsed>,
}

/// The rules of directories no listing told about, remembered for one walk.
pub(super) type Lookups = HashMap<PathBuf, Known>;

/// The rules of a directory, and whether they are a repository's.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    rules: Rules,
    in_repository: bool,
}

impl Git {
    pub(super) fn new(root: PathBuf, global: Option<PathBuf>) -> Self {
        Self { root, global, parsed: Mutex::default() }
    }

    /// The rules in `directory`, which has just been listed. `above` are those of the directory it is in.
    pub(super) fn enter(&self, above: &Rules, directory: &Path, listed: Listed) -> Rules {
        if listed.repository {
            return self.repository(directory);
        }
        let ignored = above.ignore(directory, true);
        let read = match (directory == self.root && above.nearest.is_none(), listed.rules) {
            (true, _) => self.read(directory, &[self.global.clone(), Some(directory.join(".gitignore"))]),
            (false, true) => self.read(directory, &[Some(directory.join(".gitignore"))]),
            (false, false) => Read::default(),
        };
        above.with(read, ignored)
    }

    /// The rules in `directory`, found by looking upwards.
    pub(super) fn look_up(&self, directory: &Path, lookups: &mut Lookups) -> Rules {
        self.known(directory, lookups).rules
    }

    fn known(&self, directory: &Path, lookups: &mut Lookups) -> Known {
        if let Some(known) = lookups.get(directory) {
            return known.clone();
        }
        let known = if exists(&directory.join(".git")) {
            Known { rules: self.repository(directory), in_repository: true }
        } else {
            let above = directory.parent().map(|parent| self.known(parent, lookups)).unwrap_or_default();
            let counts = above.in_repository || directory.starts_with(&self.root);
            let listed = Listed { repository: false, rules: true };
            let rules = if counts { self.enter(&above.rules, directory, listed) } else { above.rules };
            let rules = rules.resting_on(vec![(directory.join(".git"), Fact::Absent)]);
            Known { rules, in_repository: above.in_repository }
        };
        lookups.insert(directory.to_owned(), known.clone());
        known
    }

    /// The rules at the top of a repository: later files win over earlier ones.
    fn repository(&self, top: &Path) -> Rules {
        let (exclude, mut facts) = exclude_file(top);
        let mut read = self.read(top, &[self.global.clone(), exclude, Some(top.join(".gitignore"))]);
        read.facts.append(&mut facts);
        Rules::default().with(read, false)
    }

    fn read(&self, directory: &Path, sources: &[Option<PathBuf>]) -> Read {
        let sources: Vec<&Path> = sources.iter().flatten().map(PathBuf::as_path).collect();
        let stamps: Stamps = sources.iter().map(|source| regular(source)).collect();
        let facts = sources.iter().zip(&stamps).map(|(source, stamp)| match stamp {
            Some(identity) => (source.to_path_buf(), Fact::Is(*identity)),
            None => (source.to_path_buf(), seen(source)),
        });
        Read { facts: facts.collect(), matcher: self.matcher(directory, &sources, stamps) }
    }

    fn matcher(&self, directory: &Path, sources: &[&Path], stamps: Stamps) -> Option<Arc<Gitignore>> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, matcher)) = parsed.get(directory)
            && *known == stamps
        {
            return matcher.clone();
        }
        let matcher =
            parse(directory, sources.iter().zip(&stamps).filter(|(_, s)| s.is_some()).map(|(p, _)| *p));
        let now = system_now_ns();
        if !stamps.iter().flatten().any(|stamp| is_racy(stamp, now, GRANULARITY)) {
            parsed.insert(directory.to_owned(), (stamps, matcher.clone()));
        }
        matcher
    }
}

/// What a listing says about a directory's rules.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listed {
    /// It has a `.git`.
    pub(super) repository: bool,
    /// It may have a `.gitignore`.
    pub(super) rules: bool,
}

fn regular(path: &Path) -> Option<StatIdentity> {
    let status = system::status(path).ok().flatten()?;
    matches!(status.kind, FileKind::File { .. }).then_some(status.identity)
}

/// A line git would not understand is no rule, and an unreadable file has none: as in git.
fn parse<'a>(directory: &Path, sources: impl Iterator<Item = &'a Path>) -> Option<Arc<Gitignore>> {
    let mut builder = GitignoreBuilder::new(directory);
    for source in sources {
        let text = read_regular(source, LIMIT).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        for line in text.trim_start_matches('\u{feff}').lines() {
            // A bad line only says so.
            let _ = builder.add_line(None, line);
        }
    }
    builder.build().ok().filter(|matcher| !matcher.is_empty()).map(Arc::new)
}

/// The `info/exclude` of the repository at `top`. A linked work tree has a file called `.git` that names
/// its own directory, in which `commondir` names the one all work trees share.
fn exclude_file(top: &Path) -> (Option<PathBuf>, Vec<(PathBuf, Fact)>) {
    let dot_git = top.join(".git");
    let (own, fact) = match seen(&dot_git) {
        // Every command of git gives it other stamps.
        Fact::Is(identity) if identity.is_directory() => (Some(dot_git.clone()), Fact::Directory),
        fact if regular(&dot_git).is_none() => (Some(dot_git.clone()), fact),
        fact => (linked_to(top, &dot_git), fact),
    };
    let mut facts = vec![(dot_git, fact)];
    let Some(own) = own else { return (None, facts) };
    let commondir = own.join("commondir");
    facts.push((commondir.clone(), seen(&commondir)));
    let common = first_line(&commondir).map_or_else(|_| own.clone(), |line| own.join(line));
    (Some(common.join("info/exclude")), facts)
}

/// What git holds while it changes files of the repository, or work tree, that a directory is in (hazard B10).
#[must_use]
pub fn index_lock(directory: &Path) -> Option<PathBuf> {
    let top = directory.ancestors().find(|top| top.join(".git").exists())?;
    let dot_git = top.join(".git");
    let own = if dot_git.is_dir() { dot_git } else { linked_to(top, &dot_git)? };
    Some(own.join("index.lock"))
}

fn linked_to(top: &Path, dot_git: &Path) -> Option<PathBuf> {
    Some(top.join(first_line(dot_git).ok()?.strip_prefix("gitdir:")?.trim()))
}

/// What is at a path.
fn seen(path: &Path) -> Fact {
    match system::status(path) {
        Ok(None) => Fact::Absent,
        Ok(Some(status)) => Fact::Is(status.identity),
        Err(_) => Fact::Exists,
    }
}

fn first_line(path: &Path) -> io::Result<String> {
    let text = read_regular(path, LIMIT)?;
    Ok(String::from_utf8(text).map_err(io::Error::other)?.lines().next().unwrap_or_default().to_owned())
}
