//! Reading, from any thread, also while a batch is being written.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata as _, TableError};
use serde::de::DeserializeOwned;

use super::{
    Access, Batch, SetAside, StoreError, Table, TaskRecord,
    base::{Fault, definition, fault, guarded},
    state::Shared,
    value,
};

/// Something the user may want to know. It never keeps a run from going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The file proved to be unusable while it was in use, and was set aside.
    SetAside(SetAside),
    /// The file proved to be damaged while it was read; the next writer will set it aside.
    Damaged(String),
    /// One value was not what had been stored; it counts as absent.
    BadValue {
        /// Its table.
        table: Table,
        /// Its key.
        key: Vec<u8>,
    },
}

/// A handle for reading. Cheap to clone; it does not keep the store open.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A view of what is committed now. For more than a few reads it is cheaper than [`get`](Self::get).
    ///
    /// # Errors
    /// [`StoreError::Closed`] after the store was closed, [`StoreError::Io`].
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let txn = if self.shared.is_damaged() { Ok(None) } else { self.shared.base().begin_read() };
        let txn = absent_if_damaged(&self.shared, txn)?;
        Ok(Snapshot { txn, tables: Default::default(), shared: Arc::clone(&self.shared) })
    }

    /// The value under `key` as committed now. A damaged value counts as absent, with a [`Notice`].
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub fn get<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.snapshot()?.get(table, key)
    }

    /// The notices since the last call.
    #[must_use]
    pub fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.shared.notices())
    }

    /// The file, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.shared.path()
    }

    /// How many transactions the store has committed since it was opened.
    #[cfg(test)]
    pub(super) fn commits(&self) -> u64 {
        self.shared.commits()
    }
}

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// What was committed when it was taken. While it lives the file cannot be compacted. It ends with the
/// handle it was taken from: after [`Store::close`](super::Store::close), or after a commit that had to
/// reopen the file, a read gives what the snapshot saw, if that is still in memory, or
/// [`StoreError::Closed`].
pub struct Snapshot {
    txn: Option<ReadTransaction>,
    tables: [OnceLock<Option<Rows>>; Table::ALL.len()],
    shared: Arc<Shared>,
}

impl Snapshot {
    /// The value under `key`. A damaged value counts as absent, with a [`Notice`].
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::Io`].
    pub fn get<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.look(table, |rows| {
            let Some(stored) = rows.get(key).map_err(fault)? else { return Ok(None) };
            Ok(self.decode(table, key, stored.value()))
        })
    }

    /// How many keys `table` has.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn count(&self, table: Table) -> Result<u64, StoreError> {
        self.look(table, |rows| rows.len().map_err(fault))
    }

    /// All keys of `table`, in order.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn keys(&self, table: Table) -> Result<Vec<Vec<u8>>, StoreError> {
        self.scan(table, |key, _| Some(key.to_owned()))
    }

    /// All keys and values of `table`, in order of the keys: a tenth of the price of getting each.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn entries<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        self.scan(table, |key, stored| Some((key.to_owned(), self.decode(table, key, stored)?)))
    }

    /// The keys and values of `table` whose keys begin with `prefix`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn entries_of<T: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        self.look(table, |rows| {
            let mut found = Vec::new();
            for entry in rows.range(prefix..).map_err(fault)? {
                let (key, stored) = entry.map_err(fault)?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                found.extend(
                    self.decode(table, key.value(), stored.value()).map(|row| (key.value().to_owned(), row)),
                );
            }
            Ok(found)
        })
    }

    /// What removes the records of tasks that nobody knows any more and that last ran before `before_ms`
    /// (milliseconds since the epoch; hazard D6: 30 days ago).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn forget_unseen(&self, known: impl Fn(&[u8]) -> bool, before_ms: u64) -> Result<Batch, StoreError> {
        let mut batch = Batch::new();
        for (key, record) in self.entries::<TaskRecord>(Table::Tasks)? {
            if record.at_ms < before_ms && !known(&key) {
                batch.delete(Table::Tasks, &key);
                batch.delete(Table::Manifests, &key);
            }
        }
        Ok(batch)
    }

    fn scan<R>(
        &self,
        table: Table,
        mut row: impl FnMut(&[u8], &[u8]) -> Option<R>,
    ) -> Result<Vec<R>, StoreError> {
        self.look(table, |rows| {
            let mut found = Vec::new();
            for entry in rows.iter().map_err(fault)? {
                let (key, stored) = entry.map_err(fault)?;
                found.extend(row(key.value(), stored.value()));
            }
            Ok(found)
        })
    }

    fn decode<T: DeserializeOwned>(&self, table: Table, key: &[u8], stored: &[u8]) -> Option<T> {
        let value = value::decode(table, key, stored);
        if value.is_none() {
            self.shared.notices().push(Notice::BadValue { table, key: key.to_owned() });
        }
        value
    }

    /// Runs `work` on the rows of `table`. No table, or damage: nothing is there.
    fn look<R: Default>(
        &self,
        table: Table,
        work: impl FnOnce(&Rows) -> Result<R, Fault>,
    ) -> Result<R, StoreError> {
        if self.shared.is_damaged() {
            return Ok(R::default());
        }
        let found = guarded(|| self.rows(table)?.map_or_else(|| Ok(R::default()), work));
        absent_if_damaged(&self.shared, found)
    }

    fn rows(&self, table: Table) -> Result<Option<&Rows>, Fault> {
        let cell = &self.tables[table as usize];
        if let Some(rows) = cell.get() {
            return Ok(rows.as_ref());
        }
        let Some(txn) = &self.txn else { return Ok(None) };
        let rows = match txn.open_table(definition(table)) {
            Ok(rows) => Some(rows),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(fault(error)),
        };
        Ok(cell.get_or_init(|| rows).as_ref())
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let (txn, tables) = (self.txn.take(), std::mem::take(&mut self.tables));
        // A read transaction has nothing to lose.
        let _ = super::shield::shield(|| drop((tables, txn)));
    }
}

/// The result of a read: damage is remembered, and nothing was there.
fn absent_if_damaged<R: Default>(shared: &Shared, found: Result<R, Fault>) -> Result<R, StoreError> {
    match found {
        Ok(found) => Ok(found),
        Err(Fault::Io(source) | Fault::NotSynced(source)) => {
            Err(StoreError::Io { action: "read", path: shared.path().to_owned(), source })
        }
        Err(Fault::Closed | Fault::Busy | Fault::Unclean) => Err(StoreError::Closed),
        Err(Fault::Damage(why)) => {
            if shared.access() == Access::ReadOnly {
                shared.notices().push(Notice::Damaged(why.clone()));
            }
            shared.react(Fault::Damage(why));
            Ok(R::default())
        }
    }
}
