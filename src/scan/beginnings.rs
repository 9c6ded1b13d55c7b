//! Where patterns begin: the tree of all fixed beginnings of one walk.
//!
//! It lets a walk meet every pattern on its way down and so list each directory once, and it leads straight
//! to a beginning without listing what lies above it.

use std::{
    collections::HashMap,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::pattern::PatternSet;

/// A glob of one of the sets of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct GlobId {
    pub(super) set: usize,
    pub(super) glob: usize,
}

/// A directory (or file) at or above some beginning.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    /// Its last segment; empty for `/`.
    pub(super) name: Vec<u8>,
    /// The globs that begin here.
    pub(super) globs: Vec<GlobId>,
    /// Whether a positive glob begins here or beneath. Negated ones alone give no reason to go there.
    pub(super) wanted: bool,
    /// Sorted by name.
    pub(super) children: Vec<usize>,
}

/// All beginnings; the first is `/`.
#[derive(Debug)]
pub(super) struct Beginnings {
    nodes: Vec<Beginning>,
}

impl Beginnings {
    pub(super) const TOP: usize = 0;

    /// The beginnings of all globs, but for those in `state_dir`, which is never entered.
    pub(super) fn new(sets: &[&PatternSet], state_dir: &Path) -> Self {
        let mut builder = Builder { nodes: vec![Beginning::default()], known: HashMap::new() };
        for (set, patterns) in sets.iter().enumerate() {
            for (glob, pattern) in patterns.globs().iter().enumerate() {
                if !pattern.prefix().starts_with(state_dir) {
                    let at = builder.node(pattern.prefix(), !pattern.is_negated());
                    builder.nodes[at].globs.push(GlobId { set, glob });
                }
            }
        }
        builder.finish()
    }

    pub(super) fn get(&self, at: usize) -> &Beginning {
        &self.nodes[at]
    }

    /// The child of `at` called `name`.
    pub(super) fn child(&self, at: usize, name: &[u8]) -> Option<usize> {
        let children = &self.nodes[at].children;
        let found = children.binary_search_by(|&child| self.nodes[child].name.as_slice().cmp(name)).ok()?;
        Some(children[found])
    }

    /// The children of `at` that lead to a positive glob.
    pub(super) fn wanted_children(&self, at: usize) -> impl Iterator<Item = usize> {
        self.nodes[at].children.iter().copied().filter(|&child| self.nodes[child].wanted)
    }
}

struct Builder {
    nodes: Vec<Beginning>,
    known: HashMap<PathBuf, usize>,
}

impl Builder {
    fn node(&mut self, path: &Path, wanted: bool) -> usize {
        let at = match (self.known.get(path), path.parent(), path.file_name()) {
            (Some(&at), ..) if self.nodes[at].wanted || !wanted => return at,
            (Some(&at), Some(parent), _) => {
                self.node(parent, wanted);
                at
            }
            (None, Some(parent), Some(name)) => {
                let parent = self.node(parent, wanted);
                let at = self.nodes.len();
                self.nodes.push(Beginning { name: name.as_bytes().to_vec(), ..Beginning::default() });
                self.nodes[parent].children.push(at);
                self.known.insert(path.to_owned(), at);
                at
            }
            _ => Beginnings::TOP,
        };
        self.nodes[at].wanted |= wanted;
        at
    }

    fn finish(mut self) -> Beginnings {
        for at in 0..self.nodes.len() {
            let mut children = std::mem::take(&mut self.nodes[at].children);
            children.sort_by(|&a, &b| self.nodes[a].name.cmp(&self.nodes[b].name));
            self.nodes[at].children = children;
        }
        Beginnings { nodes: self.nodes }
    }
}
