//! What is still to be visited, and when a link is not worth following.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    beginnings::GlobId,
    git::Rules,
    system::{Inode, Status},
};
use crate::pattern::States;

/// A glob on its way through the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Active {
    pub(super) id: GlobId,
    pub(super) states: States,
    /// Whether what git ignores counts like anything else.
    pub(super) free: bool,
}

/// A directory to be visited.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) path: PathBuf,
    /// The beginning this directory is, if patterns begin here or beneath.
    pub(super) beginning: Option<usize>,
    pub(super) active: Arc<[Active]>,
    /// The rules of the directory this one is in, where they are known already.
    pub(super) rules_above: Option<Rules>,
    /// The directories above it that were entered.
    pub(super) above: Option<Arc<Above>>,
}

/// A directory a link leads to, for as long as it is not known whether to follow the link.
pub(super) struct Link {
    pub(super) item: Item,
    pub(super) status: Status,
}

/// What following a link would look at for one set: the same again shows nothing new. Other sets of the walk
/// have no say: what a set matches must not depend on who asks at the same time.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Followed {
    directory: Inode,
    active: Vec<Active>,
}

impl Link {
    /// The path of the link.
    pub(super) fn path(&self) -> &Path {
        &self.item.path
    }

    /// Takes away the globs of every set for which following it is not `worth` it, and returns them. Where
    /// patterns begin beneath it, those want to be met.
    pub(super) fn give_up(&mut self, mut worth: impl FnMut(Followed) -> bool) -> Vec<Active> {
        if self.item.beginning.is_some() {
            return Vec::new();
        }
        let mut sets: Vec<usize> = self.item.active.iter().map(|active| active.id.set).collect();
        sets.sort_unstable();
        sets.dedup();
        let target = |set| Followed { directory: self.status.inode, active: of_set(&self.item.active, set) };
        sets.retain(|&set| !worth(target(set)));
        let (given_up, kept) = self.item.active.iter().partition(|active| sets.contains(&active.id.set));
        let kept: Vec<Active> = kept;
        self.item.active = kept.into();
        given_up
    }

    /// Whether it leads back to where the walk for a set came from.
    pub(super) fn is_loop(above: Option<&Above>, target: &Followed) -> bool {
        let set = target.active.first().map(|active| active.id.set);
        let mut all = std::iter::successors(above, |above| above.above.as_deref());
        let was_there = |above: &Above| {
            let active = || set.map(|set| of_set(&above.active, set)).unwrap_or_default();
            above.directory == target.directory && active() == target.active
        };
        all.any(was_there)
    }

    /// Whether there is a reason left to follow it.
    pub(super) fn is_wanted(&self) -> bool {
        self.item.beginning.is_some() || !self.item.active.is_empty()
    }

    pub(super) fn into_item(self) -> Item {
        self.item
    }
}

fn of_set(active: &[Active], set: usize) -> Vec<Active> {
    active.iter().filter(|active| active.id.set == set).copied().collect()
}

/// A directory that was entered, and with what: who meets it again in the same state goes in circles
/// (hazard A14).
pub(super) struct Above {
    pub(super) directory: Inode,
    pub(super) active: Arc<[Active]>,
    pub(super) above: Option<Arc<Above>>,
}
