//! Sets that are not kept in parts. Whoever follows links to directories comes to the same place in several ways, and
//! which of them counts depends on all others; such a set is walked for anew whenever something happens in a directory
//! it was looked for in.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{held::Files, links::way};
use crate::{
    model::Digest,
    pattern::PatternSet,
    scan::{
        survey::content,
        table::FileTable,
        trail::{Fact, Grounds},
        walk::{Matched, Scanner},
    },
};

/// Such a set.
#[derive(Debug, Default)]
pub(super) struct Whole {
    files: Files,
    content: Digest,
    /// Directories in which a change may be one of it.
    rests: BTreeSet<PathBuf>,
    /// Whether somebody has looked.
    is_known: bool,
}

impl Whole {
    /// One that held these files until now.
    pub(super) fn of(files: Files, content: Digest) -> Self {
        Self { files, content, ..Self::default() }
    }

    /// Forgets on what it rests; who looks next watches anew.
    pub(super) fn begin_anew(&mut self) {
        (self.is_known, self.rests) = (false, BTreeSet::new());
    }

    /// Whether nobody has looked at it yet.
    pub(super) const fn is_new(&self) -> bool {
        !self.is_known
    }

    /// Walks for it, until the directories it rests on are the same before and after: those are watched.
    pub(super) fn look(
        &mut self,
        scanner: &Scanner,
        table: &FileTable,
        patterns: &PatternSet,
        mut watch: impl FnMut(&Path),
    ) -> BTreeSet<PathBuf> {
        self.is_known = true;
        let before = std::mem::take(&mut self.rests);
        before.iter().for_each(|directory| watch(directory));
        let mut watched = before.clone();
        loop {
            let matched = scanner.walk(&[patterns]).pop().unwrap_or_default();
            self.rests = rests(scanner, patterns, &matched);
            let new: Vec<PathBuf> = self.rests.difference(&watched).cloned().collect();
            if new.is_empty() {
                // What was not watched until now may have been written to without a sign.
                let is_new = |path: &Path| path.parent().is_none_or(|parent| !before.contains(parent));
                let new = matched.entries.iter().filter(|entry| is_new(&entry.path));
                new.for_each(|entry| table.forget(&entry.path));
                let files = table.digest(&matched);
                self.content = content(&scanner.options().root, &files);
                self.files = files.into();
                return watched;
            }
            new.iter().for_each(|directory| watch(directory));
            watched.extend(new);
        }
    }

    pub(super) const fn files(&self) -> &Files {
        &self.files
    }

    pub(super) const fn content(&self) -> Digest {
        self.content
    }

    pub(super) fn rests_on(&self, directory: &Path) -> bool {
        self.rests.contains(directory)
    }

    pub(super) fn rests(&self) -> &BTreeSet<PathBuf> {
        &self.rests
    }
}

/// The directories a walk rested on, and those that links on the way to them lead through.
fn rests(scanner: &Scanner, patterns: &PatternSet, matched: &Matched) -> BTreeSet<PathBuf> {
    let root = &scanner.options().root;
    let mut rests = BTreeSet::new();
    let parent = |path: &Path| path.parent().map(Path::to_owned);
    let mut visit = |path: &Path| {
        rests.insert(path.to_owned());
        rests.extend(way(path, root).iter().filter_map(|entry| parent(entry)));
    };
    matched.notes.listed.iter().for_each(|(path, _)| visit(path));
    for glob in patterns.globs().iter().filter(|glob| !glob.is_negated()) {
        // What is not there yet, and the directory that it would be in.
        let nearest = glob.prefix().ancestors().skip(1).find(|above| above.is_dir());
        nearest.into_iter().for_each(&mut visit);
    }
    matched.entries.iter().for_each(|entry| {
        rests.extend(way(&entry.path, root).iter().filter_map(|entry| parent(entry)));
        rests.extend(parent(&entry.path));
    });
    let grounds = matched.notes.grounds.iter();
    let grounds = grounds.flat_map(|grounds| std::iter::successors(Some(grounds), |g| g.above.as_ref()));
    rests.extend(grounds.flat_map(|grounds| ground_directories(root, grounds)));
    rests
}

/// The directories in which rules of git lie or may come to lie. What is not there above the root, or right in a
/// `.git`, is left alone: to watch directories in which everybody works would wake us all the time.
pub(super) fn ground_directories(root: &Path, grounds: &Grounds) -> Vec<PathBuf> {
    let depth_in_git = |path: &Path| path.iter().rev().skip(1).position(|name| name == ".git");
    let counts = |(path, fact): &&(PathBuf, Fact)| match (fact, depth_in_git(path)) {
        (Fact::Absent, None) => path.starts_with(root),
        (Fact::Absent, Some(depth)) => depth > 0,
        _ => true,
    };
    grounds.own.iter().filter(counts).filter_map(|(path, _)| path.parent().map(Path::to_owned)).collect()
}
