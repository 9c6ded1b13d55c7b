//! The disk beneath the base, and whether it got what it was given.
//!
//! A system that could not write a page says so to one sync; then it takes the page for written, shows it to whoever
//! reads, and lets the next sync succeed, until it needs the memory or the power goes. So a failed sync is the last word
//! on a file: what can be read from it proves nothing, and to try again makes it no better (hazard D3).

use std::{
    io,
    ops::Bound,
    path::Path,
    sync::{Arc, OnceLock},
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

use super::{
    StateDir,
    base::{Fault, fault},
    epoch::Epoch,
};

/// How the file is opened for writing: a seam for tests, which put failing disks beneath the base, and cut their power.
pub(super) type Opener = Arc<dyn Fn(&Path) -> Result<Medium, Fault> + Send + Sync>;

/// What lies beneath the base.
pub(super) struct Medium {
    pub(super) file: Box<dyn StorageBackend>,
    /// [`Epoch::mark`] of the file.
    pub(super) epoch: Option<u64>,
}

/// Opens the file as it is on disk.
pub(super) fn open_file(path: &Path) -> Result<Medium, Fault> {
    let file = StateDir::open_file(path, true)?;
    let epoch = Epoch::mark(&file);
    Ok(Medium { file: Box::new(FileBackend::new(file).map_err(fault)?), epoch })
}

/// The sync of a file that failed, if one did. It outlives the database, which syncs when it is closed and tells
/// nobody how that went.
#[derive(Clone, Debug, Default)]
pub(super) struct FailedSync(Arc<OnceLock<Arc<io::Error>>>);

impl FailedSync {
    /// Whatever came of some work: if a sync failed, nothing else matters.
    pub(super) fn outweighs<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        self.0.get().map_or(result, |why| Err(Fault::NotSynced(Arc::clone(why))))
    }

    fn note(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        self.0.get_or_init(|| Arc::new(error));
        kind.into()
    }
}

/// A file, and what came of its syncs. After one that failed redb writes nothing more.
#[derive(Debug)]
pub(super) struct Disk {
    file: Box<dyn StorageBackend>,
    failed: FailedSync,
}

impl Disk {
    pub(super) fn new(file: Box<dyn StorageBackend>, failed: FailedSync) -> Self {
        Self { file, failed }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data().map_err(|error| self.failed.note(error))
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
    // Of the locks a single writer takes no others.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }
    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}
