//! Directories, and looking at what may have changed in them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{fd::AsFd, fs::FileType};

use super::{
    Attendant, Changed, Live, State, beneath,
    held::Entry,
    pending::{Names, Pending},
    reading::PORTION,
    whole::{Whole, ground_directories},
};
use crate::{
    pattern::PatternSet,
    scan::{
        git::Rules,
        item::Item,
        system::{self, Inode},
        table::FileTable,
        visit::{Again, Visitor},
        walk::Scanner,
    },
};

/// A directory a walk came to.
pub(super) struct Place {
    /// How it came there.
    pub(super) item: Item,
    pub(super) path: Arc<Path>,
    /// The directories right in it that a walk came to, and perhaps others that are no more.
    pub(super) below: HashSet<Box<[u8]>>,
    /// Which directory it was; none if it was only entered.
    pub(super) inode: Option<Inode>,
    /// The sets that may hold something in it.
    pub(super) sets: Vec<usize>,
    rules: Option<Rules>,
    pub(super) is_watched: bool,
}

impl Place {
    fn new(item: Item) -> Self {
        let path = item.path.as_path().into();
        Self {
            item,
            path,
            below: HashSet::new(),
            inode: None,
            sets: Vec::new(),
            rules: None,
            is_watched: false,
        }
    }

    pub(super) const fn is_listed(&self) -> bool {
        self.inode.is_some()
    }
}

/// A directory that is to be looked at, and which of its entries.
pub(super) struct Job {
    pub(super) path: PathBuf,
    pub(super) names: Names,
}

/// Entries by name, by set and directory.
type Old = HashMap<(usize, PathBuf), HashMap<Box<[u8]>, Entry>>;

/// One look at all that may have changed.
pub(super) struct Round<'a, 'w> {
    pub(super) visitor: Visitor<'w>,
    pub(super) attendant: &'a dyn Attendant,
    pub(super) changed: &'a mut Changed,
    pub(super) jobs: Vec<Job>,
    /// What was held and is not, unless it is found again.
    old: Old,
    pub(super) open: Vec<Item>,
    /// The sets that hold something else in the directory that is looked at.
    pub(super) here: BTreeSet<usize>,
}

impl Round<'_, '_> {
    /// What was held of this name, if it was taken out in this round.
    pub(super) fn before(&mut self, set: usize, directory: &Path, name: &[u8]) -> Option<Entry> {
        self.old.get_mut(&(set, directory.to_owned()))?.remove(name)
    }

    pub(super) fn took_out(&mut self, set: usize, directory: &Path, entries: Vec<Entry>) {
        let old = self.old.entry((set, directory.to_owned())).or_default();
        old.extend(entries.into_iter().map(|entry| (entry.name.clone(), entry)));
    }
}

impl Live {
    /// Looks at everything.
    pub(super) fn begin_anew(
        &mut self,
        scanner: &Scanner,
        table: &FileTable,
        attendant: &dyn Attendant,
        changed: &mut Changed,
    ) {
        let mut old = Old::new();
        for (number, set) in self.sets.iter_mut().enumerate() {
            if let State::Parts(held) = &mut set.state {
                for (directory, entries) in held.take_all() {
                    changed.parts.insert((number, directory.clone()));
                    let entries = entries.into_iter().map(|entry| (entry.name.clone(), entry));
                    old.insert((number, directory), entries.collect());
                }
                held.settle_whole();
            }
            if let State::Whole(whole) = &mut set.state {
                whole.begin_anew();
            }
        }
        self.places.clear();
        self.links.clear();
        self.grounds.clear();
        self.attended.clear();
        self.round((scanner, table), attendant, changed, old, |live, round| {
            let mut open = Vec::new();
            round.visitor.begin(&mut open);
            open.into_iter().for_each(|item| live.come_to(round, item));
        });
    }

    /// Looks at the directories in which something may have changed.
    pub(super) fn look_at_places(
        &mut self,
        scanner: &Scanner,
        table: &FileTable,
        attendant: &dyn Attendant,
        pending: &Pending,
        changed: &mut Changed,
    ) {
        // Whatever the stamps say: there was an event (hazard A5).
        pending.entries().for_each(|path| table.forget(&path));
        self.round((scanner, table), attendant, changed, Old::new(), |live, round| {
            for path in pending.lost() {
                live.drop_beneath(round, path);
            }
            for (path, names) in pending.places().filter(|(path, _)| live.places.contains_key(*path)) {
                round.jobs.push(Job { path: path.to_owned(), names: names.clone() });
            }
        });
    }

    fn round(
        &mut self,
        (scanner, table): (&Scanner, &FileTable),
        attendant: &dyn Attendant,
        changed: &mut Changed,
        old: Old,
        begin: impl FnOnce(&mut Self, &mut Round<'_, '_>),
    ) {
        let patterns: Vec<Arc<PatternSet>> = self.sets.iter().map(|set| Arc::clone(&set.patterns)).collect();
        let patterns: Vec<&PatternSet> = patterns.iter().map(Arc::as_ref).collect();
        let beginnings = Arc::clone(&self.beginnings);
        let walk = scanner.prepare(&patterns, &beginnings);
        let visitor = Visitor::new(&walk);
        let mut round = Round {
            visitor,
            attendant,
            changed,
            jobs: Vec::new(),
            old,
            open: Vec::new(),
            here: BTreeSet::new(),
        };
        begin(self, &mut round);
        while let Some(job) = round.jobs.pop() {
            self.visit(&mut round, job);
            if round.changed.unread.len() >= PORTION {
                self.read_all(table, round.changed);
                attendant.has_read();
            }
        }
        for ((set, directory), entries) in round.old {
            for name in entries.into_keys() {
                let path = beneath(&directory, &name);
                round.changed.touched.push((set, path.clone()));
                round.changed.paths.insert(path);
            }
        }
    }

    /// A directory that was not there before.
    pub(super) fn come_to(&mut self, round: &mut Round<'_, '_>, item: Item) {
        let path = item.path.clone();
        self.drop_beneath(round, &path);
        self.places.insert(path.clone(), Place::new(item));
        round.jobs.push(Job { path, names: Names::all() });
    }

    /// A directory is not what it was: its entry in the one above says what is there now.
    fn look_from_above(&mut self, round: &mut Round<'_, '_>, path: &Path) {
        self.drop_beneath(round, path);
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            round.jobs.push(Job { path: parent.to_owned(), names: Names::one(name.as_bytes()) });
        }
    }

    fn visit(&mut self, round: &mut Round<'_, '_>, job: Job) {
        let Some(mut place) = self.places.remove(&job.path) else { return };
        let goes_on = match round.visitor.lists(&place.item) {
            true => self.list(round, &mut place, &job),
            false => self.enter(round, &mut place, &job),
        };
        self.places.insert(job.path.clone(), place);
        for set in std::mem::take(&mut round.here) {
            round.changed.parts.insert((set, job.path.clone()));
        }
        if !goes_on {
            self.look_from_above(round, &job.path);
        }
    }

    fn watch(&mut self, round: &Round<'_, '_>, place: &mut Place) {
        if !std::mem::replace(&mut place.is_watched, true) {
            self.attended.add(&place.item.path, round.attendant);
        }
    }

    /// Looks at a directory in which anything may match. False: it is not that directory any more.
    fn list(&mut self, round: &mut Round<'_, '_>, place: &mut Place, job: &Job) -> bool {
        self.watch(round, place);
        let item = place.item.clone();
        // What may have come only after it was to be watched is not listed before it is.
        let is_watched = self.attended.meet(&item.path, round.attendant);
        let (fd, status) = match system::open_directory(&item.path) {
            Ok(Some(opened)) if is_watched => opened,
            Ok(_) => return false,
            Err(errno) => {
                self.fail(round, place, &system::message(errno));
                return true;
            }
        };
        if place.inode.is_some_and(|inode| inode != status.inode) {
            return false;
        }
        if round.visitor.is_state_dir(status.inode) {
            return true;
        }
        place.inode = Some(status.inode);
        self.clear_failure(round, place);
        let mut names = system::Names::default();
        let mut rules = place.rules.clone();
        let wanted: Vec<(Vec<u8>, FileType)> = match job.names.is_all() {
            false => job.names.these().map(|name| (name.clone(), FileType::Unknown)).collect(),
            true => {
                if let Err(errno) = system::list(&fd, &mut names, &mut Vec::new()) {
                    self.fail(round, place, &system::message(errno));
                    return true;
                }
                rules = round.visitor.rules_of_listed(&item, &names);
                self.all_names(round, place, &names)
            }
        };
        let mut again = Again::new(&item, Some((fd.as_fd(), status.inode)), rules);
        for (name, kind) in &wanted {
            self.look_at_entry(round, place, &mut again, (name, *kind), &job.names);
        }
        place.rules = again.rules();
        self.note_grounds(round, place);
        true
    }

    /// What is in a directory, what was, and what patterns begin with.
    fn all_names(
        &self,
        round: &Round<'_, '_>,
        place: &Place,
        listed: &system::Names,
    ) -> Vec<(Vec<u8>, FileType)> {
        let path = &place.item.path;
        let mut all: Vec<(Vec<u8>, FileType)> =
            listed.iter().map(|(name, kind)| (name.to_vec(), kind)).collect();
        let known: BTreeSet<Vec<u8>> = all.iter().map(|(name, _)| name.clone()).collect();
        let mut more: BTreeSet<Vec<u8>> = round.visitor.begins(&place.item).into_iter().collect();
        for &set in &place.sets {
            if let State::Parts(held) = &self.sets[set].state {
                more.extend(held.names(&self.root, path));
            }
        }
        more.extend(place.below.iter().map(|name| name.to_vec()));
        all.extend(more.difference(&known).map(|name| (name.clone(), FileType::Unknown)));
        all
    }

    /// Goes through a directory in which only certain names are looked for. One above the tree is watched only while
    /// one of them is no directory that is watched itself: else whatever happens there would wake us.
    fn enter(&mut self, round: &mut Round<'_, '_>, place: &mut Place, job: &Job) -> bool {
        let item = place.item.clone();
        let begins = round.visitor.begins(&item);
        if !self.root.starts_with(&item.path) || item.path == self.root {
            self.watch(round, place);
        }
        loop {
            let mut again = Again::new(&item, None, None);
            for name in begins.iter().filter(|name| job.names.contain(name)) {
                self.look_at_entry(round, place, &mut again, (name, FileType::Unknown), &job.names);
            }
            let is_place = |name: &Vec<u8>| self.places.contains_key(&beneath(&item.path, name));
            if place.is_watched || begins.iter().all(is_place) {
                self.note_grounds_of(round, again.rules());
                return true;
            }
            // Only from now on nothing is missed.
            self.watch(round, place);
        }
    }

    /// A directory that cannot be listed.
    fn fail(&mut self, round: &mut Round<'_, '_>, place: &mut Place, error: &str) {
        let path = place.item.path.clone();
        for &set in &place.sets {
            let State::Parts(held) = &mut self.sets[set].state else { continue };
            let taken = held.take(&self.root, &path);
            round.took_out(set, &path, taken);
            round.changed.parts.insert((set, path.clone()));
        }
        for child in std::mem::take(&mut place.below) {
            self.drop_beneath(round, &beneath(&path, &child));
        }
        for set in round.visitor.unlistable(&place.item) {
            let State::Parts(held) = &mut self.sets[set].state else { continue };
            held.put_problem(&self.root, &path, None, error.to_owned());
            round.changed.parts.insert((set, path.clone()));
            if !place.sets.contains(&set) {
                place.sets.push(set);
            }
        }
        // It may be entered all the same.
        let item = place.item.clone();
        let mut again = Again::new(&item, None, None);
        for name in round.visitor.begins(&item) {
            self.look_at_entry(round, place, &mut again, (&name, FileType::Unknown), &Names::all());
        }
    }

    fn clear_failure(&mut self, round: &mut Round<'_, '_>, place: &Place) {
        for &set in &place.sets {
            let State::Parts(held) = &mut self.sets[set].state else { continue };
            if held.clear_problem(&self.root, &place.item.path) {
                round.changed.parts.insert((set, place.item.path.clone()));
            }
        }
    }

    /// Forgets a directory and everything beneath it, unless it is found again in this round.
    pub(super) fn drop_beneath(&mut self, round: &mut Round<'_, '_>, path: &Path) {
        let beneath = self.places.range(path.to_owned()..).map(|(place, _)| place);
        let gone: Vec<PathBuf> = beneath.take_while(|place| place.starts_with(path)).cloned().collect();
        for path in gone {
            let Some(place) = self.places.remove(&path) else { continue };
            if place.is_watched {
                self.attended.remove(&path);
            }
            for set in place.sets {
                let State::Parts(held) = &mut self.sets[set].state else { continue };
                let taken = held.take(&self.root, &path);
                round.took_out(set, &path, taken);
                round.changed.parts.insert((set, path.clone()));
            }
        }
        for link in self.links.beneath(path) {
            for entry in self.links.remove(&link) {
                entry.parent().into_iter().for_each(|parent| self.attended.remove(parent));
            }
        }
    }

    /// Notes on which files it rests what git ignores in a directory.
    fn note_grounds(&mut self, round: &Round<'_, '_>, place: &Place) {
        self.note_grounds_of(round, place.rules.clone());
    }

    fn note_grounds_of(&mut self, round: &Round<'_, '_>, rules: Option<Rules>) {
        let Some(grounds) = rules.as_ref().and_then(Rules::grounds) else { return };
        for grounds in std::iter::successors(Some(grounds), |grounds| grounds.above.as_ref()) {
            if grounds.own.iter().all(|(path, _)| self.grounds.contains(path)) {
                continue;
            }
            self.grounds.extend(grounds.own.iter().map(|(path, _)| path.clone()));
            for directory in ground_directories(&self.root, grounds) {
                self.attended.add(&directory, round.attendant);
            }
        }
    }

    /// From now on a set is looked at in one piece.
    pub(super) fn become_whole(&mut self, set: usize) {
        let set = &mut self.sets[set];
        if let State::Parts(held) = &set.state {
            set.state = State::Whole(Whole::of(held.files(&set.patterns).into(), held.content()));
        }
    }
}
