//! Visiting one directory on behalf of every pattern that is still alive in it.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{CWD, FileType},
    io::Errno,
};

use super::{
    beginnings::{Beginning, Beginnings},
    git::{Listed, Rules},
    item::{Above, Active, Item, Link},
    system::{self, Inode, Names, Status},
    trail::{Fact, Notes},
    walk::{Entry, Problem, Walk},
};
use crate::{model::FileKind, pattern::Glob};

/// What was found for one set.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
    /// The patterns that matched something.
    pub(super) hit: BTreeSet<usize>,
    /// What else it rests on.
    pub(super) notes: Notes,
}

impl Found {
    /// Whether nothing was found that says anything of what a set matches, or what it rests on.
    fn is_empty(&self) -> bool {
        let Notes { facts, untraceable, .. } = &self.notes;
        self.entries.is_empty() && self.problems.is_empty() && facts.is_empty() && !untraceable
    }

    pub(super) fn append(&mut self, mut other: Self) {
        if self.entries.is_empty() {
            self.entries = other.entries;
        } else {
            self.entries.append(&mut other.entries);
        }
        self.problems.append(&mut other.problems);
        self.hit.append(&mut other.hit);
        self.notes.append(other.notes);
    }
}

/// One thread's part of a walk.
pub(super) struct Visitor<'a> {
    walk: &'a Walk<'a>,
    found: Vec<Found>,
    /// Links to directories it came across.
    links: Vec<Link>,
    /// How many names it has looked at.
    seen: usize,
    names: Names,
    buffer: Vec<u8>,
    next: Vec<Active>,
    /// The last device a directory was on, and whether it keeps stamps.
    device: Option<(u64, bool)>,
}

/// A directory whose entries are looked at one by one.
pub(super) struct Again<'a> {
    place: Place<'a>,
}

impl<'a> Again<'a> {
    /// `directory` is open and has this inode; `None`: only what patterns begin with is looked for in it.
    pub(super) fn new(
        item: &'a Item,
        directory: Option<(BorrowedFd<'a>, Inode)>,
        rules: Option<Rules>,
    ) -> Self {
        let entered = directory.map(|(_, inode)| {
            Arc::new(Above { directory: inode, active: item.active.clone(), above: item.above.clone() })
        });
        let directory = directory.map(|(fd, _)| fd);
        Self { place: Place { item, directory, rules, above: entered.or_else(|| item.above.clone()) } }
    }

    /// The rules of git in force in it, as far as anybody asked.
    pub(super) fn rules(self) -> Option<Rules> {
        self.place.rules
    }
}

/// Where the entries of a directory are looked at from.
struct Place<'a> {
    item: &'a Item,
    /// The open directory; without one, entries are asked for by their whole path.
    directory: Option<BorrowedFd<'a>>,
    /// The rules in force, once somebody asked.
    rules: Option<Rules>,
    above: Option<Arc<Above>>,
}

/// One entry of a directory.
struct Candidate<'a> {
    name: &'a [u8],
    path: &'a Path,
    beginning: Option<usize>,
    /// What the listing says, if there was one.
    kind: FileType,
}

impl<'a> Visitor<'a> {
    pub(super) fn new(walk: &'a Walk<'a>) -> Self {
        let found = walk.sets.iter().map(|_| Found::default()).collect();
        Self {
            walk,
            found,
            links: Vec::new(),
            seen: 0,
            names: Names::default(),
            buffer: Vec::new(),
            next: Vec::new(),
            device: None,
        }
    }

    pub(super) const fn seen(&self) -> usize {
        self.seen
    }

    pub(super) fn take_links(&mut self) -> Vec<Link> {
        std::mem::take(&mut self.links)
    }

    pub(super) fn into_found(self) -> Vec<Found> {
        self.found
    }

    /// Begins the walk at `/`.
    pub(super) fn begin(&mut self, open: &mut Vec<Item>) {
        let nowhere = Item {
            path: PathBuf::new(),
            beginning: None,
            active: Arc::default(),
            rules_above: Some(Rules::default()),
            above: None,
        };
        let mut place = Place { item: &nowhere, directory: None, rules: Some(Rules::default()), above: None };
        let top = Candidate {
            name: b"",
            path: Path::new("/"),
            beginning: Some(Beginnings::TOP),
            kind: FileType::Unknown,
        };
        self.consider(&mut place, &top, open);
    }

    /// Visits one directory: matches its entries and adds those to be entered to `open`.
    pub(super) fn visit(&mut self, item: Item, open: &mut Vec<Item>) {
        let first = open.len();
        self.visit_entries(item, open);
        // The last one is taken next, and the walk shall go on in the order of names.
        open[first..].reverse();
    }

    fn visit_entries(&mut self, item: Item, open: &mut Vec<Item>) {
        if !item.active.iter().any(|active| self.goes_on(*active)) {
            let mut place = Place { item: &item, directory: None, rules: None, above: item.above.clone() };
            return self.visit_beginnings(&mut place, &[], open);
        }
        match system::open_directory(&item.path) {
            Ok(Some((fd, status))) if self.walk.state_inode != Some(status.inode) => {
                let mut names = std::mem::take(&mut self.names);
                match system::list(&fd, &mut names, &mut self.buffer) {
                    Ok(()) => {
                        self.note_listing(&item, &fd, &status);
                        self.visit_listed(&item, &fd, status.inode, &names, open);
                    }
                    Err(errno) => self.report(&item.active, &item.path, errno),
                }
                self.names = names;
                return;
            }
            // The state directory under another name.
            Ok(Some(_)) => return,
            Ok(None) => {}
            Err(errno) => self.report(&item.active, &item.path, errno),
        }
        // What cannot be listed may be entered all the same.
        let mut place = Place { item: &item, directory: None, rules: None, above: item.above.clone() };
        self.visit_beginnings(&mut place, &[], open);
    }

    /// Looks again at one entry of a directory, and takes what was found there for each set. `None`: nothing of this
    /// name is there, or nobody looks for it. Directories to be entered go to `open`, links that are to be entered to
    /// the links.
    pub(super) fn look_again(
        &mut self,
        at: &mut Again<'_>,
        name: &[u8],
        kind: FileType,
        open: &mut Vec<Item>,
    ) -> Vec<(usize, Found)> {
        let path = at.place.item.path.join(OsStr::from_bytes(name));
        let beginning = at.place.item.beginning.and_then(|at| self.walk.beginnings.child(at, name));
        let entry = Candidate { name, path: &path, beginning, kind };
        self.consider(&mut at.place, &entry, open);
        let begin = beginning.map_or(&[][..], |at| &self.walk.beginnings.get(at).globs);
        let mut sets: Vec<usize> = at.place.item.active.iter().map(|a| a.id.set).collect();
        sets.extend(begin.iter().map(|id| id.set));
        sets.sort_unstable();
        sets.dedup();
        let found = sets.into_iter().map(|set| (set, std::mem::take(&mut self.found[set])));
        found.filter(|(_, found)| !found.is_empty()).collect()
    }

    /// Whether this is the state directory, whatever it is called.
    pub(super) fn is_state_dir(&self, inode: Inode) -> bool {
        self.walk.state_inode == Some(inode)
    }

    /// Whether a directory has to be listed, and not only entered.
    pub(super) fn lists(&self, item: &Item) -> bool {
        item.active.iter().any(|active| self.goes_on(*active))
    }

    /// The names patterns begin with that are looked for in a directory, listed or not.
    pub(super) fn begins(&self, item: &Item) -> Vec<Vec<u8>> {
        let children = item.beginning.map(|at| self.walk.beginnings.wanted_children(at));
        children.into_iter().flatten().map(|child| self.walk.beginnings.get(child).name.clone()).collect()
    }

    /// What cannot be listed, for each set that wanted to.
    pub(super) fn unlistable(&self, item: &Item) -> Vec<usize> {
        let wanting = item.active.iter().filter(|active| self.goes_on(**active)).map(|active| active.id.set);
        let mut sets: Vec<usize> = wanting.collect();
        sets.dedup();
        sets
    }

    /// Notes for every set that looks for something in a directory that its listing counts.
    fn note_listing(&mut self, item: &Item, fd: &OwnedFd, status: &Status) {
        let keeps = match self.device {
            Some((device, keeps)) if device == status.inode.0 => keeps,
            _ => system::keeps_stamps(fd),
        };
        self.device = Some((status.inode.0, keeps));
        let path: Arc<Path> = item.path.as_path().into();
        for active in item.active.iter() {
            if !self.goes_on(*active) {
                continue;
            }
            let notes = &mut self.found[active.id.set].notes;
            notes.untraceable |= !keeps;
            if notes.listed.last().is_none_or(|(last, _)| !Arc::ptr_eq(last, &path)) {
                notes.listed.push((Arc::clone(&path), status.identity));
            }
        }
    }

    fn visit_listed(&mut self, item: &Item, fd: &OwnedFd, inode: Inode, names: &Names, open: &mut Vec<Item>) {
        self.seen += names.len();
        let above = Above { directory: inode, active: item.active.clone(), above: item.above.clone() };
        let above = Some(Arc::new(above));
        let rules = self.rules_of_listed(item, names);
        let mut place = Place { item, directory: Some(fd.as_fd()), rules, above };
        let mut listed = Vec::new();
        let mut path = item.path.clone().into_os_string().into_vec();
        if path != b"/" {
            path.push(b'/');
        }
        let stem = path.len();
        for (name, kind) in names.iter() {
            path.truncate(stem);
            path.extend_from_slice(name);
            let beginning = item.beginning.and_then(|at| self.walk.beginnings.child(at, name));
            listed.extend(beginning);
            let candidate = Candidate { name, path: Path::new(OsStr::from_bytes(&path)), beginning, kind };
            self.consider(&mut place, &candidate, open);
        }
        self.visit_beginnings(&mut place, &listed, open);
    }

    /// Goes straight to the beginnings beneath a directory. Those a listing did not name are asked for
    /// too: on a file system that folds case it may call them otherwise.
    fn visit_beginnings(&mut self, place: &mut Place<'_>, listed: &[usize], open: &mut Vec<Item>) {
        let walk = self.walk;
        let Some(at) = place.item.beginning else { return };
        for child in walk.beginnings.wanted_children(at).filter(|child| !listed.contains(child)) {
            let name = walk.beginnings.get(child).name.as_slice();
            let path = place.item.path.join(OsStr::from_bytes(name));
            let candidate = Candidate { name, path: &path, beginning: Some(child), kind: FileType::Unknown };
            self.consider(place, &candidate, open);
        }
    }

    /// Matches one entry, notes it for the sets that match it, and adds it to `open` if it is a directory
    /// in which something can match.
    fn consider(&mut self, place: &mut Place<'_>, entry: &Candidate<'_>, open: &mut Vec<Item>) {
        if entry.path.as_os_str() == self.walk.state_dir.as_os_str() {
            return;
        }
        let mut active = std::mem::take(&mut self.next);
        self.step(place, entry, &mut active);
        if active.iter().any(|active| !self.glob(*active).is_negated()) {
            match self.status(place, entry, &active) {
                Ok(Some(status)) => self.settle(place, entry, status, &mut active, open),
                Ok(None) => {
                    // A file that is no match is not asked for; nothing that may come there can be one either.
                    if entry.kind != FileType::RegularFile {
                        self.note_fact(entry, Fact::Absent, &active);
                    }
                    self.note_nothing_beneath(entry);
                }
                Err(errno) => {
                    self.report(&active, entry.path, errno);
                    self.note_nothing_beneath(entry);
                }
            }
        } else if self.is_wanted(entry) {
            open.push(place.enter(entry, &active));
        }
        active.clear();
        self.next = active;
    }

    /// The globs alive at an entry: those that come from above and those that begin here.
    fn step(&self, place: &Place<'_>, entry: &Candidate<'_>, active: &mut Vec<Active>) {
        for from_above in place.item.active.iter() {
            let states = self.glob(*from_above).step(from_above.states, entry.name);
            if !states.is_empty() {
                active.push(Active { states, ..*from_above });
            }
        }
        if let Some(at) = entry.beginning {
            let Beginning { globs, .. } = self.walk.beginnings.get(at);
            active.extend(globs.iter().map(|&id| {
                let glob = &self.walk.sets[id.set].globs()[id.glob];
                Active { id, states: glob.start(), free: glob.matches_ignored() }
            }));
        }
        self.remove_negated(active);
    }

    /// Drops the positive globs of every set in which a negated one takes this entry.
    fn remove_negated(&self, active: &mut Vec<Active>) {
        let takes = |a: &Active| self.glob(*a).is_negated() && self.glob(*a).accepts(a.states);
        if active.iter().any(takes) {
            let sets: Vec<usize> = active.iter().filter(|a| takes(a)).map(|a| a.id.set).collect();
            active.retain(|a| self.glob(*a).is_negated() || !sets.contains(&a.id.set));
        }
    }

    /// Stats an entry if it matters: a file nobody matches is not looked at.
    fn status(
        &self,
        place: &Place<'_>,
        entry: &Candidate<'_>,
        active: &[Active],
    ) -> Result<Option<Status>, Errno> {
        let may_be_directory = !matches!(entry.kind, FileType::RegularFile);
        let matters = |a: &Active| !self.glob(*a).is_negated() && self.glob(*a).accepts(a.states);
        if !may_be_directory && !active.iter().any(matters) {
            return Ok(None);
        }
        let is_link = match entry.kind {
            FileType::Unknown => None,
            kind => Some(kind == FileType::Symlink),
        };
        match place.directory {
            Some(directory) => system::status_at(directory, entry.name, is_link),
            None => system::status_at(CWD, entry.path.as_os_str().as_bytes(), is_link),
        }
    }

    /// Decides about an entry whose kind is known.
    fn settle(
        &mut self,
        place: &mut Place<'_>,
        entry: &Candidate<'_>,
        status: Status,
        active: &mut Vec<Active>,
        open: &mut Vec<Item>,
    ) {
        let directory = status.is_directory();
        if !directory {
            // Its place in the listing of a directory says what it is, but of a link and where none was made. A link
            // that leads nowhere may lead to a directory one day, to which other rules of git apply than to a file.
            let is_link = status.linked || status.kind == FileKind::BrokenLink;
            if is_link || entry.beginning.is_some() {
                self.note_fact(entry, Fact::Is(status.identity), active);
            }
            let accepted = |a: &Active| !self.glob(*a).is_negated() && self.glob(*a).accepts(a.states);
            active.retain(accepted);
            self.note_nothing_beneath(entry);
        } else if status.linked {
            self.positive(active).for_each(|set| self.found[set].notes.untraceable = true);
        }
        self.drop_ignored(place, entry, directory, active);
        self.note(entry, &status, active);
        if directory {
            self.drop_emptied(active);
            for a in active.iter_mut() {
                a.states = self.glob(*a).beneath(a.states);
            }
            active.retain(|a| !a.states.is_empty());
            if self.is_wanted(entry) || active.iter().any(|a| self.goes_on(*a)) {
                let item = place.enter(entry, active);
                self.open_or_defer(item, status, open);
            }
        }
    }

    /// The sets that look for something there.
    fn positive<'b>(&self, active: &'b [Active]) -> impl Iterator<Item = usize> + use<'a, 'b> {
        let walk = self.walk;
        let is_positive = |a: &&Active| !walk.sets[a.id.set].globs()[a.id.glob].is_negated();
        active.iter().filter(is_positive).map(|a| a.id.set)
    }

    fn note_fact(&mut self, entry: &Candidate<'_>, fact: Fact, active: &[Active]) {
        for set in self.positive(active) {
            self.found[set].notes.facts.push((entry.path.to_owned(), fact));
        }
    }

    /// Notes for every glob that begins beneath an entry that cannot be entered that there is nothing.
    fn note_nothing_beneath(&mut self, entry: &Candidate<'_>) {
        let walk = self.walk;
        let mut waiting: Vec<usize> = entry.beginning.into_iter().collect();
        while let Some(at) = waiting.pop() {
            for child in walk.beginnings.wanted_children(at) {
                for id in &walk.beginnings.get(child).globs {
                    let glob = &walk.sets[id.set].globs()[id.glob];
                    self.found[id.set].notes.facts.push((glob.prefix().to_owned(), Fact::Absent));
                }
                waiting.push(child);
            }
        }
    }

    fn open_or_defer(&mut self, item: Item, status: Status, open: &mut Vec<Item>) {
        if !status.linked {
            return open.push(item);
        }
        let mut link = Link { item, status };
        let above = link.item.above.clone();
        let loops = link.give_up(|target| !Link::is_loop(above.as_deref(), &target));
        self.note_link(&link, &loops);
        if link.is_wanted() {
            self.links.push(link);
        }
    }

    /// Notes a link that is not followed for these globs because what it leads to is looked at under another
    /// name: there its content counts, and here that it is there.
    pub(super) fn note_link(&mut self, link: &Link, given_up: &[Active]) {
        if given_up.is_empty() {
            return;
        }
        let status = &link.status;
        let path: Arc<Path> = link.path().into();
        for active in given_up {
            if !self.goes_on(*active) {
                continue;
            }
            let entry = Entry { path: path.clone(), kind: status.kind, identity: status.identity };
            self.found[active.id.set].entries.push(entry);
        }
    }

    /// Drops globs that pass over what git ignores, if it ignores the entry. One whose fixed beginning
    /// is ignored means what it says (spec section 4.4).
    fn drop_ignored(
        &mut self,
        place: &mut Place<'_>,
        entry: &Candidate<'_>,
        directory: bool,
        active: &mut Vec<Active>,
    ) {
        if active.iter().all(|a| a.free) {
            return;
        }
        let ignored = self.ignored(place, entry.path, directory);
        if let Some(grounds) = place.rules.as_ref().and_then(Rules::grounds) {
            self.positive(active).for_each(|set| self.found[set].notes.rest_on(grounds));
        }
        if !ignored {
            return;
        }
        let begins = entry.beginning.map_or(&[][..], |at| &self.walk.beginnings.get(at).globs);
        for a in active.iter_mut() {
            a.free |= begins.contains(&a.id);
        }
        active.retain(|a| a.free);
    }

    fn ignored(&self, place: &mut Place<'_>, path: &Path, directory: bool) -> bool {
        let item = place.item;
        place.rules.get_or_insert_with(|| self.look_up(&item.path)).ignore(path, directory)
    }

    fn look_up(&self, directory: &Path) -> Rules {
        let mut lookups = self.walk.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        self.walk.git.look_up(directory, &mut lookups)
    }

    /// The rules for the entries of a listed directory, if any glob asks for them.
    pub(super) fn rules_of_listed(&self, item: &Item, names: &Names) -> Option<Rules> {
        if item.active.iter().all(|a| a.free) {
            return None;
        }
        let has = |wanted: &[u8]| names.iter().any(|(name, _)| name == wanted);
        let listed = Listed { repository: has(b".git"), rules: has(b".gitignore") };
        let above = match (&item.rules_above, item.path.parent()) {
            (Some(above), _) => above.clone(),
            (None, Some(parent)) => self.look_up(parent),
            (None, None) => Rules::default(),
        };
        Some(self.walk.git.enter(&above, &item.path, listed))
    }

    /// Notes an entry for every set that matches it, once.
    fn note(&mut self, entry: &Candidate<'_>, status: &Status, active: &[Active]) {
        let mut path: Option<Arc<Path>> = None;
        let mut last_set = None;
        for a in active {
            let glob = &self.walk.sets[a.id.set].globs()[a.id.glob];
            let means_directories = glob.is_literal();
            if glob.is_negated() || !glob.accepts(a.states) || status.is_directory() && !means_directories {
                continue;
            }
            let found = &mut self.found[a.id.set];
            found.hit.insert(glob.written());
            if last_set != Some(a.id.set) {
                let path = path.get_or_insert_with(|| entry.path.into()).clone();
                found.entries.push(Entry { path, kind: status.kind, identity: status.identity });
                last_set = Some(a.id.set);
            }
        }
    }

    /// Drops the positive globs of every set in which a negated one takes everything beneath.
    fn drop_emptied(&self, active: &mut Vec<Active>) {
        let takes = |a: &Active| self.glob(*a).is_negated() && self.glob(*a).takes_all_beneath(a.states);
        if active.iter().any(takes) {
            let sets: Vec<usize> = active.iter().filter(|a| takes(a)).map(|a| a.id.set).collect();
            active.retain(|a| self.glob(*a).is_negated() || !sets.contains(&a.id.set));
        }
    }

    /// Notes what could not be looked at for every set that wanted to.
    fn report(&mut self, active: &[Active], path: &Path, errno: Errno) {
        for a in active.iter().filter(|a| !self.walk.sets[a.id.set].globs()[a.id.glob].is_negated()) {
            let problem = Problem { path: path.to_owned(), error: system::message(errno) };
            self.found[a.id.set].problems.push(problem);
        }
    }

    fn glob(&self, active: Active) -> &'a Glob {
        &self.walk.sets[active.id.set].globs()[active.id.glob]
    }

    /// Whether a positive glob begins at the entry or beneath it.
    fn is_wanted(&self, entry: &Candidate<'_>) -> bool {
        entry.beginning.is_some_and(|at| self.walk.beginnings.get(at).wanted)
    }

    /// Whether the glob is a reason to enter the directory it is at.
    fn goes_on(&self, active: Active) -> bool {
        let glob = self.glob(active);
        !glob.is_negated() && glob.goes_on(active.states)
    }
}

impl Place<'_> {
    fn enter(&self, entry: &Candidate<'_>, active: &[Active]) -> Item {
        Item {
            path: entry.path.to_owned(),
            beginning: entry.beginning,
            active: active.into(),
            rules_above: self.rules.clone(),
            above: self.above.clone(),
        }
    }
}
