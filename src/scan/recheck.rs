//! Going along trails again, each to its end: what a run does with the sets of which no route tells.
//!
//! Every directory of all trails is visited once, every file in it gets one stat, by its name in the open
//! directory, and threads share the directories (limits L5 and L9). Nothing is listed or matched.

use std::{
    cell::LazyCell,
    collections::HashMap,
    ffi::{CStr, OsStr, OsString},
    iter::Peekable,
    num::NonZero,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fd::OwnedFd;

use super::{
    hash::{self, Job, Reading},
    name::relative_name,
    place::Place,
    quick::Quick,
    share::share,
    system::{self, Status},
    table::{Directory, FileTable, Memory, Rows},
    trail::{Fact, Trail, TrailDirectory, TrailNames, key_path},
};
use crate::{
    fingerprint::{Content, DirectoryContent},
    model::{Digest, FileKind, StatIdentity},
    planted::{self, Fault},
};

/// More visitors of one directory than this are better off with an index of it.
const MANY: usize = 8;

/// How many names one thread looks at for what starting another costs.
pub(super) const ALONE: usize = 2_000;

/// A place where several trails may lead.
enum Stop<'t> {
    Directory { key: &'t [u8], visits: Vec<Visit<'t>> },
    Fact { key: &'t [u8], told: Vec<(usize, Fact)> },
}

/// A directory of one trail.
struct Visit<'t> {
    trail: usize,
    at: usize,
    directory: TrailDirectory<'t>,
}

/// What a visit came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is not as it was: the trail leads nowhere.
    Moved,
    /// The files are these.
    Same(Option<Digest>),
    /// The files have to be read first.
    Unread,
}

/// A file that has to be read.
struct Unread {
    path: PathBuf,
    size: u64,
}

/// What one thread found out: the stops by number, what each visit came to, and what has to be read.
#[derive(Default)]
struct Part {
    visited: Vec<(usize, Vec<Outcome>)>,
    unread: Vec<Unread>,
    /// Room to compute in.
    content: DirectoryContent,
}

impl FileTable {
    /// The digest of what each trail leads to ([`Content`]); `None` where one no longer holds.
    pub(super) fn recheck(&self, trails: &[Arc<Trail>], threads: NonZero<usize>) -> Vec<Option<Digest>> {
        let Ok(Some((root, _))) = system::open_to_stat(rustix::fs::CWD, &self.root) else {
            return vec![None; trails.len()];
        };
        let stops = stops(trails);
        let moment = self.memory.moment();
        let walker =
            Walker { table: self, memory: moment.as_deref().unwrap_or(&*self.memory), root, stops: &stops };
        let Part { visited, unread, .. } = walker.go(threads);
        let jobs: Vec<Job<'_>> = unread.iter().map(|u| Job { path: &u.path, size: u.size }).collect();
        let readings = self.read(&jobs, threads);
        let all_read = readings.iter().all(|reading| matches!(reading, Reading::Hashed { .. }));
        let mut parts = Parts::new(trails);
        for (number, outcomes) in visited {
            match &stops[number] {
                Stop::Fact { told, .. } => {
                    let moved = told.iter().zip(outcomes).filter(|(_, outcome)| *outcome == Outcome::Moved);
                    moved.for_each(|((trail, _), _)| parts.holds[*trail] = false);
                }
                Stop::Directory { key, visits } => {
                    for (visit, outcome) in visits.iter().zip(outcomes) {
                        let outcome = match outcome {
                            Outcome::Unread if all_read => self.content_of(key, visit.directory),
                            Outcome::Unread => Outcome::Moved,
                            known => known,
                        };
                        parts.set(visit, outcome);
                    }
                }
            }
        }
        trails.iter().enumerate().map(|(number, trail)| parts.digest(&self.root, number, trail)).collect()
    }

    /// The content of one directory of a trail, by what has just been learnt of its files.
    fn content_of(&self, key: &[u8], directory: TrailDirectory<'_>) -> Outcome {
        self.show(key, &*self.memory, |known| {
            let (mut content, mut learnt) = (DirectoryContent::default(), Learnt::of(known));
            for (name, is_directory) in directory.names.iter() {
                let name = name.to_bytes();
                if is_directory {
                    content.add(name, FileKind::Directory, hash::digest_of_kind(FileKind::Directory));
                } else {
                    let Some(file) = learnt.find(name) else { return Outcome::Moved };
                    content.add(name, kind_of(&file.identity), file.digest);
                }
            }
            Outcome::Same(content.take())
        })
    }
}

/// The contents found along each trail.
struct Parts {
    holds: Vec<bool>,
    contents: Vec<Vec<Option<Digest>>>,
}

impl Parts {
    fn new(trails: &[Arc<Trail>]) -> Self {
        let contents = trails.iter().map(|trail| vec![None; trail.directories().count()]).collect();
        Self { holds: vec![true; trails.len()], contents }
    }

    fn set(&mut self, visit: &Visit<'_>, outcome: Outcome) {
        match outcome {
            Outcome::Same(content) => self.contents[visit.trail][visit.at] = content,
            Outcome::Moved | Outcome::Unread => self.holds[visit.trail] = false,
        }
    }

    fn digest(&self, root: &std::path::Path, number: usize, trail: &Trail) -> Option<Digest> {
        let mut whole = Content::default();
        for (directory, content) in trail.directories().zip(&self.contents[number]) {
            match content {
                None => {}
                Some(content) if directory.key.starts_with(b"/") => {
                    whole.add(&relative_name(root, key_path(directory.key)), *content);
                }
                Some(content) => whole.add(directory.key, *content),
            }
        }
        self.holds[number].then(|| whole.digest())
    }
}

/// All places the trails lead to, each once.
fn stops<'t>(trails: &'t [Arc<Trail>]) -> Vec<Stop<'t>> {
    let mut stops: Vec<Stop<'t>> = Vec::new();
    let mut directories: HashMap<&[u8], usize, Quick> = HashMap::default();
    let mut facts: HashMap<&[u8], usize, Quick> = HashMap::default();
    for (trail, t) in trails.iter().enumerate() {
        for (at, directory) in t.directories().enumerate() {
            let key = directory.key;
            let number = *directories.entry(key).or_insert(stops.len());
            if number == stops.len() {
                stops.push(Stop::Directory { key, visits: Vec::new() });
            }
            if let Stop::Directory { visits, .. } = &mut stops[number] {
                visits.push(Visit { trail, at, directory });
            }
        }
        for (key, fact) in t.facts() {
            let number = *facts.entry(key).or_insert(stops.len());
            if number == stops.len() {
                stops.push(Stop::Fact { key, told: Vec::new() });
            }
            if let Stop::Fact { told, .. } = &mut stops[number] {
                told.push((trail, fact));
            }
        }
    }
    stops
}

/// What all threads know.
struct Walker<'a, 't> {
    table: &'a FileTable,
    memory: &'a dyn Memory,
    root: OwnedFd,
    stops: &'a [Stop<'t>],
}

impl Walker<'_, '_> {
    fn go(&self, threads: NonZero<usize>) -> Part {
        let is_much = self.weighs_more_than(ALONE);
        let mut whole = Part::default();
        for mut part in share(self.stops.len(), threads, is_much, |number, part| self.stop(number, part)) {
            whole.visited.append(&mut part.visited);
            whole.unread.append(&mut part.unread);
        }
        whole
    }

    fn weighs_more_than(&self, limit: usize) -> bool {
        let mut names = 0;
        self.stops.iter().any(|stop| {
            names += match stop {
                Stop::Directory { visits, .. } => visits.first().map_or(0, |v| v.directory.names.weight()),
                Stop::Fact { .. } => 1,
            };
            names > limit
        })
    }

    fn stop(&self, number: usize, part: &mut Part) {
        let outcomes = match &self.stops[number] {
            Stop::Fact { key, told } => self.ask(key, told),
            Stop::Directory { key, visits } => self.visit(key, visits, &mut part.content, &mut part.unread),
        };
        part.visited.push((number, outcomes));
    }

    /// Whether what trails were told of a path is still true.
    fn ask(&self, key: &[u8], told: &[(usize, Fact)]) -> Vec<Outcome> {
        let now = Fact::now(&self.root, key);
        let outcome = |&(_, fact): &_| if now.confirms(fact) { Outcome::Same(None) } else { Outcome::Moved };
        told.iter().map(outcome).collect()
    }

    /// Looks at one directory for everyone who comes there.
    fn visit(
        &self,
        key: &[u8],
        visits: &[Visit<'_>],
        content: &mut DirectoryContent,
        unread: &mut Vec<Unread>,
    ) -> Vec<Outcome> {
        let names = visits.iter().flat_map(|visit| visit.directory.names.iter());
        let is_wanted = visits.iter().any(|visit| visit.directory.listed.is_some());
        let Some((place, identity)) = Place::of(&self.root, key, names, is_wanted) else {
            return vec![Outcome::Moved; visits.len()];
        };
        self.table.show(key, self.memory, |known| {
            let index = (visits.len() > MANY).then(|| known.learnt().collect());
            let seen = (visits.len() > 1).then(HashMap::default);
            let look = Look { place, known, index, seen };
            self.compare(key, visits, look, identity, content, unread)
        })
    }

    /// Compares what everyone who comes to a directory expects with what is there.
    fn compare<'v>(
        &self,
        key: &[u8],
        visits: &[Visit<'v>],
        mut look: Look<'_, 'v>,
        identity: Option<StatIdentity>,
        content: &mut DirectoryContent,
        unread: &mut Vec<Unread>,
    ) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(visits.len());
        let mut twins: HashMap<(TrailNames<'v>, Option<StatIdentity>), usize, Quick> = HashMap::default();
        let path = LazyCell::new(|| self.table.root.join(OsStr::from_bytes(key)));
        for visit in visits {
            let wanted = visit.directory;
            let number = outcomes.len();
            let mut twin = || *twins.entry((wanted.names, wanted.listed)).or_insert(number);
            let twin = if visits.len() > 1 { twin() } else { number };
            outcomes.push(
                if wanted.listed.is_some() && wanted.listed != identity && !planted::is(Fault::TrailsBlind) {
                    Outcome::Moved
                } else if twin < number {
                    outcomes[twin]
                } else {
                    let first = unread.len();
                    let outcome = look.at(wanted, content, |name, size| {
                        unread.push(Unread { path: beneath(&path, name), size });
                    });
                    if outcome == Outcome::Moved {
                        // Somebody else will look at these files in another way.
                        unread.truncate(first);
                        content.take();
                    }
                    outcome
                },
            );
        }
        outcomes
    }
}

/// A directory, and what is known of it.
struct Look<'a, 't> {
    place: Place<'a>,
    known: &'a Directory,
    /// What was seen already, if several come here.
    seen: Option<HashMap<&'t CStr, Option<Status>, Quick>>,
    /// What is known by name, if so many come that looking through all of it for each would take long.
    index: Option<HashMap<&'a [u8], crate::model::Learnt, Quick>>,
}

impl<'t> Look<'_, 't> {
    fn at(
        &mut self,
        wanted: TrailDirectory<'t>,
        content: &mut DirectoryContent,
        mut unread: impl FnMut(&CStr, u64),
    ) -> Outcome {
        let mut learnt = Learnt::of(self.known);
        let mut all_known = true;
        for (name, is_directory) in wanted.names.iter() {
            let bytes = name.to_bytes();
            if is_directory {
                let mut is_there = || self.status(name).is_some_and(|status| status.is_directory());
                if wanted.listed.is_none() && !is_there() {
                    return Outcome::Moved;
                }
                content.add(bytes, FileKind::Directory, hash::digest_of_kind(FileKind::Directory));
                continue;
            }
            let Some(Status { kind: kind @ FileKind::File { .. }, identity, .. }) = self.status(name) else {
                return Outcome::Moved;
            };
            let known = match &self.index {
                Some(index) => index.get(bytes).copied(),
                None => learnt.find(bytes),
            };
            match known.filter(|file| file.vouches_for(&identity)) {
                Some(file) => content.add(bytes, kind, file.digest),
                None => {
                    unread(name, identity.size);
                    all_known = false;
                }
            }
        }
        let digest = content.take();
        if all_known { Outcome::Same(digest) } else { Outcome::Unread }
    }

    fn status(&mut self, name: &'t CStr) -> Option<Status> {
        let ask = || self.place.target(name);
        match &mut self.seen {
            None => ask(),
            Some(seen) => *seen.entry(name).or_insert_with(ask),
        }
    }
}

/// The path of a file in a directory, in one piece of memory: there may be one for every file of the tree.
fn beneath(directory: &Path, name: &CStr) -> PathBuf {
    let mut path = OsString::with_capacity(directory.as_os_str().len() + 1 + name.count_bytes());
    path.push(directory);
    if !directory.as_os_str().as_bytes().ends_with(b"/") {
        path.push("/");
    }
    path.push(OsStr::from_bytes(name.to_bytes()));
    path.into()
}

/// What is known of the files of a directory, for who asks in the order of their names.
struct Learnt<'a> {
    rest: Peekable<Rows<'a>>,
}

impl<'a> Learnt<'a> {
    fn of(directory: &'a Directory) -> Self {
        Self { rest: directory.learnt().peekable() }
    }

    fn find(&mut self, name: &[u8]) -> Option<crate::model::Learnt> {
        while self.rest.next_if(|(known, _)| *known < name).is_some() {}
        self.rest.peek().filter(|(known, _)| *known == name).map(|(_, learnt)| *learnt)
    }
}

/// What a file that was hashed is.
pub(super) const fn kind_of(identity: &StatIdentity) -> FileKind {
    FileKind::File { executable: identity.mode & 0o100 != 0 }
}
