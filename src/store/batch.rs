//! What is written together.

use serde::{Deserialize, Serialize};

use super::{StoreError, journal::PROGRESS, value};
use crate::model::bytes;

/// A table of the store. Keys are bytes; what they mean is the caller's business, except that
/// [`Tasks`](Table::Tasks) and [`Manifests`](Table::Manifests) are keyed by the task's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Table {
    /// One [`TaskRecord`](super::TaskRecord) a task.
    Tasks = 0,
    /// What each task's key was computed from, for `why`.
    Manifests = 1,
    /// The stat cache: one packed record a directory (limit L4).
    Dirs = 2,
    /// What the last walk for each pattern set rested on.
    Trails = 3,
    /// The run under way, if there is one: which tasks may have begun.
    Progress = 4,
    /// One [`Kept`](super::Kept) a task and key.
    Kept = 5,
    /// When each of these was last made or put back: milliseconds since the epoch.
    Uses = 6,
}

impl Table {
    /// All tables.
    pub(super) const ALL: [Self; 7] =
        [Self::Tasks, Self::Manifests, Self::Dirs, Self::Trails, Self::Progress, Self::Kept, Self::Uses];

    /// Its name in the file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Manifests => "manifests",
            Self::Dirs => "dirs",
            Self::Trails => "trails",
            Self::Progress => "progress",
            Self::Kept => "kept",
            Self::Uses => "uses",
        }
    }
}

/// Changes that become durable together or not at all. Later changes of one key win.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(super) changes: Vec<Change>,
}

/// One key's new value, or its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) table: Table,
    #[serde(with = "bytes")]
    pub(super) key: Vec<u8>,
    #[serde(with = "bytes::optional")]
    pub(super) value: Option<Vec<u8>>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores `value` under `key`, replacing what is there.
    ///
    /// # Errors
    /// [`StoreError::Encode`] if the value has no postcard form; the batch stays as it was.
    pub fn put<T: Serialize + ?Sized>(
        &mut self,
        table: Table,
        key: &[u8],
        value: &T,
    ) -> Result<(), StoreError> {
        let value = Some(value::encode(table, key, value)?);
        self.changes.push(Change { table, key: key.to_owned(), value });
        Ok(())
    }

    /// Removes `key`; that it is not there is fine.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        self.changes.push(Change { table, key: key.to_owned(), value: None });
    }

    /// Says that the run under way has come to its end: of every task that began in it there is a record, in
    /// this batch or an earlier one.
    pub fn end_run(&mut self) {
        self.delete(Table::Progress, PROGRESS);
    }

    /// Adds the changes of `later` after these.
    pub fn append(&mut self, mut later: Self) {
        self.changes.append(&mut later.changes);
    }

    /// The number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored must be read by every program of this version.
    #[test]
    fn bytes_in_one_piece_are_stored_as_bytes_one_by_one() {
        for value in [None, Some(Vec::new()), Some((0..=255).cycle().take(300).collect())] {
            let change = Change { table: Table::Tasks, key: b"a:t\0\xff".to_vec(), value };
            let stored = postcard::to_stdvec(&change).unwrap();
            assert_eq!(stored, postcard::to_stdvec(&(Table::Tasks, &change.key, &change.value)).unwrap());
            let read: Change = postcard::from_bytes(&stored).unwrap();
            assert_eq!((read.key, read.value), (change.key, change.value));
        }
    }
}
