//! The task files of one tree: the root, and all it includes, each read once.

use std::{
    collections::HashSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{find, include, project::file_dir, read::Reading, world::World};
use crate::{
    config::{ProjectFile, parse_json, parse_toml},
    diagnostic::Diagnostic,
};

/// A task file of the tree.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its path.
    pub path: PathBuf,
    /// What it says.
    pub file: ProjectFile,
}

/// The files of a tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// The root's file.
    pub root: PathBuf,
    /// Every file, the root first.
    pub members: Vec<Member>,
    /// Whether every file could be read.
    pub complete: bool,
}

impl Tree {
    /// The tree of the topmost file that includes `file`, directly or through others. Files above it that
    /// do not include it are no part of it, and their faults are not ours, except where a fault hides
    /// what a file includes.
    pub(super) fn around(file: &Path, home: Option<&Path>, reading: &mut Reading) -> Self {
        for dir in find::ancestors(file_dir(file), home, &reading.world).iter().skip(1).rev() {
            let (candidate, fault) = match find::in_directory(dir, &reading.world) {
                Ok(None) => continue,
                Ok(Some(candidate)) => (candidate, None),
                Err(fault) => (dir.join(find::NAMES[0]), Some(*fault)),
            };
            // Kept apart: only the tree that is taken leaves texts and faults behind.
            let mut attempt = reading.clone();
            let mut tree = Self::beneath(&candidate, &mut attempt);
            let holds = tree.holds(file, &reading.world);
            if holds || tree.hides_what_it_includes() {
                tree.complete &= holds;
                attempt.diagnostics.extend(fault);
                if !holds {
                    let note = format!("it may include {}", file.display());
                    attempt.diagnostics.iter_mut().for_each(|fault| fault.notes.push(note.clone()));
                }
                *reading = attempt;
                return tree;
            }
        }
        Self::beneath(file, reading)
    }

    /// The tree whose root is `root`.
    fn beneath(root: &Path, reading: &mut Reading) -> Self {
        let mut builder = Builder { reading, seen: HashSet::new(), members: Vec::new(), complete: true };
        builder.visit(root);
        Self { root: root.to_owned(), members: builder.members, complete: builder.complete }
    }

    /// Whether the root includes `file`, directly or through others.
    fn holds(&self, file: &Path, world: &World) -> bool {
        let file = world.canonical(file);
        self.members.iter().skip(1).any(|member| world.canonical(&member.path) == file)
    }

    /// Whether the root cannot be read far enough to know what it includes.
    fn hides_what_it_includes(&self) -> bool {
        self.members.first().is_none_or(|root| !root.file.complete && is_json(&root.path))
    }
}

fn is_json(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("json"))
}

struct Builder<'a> {
    reading: &'a mut Reading,
    /// The files met: a circle or a diamond of includes reads none twice.
    seen: HashSet<PathBuf>,
    members: Vec<Member>,
    complete: bool,
}

impl Builder<'_> {
    /// Reads a file and those it includes, in depth, without recursion: a chain may be long.
    fn visit(&mut self, root: &Path) {
        let mut waiting = vec![root.to_owned()];
        while let Some(path) = waiting.pop() {
            if !self.seen.insert(self.reading.world.canonical(&path)) {
                continue;
            }
            let Some(file) = self.read(&path) else { continue };
            let included = self.included(&path, &file);
            waiting.extend(included.into_iter().rev());
            self.members.push(Member { path, file });
        }
    }

    fn read(&mut self, path: &Path) -> Option<ProjectFile> {
        match self.reading.file(path) {
            Ok((source, text)) => {
                let mut file =
                    if is_json(path) { parse_json(source, &text) } else { parse_toml(source, &text) };
                self.reading.diagnostics.append(&mut file.faults);
                Some(file)
            }
            Err(fault) => {
                self.complete = false;
                self.reading.diagnostics.push(*fault);
                None
            }
        }
    }

    fn included(&mut self, path: &Path, file: &ProjectFile) -> Vec<PathBuf> {
        let mut list = Vec::new();
        for entry in file.include() {
            let (found, faults) = include::files(&entry, file_dir(path), &self.reading.world);
            self.complete &= !faults.iter().any(Diagnostic::is_error);
            self.reading.diagnostics.extend(faults);
            list.extend(found);
        }
        list
    }
}
