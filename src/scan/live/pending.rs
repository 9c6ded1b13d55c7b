//! What may have changed, until somebody looks.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{beneath, links::Links};
use std::os::unix::ffi::OsStringExt;

/// What may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Something about this entry of a directory: its content, its kind, whether it is there.
    Entry(PathBuf),
    /// Whatever is in this directory.
    Directory(PathBuf),
    /// The directory at this path is not the one that was looked at any more.
    Lost(PathBuf),
    /// Anything at all.
    Everything,
}

/// All of it, each once.
#[derive(Debug, Default)]
pub(super) struct Pending {
    everything: bool,
    places: BTreeMap<PathBuf, Names>,
    lost: BTreeSet<PathBuf>,
}

/// Which entries of a directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Told by their names.
    these: BTreeSet<Vec<u8>>,
    /// Any others may have changed, too.
    all: bool,
}

impl Names {
    pub(super) fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    pub(super) fn one(name: &[u8]) -> Self {
        Self { these: BTreeSet::from([name.to_vec()]), all: false }
    }

    pub(super) const fn is_all(&self) -> bool {
        self.all
    }

    pub(super) fn these(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.these.iter()
    }

    pub(super) fn contain(&self, name: &[u8]) -> bool {
        self.all || self.these.contains(name)
    }

    /// Whether somebody told of this very entry: then its stamps are not asked whether anything happened to it.
    pub(super) fn tell_of(&self, name: &[u8]) -> bool {
        self.these.contains(name)
    }
}

impl Pending {
    pub(super) fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    pub(super) fn add(&mut self, change: Change) {
        match change {
            Change::Everything => *self = Self::everything(),
            _ if self.everything => {}
            Change::Directory(path) => self.places.entry(path).or_default().all = true,
            Change::Lost(path) => {
                self.add(Change::Entry(path.clone()));
                self.lost.insert(path);
            }
            Change::Entry(path) => {
                let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                    return *self = Self::everything();
                };
                let names = self.places.entry(parent.to_owned()).or_default();
                names.these.insert(OsString::from(name).into_vec());
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.everything && self.places.is_empty() && self.lost.is_empty()
    }

    pub(super) const fn is_everything(&self) -> bool {
        self.everything
    }

    /// Adds the links that lead through what may have changed.
    pub(super) fn spread(&mut self, links: &Links) {
        let through: Vec<PathBuf> = self
            .places
            .iter()
            .flat_map(|(directory, names)| match names.all {
                true => links.in_directory(directory),
                false => names.these().flat_map(|name| links.of(&beneath(directory, name))).collect(),
            })
            .collect();
        through.into_iter().for_each(|link| self.add(Change::Entry(link)));
    }

    /// The entries that are known by name.
    pub(super) fn entries(&self) -> impl Iterator<Item = PathBuf> {
        self.places.iter().flat_map(|(directory, names)| names.these().map(|name| beneath(directory, name)))
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (&Path, &Names)> {
        self.places.iter().map(|(path, names)| (path.as_path(), names))
    }

    /// The directories of which nobody says what changed in them.
    pub(super) fn wholes(&self) -> impl Iterator<Item = &Path> {
        self.places().filter(|(_, names)| names.all).map(|(path, _)| path)
    }

    /// Directories that are not those that were looked at any more.
    pub(super) const fn lost(&self) -> &BTreeSet<PathBuf> {
        &self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_by_its_name_stays_so_when_its_directory_is_told() {
        let entry = Change::Entry("/a/x".into());
        let directory = Change::Directory("/a".into());
        for changes in [[&entry, &directory], [&directory, &entry]] {
            let mut pending = Pending::default();
            changes.into_iter().for_each(|change| pending.add(change.clone()));
            assert_eq!(pending.entries().collect::<Vec<_>>(), [PathBuf::from("/a/x")]);
            assert_eq!(pending.wholes().collect::<Vec<_>>(), [Path::new("/a")]);
            let (_, names) = pending.places().next().unwrap();
            assert_eq!((names.tell_of(b"x"), names.tell_of(b"y"), names.contain(b"y")), (true, false, true));
        }
    }
}
