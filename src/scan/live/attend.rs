//! Which directories have to be watched.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

/// Who watches directories for a [`Live`](super::Live).
pub trait Attendant {
    /// From now on changes of the entries of this directory are told. Called again for one that may have been
    /// replaced. False: there is no such directory.
    fn attend(&self, directory: &Path) -> bool;

    /// Nobody needs to know of this directory any more.
    fn leave(&self, directory: &Path);

    /// Many files were read: what the table has learnt of them may be put away, as it is kept here, too.
    fn has_read(&self) {}
}

/// The directories that are watched, each for as many reasons as there are.
#[derive(Debug, Default)]
pub(super) struct Attended {
    reasons: HashMap<PathBuf, usize>,
    /// Those of them that are not watched, as they were lost or never there: whoever comes to one has it watched.
    unmet: BTreeSet<PathBuf>,
    /// Those that may have lost their last reason.
    left: BTreeSet<PathBuf>,
}

impl Attended {
    /// One more reason.
    pub(super) fn add(&mut self, directory: &Path, attendant: &dyn Attendant) {
        let reasons = self.reasons.entry(directory.to_owned()).or_default();
        *reasons += 1;
        if (*reasons == 1 || self.unmet.remove(directory)) && !attendant.attend(directory) {
            self.unmet.insert(directory.to_owned());
        }
    }

    /// Whether a directory is watched, if there is a reason to: one that came since it was wanted is watched now.
    pub(super) fn meet(&mut self, directory: &Path, attendant: &dyn Attendant) -> bool {
        if self.unmet.contains(directory) && attendant.attend(directory) {
            self.unmet.remove(directory);
        }
        !self.unmet.contains(directory)
    }

    /// Whether there is a reason to watch a directory.
    pub(super) fn has(&self, directory: &Path) -> bool {
        self.reasons.contains_key(directory)
    }

    /// A directory is not watched any more. Whether somebody else than its place among those that were walked to, if
    /// that was one, had a reason to watch it.
    pub(super) fn lose(&mut self, directory: &Path, has_place: bool) -> bool {
        let reasons = self.reasons.get(directory).copied().unwrap_or_default();
        if reasons > 0 {
            self.unmet.insert(directory.to_owned());
        }
        reasons > usize::from(has_place)
    }

    /// One reason less.
    pub(super) fn remove(&mut self, directory: &Path) {
        if let Some(reasons) = self.reasons.get_mut(directory) {
            *reasons -= 1;
            if *reasons == 0 {
                self.reasons.remove(directory);
                self.unmet.remove(directory);
                self.left.insert(directory.to_owned());
            }
        }
    }

    /// Lets go of what nobody needs any more. Later than [`remove`](Self::remove), as most get another reason at once.
    pub(super) fn settle(&mut self, attendant: &dyn Attendant) {
        for directory in std::mem::take(&mut self.left) {
            if !self.reasons.contains_key(&directory) {
                attendant.leave(&directory);
            }
        }
    }

    /// All directories there is a reason to watch.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        self.reasons.keys().map(PathBuf::as_path)
    }

    /// Forgets all reasons; what gets none anew is left.
    pub(super) fn clear(&mut self) {
        self.unmet.clear();
        self.left.extend(std::mem::take(&mut self.reasons).into_keys());
    }
}
