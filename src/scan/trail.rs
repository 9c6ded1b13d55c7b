//! What the answer of a walk rests on.
//!
//! A walk is a function of what the system told it. While all of that is as it was - the directories that
//! were listed have their stamps, the rule files theirs, and nothing has come where nothing was - the same
//! names match, and nobody has to list or match anything to know. Files may have other contents: whether
//! they do is asked of each of them, as ever (spec section 4.2).

use std::{
    collections::{BTreeMap, HashSet},
    ffi::{CStr, OsStr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fd::AsFd;
use serde::{Deserialize, Serialize};

use super::{
    name::{directory_key, relative_name},
    system,
    table::is_racy,
    walk::{Entry, Matched},
};
use crate::model::{FileKind, StatIdentity, bytes};

/// What one walk for one pattern set rested on. Kept by whoever has a memory, under a key that stands for
/// the set.
///
/// It is kept as it is used, in one piece: a run reads one for every set of every task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// The directories, in the order of their names in keys, and behind them the facts.
    #[serde(with = "bytes")]
    packed: Vec<u8>,
    /// Where the facts begin.
    facts_at: usize,
    /// Positive patterns, by their position in the list, that matched nothing.
    pub(super) unmatched: Vec<usize>,
}

/// A directory in which something was matched or looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrailDirectory<'a> {
    /// Its key in the stat cache.
    pub(super) key: &'a [u8],
    /// Its identity when it was listed; none if its listing does not matter.
    pub(super) listed: Option<StatIdentity>,
    pub(super) names: TrailNames<'a>,
}

/// What the set matches in one directory, sorted. Of each: what it is (1 byte), its name, a NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TrailNames<'a>(pub(super) &'a [u8]);

const FILE: u8 = b'f';
const DIRECTORY: u8 = b'd';

/// Something a walk was told about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// There is nothing.
    Absent,
    /// There is something.
    Exists,
    /// There is a directory, or a link that leads to one.
    Directory,
    /// It has this identity; of a link that leads somewhere, its target has.
    Is(StatIdentity),
}

impl Fact {
    /// What there is now at the path with this key, beneath the open root.
    pub(super) fn now(root: impl AsFd, key: &[u8]) -> Self {
        match system::status_at(root, key_path(key).as_os_str().as_bytes(), None) {
            Ok(None) => Self::Absent,
            Ok(Some(status)) => Self::Is(status.identity),
            Err(_) => Self::Exists,
        }
    }

    /// What is said of a path by two who asked for more and for less; `None` if only one of them can be right.
    pub(super) fn and(self, other: Self) -> Option<Self> {
        if other.confirms(self) { Some(other) } else { self.confirms(other).then_some(self) }
    }

    /// Whether what is said of a path is true, this being what there is.
    pub(super) fn confirms(self, said: Self) -> bool {
        match said {
            Self::Absent | Self::Is(_) => self == said,
            Self::Exists => self != Self::Absent,
            Self::Directory => match self {
                Self::Is(identity) => identity.is_directory(),
                Self::Absent | Self::Exists | Self::Directory => self == said,
            },
        }
    }
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
        matched.entries.iter().try_for_each(|entry| draft.add_entry(entry))?;
        notes.facts.iter().try_for_each(|(path, fact)| draft.add_fact(path, *fact))?;
        for grounds in &notes.grounds {
            let all = std::iter::successors(Some(grounds), |grounds| grounds.above.as_ref());
            all.flat_map(|g| &g.own).try_for_each(|(path, fact)| draft.add_fact(path, *fact))?;
        }
        let trail = draft.pack(matched.unmatched.clone());
        let settled = |identity: StatIdentity| !is_racy(&identity, began_ns, granularity);
        let holds = trail.identities().all(settled);
        holds.then_some(trail)
    }

    /// Every stamp it rests on.
    fn identities(&self) -> impl Iterator<Item = StatIdentity> {
        let facts = self.facts().filter_map(|(_, fact)| match fact {
            Fact::Is(identity) => Some(identity),
            Fact::Absent | Fact::Exists | Fact::Directory => None,
        });
        self.directories().filter_map(|directory| directory.listed).chain(facts)
    }

    /// Its directories, in the order of their names in keys.
    pub(super) fn directories(&self) -> impl Iterator<Item = TrailDirectory<'_>> {
        let mut rest = self.packed.get(..self.facts_at).unwrap_or_default();
        std::iter::from_fn(move || {
            let key = take_bytes(&mut rest)?;
            let listed = take_identity(&mut rest)?;
            let names = TrailNames(take_bytes(&mut rest)?);
            Some(TrailDirectory { key, listed, names })
        })
    }

    /// Paths beside these, by the same keys as directories.
    pub(super) fn facts(&self) -> impl Iterator<Item = (&[u8], Fact)> {
        let mut rest = self.packed.get(self.facts_at..).unwrap_or_default();
        std::iter::from_fn(move || Some((take_bytes(&mut rest)?, take_fact(&mut rest)?)))
    }
}

pub(super) fn put_bytes(packed: &mut Vec<u8>, bytes: &[u8]) {
    // What one directory or one path needs is far from four thousand million bytes.
    packed.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    packed.extend_from_slice(bytes);
}

fn put_identity(packed: &mut Vec<u8>, identity: Option<StatIdentity>) {
    packed.push(u8::from(identity.is_some()));
    packed.extend(identity.iter().flat_map(StatIdentity::pack));
}

pub(super) fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (bytes, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(bytes)
}

pub(super) fn put_fact(packed: &mut Vec<u8>, fact: Fact) {
    packed.push(match fact {
        Fact::Absent => 0,
        Fact::Exists | Fact::Is(_) => 1,
        Fact::Directory => 2,
    });
    put_identity(packed, if let Fact::Is(identity) = fact { Some(identity) } else { None });
}

pub(super) fn take_fact(rest: &mut &[u8]) -> Option<Fact> {
    let (&exists, after) = rest.split_first()?;
    *rest = after;
    Some(match (take_identity(rest)?, exists) {
        (Some(identity), _) => Fact::Is(identity),
        (None, 0) => Fact::Absent,
        (None, 2) => Fact::Directory,
        (None, _) => Fact::Exists,
    })
}

fn take_identity(rest: &mut &[u8]) -> Option<Option<StatIdentity>> {
    let (&there, after) = rest.split_first()?;
    *rest = after;
    if there == 0 {
        return Some(None);
    }
    let (identity, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(Some(StatIdentity::unpack(identity)))
}

/// A trail in the making. Every addition says whether it can still become one: what two moments of one
/// walk saw differently was changed meanwhile.
struct Draft<'a> {
    root: &'a Path,
    /// By their names in keys.
    directories: BTreeMap<Vec<u8>, DraftDirectory>,
    facts: BTreeMap<Vec<u8>, Fact>,
}

#[derive(Default)]
struct DraftDirectory {
    key: Vec<u8>,
    listed: Option<StatIdentity>,
    names: Vec<u8>,
}

impl Draft<'_> {
    fn directory(&mut self, path: &Path) -> &mut DraftDirectory {
        let fresh =
            || DraftDirectory { key: directory_key(self.root, path).to_vec(), ..DraftDirectory::default() };
        self.directories.entry(relative_name(self.root, path)).or_insert_with(fresh)
    }

    fn add_listed(&mut self, path: &Path, identity: StatIdentity) -> Option<()> {
        (*self.directory(path).listed.get_or_insert(identity) == identity).then_some(())
    }

    /// Adds the next entry; `None` if it is of a kind that leaves no trail.
    fn add_entry(&mut self, entry: &Entry) -> Option<()> {
        let kind = match entry.kind {
            FileKind::File { .. } => FILE,
            FileKind::Directory => DIRECTORY,
            FileKind::BrokenLink | FileKind::Special => return None,
        };
        let names = &mut self.directory(entry.parent()).names;
        names.push(kind);
        names.extend_from_slice(entry.name());
        names.push(0);
        Some(())
    }

    /// What the listing of a directory says need not be asked for again: while its stamps are what they were,
    /// the same names are in it. Stamps near the beginning of the walk leave no trail, so nothing can have come
    /// or gone between the two moments.
    fn drop_implied(&mut self) {
        let listed = self.directories.values().filter(|directory| directory.listed.is_some());
        let listed: HashSet<&[u8]> = listed.map(|directory| directory.key.as_slice()).collect();
        let is_implied = |fact| matches!(fact, Fact::Absent | Fact::Exists);
        self.facts.retain(|key, fact| !is_implied(*fact) || !listed.contains(parent_key(key)));
    }

    fn pack(mut self, unmatched: Vec<usize>) -> Trail {
        self.drop_implied();
        let mut packed = Vec::new();
        for DraftDirectory { key, listed, names } in self.directories.into_values() {
            put_bytes(&mut packed, &key);
            put_identity(&mut packed, listed);
            put_bytes(&mut packed, &names);
        }
        let facts_at = packed.len();
        for (key, fact) in self.facts {
            put_bytes(&mut packed, &key);
            put_fact(&mut packed, fact);
        }
        Trail { packed, facts_at, unmatched }
    }

    fn add_fact(&mut self, path: &Path, fact: Fact) -> Option<()> {
        let known = self.facts.entry(directory_key(self.root, path).to_vec()).or_insert(fact);
        *known = known.and(fact)?;
        Some(())
    }
}

/// The key of the directory that what has this key lies in.
fn parent_key(key: &[u8]) -> &[u8] {
    match key.iter().rposition(|&byte| byte == b'/') {
        Some(0) => b"/",
        Some(slash) => &key[..slash],
        None => b"",
    }
}

impl<'a> TrailNames<'a> {
    /// About how many names there are.
    pub(super) const fn weight(self) -> usize {
        self.0.len() / 16
    }

    /// The packed form of these names, each with what it is.
    pub(super) fn pack(names: &BTreeMap<Vec<u8>, u8>) -> Vec<u8> {
        names.iter().flat_map(|(name, kind)| [&[*kind][..], name, b"\0"].concat()).collect()
    }

    /// The names, each with what it is.
    pub(super) fn entries(self) -> impl Iterator<Item = (Vec<u8>, u8)> {
        let kind = |is_directory| if is_directory { DIRECTORY } else { FILE };
        self.iter().map(move |(name, is_directory)| (name.to_bytes().to_vec(), kind(is_directory)))
    }

    /// The names, and which of them are directories.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a CStr, bool)> {
        let mut rest = self.0;
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
