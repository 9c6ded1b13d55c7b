//! Looking at one entry of a directory again.

use std::{fs, path::Path, sync::Arc};

use rustix::fs::FileType;

use super::{
    Live, State, beneath,
    held::{Entry, Unread},
    pending::Names,
    place::{Job, Place, Round},
};
use crate::{
    model::FileKind,
    scan::{
        item::Item,
        system,
        visit::{Again, Found},
    },
};

impl Live {
    /// Looks at one entry of a directory.
    pub(super) fn look_at_entry(
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
            self.put_in(round, place, (set, found), &directory, name, !names.tell_of(name));
        }
        if open.is_empty() {
            if place.below.remove(name) {
                self.drop_beneath(round, &path);
            }
        } else {
            place.below.insert(name.into());
        }
        for item in open.drain(..) {
            self.come_again(round, item, names.tell_of(name));
        }
        round.open = open;
    }

    /// A directory that is to be looked into: anew, if it is another than the one that is known.
    fn come_again(&mut self, round: &mut Round<'_, '_>, item: Item, was_told: bool) {
        // Where patterns begin a walk goes without asking whether there is anything.
        let now = system::status(&item.path).ok().flatten().filter(system::Status::is_directory);
        let Some(now) = now else { return self.drop_beneath(round, &item.path) };
        let is_known = self.places.get(&item.path).is_some_and(|known| {
            known.item.active == item.active
                && known.item.beginning == item.beginning
                && known.inode.is_none_or(|inode| inode == now.inode)
        });
        match (is_known, was_told) {
            (false, _) => self.come_to(round, item),
            // Somebody did something to the directory itself.
            (true, true) => round.jobs.push(Job { path: item.path, names: Names::all() }),
            (true, false) => {}
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
}

/// Whether two looks found the same, as far as stamps tell.
pub(super) fn is_same(before: &Entry, now: &Entry) -> bool {
    before.kind == now.kind
        && (before.is_identical(now) || matches!(now.kind, FileKind::Directory | FileKind::Special))
}
