//! What a task file could say, from the files other tools have left (`devtask init`).
//!
//! Floor 3, pure. Texts of manifests come in, texts of task files come out, with a word about every block where it is
//! from. Whoever calls knows the disk: [`interest`] says which names matter, and [`propose`] which of these files it
//! would read next, until it has what it needs. It must never run anything, and a file it does not understand costs
//! one note and nothing else.
//!
//! What it proposes has to be right before it is short. Nobody here knows what a command really reads, so the inputs
//! of a task are every file of its directory that git does not ignore, but what it makes itself.

mod cargo;
mod checks;
mod compose;
mod composer;
mod draft;
mod edges;
mod existing;
mod go;
mod hooks;
mod just;
mod make;
mod name;
mod nature;
mod node;
mod package;
mod paths;
mod procfile;
mod projects;
mod python;
mod quote;
mod runner;
mod sources;
mod taskfile;
mod tree;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

pub use existing::includes;
pub use tree::{Interest, interest};

/// What was found in a directory and beneath it.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What the directory is called.
    pub name: String,
    /// The files whose names are of [`interest`], by their paths from the directory, with `/` between names.
    pub files: BTreeMap<String, Content>,
    /// The root of a workspace of cargo above, with its lock file, as a path from here: `..` and so on.
    pub cargo_above: Option<String>,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// That it is there.
    Unread,
    /// What is in it.
    Text(String),
    /// That it cannot be read, and whoever tried has said so.
    Unreadable,
}

/// What is proposed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The task files, by their paths from the directory, the root's first. Where the root has one already, those of
    /// members that have none.
    pub files: Vec<(String, String)>,
    /// What could not be understood.
    pub notes: Vec<Note>,
    /// Files that have to be read before this is worth anything; none: it is complete.
    pub wants: BTreeSet<String>,
    /// How many tasks and processes it has, without those that are commented out.
    pub tasks: usize,
}

/// Something a person should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The file it is about.
    pub path: String,
    /// Where in it, and what, in one sentence.
    pub message: String,
}

/// Proposes task files. As long as there are [`Proposal::wants`], these are to be read and it is to be asked again.
#[must_use]
pub fn propose(found: &Found) -> Proposal {
    let tree = tree::Tree::new(found);
    let projects = projects::find(&tree);
    let made = sources::Made::of(&tree, &projects);
    let existing = existing::Existing::of(&tree, &projects);
    let (files, tasks) = compose::compose(&tree, found, &made, &existing, projects);
    let (notes, wants) = tree.into_parts();
    Proposal { files, notes, wants, tasks }
}

#[cfg(test)]
mod tests;
