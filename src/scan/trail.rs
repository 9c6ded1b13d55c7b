//! What the answer of a walk rests on.
//!
//! A walk is a function of what the system told it. While all of that is as it was - the directories that
//! were listed have their stamps, the rule files theirs, and nothing has come where nothing was - the same
//! names match, and nobody has to list or match anything to know. Files may have other contents: whether
//! they do is asked of each of them, as ever (spec section 4.2).

use std::{
    collections::BTreeMap,
    ffi::{CStr, OsStr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    name::{directory_key, relative_name},
    table::is_racy,
    walk::{Entry, Matched},
};
use crate::model::{FileKind, StatIdentity, bytes};

/// What one walk for one pattern set rested on. Kept by whoever has a memory, under a key that stands for
/// the set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// In the order of their names in keys.
    pub(super) directories: Vec<TrailDirectory>,
    /// Paths beside these, by the same keys as directories.
    pub(super) facts: Vec<(Vec<u8>, Fact)>,
    /// Positive patterns, by their position in the list, that matched nothing.
    pub(super) unmatched: Vec<usize>,
}

/// A directory in which something was matched or looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrailDirectory {
    /// Its key in the stat cache.
    #[serde(with = "bytes")]
    pub(super) key: Vec<u8>,
    /// Its identity when it was listed; none if its listing does not matter.
    pub(super) listed: Option<StatIdentity>,
    pub(super) names: TrailNames,
}

/// What the set matches in one directory, sorted. Of each: what it is (1 byte), its name, a NUL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrailNames(#[serde(with = "bytes")] Vec<u8>);

const FILE: u8 = b'f';
const DIRECTORY: u8 = b'd';

/// Something a walk was told about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// There is nothing.
    Absent,
    /// There is something.
    Exists,
    /// It has this identity; of a link that leads somewhere, its target has.
    Is(StatIdentity),
}

/// What rules rest on: shared by all directories beneath the one they stand in.
#[derive(Debug)]
pub(super) struct Grounds {
    pub(super) own: Vec<(PathBuf, Fact)>,
    pub(super) above: Option<Arc<Grounds>>,
}

/// What the walk of one set came across, besides what it matched.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    pub(super) listed: Vec<(Arc<Path>, StatIdentity)>,
    pub(super) facts: Vec<(PathBuf, Fact)>,
    pub(super) grounds: Vec<Arc<Grounds>>,
    /// Something was met that leaves no trail: a link to a directory, a file system whose stamps prove nothing.
    pub(super) untraceable: bool,
}

impl Notes {
    pub(super) fn append(&mut self, mut other: Self) {
        self.listed.append(&mut other.listed);
        self.facts.append(&mut other.facts);
        self.grounds.append(&mut other.grounds);
        self.untraceable |= other.untraceable;
    }

    /// Adds what rules rest on; mostly the same as the last time.
    pub(super) fn rest_on(&mut self, grounds: &Arc<Grounds>) {
        if !self.grounds.last().is_some_and(|last| Arc::ptr_eq(last, grounds)) {
            self.grounds.push(Arc::clone(grounds));
        }
    }
}

impl Trail {
    /// The trail of a walk that began at `began_ns`; `None` if nobody can tell from outside whether another
    /// one would give the same, or not yet, because stamps are too near to that moment (hazard A1).
    #[must_use]
    pub fn new(root: &Path, matched: &Matched, began_ns: i128, granularity: Duration) -> Option<Self> {
        let notes = &matched.notes;
        if notes.untraceable || !matched.problems.is_empty() {
            return None;
        }
        let mut draft = Draft { root, directories: BTreeMap::new(), facts: BTreeMap::new() };
        notes.listed.iter().try_for_each(|(path, identity)| draft.add_listed(path, *identity))?;
        matched.entries.iter().try_for_each(|entry| draft.directory(entry.parent()).names.add(entry))?;
        notes.facts.iter().try_for_each(|(path, fact)| draft.add_fact(path, *fact))?;
        for grounds in &notes.grounds {
            let all = std::iter::successors(Some(grounds), |grounds| grounds.above.as_ref());
            all.flat_map(|g| &g.own).try_for_each(|(path, fact)| draft.add_fact(path, *fact))?;
        }
        let trail = Self {
            directories: draft.directories.into_values().collect(),
            facts: draft.facts.into_iter().collect(),
            unmatched: matched.unmatched.clone(),
        };
        let settled = |identity: &StatIdentity| !is_racy(identity, began_ns, granularity);
        let holds = trail.identities().all(settled);
        holds.then_some(trail)
    }

    /// Every stamp it rests on.
    fn identities(&self) -> impl Iterator<Item = &StatIdentity> {
        let facts = self.facts.iter().filter_map(|(_, fact)| match fact {
            Fact::Is(identity) => Some(identity),
            Fact::Absent | Fact::Exists => None,
        });
        self.directories.iter().filter_map(|directory| directory.listed.as_ref()).chain(facts)
    }
}

/// A trail in the making. Every addition says whether it can still become one: what two moments of one
/// walk saw differently was changed meanwhile.
struct Draft<'a> {
    root: &'a Path,
    /// By their names in keys.
    directories: BTreeMap<Vec<u8>, TrailDirectory>,
    facts: BTreeMap<Vec<u8>, Fact>,
}

impl Draft<'_> {
    fn directory(&mut self, path: &Path) -> &mut TrailDirectory {
        let fresh =
            || TrailDirectory { key: directory_key(self.root, path).to_vec(), ..TrailDirectory::default() };
        self.directories.entry(relative_name(self.root, path)).or_insert_with(fresh)
    }

    fn add_listed(&mut self, path: &Path, identity: StatIdentity) -> Option<()> {
        (*self.directory(path).listed.get_or_insert(identity) == identity).then_some(())
    }

    fn add_fact(&mut self, path: &Path, fact: Fact) -> Option<()> {
        let known = self.facts.entry(directory_key(self.root, path).to_vec()).or_insert(fact);
        // The same path may have been asked for more and for less.
        if (*known, fact) == (Fact::Exists, fact) && fact != Fact::Absent {
            *known = fact;
        }
        (*known == fact || fact == Fact::Exists && *known != Fact::Absent).then_some(())
    }
}

impl TrailNames {
    /// Adds the next entry; `None` if it is of a kind that leaves no trail.
    fn add(&mut self, entry: &Entry) -> Option<()> {
        let kind = match entry.kind {
            FileKind::File { .. } => FILE,
            FileKind::Directory => DIRECTORY,
            FileKind::BrokenLink | FileKind::Special => return None,
        };
        self.0.push(kind);
        self.0.extend_from_slice(entry.name());
        self.0.push(0);
        Some(())
    }

    /// About how many names there are.
    pub(super) const fn weight(&self) -> usize {
        self.0.len() / 16
    }

    /// The names, and which of them are directories.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&CStr, bool)> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (&kind, after) = rest.split_first()?;
            let name = CStr::from_bytes_until_nul(after).ok()?;
            rest = &after[name.to_bytes_with_nul().len()..];
            Some((name, kind == DIRECTORY))
        })
    }
}

/// The path a key stands for, from the root.
pub(super) fn key_path(key: &[u8]) -> &Path {
    if key.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(key)) }
}
