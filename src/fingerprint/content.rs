//! The digest of a set of files, put together directory by directory.
//!
//! A digest in two layers, so that whoever knows that a directory is as it was need not look at its files
//! again, and so that directories can be looked at side by side.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_128;

use super::FileRow;
use crate::{
    model::{Digest, FileKind},
    planted::{self, Fault},
};

/// The files of one directory, in the order of their names' bytes. Can be used again once it was taken from.
#[derive(Debug, Default)]
pub struct DirectoryContent {
    rows: Vec<u8>,
}

impl DirectoryContent {
    /// Adds the next file.
    pub fn add(&mut self, name: &[u8], kind: FileKind, digest: Digest) {
        self.rows.extend_from_slice(&(name.len() as u64).to_le_bytes());
        self.rows.extend_from_slice(if planted::is(Fault::NamesUnkeyed) { b"" } else { name });
        self.rows.extend_from_slice(&kind_tag(kind));
        self.rows.extend_from_slice(&digest.0.to_le_bytes());
    }

    /// The digest of what was added since the last time; `None`: nothing was.
    pub fn take(&mut self) -> Option<Digest> {
        let digest = (!self.rows.is_empty()).then(|| Digest(xxh3_128(&self.rows)));
        self.rows.clear();
        digest
    }
}

/// The directories of one set, in the order of their names' bytes.
#[derive(Debug, Default)]
pub struct Content {
    directories: Vec<u8>,
}

impl Content {
    /// Adds the next directory. One without files of the set is left out.
    pub fn add(&mut self, name: &[u8], content: Digest) {
        self.directories.extend_from_slice(&(name.len() as u64).to_le_bytes());
        self.directories.extend_from_slice(name);
        self.directories.extend_from_slice(&content.0.to_le_bytes());
    }

    /// The digest of the set.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(xxh3_128(&self.directories))
    }

    /// The digest of these files, whatever their order.
    #[must_use]
    pub fn of(files: &[FileRow]) -> Digest {
        let mut directories: BTreeMap<&[u8], Vec<(&[u8], &FileRow)>> = BTreeMap::new();
        for file in files {
            let (directory, name) = split(&file.path);
            directories.entry(directory).or_default().push((name, file));
        }
        let (mut whole, mut part) = (Self::default(), DirectoryContent::default());
        for (directory, mut files) in directories {
            files.sort_by_key(|(name, _)| *name);
            files.into_iter().for_each(|(name, file)| part.add(name, file.kind, file.digest));
            if let Some(digest) = part.take() {
                whole.add(directory, digest);
            }
        }
        whole.digest()
    }
}

/// The directory and the name of a path as keys have it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        None => (b"", path),
        Some(0) => (b"/", &path[1..]),
        Some(slash) => (&path[..slash], &path[slash + 1..]),
    }
}

fn kind_tag(kind: FileKind) -> [u8; 2] {
    match kind {
        FileKind::File { .. } if planted::is(Fault::ModeUnkeyed) => [0, 0],
        FileKind::File { executable } => [0, executable as u8],
        FileKind::Directory => [1, 0],
        FileKind::BrokenLink => [2, 0],
        FileKind::Special => [3, 0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: FileKind = FileKind::File { executable: false };

    fn row(path: &str, digest: u128) -> FileRow {
        FileRow { path: path.into(), kind: PLAIN, digest: Digest(digest) }
    }

    #[test]
    fn it_is_that_of_its_directories() {
        let rows = [row("a.b", 1), row("a/x", 2), row("a/y/z", 3), row("a/z", 4), row("/f", 5)];
        let mut part = DirectoryContent::default();
        let mut whole = Content::default();
        for (directory, files) in
            [("", &[("a.b", 1)][..]), ("/", &[("f", 5)]), ("a", &[("x", 2), ("z", 4)]), ("a/y", &[("z", 3)])]
        {
            files.iter().for_each(|(name, digest)| part.add(name.as_bytes(), PLAIN, Digest(*digest)));
            whole.add(directory.as_bytes(), part.take().unwrap());
        }
        assert_eq!(Content::of(&rows), whole.digest());
        assert_eq!(part.take(), None);
    }

    #[test]
    fn other_files_have_another_one() {
        let executable = FileRow { kind: FileKind::File { executable: true }, ..row("a/b", 1) };
        let sets = [
            vec![],
            vec![row("a/b", 1)],
            vec![row("a/b", 2)],
            vec![row("a/c", 1)],
            vec![row("ab", 1)],
            vec![row("b/a", 1)],
            vec![executable],
            vec![FileRow { kind: FileKind::Directory, ..row("a/b", 1) }],
            vec![row("a/b", 1), row("a/c", 1)],
            vec![row("a/b", 1), row("b", 1)],
        ];
        let digests: std::collections::HashSet<Digest> = sets.iter().map(|s| Content::of(s)).collect();
        assert_eq!(digests.len(), sets.len());
    }
}
