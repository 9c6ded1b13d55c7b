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

/// What following a link would look at: the same again shows nothing new.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Followed {
    pub(super) directory: Inode,
    pub(super) active: Arc<[Active]>,
}

impl Link {
    /// The path of the link.
    pub(super) fn path(&self) -> &Path {
        &self.item.path
    }

    /// What following it would look at; `None` if patterns begin beneath it, which then want to be met.
    pub(super) fn target(&self) -> Option<Followed> {
        let Item { beginning, active, .. } = &self.item;
        beginning.is_none().then(|| Followed { directory: self.status.inode, active: active.clone() })
    }

    /// Whether it leads back to where the walk came from.
    pub(super) fn is_loop(&self) -> bool {
        let Some(target) = self.target() else { return false };
        let above = std::iter::successors(self.item.above.as_deref(), |above| above.above.as_deref());
        above.map(|above| &above.entered).any(|entered| *entered == target)
    }

    pub(super) fn into_item(self) -> Item {
        self.item
    }
}

/// A directory that was entered, and with what: who meets it again in the same state goes in circles
/// (hazard A14).
pub(super) struct Above {
    pub(super) entered: Followed,
    pub(super) above: Option<Arc<Above>>,
}
