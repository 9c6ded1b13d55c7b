//! The database file: opening, checking, reading and writing it, with every fault of redb sorted into a few
//! kinds. Nothing above this file calls redb without going through [`guarded`].

use std::{
    fmt, fs,
    fs::File,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{
    Builder, Database, Durability, ReadOnlyDatabase, ReadTransaction, ReadableDatabase,
    ReadableTableMetadata, TableDefinition, TableError, WriteTransaction,
};
use rustix::fs::OFlags;

use super::{
    Batch, StateDir, Table,
    disk::{Disk, FailedSync, Medium, Opener},
    epoch::Epoch,
    shield::shield,
};

/// The file's name in the state directory.
pub(super) const FILE: &str = "state.redb";

const NEW: &str = "state.redb.new";

/// The number of the format of everything in the file. Any change of a record's type raises it (hazard D5).
/// 5: a success says which tasks were called.
pub(super) const SCHEMA: u64 = 6;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const SCHEMA_KEY: &str = "schema";
/// The [`Epoch::mark`] of the last writer.
const EPOCH_KEY: &str = "epoch";

/// The most memory redb may use for pages: of a writer, and of a reader, who reads most pages once.
const CACHE: usize = 16 * 1024 * 1024;
const READERS_CACHE: usize = 4 * 1024 * 1024;

/// Length of the part of redb's header that says whether the file was closed cleanly, and the bit that says it.
const HEADER: usize = 10;
const UNCLEAN: u8 = 2;

/// What went wrong, as far as the store's reaction depends on it.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// The file is not what we wrote: set it aside.
    Damage(String),
    /// The system refused; the file is as good as before, but has to be reopened.
    Io(Arc<io::Error>),
    /// A sync failed: nobody knows what the disk has of the file.
    NotSynced(Arc<io::Error>),
    /// Someone else has it open, or a reader is in the way.
    Busy,
    /// Not closed cleanly, and opened read-only.
    Unclean,
    /// Our own handle is closed.
    Closed,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage(why) => f.write_str(why),
            Self::Io(error) | Self::NotSynced(error) => write!(f, "{error}"),
            Self::Busy => f.write_str("it is open in another process"),
            Self::Unclean => f.write_str("it was not closed cleanly"),
            Self::Closed => f.write_str("it was closed"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The file ends before a page that it should have.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Self::Damage(error.to_string()),
            _ => Self::Io(Arc::new(error)),
        }
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => error.into(),
            redb::Error::PreviousIo => Self::Io(Arc::new(io::Error::other("an earlier write failed"))),
            redb::Error::Unsupported => Self::Io(Arc::new(io::ErrorKind::Unsupported.into())),
            redb::Error::ValueTooLarge(_) => Self::Io(Arc::new(io::ErrorKind::FileTooLarge.into())),
            redb::Error::DatabaseAlreadyOpen | redb::Error::TransactionInProgress => Self::Busy,
            redb::Error::DatabaseClosed => Self::Closed,
            redb::Error::RepairAborted => Self::Unclean,
            other => Self::Damage(other.to_string()),
        }
    }
}

/// Sorts any of redb's errors.
pub(super) fn fault(error: impl Into<redb::Error>) -> Fault {
    error.into().into()
}

/// Runs `work` on the database; a panic is damage.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    shield(work).unwrap_or_else(|panic| Err(Fault::Damage(panic)))
}

/// The settings every handle has.
fn builder(cache: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache);
    builder
}

/// A handle on the file.
pub(super) enum Base {
    /// Read-only, and there is no file.
    Empty,
    ReadOnly(ReadOnlyDatabase),
    ReadWrite(ReadWrite),
    Closed,
}

pub(super) struct ReadWrite {
    pub(super) db: Database,
    failed: FailedSync,
    /// What belongs into the file beside the batches.
    label: Label,
    /// Whether it is there. It comes with the first batch.
    is_labelled: AtomicBool,
}

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Label {
    /// Whether it has our schema number; a file without any table has none yet.
    has_schema: bool,
    /// In which epoch it was last written. For as long as that lasts all that was written is there, synced or not.
    epoch: Option<u64>,
}

impl Base {
    /// Opens an existing file for reading; changes nothing on disk.
    pub(super) fn read_only(path: &Path) -> Result<Self, Fault> {
        guarded(|| {
            if file_len(path)? == 0 {
                return Ok(Self::Empty);
            }
            let db = builder(READERS_CACHE).open_read_only(path).map_err(fault)?;
            read_label(&db)?;
            // A run did not come to its end: which tasks it had begun has to be written down first.
            if is_under_way(&db)? { Err(Fault::Unclean) } else { Ok(Self::ReadOnly(db)) }
        })
    }

    /// Opens the file for writing, or makes it. One that was not closed cleanly is verified as a whole, unless it was
    /// written in this very epoch: then nothing of it can be old or torn (hazard D10). One of which a sync fails on the
    /// way is removed.
    pub(super) fn read_write(path: &Path, opener: &Opener) -> Result<Self, Fault> {
        let failed = FailedSync::default();
        let opened = failed.outweighs(guarded(|| {
            if file_len(path)? == 0 {
                return create(path, opener, &failed);
            }
            let unclean = is_unclean(path)?;
            let mut base = ReadWrite::open(path, opener, &failed)?;
            let found = read_label(&base.db)?;
            let may_be_torn = unclean && (found.epoch.is_none() || found.epoch != base.label.epoch);
            if may_be_torn && !base.db.check_integrity().map_err(fault)? {
                return Err(Fault::Damage("it failed the integrity check".to_owned()));
            }
            base.is_labelled = AtomicBool::new(found == base.label);
            Ok(base)
        }));
        if matches!(opened, Err(Fault::NotSynced(_))) {
            // Of the same disk nothing better can be had.
            let _ = remove(path);
        }
        opened.map(Self::ReadWrite)
    }

    /// A view of what is committed now; `None` if there is no file.
    pub(super) fn begin_read(&self) -> Result<Option<ReadTransaction>, Fault> {
        guarded(|| match self {
            Self::Empty => Ok(None),
            Self::ReadOnly(db) => db.begin_read().map(Some).map_err(fault),
            Self::ReadWrite(base) => base.db.begin_read().map(Some).map_err(fault),
            Self::Closed => Err(Fault::Closed),
        })
    }

    /// Makes `batch` durable as one transaction.
    pub(super) fn commit(&self, batch: &Batch) -> Result<(), Fault> {
        let Self::ReadWrite(base) = self else { return Err(Fault::Closed) };
        base.failed.outweighs(guarded(|| {
            let mut txn = base.db.begin_write().map_err(fault)?;
            // Both are what makes kill -9 harmless, and cheap to recover from (limit L3).
            txn.set_durability(Durability::Immediate).map_err(fault)?;
            txn.set_quick_repair(true);
            if !base.is_labelled.load(Ordering::Relaxed) {
                write_label(&txn, base.label)?;
            }
            Table::ALL.into_iter().try_for_each(|table| apply(&txn, table, batch))?;
            txn.commit().map_err(fault)
        }))?;
        base.is_labelled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Gives the handle up. redb writes here, and may panic on a damaged file.
    pub(super) fn retire(self) -> Result<(), Fault> {
        let failed =
            if let Self::ReadWrite(base) = &self { base.failed.clone() } else { FailedSync::default() };
        failed.outweighs(guarded(|| {
            drop(self);
            Ok(())
        }))
    }
}

impl ReadWrite {
    fn open(path: &Path, opener: &Opener, failed: &FailedSync) -> Result<Self, Fault> {
        let Medium { file, epoch } = opener(path)?;
        let db = builder(CACHE).create_with_backend(Disk::new(file, failed.clone())).map_err(fault)?;
        let label = Label { has_schema: true, epoch };
        Ok(Self { db, failed: failed.clone(), label, is_labelled: AtomicBool::new(false) })
    }
}

/// Whether a copy of the file is whole. Writes to it.
pub(super) fn verify_copy(path: &Path) -> Result<(), Fault> {
    guarded(|| {
        let mut db = builder(CACHE).open(path).map_err(fault)?;
        read_label(&db)?;
        match db.check_integrity().map_err(fault)? {
            true => Ok(()),
            false => Err(Fault::Damage("it failed the integrity check".to_owned())),
        }
    })
}

/// What redb calls this table.
pub(super) fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

/// Applies what `batch` says about `table`, in order.
fn apply(txn: &WriteTransaction, table: Table, batch: &Batch) -> Result<(), Fault> {
    let mut changes = batch.changes.iter().filter(|change| change.table == table).peekable();
    if changes.peek().is_none() {
        return Ok(());
    }
    let mut open = txn.open_table(definition(table)).map_err(fault)?;
    for change in changes {
        let key = change.key.as_slice();
        match &change.value {
            Some(value) => drop(open.insert(key, value.as_slice()).map_err(fault)?),
            None => drop(open.remove(key).map_err(fault)?),
        }
    }
    Ok(())
}

/// Whether the file is in its place: a task may have removed it, or the whole directory, while it was written.
#[must_use]
pub fn is_in_place(dir: &StateDir) -> bool {
    fs::symlink_metadata(dir.path().join(FILE)).is_ok_and(|found| found.is_file() && found.len() > 0)
}

/// The file, and a number for it and for how long what is written to it is there, synced or not: another one after
/// the system was started anew, and for a copy. None where that cannot be told, or there is no file.
#[must_use]
pub fn mark(dir: &StateDir) -> Option<(u64, PathBuf)> {
    let path = dir.path().join(FILE);
    let file =
        File::options().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&path).ok()?;
    Some((Epoch::mark(&file)?, path))
}

/// Removes the file, whatever it holds: for a store that can no longer be written and so no longer says what
/// happened (hazard D3). Needs no space.
///
/// # Errors
/// If the system refuses.
pub fn discard(dir: &StateDir) -> io::Result<()> {
    remove(&dir.path().join(FILE))
}

/// Removes the file for good: not even a power cut brings it back.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync_dir(path),
    }
}

/// Makes the names in the directory of `path` durable.
fn sync_dir(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Makes the file under another name first, so that a half-made one is never in its place.
fn create(path: &Path, opener: &Opener, failed: &FailedSync) -> Result<ReadWrite, Fault> {
    let new = path.with_file_name(NEW);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let base = ReadWrite::open(&new, opener, failed)?;
    fs::rename(&new, path)?;
    // Without it a power cut could bring back a file that was set aside.
    sync_dir(path).map_err(|error| Fault::NotSynced(Arc::new(error)))?;
    Ok(base)
}

/// The length of the file; 0 if there is none. Anything but a regular file is foreign.
fn file_len(path: &Path) -> Result<u64, Fault> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(found.len()),
        Ok(_) => Err(Fault::Damage("it is no regular file".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Whether the last writer did not close the file. redb knows, but tells nobody when its own quick repair
/// suffices.
fn is_unclean(path: &Path) -> Result<bool, Fault> {
    let mut header = [0; HEADER];
    File::open(path)?.read_exact(&mut header)?;
    Ok(header[HEADER - 1] & UNCLEAN != 0)
}

/// What the file says of itself, if it is ours.
fn read_label(db: &impl ReadableDatabase) -> Result<Label, Fault> {
    let txn = db.begin_read().map_err(fault)?;
    let meta = match txn.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) if is_without_tables(&txn)? => {
            return Ok(Label { has_schema: false, epoch: None });
        }
        Err(TableError::TableDoesNotExist(_)) => {
            return Err(Fault::Damage("it is the database of another program".to_owned()));
        }
        Err(error) => return Err(fault(error)),
    };
    let number = |key| meta.get(key).map(|found| found.map(|number| number.value())).map_err(fault);
    match number(SCHEMA_KEY)? {
        Some(SCHEMA) => Ok(Label { has_schema: true, epoch: number(EPOCH_KEY)? }),
        Some(other) => Err(Fault::Damage(format!("its format is {other}, this devtask has {SCHEMA}"))),
        None => Err(Fault::Damage("it does not say its format".to_owned())),
    }
}

fn write_label(txn: &WriteTransaction, label: Label) -> Result<(), Fault> {
    let mut meta = txn.open_table(META).map_err(fault)?;
    meta.insert(SCHEMA_KEY, SCHEMA).map_err(fault)?;
    match label.epoch {
        Some(epoch) => drop(meta.insert(EPOCH_KEY, epoch).map_err(fault)?),
        None => drop(meta.remove(EPOCH_KEY).map_err(fault)?),
    }
    Ok(())
}

/// Whether there is a run that did not come to its end.
fn is_under_way(db: &impl ReadableDatabase) -> Result<bool, Fault> {
    match db.begin_read().map_err(fault)?.open_table(definition(Table::Progress)) {
        Ok(rows) => Ok(!rows.is_empty().map_err(fault)?),
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(fault(error)),
    }
}

fn is_without_tables(txn: &ReadTransaction) -> Result<bool, Fault> {
    let tables = txn.list_tables().map_err(fault)?.next().is_none();
    Ok(tables && txn.list_multimap_tables().map_err(fault)?.next().is_none())
}
