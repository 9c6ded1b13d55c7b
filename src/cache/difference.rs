//! What has to be done so that the files of an earlier result are there again: decided from lists alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    fingerprint::FileRow,
    model::{Digest, FileKind, KeptFile, KeptKind},
    planted::{self, Fault},
};

/// How what is there differs from what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Files whose content is right, by path.
    pub(super) right: BTreeSet<Vec<u8>>,
    /// Links that another result left, with their texts: they go, if they are still these.
    pub(super) links: Vec<(Vec<u8>, Vec<u8>)>,
    /// What other results left and this one did not, deepest first: it has to go.
    pub(super) extra: Vec<Vec<u8>>,
}

/// What is wanted against what is `present` at the declared outputs. `before` is what earlier results left there: of
/// what the wanted one does not have, only that goes, and only if it is as one of them left it. Whatever else lies there
/// is somebody's own.
#[must_use]
pub fn difference(wanted: &[KeptFile], present: &[FileRow], before: &[FileRow]) -> Difference {
    let wanted: BTreeMap<&[u8], &KeptKind> = wanted.iter().map(|file| (&*file.path, &file.what)).collect();
    let before: BTreeSet<(&[u8], FileKind, Digest)> = before.iter().map(told).collect();
    let mut difference = Difference::default();
    for row in present {
        let path = &*row.path;
        let is_directory = row.kind == FileKind::Directory;
        let stays = match wanted.get(path) {
            Some(KeptKind::File { digest, .. }) => {
                if !is_directory && *digest == row.digest {
                    difference.right.insert(row.path.clone());
                }
                !is_directory
            }
            Some(KeptKind::Link(_)) => !is_directory,
            Some(KeptKind::Directory { .. }) => is_directory,
            None => false,
        };
        if !stays && before.contains(&told(row)) && !planted::is(Fault::ExtrasLeft) {
            difference.extra.push(row.path.clone());
        }
    }
    // What lies in a directory comes after it in the order of the bytes.
    difference.extra.sort_unstable_by(|a, b| b.cmp(a));
    difference
}

impl Difference {
    /// What has to go, deepest first.
    #[must_use]
    pub fn gone(&self) -> &[Vec<u8>] {
        &self.extra
    }

    /// Adds the links to directories among what earlier results left: a look sees what lies beyond them, not them.
    #[must_use]
    pub fn with_links<'a>(
        mut self,
        wanted: &[KeptFile],
        before: impl IntoIterator<Item = &'a KeptFile>,
    ) -> Self {
        let wanted: BTreeSet<&[u8]> = wanted.iter().map(|file| &*file.path).collect();
        let links = before.into_iter().filter_map(|file| match &file.what {
            KeptKind::Link(text) if !wanted.contains(&*file.path) => Some((file.path.clone(), text.clone())),
            _ => None,
        });
        self.links.extend(links);
        self.links.sort_unstable();
        self.links.dedup();
        self
    }
}

/// What tells it from others: of a directory its path alone.
fn told(row: &FileRow) -> (&[u8], FileKind, Digest) {
    let digest = if row.kind == FileKind::Directory { Digest::default() } else { row.digest };
    (&row.path, row.kind, digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileKind = FileKind::File { executable: false };
    const DIRECTORY: FileKind = FileKind::Directory;
    const LINK: FileKind = FileKind::BrokenLink;

    fn row((path, kind, digest): (&str, FileKind, u128)) -> FileRow {
        FileRow { path: path.into(), kind, digest: Digest(digest) }
    }

    fn rows(list: &[(&str, FileKind, u128)]) -> Vec<FileRow> {
        list.iter().copied().map(row).collect()
    }

    fn kept((path, kind, digest): (&str, FileKind, u128)) -> KeptFile {
        let what = match kind {
            DIRECTORY => KeptKind::Directory { mode: 0o755 },
            FileKind::BrokenLink => KeptKind::Link(b"x".to_vec()),
            _ => KeptKind::File { digest: Digest(digest), size: 1, mode: 0o644 },
        };
        KeptFile { path: path.into(), what }
    }

    #[test]
    fn what_is_right_stays_and_what_another_result_left_goes() {
        type List = &'static [(&'static str, FileKind, u128)];
        type Case = (&'static str, List, List, List, &'static [&'static str], &'static [&'static str]);
        let cases: &[Case] = &[
            ("nothing there", &[("a", FILE, 1)], &[], &[("a", FILE, 1)], &[], &[]),
            ("in place", &[("a", FILE, 1)], &[("a", FILE, 1)], &[("a", FILE, 1)], &["a"], &[]),
            ("another content", &[("a", FILE, 1)], &[("a", FILE, 2)], &[("a", FILE, 2)], &[], &[]),
            ("of the last result", &[], &[("b", FILE, 2)], &[("b", FILE, 2)], &[], &["b"]),
            ("the user's", &[], &[("b", FILE, 2)], &[], &[], &[]),
            ("edited by the user", &[], &[("b", FILE, 3)], &[("b", FILE, 2)], &[], &[]),
            (
                "deepest first",
                &[],
                &[("d", DIRECTORY, 0), ("d/e", FILE, 1), ("d/e2", FILE, 1)],
                &[("d", DIRECTORY, 0), ("d/e", FILE, 1), ("d/e2", FILE, 1)],
                &[],
                &["d/e2", "d/e", "d"],
            ),
            (
                "a directory for a file",
                &[("d", FILE, 1)],
                &[("d", DIRECTORY, 0)],
                &[("d", DIRECTORY, 0)],
                &[],
                &["d"],
            ),
            (
                "a file for a directory",
                &[("d", DIRECTORY, 0)],
                &[("d", FILE, 1)],
                &[("d", FILE, 1)],
                &[],
                &["d"],
            ),
            ("a file for a link", &[("l", LINK, 0)], &[("l", FILE, 1)], &[("l", FILE, 1)], &[], &[]),
        ];
        for (what, wanted, present, before, right, extra) in cases {
            let wanted: Vec<KeptFile> = wanted.iter().copied().map(kept).collect();
            let found = difference(&wanted, &rows(present), &rows(before));
            let bytes = |list: &[&str]| list.iter().map(|path| path.as_bytes().to_vec()).collect::<Vec<_>>();
            assert_eq!(found.right.into_iter().collect::<Vec<_>>(), bytes(right), "{what}");
            assert_eq!(found.extra, bytes(extra), "{what}");
        }
    }
}
