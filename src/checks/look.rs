//! Files as they are at one moment.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use xxhash_rust::xxh3::Xxh3;

use super::key::Ground;
use crate::{
    model::{Digest, FileKind, StatIdentity},
    scan::{Entry, Matched, identity_of, relative_name},
};

/// What some files held, and their stat identities then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    files: HashMap<PathBuf, (StatIdentity, FileKind, Digest)>,
}

impl Look {
    /// Reads these files: absolute paths. What is not there or cannot be read is not in it.
    #[must_use]
    pub fn at<'p>(ground: &Ground, files: impl IntoIterator<Item = &'p PathBuf>) -> Self {
        let mut files: Vec<&PathBuf> = files.into_iter().collect();
        files.sort();
        files.dedup();
        let mut matched = Matched::default();
        matched.entries.extend(files.into_iter().filter_map(|path| {
            let executable = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
            let executable = std::os::unix::fs::PermissionsExt::mode(&executable.permissions()) & 0o100 != 0;
            let identity = identity_of(path)?;
            Some(Entry { path: Arc::from(path.as_path()), kind: FileKind::File { executable }, identity })
        }));
        let sets = ground.table().digest_all(std::slice::from_ref(&matched), ground.threads);
        let entries = sets.into_iter().flat_map(|set| set.entries);
        Self { files: entries.map(|e| (e.path.to_path_buf(), (e.identity, e.kind, e.digest))).collect() }
    }

    /// What stands for a file's having passed the check with this key; none if it was not there.
    #[must_use]
    pub fn mark(&self, ground: &Ground, key: Digest, file: &PathBuf) -> Option<Digest> {
        let (_, kind, content) = self.files.get(file)?;
        let mut hash = Xxh3::new();
        hash.update(&key.0.to_le_bytes());
        hash.update(&[u8::from(*kind == FileKind::File { executable: true })]);
        hash.update(&content.0.to_le_bytes());
        hash.update(&relative_name(&ground.root, file));
        Some(Digest(hash.digest128()))
    }

    /// Whether a file was not touched between two looks.
    #[must_use]
    pub fn is_same(&self, later: &Self, file: &PathBuf) -> bool {
        self.files.get(file).is_some_and(|then| later.files.get(file) == Some(then))
    }

    /// Whether a file has another content in a later look, or is not there any more.
    #[must_use]
    pub fn differs(&self, later: &Self, file: &PathBuf) -> bool {
        let content = |look: &Self| look.files.get(file).map(|(_, kind, digest)| (*kind, *digest));
        content(self) != content(later)
    }
}
