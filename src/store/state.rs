//! The store as its owner sees it: open, commit, close.

#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::{
    collections::HashSet,
    fs, io, mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
    time::{Duration, Instant},
};

use super::{
    Batch, Journal, Notice, Reader, SetAside, Snapshot, StateDir, StoreError, Table, TaskRecord,
    aside::set_aside,
    base::{Base, FILE, Fault, fault, guarded, remove},
    disk::{Opener, open_file},
    journal::{PROGRESS, Progress},
};

/// A file below this length is never compacted (hazard D6), in bytes.
const COMPACT_ABOVE: u64 = 16 * 1024 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(20);

/// What a handle is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Looking. Changes nothing on disk, and costs no fsync.
    ReadOnly,
    /// Reading and writing. The caller holds the [`Lock`](super::Lock).
    ReadWrite,
}

/// An open store, and what happened on the way.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// The file that was set aside, if there was one: tell the user, once.
    pub notice: Option<SetAside>,
}

/// An open store. Dropping it closes it too, but only [`close`](Self::close) compacts and reports.
///
/// It must be closed or dropped before the process exits: `std::process::exit` with a live store leaves a
/// file that has to be repaired (limit L3).
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What the store and its readers share.
pub(super) struct Shared {
    path: PathBuf,
    access: Access,
    opener: Opener,
    base: RwLock<Base>,
    /// The file's length when it was opened, in bytes.
    opened_len: u64,
    /// Why the file must not be used any more, once that is known.
    damage: Mutex<Option<String>>,
    /// Why nothing is written any more, once a sync has failed.
    given_up: OnceLock<StoreError>,
    notices: Mutex<Vec<Notice>>,
    #[cfg(test)]
    commits: AtomicU64,
}

impl Store {
    /// Opens the store of `dir`. A missing file is an empty store.
    ///
    /// # Errors
    /// [`StoreError::AlreadyOpen`] if a process writes it, or, for [`Access::ReadWrite`], reads it;
    /// [`StoreError::NeedsRepair`] for [`Access::ReadOnly`] of a file that needs a writer first;
    /// [`StoreError::NotSynced`]; [`StoreError::Io`].
    pub fn open(dir: &StateDir, access: Access) -> Result<Opened, StoreError> {
        Self::open_with(dir, access, Arc::new(open_file))
    }

    /// Opens the store for writing; while readers (who hold no lock, and are gone soon) have it open, tries
    /// again until `patience` is over.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_waiting(dir: &StateDir, patience: Duration) -> Result<Opened, StoreError> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match Self::open(dir, Access::ReadWrite) {
                Err(StoreError::AlreadyOpen(_)) if start.elapsed() < patience => thread::sleep(pause),
                result => return result,
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    pub(super) fn open_with(dir: &StateDir, access: Access, opener: Opener) -> Result<Opened, StoreError> {
        let path = dir.path().join(FILE);
        let (base, notice) = match access {
            Access::ReadOnly => (Base::read_only(&path).map_err(|f| unreadable(&path, f))?, None),
            Access::ReadWrite => open_or_set_aside(&path, &opener)?,
        };
        let shared = Shared {
            opened_len: len(&path),
            path,
            access,
            opener,
            base: RwLock::new(base),
            damage: Mutex::default(),
            given_up: OnceLock::new(),
            notices: Mutex::default(),
            #[cfg(test)]
            commits: AtomicU64::new(0),
        };
        let mut store = Self { shared: Arc::new(shared) };
        if access == Access::ReadWrite {
            store.settle()?;
        }
        Ok(Opened { store, notice })
    }

    /// A handle for reading, from any thread, also while this store commits.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// A view of what is committed now.
    ///
    /// # Errors
    /// As [`Reader::snapshot`].
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.reader().snapshot()
    }

    /// Makes `batch` durable, as one transaction: when this returns `Ok` it survives anything.
    ///
    /// After an I/O error (a full disk) redb refuses all writes until it is reopened; that, and the write,
    /// are tried once more (hazard D3). A file that proves to be damaged is set aside, and the batch goes to
    /// an empty one; see [`Reader::take_notices`]. After a failed sync nothing is tried: the file is removed.
    ///
    /// # Errors
    /// [`StoreError::NotSynced`], also of all commits after it: nothing is there any more.
    /// [`StoreError::NotSaved`]: treat it as not written, though it may have been; the next commit tries to
    /// reopen again. [`StoreError::ReadOnly`], [`StoreError::Io`] if a damaged file cannot be moved.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if self.shared.access == Access::ReadOnly {
            return Err(StoreError::ReadOnly);
        }
        if batch.is_empty() {
            return Ok(());
        }
        if let Some(error) = self.shared.given_up.get() {
            return Err(error.clone());
        }
        if let Some(why) = self.shared.damage_reason() {
            self.renew(Fault::Damage(why))?;
        }
        if let Err(first) = self.write(batch) {
            self.renew(first)?;
            self.write(batch).map_err(|second| self.not_saved(second))?;
        }
        #[cfg(test)]
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Makes ready for a run in which these tasks may begin: from now on each start is noted in the journal this
    /// returns, until [`Batch::end_run`]. Without one each start has to be committed.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn begin_run(&mut self, run: String, names: Vec<String>) -> Result<Option<Journal>, StoreError> {
        self.settle()?;
        let dir = self.shared.path.parent().unwrap_or(Path::new("/"));
        // Without room for it, say, there is none.
        let Some((journal, progress)) = Journal::create(dir, run, names).ok().flatten() else {
            return Ok(None);
        };
        let mut batch = Batch::new();
        batch.put(Table::Progress, PROGRESS, &progress)?;
        self.commit(&batch).map(|()| Some(journal))
    }

    /// Writes down which tasks had begun in a run that did not come to its end, if there was one.
    fn settle(&mut self) -> Result<(), StoreError> {
        let snapshot = self.snapshot()?;
        if snapshot.keys(Table::Progress)?.is_empty() {
            return Ok(());
        }
        let Some(progress) = snapshot.get::<Progress>(Table::Progress, PROGRESS)? else {
            drop(snapshot);
            return self.renew(Fault::Damage("what was under way cannot be read".to_owned()));
        };
        let mut batch = settled(&snapshot, progress, self.shared.path.parent())?;
        drop(snapshot);
        batch.end_run();
        self.commit(&batch)
    }

    /// Closes the file; compacts it before if it has grown above 16 MiB and three quarters of it are waste (hazard D6).
    /// Returns what has not been taken of the [`Notice`]s.
    ///
    /// # Errors
    /// [`StoreError::NotSynced`] if a sync failed, now or before; [`StoreError::Io`] if a damaged file cannot be moved.
    /// Whatever it is, the store is closed.
    pub fn close(self) -> Result<Vec<Notice>, StoreError> {
        self.compact_if_worth_it(COMPACT_ABOVE);
        self.finish()?;
        Ok(self.reader().take_notices())
    }

    fn write(&self, batch: &Batch) -> Result<(), Fault> {
        self.shared.base().commit(batch)
    }

    /// A second failure: damage is remembered, so that the next commit starts over.
    fn not_saved(&self, fault: Fault) -> StoreError {
        if let Fault::NotSynced(source) = fault {
            return self.shared.give_up(&mut self.shared.base_mut(), source);
        }
        let error = StoreError::NotSaved(fault.to_string());
        self.shared.react(fault);
        error
    }

    /// Gives up the handle, sets a damaged file aside, and opens what is there then.
    fn renew(&self, fault: Fault) -> Result<(), StoreError> {
        let shared = &self.shared;
        let mut base = shared.base_mut();
        // The file is reopened or renamed anyway; how else the old handle ends adds nothing.
        if let Err(Fault::NotSynced(source)) = mem::replace(&mut *base, Base::Closed).retire() {
            return Err(shared.give_up(&mut base, source));
        }
        let mut asides = Vec::new();
        if let Fault::Damage(why) = fault {
            asides.push(move_away(&shared.path, why)?);
        }
        shared.take_damage();
        let reopened = open_or_set_aside(&shared.path, &shared.opener);
        let (opened, aside) = reopened.map_err(|error| match error {
            StoreError::NotSynced { source, .. } => shared.give_up(&mut base, source),
            error => StoreError::NotSaved(with_source(&error)),
        })?;
        *base = opened;
        asides.extend(aside);
        shared.notices().extend(asides.into_iter().map(Notice::SetAside));
        Ok(())
    }

    pub(super) fn compact_if_worth_it(&self, above: u64) {
        // Finding the waste means reading the whole file: worth it only when the file has grown.
        let shared = &self.shared;
        if len(&shared.path) <= above.max(shared.opened_len) || shared.is_damaged() {
            return;
        }
        let Base::ReadWrite(base) = &mut *self.shared.base_mut() else { return };
        let compacted = guarded(|| {
            let txn = base.db.begin_write().map_err(fault)?;
            let waste = txn.stats().map_err(fault)?.fragmented_bytes();
            txn.abort().map_err(fault)?;
            // redb doubles a full file, so that half of it may be empty without any waste: to compact that away would
            // cost every run anew. A live snapshot forbids it; there will be another time.
            let is_much = waste > len(&shared.path) / 4 * 3;
            if is_much { base.db.compact().map(drop).map_err(fault) } else { Ok(()) }
        });
        if let Err(fault) = compacted {
            self.shared.react(fault);
        }
    }

    /// Closes the file, and sets it aside if it is damaged.
    fn finish(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        let mut base = shared.base_mut();
        match mem::replace(&mut *base, Base::Closed).retire() {
            Err(Fault::NotSynced(source)) => return Err(shared.give_up(&mut base, source)),
            Err(fault) => shared.react(fault),
            Ok(()) => {}
        }
        if let Some(error) = shared.given_up.get() {
            return Err(error.clone());
        }
        match shared.take_damage() {
            Some(why) if shared.access == Access::ReadWrite => {
                shared.notices().push(Notice::SetAside(move_away(&shared.path, why)?));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Nobody is left to tell; after `close` there is nothing left to do.
        let _ = self.finish();
    }
}

impl Shared {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn access(&self) -> Access {
        self.access
    }

    #[cfg(test)]
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) fn base(&self) -> RwLockReadGuard<'_, Base> {
        self.base.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn base_mut(&self) -> RwLockWriteGuard<'_, Base> {
        self.base.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notices(&self) -> MutexGuard<'_, Vec<Notice>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damage(&self) -> MutexGuard<'_, Option<String>> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file must not be read any more.
    pub(super) fn is_damaged(&self) -> bool {
        self.damage().is_some()
    }

    /// A copy, so that nobody deals with the damage while holding its mutex.
    fn damage_reason(&self) -> Option<String> {
        self.damage().clone()
    }

    /// Forgets the damage.
    fn take_damage(&self) -> Option<String> {
        self.damage().take()
    }

    /// Removes a file of which a sync failed, and has nothing more to do with it (hazard D3).
    fn give_up(&self, base: &mut Base, source: Arc<io::Error>) -> StoreError {
        // The disk has the last say on the file anyway.
        let _ = mem::replace(base, Base::Closed).retire();
        // A system that refuses even that (it may have made the file system read-only) cannot be helped: the caller
        // says that nothing is saved.
        let _ = remove(&self.path);
        self.given_up.get_or_init(|| StoreError::NotSynced { path: self.path.clone(), source }).clone()
    }

    /// Remembers damage.
    pub(super) fn react(&self, fault: Fault) {
        if let Fault::Damage(why) = fault {
            self.damage().get_or_insert(why);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("path", &self.path)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// The records of a run that did not come to its end: results that were not committed, and what else had begun.
fn settled(snapshot: &Snapshot, progress: Progress, dir: Option<&Path>) -> Result<Batch, StoreError> {
    let (begun, mut batch) = match dir.and_then(|dir| progress.told(dir)) {
        Some(told) => (Some(told.begun), told.results),
        None => (None, Batch::new()),
    };
    let results = batch.changes.iter().filter(|change| change.table == Table::Tasks);
    let ended: HashSet<Vec<u8>> = results.map(|change| change.key.clone()).collect();
    for (at, name) in progress.names.iter().enumerate() {
        // What is not known for certain has begun.
        if begun.as_ref().is_some_and(|begun| !begun[at]) || ended.contains(name.as_bytes()) {
            continue;
        }
        let record: Option<TaskRecord> = snapshot.get(Table::Tasks, name.as_bytes())?;
        let is_of_run = record.as_ref().is_some_and(|record| record.run == progress.run);
        // Of a task without a record nothing wrong can be believed.
        if !is_of_run && (record.is_some() || begun.is_some()) {
            let typical_ms = record.and_then(|record| record.typical_ms);
            let record = TaskRecord::begun(progress.run.clone(), typical_ms);
            batch.put(Table::Tasks, name.as_bytes(), &record)?;
        }
    }
    Ok(batch)
}

/// Opens the file for writing, an empty one if it cannot be used.
fn open_or_set_aside(path: &Path, opener: &Opener) -> Result<(Base, Option<SetAside>), StoreError> {
    match Base::read_write(path, opener) {
        Ok(base) => Ok((base, None)),
        Err(Fault::Damage(why)) => {
            let aside = move_away(path, why)?;
            let base = Base::read_write(path, opener).map_err(|f| unreadable(path, f))?;
            Ok((base, Some(aside)))
        }
        Err(fault) => Err(unreadable(path, fault)),
    }
}

/// The length of the file in bytes; 0 if there is none.
fn len(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

fn move_away(path: &Path, why: String) -> Result<SetAside, StoreError> {
    set_aside(path, why).map_err(|source| StoreError::io("set aside", path, source))
}

/// Why opening failed, for the caller.
fn unreadable(path: &Path, fault: Fault) -> StoreError {
    match fault {
        Fault::Io(source) => StoreError::Io { action: "open", path: path.to_owned(), source },
        Fault::NotSynced(source) => StoreError::NotSynced { path: path.to_owned(), source },
        Fault::Busy => StoreError::AlreadyOpen(path.to_owned()),
        Fault::Closed => StoreError::Closed,
        Fault::Damage(_) | Fault::Unclean => StoreError::NeedsRepair(fault.to_string()),
    }
}

/// An error and what lies beneath it, in one line.
fn with_source(error: &StoreError) -> String {
    match error {
        StoreError::Io { source, .. } => format!("{error}: {source}"),
        _ => error.to_string(),
    }
}
