//! What may have changed, and the heap of it that nobody has taken yet.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// Beyond so many different changes in one heap they are not worth their names.
const MOST: usize = 50_000;

/// What may have changed. Never what has: that is for the caller to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// Something about this entry of a watched directory: its content, its kind, its presence. A new
    /// directory is reported as such, but not what is already in it: watch it, then list it.
    Entry(PathBuf),
    /// Whatever is in this watched directory: it has to be listed again.
    Directory(PathBuf),
    /// The directory that was watched under this path is not there any more (moved, deleted, unmounted).
    /// Its watch is gone: if there is a directory again, it has to be watched anew.
    Lost(PathBuf),
    /// Anything at all. What is still there is watched as before; of what was made meanwhile nothing is.
    Everything,
}

impl Change {
    /// Whether it may be one of this file.
    #[must_use]
    pub fn may_be_of(&self, file: &Path) -> bool {
        match self {
            Self::Entry(path) => path == file,
            Self::Directory(path) | Self::Lost(path) => file.parent() == Some(path),
            Self::Everything => true,
        }
    }
}

/// Changes from one take to the next, each once.
#[derive(Debug, Default)]
pub(super) struct Pending {
    changes: HashSet<Change>,
    everything: bool,
    woken: bool,
}

impl Pending {
    pub(super) fn add(&mut self, change: Change) {
        if self.everything {
            return;
        }
        if let Change::Lost(path) = &change {
            self.changes.remove(&Change::Directory(path.clone())); // there is nothing to list
        }
        self.changes.insert(change);
        if self.changes.len() > MOST {
            self.add_everything();
        }
    }

    pub(super) fn add_everything(&mut self) {
        self.changes = HashSet::new();
        self.everything = true;
    }

    pub(super) fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether somebody is to be woken now: there is something, and it was not said since the last take.
    pub(super) fn wakes(&mut self) -> bool {
        let wakes = !self.woken && (self.everything || !self.changes.is_empty());
        self.woken |= wakes;
        wakes
    }

    pub(super) fn take(&mut self) -> Vec<Change> {
        self.woken = false;
        if std::mem::take(&mut self.everything) {
            return vec![Change::Everything];
        }
        let mut changes: Vec<Change> = std::mem::take(&mut self.changes).into_iter().collect();
        changes.sort_unstable();
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_taken_once_and_wakes_once() {
        let mut pending = Pending::default();
        assert!(!pending.wakes());
        for _ in 0..3 {
            pending.add(Change::Entry("/b".into()));
            pending.add(Change::Directory("/a".into()));
        }
        assert!(pending.wakes());
        assert!(!pending.wakes());
        assert_eq!(pending.take(), [Change::Entry("/b".into()), Change::Directory("/a".into())]);
        assert!(!pending.wakes());
        assert_eq!(pending.take(), []);
    }

    #[test]
    fn everything_swallows_the_rest() {
        let mut pending = Pending::default();
        pending.add(Change::Entry("/a".into()));
        pending.add_everything();
        pending.add(Change::Entry("/b".into()));
        assert!(pending.wakes());
        assert_eq!(pending.take(), [Change::Everything]);
        assert_eq!(pending.take(), []);
    }

    #[test]
    fn too_many_are_everything() {
        let mut pending = Pending::default();
        for n in 0..MOST {
            pending.add(Change::Entry(format!("/{n}").into()));
        }
        pending.add(Change::Entry("/0".into()));
        assert!(!pending.is_everything());
        pending.add(Change::Entry("/one more".into()));
        assert_eq!(pending.take(), [Change::Everything]);
    }
}
