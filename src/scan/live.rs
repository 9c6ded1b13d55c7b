//! What sets of patterns match, kept true while files change.
//!
//! A walk looks at a whole tree. Whoever watches one wants to look at what may have changed only, so a [`Live`] keeps
//! what a walk would find: of every directory how the walk came there, and of every set what it holds in each
//! directory. It is told what may have changed, and looks at just that: an entry that was written to is asked for by
//! its name, a directory that came is walked, one that went is dropped with everything beneath. The answers are
//! those of [`Scanner::walk`](super::Scanner::walk) and [`FileTable::digest`](super::FileTable::digest), which it is
//! tested against.
//!
//! | file | story |
//! |---|---|
//! | `live` | the sets, what they hold, and since when |
//! | `pending` | what may have changed, until somebody looks |
//! | `place` | directories, how a walk came to them, and which of their entries to look at again |
//! | `entry` | looking at one of these |
//! | `reading` | reading what is another now |
//! | `held` | what one set holds, directory by directory, and the digest of that |
//! | `whole` | sets that cannot be kept in parts: those that follow links to directories |
//! | `links` | where a link leads through: what may change without its own directory |
//! | `attend` | which directories have to be watched for that |
//!
//! Content is never taken from an event. A path of which there was one is read again (hazard B1); what nobody told
//! of is as it was. So whoever feeds it has to say when that is no longer sure ([`Change::Everything`]).

mod attend;
mod entry;
mod held;
mod links;
mod pending;
mod place;
mod reading;
mod whole;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    ffi::OsStr,
    fmt,
    num::NonZero,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    beginnings::Beginnings,
    survey::Sight,
    table::{FileSet, FileTable},
    walk::Scanner,
};
use crate::{model::Digest, pattern::PatternSet};
use attend::Attended;
use held::Held;
use links::Links;
use pending::Pending;
use place::Place;
use whole::Whole;

pub use attend::Attendant;
pub use pending::Change;

/// So many changes of sets are remembered for those who ask what changed since.
const REMEMBERED: usize = 10_000;

/// Sets of patterns, and what they match now.
pub struct Live {
    root: PathBuf,
    threads: NonZero<usize>,
    sets: Vec<Set>,
    numbers: HashMap<Digest, usize>,
    beginnings: Arc<Beginnings>,
    places: BTreeMap<PathBuf, Place>,
    /// Files that say what git ignores: whatever happens to one, everything is looked at anew.
    grounds: HashSet<PathBuf>,
    links: Links,
    attended: Attended,
    pending: Pending,
    /// How often something was looked at.
    clock: u64,
    /// What changed when, for which set.
    log: VecDeque<(u64, usize, PathBuf)>,
    /// Nothing is known of changes up to then.
    log_begins: u64,
}

struct Set {
    key: Digest,
    patterns: Arc<PatternSet>,
    state: State,
}

enum State {
    /// In parts, directory by directory.
    Parts(Held),
    /// In one piece.
    Whole(Whole),
}

/// What looking at what may have changed came to.
#[derive(Clone, Debug, Default)]
pub struct Refreshed {
    /// The keys of the sets that hold something else than before.
    pub sets: Vec<Digest>,
    /// What changed in them, in order: presence, kind or content. Nothing at the first look, when all is new.
    pub paths: BTreeSet<PathBuf>,
}

/// A moment in the life of a [`Live`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Live {
    /// Keeps these sets, each with the key it has in a [`FileTable`]. Nothing is looked at yet.
    #[must_use]
    pub fn new(scanner: &Scanner, sets: Vec<(Digest, Arc<PatternSet>)>, threads: NonZero<usize>) -> Self {
        let patterns: Vec<&PatternSet> = sets.iter().map(|(_, patterns)| &**patterns).collect();
        let beginnings = Arc::new(Beginnings::new(&patterns, &scanner.options().state_dir));
        let numbers = sets.iter().enumerate().map(|(number, (key, _))| (*key, number)).collect();
        let set = |(key, patterns): (Digest, Arc<PatternSet>)| {
            let state = State::of(&patterns);
            Set { key, patterns, state }
        };
        Self {
            root: scanner.options().root.clone(),
            threads,
            numbers,
            beginnings,
            sets: sets.into_iter().map(set).collect(),
            places: BTreeMap::new(),
            grounds: HashSet::new(),
            links: Links::default(),
            attended: Attended::default(),
            pending: Pending::everything(),
            clock: 0,
            log: VecDeque::new(),
            log_begins: 0,
        }
    }

    /// Takes note of what may have changed. Cheap: nothing is looked at.
    pub fn note(&mut self, change: Change) {
        self.pending.add(change);
    }

    /// Whether any of this is about a set: else there is no need to look soon.
    #[must_use]
    pub fn concerns(&self, change: &Change) -> bool {
        match change {
            Change::Everything | Change::Lost(_) => true,
            // Also one that is watched for what git ignores, or for where a link leads.
            Change::Directory(path) => self.attended.has(path) || self.is_of_interest(path),
            Change::Entry(path) => {
                self.grounds.contains(path)
                    || self.links.lead_through(path)
                    || path.parent().is_some_and(|parent| self.is_of_interest(parent))
            }
        }
    }

    fn is_of_interest(&self, directory: &Path) -> bool {
        self.places.contains_key(directory) || self.wholes().any(|whole| whole.rests_on(directory))
    }

    /// Looks at what may have changed. `attendant` is told of directories before they are looked at, so that nothing
    /// is lost in between (hazard B2).
    pub fn refresh(&mut self, scanner: &Scanner, table: &FileTable, attendant: &dyn Attendant) -> Refreshed {
        if self.pending.is_empty() {
            return Refreshed::default();
        }
        self.clock += 1;
        let pending = std::mem::take(&mut self.pending);
        let before: Vec<Digest> = self.sets.iter().map(Set::content).collect();
        let mut changed = Changed { is_first: self.clock == 1, ..Changed::default() };
        self.look(scanner, table, attendant, pending, &mut changed);
        self.attended.settle(attendant);
        let now = self.sets.iter().zip(before);
        let sets = now.filter(|(set, before)| set.content() != *before).map(|(set, _)| set.key).collect();
        match changed.is_first {
            true => self.log_begins = self.clock,
            false => self.remember(changed.touched),
        }
        Refreshed { sets, paths: changed.paths }
    }

    fn remember(&mut self, touched: Vec<(usize, PathBuf)>) {
        self.log.extend(touched.into_iter().map(|(set, path)| (self.clock, set, path)));
        while self.log.len() > REMEMBERED {
            let gone = self.log.pop_front();
            self.log_begins = gone.map_or(self.log_begins, |(clock, ..)| clock);
        }
    }

    /// What a set holds; none if it is not one of these.
    #[must_use]
    pub fn sight(&self, key: Digest) -> Option<Sight> {
        let set = &self.sets[*self.numbers.get(&key)?];
        Some(match &set.state {
            State::Parts(held) => Sight::kept(held.content(), held.problems(), held.unmatched(&set.patterns)),
            State::Whole(whole) => {
                let files = whole.files();
                Sight::kept(whole.content(), files.problems.clone(), files.unmatched.clone())
            }
        })
    }

    /// The digest of what a set holds; none if it is not one of these.
    #[must_use]
    pub fn content(&self, key: Digest) -> Option<Digest> {
        Some(self.sets[*self.numbers.get(&key)?].content())
    }

    /// The files of a set; none if it is not one of these.
    #[must_use]
    pub fn files(&self, key: Digest) -> Option<Arc<FileSet>> {
        let set = &self.sets[*self.numbers.get(&key)?];
        Some(match &set.state {
            State::Parts(held) => Arc::new(held.files(&set.patterns)),
            State::Whole(whole) => Arc::clone(whole.files()),
        })
    }

    /// Now.
    #[must_use]
    pub const fn moment(&self) -> Moment {
        Moment(self.clock)
    }

    /// What was written to in a set since then, whether or not it is the same again. `None`: nobody knows any more.
    #[must_use]
    pub fn touched_since(&self, key: Digest, then: Moment) -> Option<Vec<&Path>> {
        let number = *self.numbers.get(&key)?;
        if then.0 < self.log_begins {
            return None;
        }
        let later = self.log.iter().rev().take_while(|(clock, ..)| *clock > then.0);
        Some(later.filter(|(_, set, _)| *set == number).map(|(.., path)| path.as_path()).collect())
    }

    /// The directories it has asked for.
    pub fn attended(&self) -> impl Iterator<Item = &Path> {
        self.attended.all()
    }

    /// Whether it has asked for a directory.
    #[must_use]
    pub fn attends(&self, directory: &Path) -> bool {
        self.attended.has(directory)
    }

    /// How many files all sets hold together, and in how many directories they were looked for.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let mut files: HashMap<&Path, HashSet<&[u8]>> = HashMap::new();
        for set in &self.sets {
            match &set.state {
                State::Parts(held) => {
                    held.parts().for_each(|(path, names)| files.entry(path).or_default().extend(names));
                }
                State::Whole(whole) => whole.files().entries.iter().for_each(|entry| {
                    files.entry(entry.parent()).or_default().insert(entry.name());
                }),
            }
        }
        let listed = self.places.values().filter(|place| place.is_listed()).count();
        (files.values().map(HashSet::len).sum(), listed)
    }

    fn wholes(&self) -> impl Iterator<Item = &Whole> {
        self.sets.iter().filter_map(|set| match &set.state {
            State::Whole(whole) => Some(whole),
            State::Parts(_) => None,
        })
    }

    /// Looks at what is pending.
    fn look(
        &mut self,
        scanner: &Scanner,
        table: &FileTable,
        attendant: &dyn Attendant,
        mut pending: Pending,
        changed: &mut Changed,
    ) {
        pending.spread(&self.links);
        let mut is_everything = pending.is_everything()
            || pending.entries().any(|path| self.may_be_ground(&path))
            || self.may_hold_ground(pending.wholes());
        for path in pending.lost() {
            let has_place = self.places.get(path).is_some_and(|place| place.is_watched);
            is_everything |= self.attended.lose(path, has_place);
        }
        if is_everything {
            self.begin_anew(scanner, table, attendant, changed);
        } else {
            self.look_at_places(scanner, table, attendant, &pending, changed);
        }
        self.digest(table, changed);
        self.look_at_wholes(scanner, table, attendant, &pending, changed);
    }

    /// Whether what git ignores may be another after a change there.
    fn may_be_ground(&self, path: &Path) -> bool {
        let says_so = path.file_name().is_some_and(|name| name == ".gitignore" || name == ".git");
        self.grounds.contains(path)
            || says_so && path.parent().is_some_and(|parent| self.places.contains_key(parent))
    }

    /// The same of any entry of these directories: nobody says that it was not written.
    fn may_hold_ground<'a>(&self, directories: impl Iterator<Item = &'a Path>) -> bool {
        let mut directories = directories.peekable();
        if directories.peek().is_none() {
            return false;
        }
        let holding: HashSet<&Path> = self.grounds.iter().filter_map(|path| path.parent()).collect();
        directories.any(|directory| {
            let is_there = |name: &str| directory.join(name).symlink_metadata().is_ok();
            holding.contains(directory)
                || self.places.contains_key(directory) && (is_there(".gitignore") || is_there(".git"))
        })
    }
}

/// What came of looking.
#[derive(Default)]
struct Changed {
    /// Nobody looked before: everything would be changed, and to keep all that is of use to nobody.
    is_first: bool,
    /// Presence, kind or content differs.
    paths: BTreeSet<PathBuf>,
    /// Somebody wrote there.
    touched: Vec<(usize, PathBuf)>,
    /// What has to be digested: for which set, in which directory, which entry.
    unread: Vec<held::Unread>,
    /// Directories whose digest is to be made anew, by set.
    parts: BTreeSet<(usize, PathBuf)>,
}

impl Set {
    fn content(&self) -> Digest {
        match &self.state {
            State::Parts(held) => held.content(),
            State::Whole(whole) => whole.content(),
        }
    }
}

impl State {
    fn of(patterns: &PatternSet) -> Self {
        if Held::can_hold(patterns) { Self::Parts(Held::default()) } else { Self::Whole(Whole::default()) }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("sets", &self.sets.len())
            .field("places", &self.places.len())
            .finish_non_exhaustive()
    }
}

/// The path of an entry of a directory.
fn beneath(directory: &Path, name: &[u8]) -> PathBuf {
    directory.join(OsStr::from_bytes(name))
}
