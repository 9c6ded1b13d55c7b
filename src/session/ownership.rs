//! Which of the files at a task's declared outputs the task has made, and which only lie there (spec section 4.5).
//!
//! A pattern may match more than its task makes: a picture somebody drew lies beside those that are rendered. Such a
//! file is part of what the outputs are, so its change shows; but it is not put back, not written over and not removed.
//! A file is a task's own if it was not there when the task began, if it is not what it was then, or if the task had
//! made it before.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::memory::Explanation;
use crate::{
    fingerprint::FileRow,
    scan::{FileEntry, FileSet, relative_name},
};

/// The paths among `after` that a task has not made. `before` is what was there when it began, `earlier` what its last
/// success left.
pub(super) fn foreign(
    root: &Path,
    before: Option<&FileSet>,
    after: &FileSet,
    earlier: &Explanation,
) -> BTreeSet<Vec<u8>> {
    let entries = before.into_iter().flat_map(|set| &set.entries);
    let before: BTreeMap<&Path, &FileEntry> = entries.map(|entry| (&*entry.path, entry)).collect();
    let made: BTreeMap<&[u8], &FileRow> = own(earlier).map(|row| (&*row.path, row)).collect();
    let is_foreign = |entry: &&FileEntry| before.get(&*entry.path).is_some_and(|then| then == entry);
    let name = |entry: &FileEntry| relative_name(root, &entry.path);
    let was_made = |name: &Vec<u8>, entry: &FileEntry| {
        made.get(&**name).is_some_and(|row| (row.kind, row.digest) == (entry.kind, entry.digest))
    };
    let untouched = after.entries.iter().filter(is_foreign).map(|entry| (name(entry), entry));
    untouched.filter(|(name, entry)| !was_made(name, entry)).map(|(name, _)| name).collect()
}

/// What a success left that its task had made.
pub(super) fn own(explanation: &Explanation) -> impl Iterator<Item = &FileRow> {
    explanation.outputs.iter().filter(|row| !explanation.foreign.contains(&row.path))
}

/// What was there beside it.
pub(super) fn others(explanation: &Explanation) -> impl Iterator<Item = &FileRow> {
    explanation.outputs.iter().filter(|row| explanation.foreign.contains(&row.path))
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
        let foreign = |before, earlier: &Explanation| {
            let names = foreign(Path::new("/r"), before, &after, earlier);
            names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(foreign(Some(&before), &Explanation::default()), "by hand drawn was");
        assert_eq!(foreign(Some(&before), &left(&[("was", 4), ("by hand", 5)], &[])), "by hand drawn");
        assert_eq!(foreign(Some(&before), &left(&[("was", 4), ("drawn", 1)], &["drawn"])), "by hand drawn");
        assert_eq!(foreign(None, &Explanation::default()), "", "nothing was there");
    }
}
