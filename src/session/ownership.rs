//! Which of the files at a task's declared outputs the task has made, and which only lie there (spec section 4.5).
//!
//! A pattern may match more than its task makes: a picture somebody drew lies beside those that are rendered, or what
//! another task makes. Such a file is part of what the outputs are, so its change shows; but it is not put back, not written
//! over and not removed. A file is a task's own if it was not there when the task began, if it is not what it was then, or if
//! the task had made it before, unless another task says more exactly that it is its.
//!
//! What comes back is less than that: what an execution left as it was may be of another key, and an execution in an empty
//! place need not make it. So it is not kept; it has to be there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::memory::Explanation;
use crate::{
    fingerprint::FileRow,
    scan::{FileEntry, FileSet, relative_name},
};

/// Paths among what is at the declared outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whose {
    /// What the task has not made.
    pub(super) foreign: BTreeSet<Vec<u8>>,
    /// What it has not made this time: with the others.
    pub(super) left_alone: BTreeSet<Vec<u8>>,
}

/// What there is to know of an execution.
pub(super) struct Scene<'a> {
    pub(super) root: &'a Path,
    /// What was there when it began.
    pub(super) before: Option<&'a FileSet>,
    /// What it read.
    pub(super) inputs: Option<&'a FileSet>,
    /// What its last success left.
    pub(super) earlier: &'a Explanation,
}

impl Scene<'_> {
    /// Whose is what is there `after` it. `is_anothers` says what other tasks declare more exactly.
    pub(super) fn judge(&self, after: &FileSet, is_anothers: impl Fn(&Path) -> bool) -> Whose {
        let by_path = |set: Option<&'_ FileSet>| -> BTreeMap<Vec<u8>, FileEntry> {
            let entries = set.into_iter().flat_map(|set| &set.entries);
            entries.map(|entry| (relative_name(self.root, &entry.path), entry.clone())).collect()
        };
        let (before, inputs) = (by_path(self.before), by_path(self.inputs));
        let made: BTreeMap<&[u8], &FileRow> = own(self.earlier).map(|row| (&*row.path, row)).collect();
        let mut whose = Whose::default();
        for entry in &after.entries {
            let name = relative_name(self.root, &entry.path);
            let is_untouched = before.get(&name) == Some(entry);
            let was_made =
                made.get(&*name).is_some_and(|row| (row.kind, row.digest) == (entry.kind, entry.digest));
            let is_anothers = is_anothers(&entry.path);
            // Who rewrites what it reads is given a text by somebody else.
            if is_untouched || is_anothers || inputs.contains_key(&name) {
                whose.left_alone.insert(name.clone());
            }
            if is_untouched && !was_made || is_anothers {
                whose.foreign.insert(name);
            }
        }
        whose
    }
}

/// What a success left that its task had made.
pub(super) fn own(explanation: &Explanation) -> impl Iterator<Item = &FileRow> {
    explanation.outputs.iter().filter(|row| !explanation.foreign.contains(&row.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, FileKind, StatIdentity};

    const FILE: FileKind = FileKind::File { executable: false };

    /// Files: name, inode, digest.
    fn set(files: &[(&str, u64, u128)]) -> FileSet {
        let entry = |(name, inode, digest): &(&str, u64, u128)| FileEntry {
            path: Path::new("/r").join(name).into(),
            kind: FILE,
            identity: StatIdentity { inode: *inode, ..StatIdentity::default() },
            digest: Digest(*digest),
        };
        FileSet { entries: files.iter().map(entry).collect(), ..FileSet::default() }
    }

    fn left(files: &[(&str, u128)], foreign: &[&str]) -> Explanation {
        let row = |(name, digest): &(&str, u128)| FileRow {
            path: (*name).into(),
            kind: FILE,
            digest: Digest(*digest),
        };
        Explanation {
            outputs: files.iter().map(row).collect(),
            foreign: foreign.iter().map(|name| name.as_bytes().to_vec()).collect(),
            ..Explanation::default()
        }
    }

    #[test]
    fn what_a_task_did_not_touch_and_never_made_is_not_its_own() {
        let before =
            set(&[("drawn", 1, 1), ("edited", 2, 2), ("again", 3, 3), ("was", 4, 4), ("by hand", 5, 6)]);
        let after = set(&[
            ("drawn", 1, 1),
            ("edited", 2, 20),
            ("again", 30, 3),
            ("was", 4, 4),
            ("by hand", 5, 6),
            ("new", 9, 9),
        ]);
        let read = set(&[("again", 3, 3)]);
        let whose = |before, earlier: &Explanation, other: &str| {
            let scene = Scene { root: Path::new("/r"), before, inputs: Some(&read), earlier };
            let whose = scene.judge(&after, |path| path.ends_with(other));
            let told = |names: &BTreeSet<Vec<u8>>| {
                names
                    .iter()
                    .map(|name| String::from_utf8_lossy(name).into_owned())
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            (told(&whose.foreign), told(&whose.left_alone))
        };
        let both = |foreign: &str, left_alone: &str| (foreign.to_owned(), left_alone.to_owned());
        let (none, all) = (Explanation::default(), "again by hand drawn was");
        assert_eq!(whose(Some(&before), &none, "-"), both("by hand drawn was", all));
        assert_eq!(
            whose(Some(&before), &left(&[("was", 4), ("by hand", 5)], &[]), "-"),
            both("by hand drawn", all)
        );
        let drawn = left(&[("was", 4), ("drawn", 1)], &["drawn"]);
        assert_eq!(whose(Some(&before), &drawn, "-"), both("by hand drawn", all));
        assert_eq!(whose(None, &none, "-"), both("", "again"), "nothing was there");
        assert_eq!(whose(None, &none, "new"), both("new", "again new"), "another task's");
    }
}
