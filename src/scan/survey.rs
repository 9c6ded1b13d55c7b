//! Looking at many sets at once, the cheapest way each of them allows: along the trail of an earlier look
//! while that holds, else by a walk that leaves a new one.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    fmt,
    num::NonZero,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::Arc,
};

use super::{
    hash,
    name::{directory_key, relative_name},
    quick::Quick,
    recheck::kind_of,
    route::{Contents, Held},
    table::{FileEntry, FileSet, FileTable, Looked, lock},
    trail::Trail,
    walk::{Matched, Problem, Scanner},
};
use crate::{
    fingerprint::{Content, DirectoryContent},
    model::{Digest, FileKind, StatIdentity},
    pattern::PatternSet,
};

/// A set somebody wants to be looked at.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Stands for the patterns and for everything else that decides what they match, but for the tree: sets
    /// with equal keys match the same.
    pub key: Digest,
    /// The patterns, for when there is no trail to follow.
    pub patterns: &'a (dyn Fn() -> Arc<PatternSet> + Sync),
}

impl fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What a set matches now, as far as somebody had to look.
#[derive(Clone, Debug)]
pub struct Sight {
    content: Digest,
    known: Known,
}

#[derive(Clone, Debug)]
enum Known {
    /// The trail of this set leads there.
    Route(Digest, Vec<usize>),
    Trail(Arc<Trail>),
    Files(Arc<FileSet>),
    /// Somebody keeps it.
    Kept {
        problems: Vec<Problem>,
        unmatched: Vec<usize>,
    },
}

impl Sight {
    /// What a [`Live`](super::Live) keeps of a set.
    pub(super) const fn kept(content: Digest, problems: Vec<Problem>, unmatched: Vec<usize>) -> Self {
        Self { content, known: Known::Kept { problems, unmatched } }
    }

    /// The digest of the files: [`Content::of`] their rows.
    #[must_use]
    pub const fn content(&self) -> Digest {
        self.content
    }

    /// Whether the trail of an earlier walk led there.
    #[must_use]
    pub const fn is_along_trail(&self) -> bool {
        matches!(self.known, Known::Route(..) | Known::Trail(_))
    }

    /// What could not be looked at or read.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match &self.known {
            Known::Route(..) | Known::Trail(_) => &[],
            Known::Files(files) => &files.problems,
            Known::Kept { problems, .. } => problems,
        }
    }

    /// Positive patterns, by their position in the list, that matched nothing.
    #[must_use]
    pub fn unmatched(&self) -> &[usize] {
        match &self.known {
            Known::Route(_, unmatched) => unmatched,
            Known::Trail(trail) => &trail.unmatched,
            Known::Files(files) => &files.unmatched,
            Known::Kept { unmatched, .. } => unmatched,
        }
    }
}

impl FileTable {
    /// What each of the sets matches now, with `threads` threads.
    #[must_use]
    pub fn look(&self, scanner: &Scanner, wanted: &[Wanted<'_>], threads: NonZero<usize>) -> Vec<Sight> {
        let mut numbers: HashMap<Digest, usize, Quick> = HashMap::default();
        let mut sets: Vec<Wanted<'_>> = Vec::new();
        for set in wanted {
            numbers.entry(set.key).or_insert_with(|| {
                sets.push(*set);
                sets.len() - 1
            });
        }
        let mut sights = self.seen_just_now(&sets);
        sets.retain(|set| !sights.contains_key(&set.key));
        if !sets.is_empty() {
            sights.extend(self.along_trails(&sets, threads));
            sets.retain(|set| !sights.contains_key(&set.key));
        }
        if !sets.is_empty() {
            sights.extend(self.walk(scanner, &sets, threads));
        }
        self.note_looks(&sights);
        wanted.iter().filter_map(|set| sights.get(&set.key).cloned()).collect()
    }

    /// The files of a set that was looked at. `None` if they are not known any more: somebody read them anew and
    /// found something else, or the trail of the set is a newer one than was followed.
    #[must_use]
    pub fn files_of(&self, sight: &Sight) -> Option<Arc<FileSet>> {
        let files = match &sight.known {
            Known::Files(files) => return Some(Arc::clone(files)),
            Known::Trail(trail) => self.collect(trail)?,
            Known::Route(key, _) => self.collect(&*self.trail(*key)?)?,
            Known::Kept { .. } => return None,
        };
        (content(&self.root, &files) == sight.content).then(|| Arc::new(files))
    }

    /// Takes for what sets hold what was seen just now by who followed a [`Route`](super::Route), until it is told
    /// otherwise: nothing may have happened meanwhile that somebody knows of.
    pub fn believe(&self, seen: Contents) {
        *lock(&self.seen) = seen;
    }

    fn seen_just_now(&self, sets: &[Wanted<'_>]) -> HashMap<Digest, Sight, Quick> {
        let seen = lock(&self.seen);
        if seen.held.is_empty() {
            return HashMap::default();
        }
        let sight = |key: Digest| {
            let Held { content, unmatched } = seen.held.get(&key)?.clone();
            Some((key, Sight { content, known: Known::Route(key, unmatched) }))
        };
        sets.iter().filter_map(|set| sight(set.key)).collect()
    }

    fn note_looks(&self, sights: &HashMap<Digest, Sight, Quick>) {
        let mut looked = lock(&self.looked);
        for (key, sight) in sights {
            let on_route = matches!(sight.known, Known::Route(..));
            let seen = sight.is_along_trail().then_some(Looked { content: sight.content, on_route });
            let known = looked.entry(*key).or_insert(seen);
            *known = known.filter(|known| Some(*known) == seen);
        }
    }

    /// The trail of a set, if there is one.
    pub(super) fn trail(&self, key: Digest) -> Option<Arc<Trail>> {
        let known = lock(&self.trails).get(&key).map(|(trail, _)| Arc::clone(trail));
        known.or_else(|| self.memory.trail(key).map(Arc::new))
    }

    /// Takes the trails that are not remembered yet, to be saved by the caller.
    #[must_use]
    pub fn take_trails(&self) -> Vec<(Digest, Arc<Trail>)> {
        let mut new = Vec::new();
        for (key, (trail, remembered)) in lock(&self.trails).iter_mut().filter(|(_, (_, known))| !known) {
            *remembered = true;
            new.push((*key, Arc::clone(trail)));
        }
        new.sort_by_key(|(key, _)| *key);
        new
    }

    fn along_trails(&self, sets: &[Wanted<'_>], threads: NonZero<usize>) -> HashMap<Digest, Sight, Quick> {
        let known: Vec<(Digest, Arc<Trail>)> = {
            let moment = self.memory.moment();
            let memory = moment.as_deref().unwrap_or(&*self.memory);
            let mut trails = lock(&self.trails);
            if let (true, Some(all)) = (trails.is_empty(), memory.trails(sets.len())) {
                trails.extend(all.into_iter().map(|(key, trail)| (key, (Arc::new(trail), true))));
            }
            let mut trail = |key: Digest| {
                if let Some((trail, _)) = trails.get(&key) {
                    return Some(Arc::clone(trail));
                }
                let trail = Arc::new(memory.trail(key)?);
                trails.insert(key, (Arc::clone(&trail), true));
                Some(trail)
            };
            sets.iter().filter_map(|set| Some((set.key, trail(set.key)?))).collect()
        };
        let trails: Vec<Arc<Trail>> = known.iter().map(|(_, trail)| Arc::clone(trail)).collect();
        let contents = if trails.is_empty() { Vec::new() } else { self.recheck(&trails, threads) };
        let sight = |((key, trail), content): ((Digest, Arc<Trail>), Option<Digest>)| {
            Some((key, Sight { content: content?, known: Known::Trail(trail) }))
        };
        known.into_iter().zip(contents).filter_map(sight).collect()
    }

    /// Walks for these sets, and keeps the trails.
    fn walk<'s>(
        &'s self,
        scanner: &Scanner,
        sets: &'s [Wanted<'_>],
        threads: NonZero<usize>,
    ) -> impl Iterator<Item = (Digest, Sight)> + 's {
        let began_ns = (self.options.now_ns)();
        let patterns: Vec<Arc<PatternSet>> = sets.iter().map(|set| (set.patterns)()).collect();
        let matched = scanner.walk(&patterns.iter().map(Arc::as_ref).collect::<Vec<_>>());
        for (set, matched) in sets.iter().zip(&matched) {
            self.keep_trail(set.key, matched, began_ns);
        }
        let files = self.digest_all(&matched, threads).into_iter();
        sets.iter().zip(files).map(|(set, files)| {
            let content = content(&self.root, &files);
            (set.key, Sight { content, known: Known::Files(Arc::new(files)) })
        })
    }

    fn keep_trail(&self, key: Digest, matched: &Matched, began_ns: i128) {
        let Some(trail) = Trail::new(&self.root, matched, began_ns, self.options.granularity) else { return };
        let mut trails = lock(&self.trails);
        if trails.get(&key).is_none_or(|(known, _)| **known != trail) {
            trails.insert(key, (Arc::new(trail), false));
        }
    }

    pub(super) fn collect(&self, trail: &Trail) -> Option<FileSet> {
        let mut entries = Vec::new();
        for directory in trail.directories() {
            let path = self.root.join(OsStr::from_bytes(directory.key));
            let known = self.directory(directory.key, &*self.memory);
            let mut known = lock(&known);
            for (name, is_directory) in directory.names.iter() {
                let path: Arc<Path> = path.join(OsStr::from_bytes(name.to_bytes())).into();
                entries.push(if is_directory {
                    let digest = hash::digest_of_kind(FileKind::Directory);
                    // Of a directory only its presence counts.
                    FileEntry { path, kind: FileKind::Directory, identity: StatIdentity::default(), digest }
                } else {
                    let file = known.find(name.to_bytes())?;
                    let (kind, identity) = (kind_of(&file.identity), file.identity);
                    FileEntry { path, kind, identity, digest: file.digest }
                });
            }
        }
        entries.sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
        Some(FileSet { entries, problems: Vec::new(), unmatched: trail.unmatched.clone() })
    }
}

/// The digest of the files of a set.
pub(super) fn content(root: &Path, files: &FileSet) -> Digest {
    let mut directories: BTreeMap<Vec<u8>, Vec<&FileEntry>> = BTreeMap::new();
    let mut last: Option<(&Path, Vec<u8>)> = None;
    for entry in &files.entries {
        let parent = entry.parent();
        let name = match last.take() {
            Some((path, name)) if path.as_os_str() == parent.as_os_str() => name,
            _ => relative_name(root, parent),
        };
        match directories.get_mut(&name) {
            Some(files) => files.push(entry),
            None => drop(directories.insert(name.clone(), vec![entry])),
        }
        last = Some((parent, name));
    }
    let (mut whole, mut part) = (Content::default(), DirectoryContent::default());
    for (name, files) in directories {
        files.iter().for_each(|file| part.add(file.name(), file.kind, file.digest));
        if let Some(digest) = part.take() {
            whole.add(&name, digest);
        }
    }
    whole.digest()
}

/// The key of a set, for [`Wanted::key`]: of whatever decides what it matches.
#[must_use]
pub fn set_key<'a>(root: &Path, bases: impl IntoIterator<Item = &'a Path>, words: &[&[u8]]) -> Digest {
    let mut bytes = Vec::with_capacity(256);
    let mut add = |word: &[u8]| {
        bytes.extend_from_slice(&(word.len() as u64).to_le_bytes());
        bytes.extend_from_slice(word);
    };
    bases.into_iter().for_each(|base| add(directory_key(root, base)));
    add(b"\0");
    words.iter().for_each(|word| add(word));
    crate::fingerprint::digest_of(&bytes)
}
