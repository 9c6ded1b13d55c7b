//! Reading what is another now, and what came of that.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Attendant, Changed, Live, State, beneath,
    entry::is_same,
    held::{Entry, Unread},
    pending::Pending,
};
use crate::scan::{
    table::{FileTable, is_racy},
    walk::{Matched, Scanner},
};

/// So many files are read at a time: what that takes is to be small beside what is kept.
pub(super) const PORTION: usize = 4096;

impl Live {
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
    pub(super) fn read_all(&mut self, table: &FileTable, changed: &mut Changed) {
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
            _ if self.is_first => return,
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
        if self.is_first {
            return;
        }
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
