//! The second look at what was seen a while ago (hazards, section 0, point 3), where a trail spares the walk.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use super::{
    name::directory_key,
    system::{self, Status},
    table::{FileEntry, FileSet, FileTable},
    trail::{Fact, Trail, key_path},
};
use crate::model::{Digest, FileKind};

impl FileTable {
    /// Whether a set matches the very files it did `before`, and nobody has written to one of them, as far as a trail
    /// tells. False: something is not as it was, or there is no trail; [`same_identities`](super::same_identities)
    /// knows more.
    #[must_use]
    pub fn is_untouched(&self, key: Digest, before: &FileSet) -> bool {
        before.problems.is_empty()
            && self.trail(key).is_some_and(|trail| self.finds(&trail, before).is_some())
    }

    /// Goes along a trail and finds just these files; `None`: it does not, or the trail leads nowhere.
    fn finds(&self, trail: &Trail, before: &FileSet) -> Option<()> {
        let (root, _) = system::open_to_stat(rustix::fs::CWD, &self.root).ok()??;
        for (key, fact) in trail.facts() {
            Fact::now(&root, key).confirms(fact).then_some(())?;
        }
        let mut seen = Seen { root: &self.root, entries: &before.entries, at: 0, met: 0 };
        for directory in trail.directories() {
            let (open, status) = system::open_to_stat(&root, key_path(directory.key)).ok()??;
            directory.listed.is_none_or(|listed| listed == status.identity).then_some(())?;
            for (name, is_directory) in directory.names.iter() {
                let entry = seen.meet(directory.key, name.to_bytes())?;
                // That it is a directory is part of an unchanged listing.
                if is_directory && directory.listed.is_some() && entry.kind == FileKind::Directory {
                    continue;
                }
                let now = system::target_at(&open, name)?;
                is_same(entry, &now).then_some(())?;
            }
        }
        (seen.met == before.entries.len()).then_some(())
    }
}

/// Of directories only presence and kind count.
fn is_same(before: &FileEntry, now: &Status) -> bool {
    before.kind == now.kind && (now.is_directory() || before.identity == now.identity)
}

/// What was seen, met again in another order.
struct Seen<'a> {
    root: &'a Path,
    /// In the order of their paths.
    entries: &'a [FileEntry],
    /// Behind the one that was met last: mostly the next to be met.
    at: usize,
    met: usize,
}

impl<'a> Seen<'a> {
    /// The entry of this name in the directory with this key. Nobody asks twice for the same.
    fn meet(&mut self, key: &[u8], name: &[u8]) -> Option<&'a FileEntry> {
        let is_it =
            |entry: &&FileEntry| entry.name() == name && directory_key(self.root, entry.parent()) == key;
        if self.entries.get(self.at).filter(is_it).is_none() {
            let path = self.root.join(OsStr::from_bytes(key)).join(OsStr::from_bytes(name));
            let by_path = |entry: &FileEntry| entry.path.as_os_str().cmp(path.as_os_str());
            self.at = self.entries.binary_search_by(by_path).ok()?;
        }
        self.at += 1;
        self.met += 1;
        self.entries.get(self.at - 1)
    }
}
