//! What one set holds, directory by directory.

use std::{
    collections::BTreeMap,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::beneath;
use crate::{
    fingerprint::{Content, DirectoryContent},
    model::{Digest, FileKind, StatIdentity},
    pattern::PatternSet,
    scan::{
        name::relative_name,
        table::{FileEntry, FileSet},
        walk::Problem,
    },
};

/// Of each entry it is kept which patterns it matched, as bits of a word.
const MOST_PATTERNS: usize = 64;

/// What one set holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By the names of directories in keys.
    parts: BTreeMap<Vec<u8>, Part>,
    content: Option<Digest>,
}

/// What it holds in one directory.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    /// In the order of their names.
    entries: Vec<Entry>,
    /// What could not be looked at, by name; none: the directory itself.
    problems: BTreeMap<Option<Vec<u8>>, String>,
    digest: Option<Digest>,
    hits: u64,
}

/// An entry, as small as it can be: there is one for every file of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Box<[u8]>,
    pub(super) kind: FileKind,
    identity: [u8; StatIdentity::PACKED],
    /// None while it has to be read.
    digest: Option<[u8; 16]>,
    /// Whether its stamps are so new that it may be written again without showing (hazard A1).
    pub(super) racy: bool,
    /// Which patterns it matched.
    pub(super) hits: u64,
}

/// An entry that has to be read, and what it was.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) set: usize,
    pub(super) directory: Arc<Path>,
    pub(super) name: Box<[u8]>,
    pub(super) before: Option<Box<Entry>>,
    /// Whether something was told of it, and not only of where it is.
    pub(super) was_told: bool,
}

impl Held {
    /// Whether a set of these patterns can be kept in this way.
    pub(super) fn can_hold(patterns: &PatternSet) -> bool {
        patterns.written().len() <= MOST_PATTERNS
    }

    fn part(&mut self, root: &Path, directory: &Path) -> &mut Part {
        let part = || Part {
            path: directory.to_owned(),
            entries: Vec::new(),
            problems: BTreeMap::new(),
            digest: None,
            hits: 0,
        };
        self.parts.entry(relative_name(root, directory)).or_insert_with(part)
    }

    /// Puts an entry in the place of what is there; returns that.
    pub(super) fn put(&mut self, root: &Path, directory: &Path, entry: Entry) -> Option<Entry> {
        let part = self.part(root, directory);
        match part.find(&entry.name) {
            Ok(at) => Some(std::mem::replace(&mut part.entries[at], entry)),
            Err(at) => {
                part.entries.insert(at, entry);
                None
            }
        }
    }

    /// Takes an entry out, and what was wrong with it.
    pub(super) fn remove(&mut self, root: &Path, directory: &Path, name: &[u8]) -> (Option<Entry>, bool) {
        let Some(part) = self.parts.get_mut(&relative_name(root, directory)) else { return (None, false) };
        let had_problem = part.problems.remove(&Some(name.to_vec())).is_some();
        (part.find(name).ok().map(|at| part.entries.remove(at)), had_problem)
    }

    pub(super) fn entry(&mut self, root: &Path, directory: &Path, name: &[u8]) -> Option<&mut Entry> {
        let part = self.parts.get_mut(&relative_name(root, directory))?;
        part.find(name).ok().map(|at| &mut part.entries[at])
    }

    /// Notes that something could not be looked at.
    pub(super) fn put_problem(&mut self, root: &Path, directory: &Path, name: Option<&[u8]>, error: String) {
        self.part(root, directory).problems.insert(name.map(<[u8]>::to_vec), error);
    }

    /// Forgets that the directory itself could not be looked at.
    pub(super) fn clear_problem(&mut self, root: &Path, directory: &Path) -> bool {
        let part = self.parts.get_mut(&relative_name(root, directory));
        part.is_some_and(|part| part.problems.remove(&None).is_some())
    }

    /// The names it holds in a directory, with those it could not look at.
    pub(super) fn names(&self, root: &Path, directory: &Path) -> Vec<Vec<u8>> {
        let Some(part) = self.parts.get(&relative_name(root, directory)) else { return Vec::new() };
        let problems = part.problems.keys().flatten().cloned();
        part.entries.iter().map(|entry| entry.name.to_vec()).chain(problems).collect()
    }

    /// Takes out everything it holds in a directory.
    pub(super) fn take(&mut self, root: &Path, directory: &Path) -> Vec<Entry> {
        self.content = None;
        self.parts.remove(&relative_name(root, directory)).map(|part| part.entries).unwrap_or_default()
    }

    /// Takes out everything, by directory.
    pub(super) fn take_all(&mut self) -> Vec<(PathBuf, Vec<Entry>)> {
        self.content = None;
        std::mem::take(&mut self.parts).into_values().map(|part| (part.path, part.entries)).collect()
    }

    /// Makes the digest of a directory anew, all of whose entries are read.
    pub(super) fn settle(&mut self, root: &Path, directory: &Path) {
        self.content = None;
        let key = relative_name(root, directory);
        let Some(part) = self.parts.get_mut(&key) else { return };
        if part.entries.is_empty() && part.problems.is_empty() {
            self.parts.remove(&key);
            return;
        }
        let mut content = DirectoryContent::default();
        for entry in &part.entries {
            content.add(&entry.name, entry.kind, entry.digest().unwrap_or_default());
        }
        part.digest = content.take();
        part.entries.shrink_to_fit();
        part.hits = part.entries.iter().fold(0, |hits, entry| hits | entry.hits);
    }

    /// Makes the digest of the whole anew, if it is not known.
    pub(super) fn settle_whole(&mut self) {
        if self.content.is_none() {
            let mut whole = Content::default();
            for (name, part) in &self.parts {
                part.digest.into_iter().for_each(|digest| whole.add(name, digest));
            }
            self.content = Some(whole.digest());
        }
    }

    pub(super) fn content(&self) -> Digest {
        self.content.unwrap_or_else(|| Content::default().digest())
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let of = |part: &Part| {
            let path = |name: &Option<Vec<u8>>| match name {
                Some(name) => beneath(&part.path, name),
                None => part.path.clone(),
            };
            let problem = |(name, error): (&Option<Vec<u8>>, &String)| Problem {
                path: path(name),
                error: error.clone(),
            };
            part.problems.iter().map(problem).collect::<Vec<_>>()
        };
        let mut problems: Vec<Problem> = self.parts.values().flat_map(of).collect();
        problems.sort_by(|a, b| a.path.cmp(&b.path));
        problems
    }

    /// Positive patterns, by their position in the list, that matched nothing.
    pub(super) fn unmatched(&self, patterns: &PatternSet) -> Vec<usize> {
        let hits = self.parts.values().fold(0, |hits, part| hits | part.hits);
        let positive = patterns.globs().iter().filter(|glob| !glob.is_negated()).map(|glob| glob.written());
        let mut unmatched: Vec<usize> = positive.filter(|written| hits & (1 << written) == 0).collect();
        unmatched.dedup();
        unmatched
    }

    pub(super) fn files(&self, patterns: &PatternSet) -> FileSet {
        let file = |part: &Part, entry: &Entry| FileEntry {
            path: beneath(&part.path, &entry.name).into(),
            kind: entry.kind,
            identity: entry.identity(),
            digest: entry.digest().unwrap_or_default(),
        };
        let parts = self.parts.values();
        let mut entries: Vec<FileEntry> =
            parts.flat_map(|part| part.entries.iter().map(|entry| file(part, entry))).collect();
        entries.sort_by(|a, b| a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()));
        FileSet { entries, problems: self.problems(), unmatched: self.unmatched(patterns) }
    }

    /// The names of everything it holds, by directory.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&Path, impl Iterator<Item = &[u8]>)> {
        self.parts.values().map(|part| (part.path.as_path(), part.entries.iter().map(|entry| &*entry.name)))
    }
}

impl Part {
    fn find(&self, name: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (*entry.name).cmp(name))
    }
}

impl Entry {
    /// One that has to be read.
    pub(super) fn unread(name: &[u8], kind: FileKind, identity: &StatIdentity, hits: u64) -> Self {
        Self { name: name.into(), kind, identity: identity.pack(), digest: None, racy: false, hits }
    }

    /// Takes what was read.
    pub(super) fn read(&mut self, kind: FileKind, identity: &StatIdentity, digest: Digest, racy: bool) {
        (self.kind, self.identity) = (kind, identity.pack());
        (self.digest, self.racy) = (Some(digest.0.to_le_bytes()), racy);
    }

    /// Takes over what is known of it from when it was the same.
    pub(super) fn stays(&mut self, before: &Self) {
        self.digest = before.digest;
    }

    pub(super) fn identity(&self) -> StatIdentity {
        StatIdentity::unpack(&self.identity)
    }

    fn digest(&self) -> Option<Digest> {
        self.digest.map(|digest| Digest(u128::from_le_bytes(digest)))
    }

    /// Whether stamps and all are the same.
    pub(super) fn is_identical(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// Whether the one is not the other, as far as somebody cares who reads it.
    pub(super) fn differs(&self, other: &Self) -> bool {
        (self.kind, self.digest) != (other.kind, other.digest)
    }
}

/// A set of files as it is shared.
pub(super) type Files = Arc<FileSet>;
