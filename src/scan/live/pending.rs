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
#[derive(Debug)]
pub(super) enum Names {
    These(BTreeSet<Vec<u8>>),
    All,
}

impl Pending {
    pub(super) fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    pub(super) fn add(&mut self, change: Change) {
        match change {
            Change::Everything => *self = Self::everything(),
            _ if self.everything => {}
            Change::Directory(path) => drop(self.places.insert(path, Names::All)),
            Change::Lost(path) => {
                self.add(Change::Entry(path.clone()));
                self.lost.insert(path);
            }
            Change::Entry(path) => {
                let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                    return *self = Self::everything();
                };
                let none = || Names::These(BTreeSet::new());
                if let Names::These(names) = self.places.entry(parent.to_owned()).or_insert_with(none) {
                    names.insert(OsString::from(name).into_vec());
                }
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
            .flat_map(|(directory, names)| match names {
                Names::These(names) => {
                    names.iter().flat_map(|name| links.of(&beneath(directory, name))).collect::<Vec<_>>()
                }
                Names::All => links.in_directory(directory),
            })
            .collect();
        through.into_iter().for_each(|link| self.add(Change::Entry(link)));
    }

    /// The entries that are known by name.
    pub(super) fn entries(&self) -> impl Iterator<Item = PathBuf> {
        self.places.iter().flat_map(|(directory, names)| {
            let names = match names {
                Names::These(names) => Some(names),
                Names::All => None,
            };
            names.into_iter().flatten().map(|name| beneath(directory, name))
        })
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (&Path, &Names)> {
        self.places.iter().map(|(path, names)| (path.as_path(), names))
    }

    /// The directories of which nobody says what changed in them.
    pub(super) fn wholes(&self) -> impl Iterator<Item = &Path> {
        self.places().filter(|(_, names)| matches!(names, Names::All)).map(|(path, _)| path)
    }

    /// Directories that are not those that were looked at any more.
    pub(super) const fn lost(&self) -> &BTreeSet<PathBuf> {
        &self.lost
    }
}
