//! Directories, and looking at what may have changed in them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{fd::AsFd, fs::FileType};

use super::{
    Attendant, Changed, Live, State, beneath,
    held::{Entry, Unread},
    pending::{Names, Pending},
    whole::{Whole, ground_directories},
};
use crate::{
    model::FileKind,
    pattern::PatternSet,
    scan::{
        git::Rules,
        item::Item,
        system::{self, Inode},
        table::{FileTable, is_racy},
        visit::{Again, Found, Visitor},
        walk::{Matched, Scanner},
    },
};

/// So many files are read at a time: what that takes is to be small beside what is kept.
const PORTION: usize = 4096;

/// A directory a walk came to.
pub(super) struct Place {
    /// How it came there.
    item: Item,
    path: Arc<Path>,
    /// The directories right in it that a walk came to, and perhaps others that are no more.
    below: HashSet<Box<[u8]>>,
    /// Which directory it was; none if it was only entered.
    inode: Option<Inode>,
    /// The sets that may hold something in it.
    sets: Vec<usize>,
    rules: Option<Rules>,
    is_watched: bool,
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
struct Job {
    path: PathBuf,
    names: Names,
}

/// Entries by name, by set and directory.
type Old = HashMap<(usize, PathBuf), HashMap<Box<[u8]>, Entry>>;

/// One look at all that may have changed.
struct Round<'a, 'w> {
    visitor: Visitor<'w>,
    attendant: &'a dyn Attendant,
    changed: &'a mut Changed,
    jobs: Vec<Job>,
    /// What was held and is not, unless it is found again.
    old: Old,
    open: Vec<Item>,
    /// The sets that hold something else in the directory that is looked at.
    here: BTreeSet<usize>,
}

impl Round<'_, '_> {
    /// What was held of this name, if it was taken out in this round.
    fn before(&mut self, set: usize, directory: &Path, name: &[u8]) -> Option<Entry> {
        self.old.get_mut(&(set, directory.to_owned()))?.remove(name)
    }

    fn took_out(&mut self, set: usize, directory: &Path, entries: Vec<Entry>) {
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
                let names = match names {
                    Names::These(names) => Names::These(names.clone()),
                    Names::All => Names::All,
                };
                round.jobs.push(Job { path: path.to_owned(), names });
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
    fn come_to(&mut self, round: &mut Round<'_, '_>, item: Item) {
        let path = item.path.clone();
        self.drop_beneath(round, &path);
        self.places.insert(path.clone(), Place::new(item));
        round.jobs.push(Job { path, names: Names::All });
    }

    /// A directory is not what it was: its entry in the one above says what is there now.
    fn look_from_above(&mut self, round: &mut Round<'_, '_>, path: &Path) {
        self.drop_beneath(round, path);
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            let names = Names::These(BTreeSet::from([name.as_bytes().to_vec()]));
            round.jobs.push(Job { path: parent.to_owned(), names });
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
        let (fd, status) = match system::open_directory(&item.path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return false,
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
        let wanted: Vec<(Vec<u8>, FileType)> = match &job.names {
            Names::These(names) => names.iter().map(|name| (name.clone(), FileType::Unknown)).collect(),
            Names::All => {
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
        more.extend(self.children(path).filter_map(|child| Some(child.file_name()?.as_bytes().to_vec())));
        all.extend(more.difference(&known).map(|name| (name.clone(), FileType::Unknown)));
        all
    }

    /// The directories right beneath one that a walk came to.
    fn children<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Path> + 'a {
        let beneath = self.places.range(path.to_owned()..).map(|(place, _)| place.as_path());
        beneath
            .take_while(move |place| place.starts_with(path))
            .filter(move |place| place.parent() == Some(path))
    }

    /// Goes through a directory in which only certain names are looked for. Outside the tree it is watched only while
    /// one of them is no directory that is watched itself: else whatever happens there would wake us.
    fn enter(&mut self, round: &mut Round<'_, '_>, place: &mut Place, job: &Job) -> bool {
        let item = place.item.clone();
        let begins = round.visitor.begins(&item);
        if item.path.starts_with(&self.root) {
            self.watch(round, place);
        }
        loop {
            let mut again = Again::new(&item, None, None);
            for name in &begins {
                let is_meant = match &job.names {
                    Names::These(names) => names.contains(name),
                    Names::All => true,
                };
                if is_meant {
                    self.look_at_entry(round, place, &mut again, (name, FileType::Unknown), &job.names);
                }
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

    /// Looks at one entry of a directory.
    fn look_at_entry(
        &mut self,
        round: &mut Round<'_, '_>,
        place: &mut Place,
        again: &mut Again<'_>,
        (name, kind): (&[u8], FileType),
        names: &Names,
    ) {
        let directory = place.item.path.clone();
        let path = beneath(&directory, name);
        self.take_out(round, place, &directory, name);
        let mut open = std::mem::take(&mut round.open);
        let found = round.visitor.look_again(again, name, kind, &mut open);
        // Only where patterns begin with a link is it followed here.
        let links = round.visitor.take_links().into_iter().map(|link| link.into_item());
        open.extend(links.filter(|item| item.beginning.is_some()));
        self.follow_link(round, &path, kind, !(found.is_empty() && open.is_empty()));
        for (set, found) in found {
            self.put_in(round, place, (set, found), &directory, name, matches!(names, Names::All));
        }
        if open.is_empty() {
            if place.below.remove(name) {
                self.drop_beneath(round, &path);
            }
        } else {
            place.below.insert(name.into());
        }
        for item in open.drain(..) {
            self.come_again(round, item, names);
        }
        round.open = open;
    }

    /// A directory that is to be looked into: anew, if it is another than the one that is known.
    fn come_again(&mut self, round: &mut Round<'_, '_>, item: Item, names: &Names) {
        // Where patterns begin a walk goes without asking whether there is anything.
        let now = system::status(&item.path).ok().flatten().filter(system::Status::is_directory);
        let Some(now) = now else { return self.drop_beneath(round, &item.path) };
        let is_known = self.places.get(&item.path).is_some_and(|known| {
            known.item.active == item.active
                && known.item.beginning == item.beginning
                && known.inode.is_none_or(|inode| inode == now.inode)
        });
        match (is_known, names) {
            (false, _) => self.come_to(round, item),
            // Somebody did something to the directory itself.
            (true, Names::These(_)) => round.jobs.push(Job { path: item.path, names: Names::All }),
            (true, Names::All) => {}
        }
    }

    /// Takes out what is held of an entry.
    fn take_out(&mut self, round: &mut Round<'_, '_>, place: &Place, directory: &Path, name: &[u8]) {
        for &set in &place.sets {
            let State::Parts(held) = &mut self.sets[set].state else { continue };
            let (entry, had_problem) = held.remove(&self.root, directory, name);
            if entry.is_some() || had_problem {
                round.here.insert(set);
            }
            if let Some(entry) = entry {
                round.took_out(set, directory, vec![entry]);
            }
        }
    }

    /// Puts in what was found of an entry.
    fn put_in(
        &mut self,
        round: &mut Round<'_, '_>,
        place: &mut Place,
        (set, found): (usize, Found),
        directory: &Path,
        name: &[u8],
        is_quiet: bool,
    ) {
        if found.notes.untraceable {
            return self.become_whole(set);
        }
        let State::Parts(held) = &mut self.sets[set].state else { return };
        if !place.sets.contains(&set) {
            place.sets.push(set);
        }
        round.here.insert(set);
        let hits = found.hit.iter().fold(0, |hits, written| hits | 1 << written);
        for entry in found.entries {
            let before = round.before(set, directory, name);
            let mut now = Entry::unread(name, entry.kind, &entry.identity, hits);
            match before {
                // Nobody told of it, and its stamps say that there was nothing to tell.
                Some(before) if is_quiet && !before.racy && is_same(&before, &now) => {
                    now.stays(&before);
                }
                before => round.changed.unread.push(Unread {
                    set,
                    directory: Arc::clone(&place.path),
                    name: name.into(),
                    before: before.map(Box::new),
                    was_told: !is_quiet,
                }),
            }
            held.put(&self.root, directory, now);
        }
        for problem in found.problems {
            held.put_problem(&self.root, directory, Some(name), problem.error);
        }
    }

    /// Notes where a link leads through; `matters`: somebody looks for what it leads to.
    fn follow_link(&mut self, round: &Round<'_, '_>, path: &Path, kind: FileType, matters: bool) {
        let may_be_link = matches!(kind, FileType::Symlink | FileType::Unknown);
        for entry in self.links.remove(path) {
            entry.parent().into_iter().for_each(|parent| self.attended.remove(parent));
        }
        if matters && may_be_link && fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
            for entry in self.links.add(path, &self.root) {
                entry.parent().into_iter().for_each(|parent| self.attended.add(parent, round.attendant));
            }
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
        for child in self.children(&path).map(Path::to_owned).collect::<Vec<_>>() {
            self.drop_beneath(round, &child);
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
            self.look_at_entry(round, place, &mut again, (&name, FileType::Unknown), &Names::All);
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
    fn drop_beneath(&mut self, round: &mut Round<'_, '_>, path: &Path) {
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
    fn become_whole(&mut self, set: usize) {
        let set = &mut self.sets[set];
        if let State::Parts(held) = &set.state {
            set.state = State::Whole(Whole::of(held.files(&set.patterns).into(), held.content()));
        }
    }

    /// Reads what has to be read, and makes the digests anew.
    pub(super) fn digest(&mut self, table: &FileTable, changed: &mut Changed) {
        self.read_all(table, changed);
        let parts = std::mem::take(&mut changed.parts);
        for (set, directory) in &parts {
            if let State::Parts(held) = &mut self.sets[*set].state {
                held.settle(&self.root, directory);
            }
        }
        for (set, _) in &parts {
            if let State::Parts(held) = &mut self.sets[*set].state {
                held.settle_whole();
            }
        }
    }

    /// Reads what has to be read.
    fn read_all(&mut self, table: &FileTable, changed: &mut Changed) {
        let unread = std::mem::take(&mut changed.unread);
        for portion in unread.chunks(PORTION) {
            self.read(table, portion, changed);
        }
    }

    /// Reads some of it.
    fn read(&mut self, table: &FileTable, unread: &[Unread], changed: &mut Changed) {
        let began_ns = (table.options.now_ns)();
        let mut entries = Vec::new();
        for Unread { set, directory, name, .. } in unread {
            let State::Parts(held) = &mut self.sets[*set].state else { continue };
            let Some(entry) = held.entry(&self.root, directory, name) else { continue };
            let path = beneath(directory, name).into();
            entries.push(crate::scan::walk::Entry { path, kind: entry.kind, identity: entry.identity() });
        }
        entries.sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
        entries.dedup_by(|a, b| a.path.as_os_str() == b.path.as_os_str());
        let matched = Matched { entries, ..Matched::default() };
        let read = table.digest_all(std::slice::from_ref(&matched), self.threads).pop().unwrap_or_default();
        let found = |path: &Path| {
            let at =
                read.entries.binary_search_by(|entry| entry.path.as_os_str().cmp(path.as_os_str())).ok()?;
            Some(&read.entries[at])
        };
        let problems: HashMap<&Path, &str> =
            read.problems.iter().map(|problem| (problem.path.as_path(), problem.error.as_str())).collect();
        for Unread { set, directory, name, before, was_told } in unread {
            let State::Parts(held) = &mut self.sets[*set].state else { continue };
            let path = beneath(directory, name);
            let now = match (held.entry(&self.root, directory, name), found(&path)) {
                (Some(entry), Some(read)) => {
                    let racy = is_racy(&read.identity, began_ns, table.options.granularity);
                    entry.read(read.kind, &read.identity, read.digest, racy);
                    Some(entry.clone())
                }
                _ => {
                    held.remove(&self.root, directory, name);
                    if let Some(error) = problems.get(path.as_path()) {
                        held.put_problem(&self.root, directory, Some(name), (*error).to_owned());
                    }
                    None
                }
            };
            changed.compare(*set, &path, before.as_deref(), now.as_ref(), *was_told);
        }
    }

    /// Looks at the sets that are kept in one piece, where something may have changed.
    pub(super) fn look_at_wholes(
        &mut self,
        scanner: &Scanner,
        table: &FileTable,
        attendant: &dyn Attendant,
        pending: &Pending,
        changed: &mut Changed,
    ) {
        for number in 0..self.sets.len() {
            let set = &mut self.sets[number];
            let State::Whole(whole) = &mut set.state else { continue };
            let concerns = || pending.places().any(|(directory, _)| whole.rests_on(directory));
            if !(whole.is_new() || pending.is_everything() || concerns() || !pending.lost().is_empty()) {
                continue;
            }
            let before = Arc::clone(whole.files());
            let reasons = whole.rests().clone();
            let attended = &mut self.attended;
            let watched =
                whole.look(scanner, table, &set.patterns, |directory| attended.add(directory, attendant));
            // Those it rests on now were added once; what it rested on before has a reason less.
            let now = whole.rests().clone();
            watched.difference(&now).for_each(|directory| attended.remove(directory));
            reasons.iter().for_each(|directory| attended.remove(directory));
            changed.compare_whole(number, &before, whole.files());
        }
    }
}

/// Whether two looks found the same, as far as stamps tell.
fn is_same(before: &Entry, now: &Entry) -> bool {
    before.kind == now.kind
        && (before.is_identical(now) || matches!(now.kind, FileKind::Directory | FileKind::Special))
}

impl Changed {
    /// Takes note of what became of an entry.
    fn compare(
        &mut self,
        set: usize,
        path: &Path,
        before: Option<&Entry>,
        now: Option<&Entry>,
        was_told: bool,
    ) {
        let (differs, is_touched) = match (before, now) {
            (None, None) => (false, false),
            (Some(before), Some(now)) => {
                let differs = before.differs(now);
                // Of what was new when it was read its stamps do not tell whether it was written since.
                (differs, differs || !is_same(before, now) || before.racy && was_told)
            }
            _ => (true, true),
        };
        if is_touched {
            self.touched.push((set, path.to_owned()));
        }
        if differs {
            self.paths.insert(path.to_owned());
        }
    }

    /// The same for a set in one piece.
    fn compare_whole(&mut self, set: usize, before: &crate::scan::FileSet, now: &crate::scan::FileSet) {
        let by_path = |files: &crate::scan::FileSet| -> HashMap<PathBuf, _> {
            files.entries.iter().map(|entry| (entry.path.to_path_buf(), entry.clone())).collect()
        };
        let (before, now) = (by_path(before), by_path(now));
        for (path, entry) in &now {
            let was = before.get(path);
            if was != Some(entry) {
                self.touched.push((set, path.clone()));
            }
            if was.is_none_or(|was| (was.kind, was.digest) != (entry.kind, entry.digest)) {
                self.paths.insert(path.clone());
            }
        }
        for path in before.into_keys().filter(|path| !now.contains_key(path)) {
            self.touched.push((set, path.clone()));
            self.paths.insert(path);
        }
    }
}
