//! The store as a session sees it: opened read-only, for writing only once something has to be written,
//! and given up, never trusted, once it cannot be written.

use std::{
    collections::{BTreeSet, HashSet},
    error::Error as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{sync::oneshot, task::spawn_blocking};

use super::shared::now_ms;
use crate::{
    fingerprint::{FileRow, Manifest},
    model::{Digest, DirRecord, TaskName},
    scan::Trail,
    store::{
        self, Access, Batch, GroupWriter, Journal, Kept, Notice, Reader, SetAside, Snapshot, StateDir, Store,
        StoreError, Table, TaskRecord,
    },
};

/// How long a reader without the lock (`list` elsewhere in the tree) may keep us from opening the store.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait between two attempts, at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// So often a handle is looked for anew: more than attempts to become a writer fit into [`PATIENCE`].
const HANDLES: usize = 1000;
/// So many trails nobody needs do not matter.
const SPARE_TRAILS: u64 = 256;
/// How long a task that no file declares is remembered, in milliseconds.
const MONTH_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// What explains the record of a task: read only when a difference has to be put into words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Explanation {
    /// What its key was made of when it last executed.
    pub(crate) manifest: Manifest,
    /// The files it declared as outputs, as it left them.
    pub(crate) outputs: Vec<FileRow>,
    /// The paths among these that it has not made.
    pub(crate) foreign: BTreeSet<Vec<u8>>,
}

/// The store of a session.
#[derive(Debug)]
pub(crate) struct Memory {
    dir: Option<StateDir>,
    held: Mutex<Held>,
    /// What became of the file when it was opened for writing, to be told at the end.
    note: Mutex<Option<String>>,
}

/// Why a batch was not saved.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct NotSaved {
    pub(crate) why: String,
    /// Whether the store was given up. If not, somebody else has it open, and what it says is still true.
    pub(crate) lost: bool,
}

impl NotSaved {
    fn lost(why: String) -> Self {
        Self { why, lost: true }
    }
}

/// Who waits for what the writer does.
type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

#[derive(Debug)]
enum Held {
    /// Nothing is remembered, and nothing will be.
    Nothing,
    Looking(Store),
    Writing(GroupWriter),
    /// Writing failed: nothing of it counts any more.
    Lost(String),
}

impl Memory {
    /// A memory that remembers nothing.
    pub(crate) fn none() -> Self {
        Self { dir: None, held: Mutex::new(Held::Nothing), note: Mutex::default() }
    }

    /// Opens the store of `dir` for looking; one that needs repair is opened for writing, if `may_write`
    /// (the caller holds the lock).
    ///
    /// # Errors
    /// If it cannot be opened at all.
    pub(crate) fn open(dir: StateDir, may_write: bool) -> Result<(Self, Vec<String>), StoreError> {
        let mut notes = Vec::new();
        let held = match Store::open(&dir, Access::ReadOnly) {
            Ok(opened) => Held::Looking(opened.store),
            Err(StoreError::NeedsRepair(_) | StoreError::AlreadyOpen(_)) if may_write => {
                let (writer, note) = open_writer(&dir, PATIENCE)?;
                notes.extend(note);
                Held::Writing(writer)
            }
            Err(error) => return Err(error),
        };
        Ok((Self { dir: Some(dir), held: Mutex::new(held), note: Mutex::default() }, notes))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }

    /// Whether nothing was written since it was opened, nor will be.
    pub(crate) fn is_only_looked_at(&self) -> bool {
        matches!(*self.held(), Held::Looking(_))
    }

    fn reader(&self) -> Option<Reader> {
        match &*self.held() {
            Held::Looking(store) => Some(store.reader()),
            Held::Writing(writer) => Some(writer.reader().clone()),
            Held::Nothing | Held::Lost(_) => None,
        }
    }

    /// A value of the store. What cannot be read counts as absent: that only ever costs running.
    fn get<T: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Option<T> {
        self.read(|reader| reader.get(table, key)).flatten()
    }

    /// What `work` reads, none if that cannot be read. The handle may be replaced under its hands (looking becomes
    /// writing, for another run of this session): then it is done anew with the next.
    pub(crate) fn read<T>(&self, mut work: impl FnMut(&Reader) -> Result<T, StoreError>) -> Option<T> {
        let at_last = (0..HANDLES).find_map(|_| match self.reader().map(|reader| work(&reader)) {
            Some(Err(StoreError::Closed)) => None,
            result => Some(result),
        });
        at_last??.ok()
    }

    pub(crate) fn record(&self, name: &str) -> Option<TaskRecord> {
        self.get(Table::Tasks, name.as_bytes())
    }

    pub(crate) fn explanation(&self, name: &str) -> Option<Explanation> {
        self.get(Table::Manifests, name.as_bytes())
    }

    pub(crate) fn kept(&self, key: &[u8]) -> Option<Kept> {
        self.get(Table::Kept, key)
    }

    pub(crate) fn all_kept(&self, task: &TaskName) -> Vec<Kept> {
        let read = |reader: &Reader| reader.snapshot()?.entries_of(Table::Kept, &Kept::prefix(task));
        let all: Option<Vec<(Vec<u8>, Kept)>> = self.read(read);
        all.unwrap_or_default().into_iter().map(|(_, kept)| kept).collect()
    }

    /// Whether anything is remembered.
    pub(crate) fn remembers(&self) -> bool {
        !matches!(*self.held(), Held::Nothing | Held::Lost(_))
    }

    pub(crate) fn directory(&self, key: &[u8]) -> Option<DirRecord> {
        self.get(Table::Dirs, key)
    }

    pub(crate) fn trail(&self, set: Digest) -> Option<Trail> {
        self.get(Table::Trails, &set.0.to_le_bytes())
    }

    /// Everything of one moment, for many reads.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        self.read(Reader::snapshot)
    }

    /// Makes a batch durable. When that fails for good the whole store is given up and its file removed:
    /// the records in it no longer say what happened, and must not be believed later (hazard D3).
    pub(crate) async fn save(self: &Arc<Self>, batch: Batch) -> Result<(), NotSaved> {
        // Who no longer waits for it does not need to be told.
        let order = move |writer: &GroupWriter, saved: Answer<()>| {
            writer.submit_then(batch, move |result| drop(saved.send(result)));
        };
        self.ask((), order).await
    }

    /// Has a batch written without waiting for it. It is of things that only ever cost looking again.
    pub(crate) fn put_away(&self, batch: Batch) {
        if self.become_writer().is_ok()
            && let Held::Writing(writer) = &*self.held()
        {
            writer.submit_then(batch, drop);
        }
    }

    /// Makes a batch durable, and waits for it on this thread. It is of things that only ever cost executing.
    ///
    /// # Errors
    /// Why it is not durable.
    pub(crate) fn save_waiting(&self, batch: Batch) -> Result<(), String> {
        self.become_writer().map_err(|fault| fault.why)?;
        let (answer, answered) = std::sync::mpsc::channel();
        match &*self.held() {
            Held::Writing(writer) => writer.submit_then(batch, move |result| drop(answer.send(result))),
            _ => return Err("nothing is remembered".to_owned()),
        }
        answered.recv().unwrap_or(Err(StoreError::Closed)).map_err(|e| with_cause(&e))
    }

    /// Makes ready for a run in which these tasks may begin. None: each of them has to be saved as begun.
    pub(crate) async fn begin_run(
        self: &Arc<Self>,
        run: String,
        names: Vec<String>,
    ) -> Result<Option<Journal>, NotSaved> {
        let order = move |writer: &GroupWriter, begun: Answer<Option<Journal>>| {
            writer.begin_run_then(run, names, move |result| drop(begun.send(result)));
        };
        self.ask(None, order).await
    }

    /// Has the writer do something, and waits for its answer; `nothing` is that of a memory that remembers nothing.
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        nothing: T,
        order: impl FnOnce(&GroupWriter, Answer<T>) + Send + 'static,
    ) -> Result<T, NotSaved> {
        let (answer, answered) = oneshot::channel();
        let submit = |held: &mut Held| match held {
            Held::Lost(why) => Err(NotSaved::lost(why.clone())),
            Held::Writing(writer) => {
                order(writer, answer);
                Ok(())
            }
            // Nothing is remembered, and nothing was to be.
            Held::Nothing | Held::Looking(_) => {
                drop(answer.send(Ok(nothing)));
                Ok(())
            }
        };
        if self.can_submit() {
            submit(&mut self.held())?;
        } else {
            // To become a writer may take a while, and must not keep anyone from hearing signals.
            let me = Arc::clone(self);
            let become_and_submit = move || {
                me.become_writer()?;
                submit(&mut me.held())
            };
            let submitted = spawn_blocking(become_and_submit).await;
            submitted.unwrap_or_else(|error| Err(NotSaved::lost(error.to_string())))?;
        }
        let answer = answered.await.unwrap_or(Err(StoreError::Closed));
        answer.map_err(|error| self.give_up(&mut self.held(), &error))
    }

    /// Whether the writer can be given something at once: it is never taken back once it is there.
    fn can_submit(&self) -> bool {
        self.held.try_lock().is_ok_and(|held| !matches!(*held, Held::Looking(_)))
    }

    /// From looking to writing, as soon as nobody else looks. Between two attempts the store is there to be looked at:
    /// who keeps us from writing may be a thread of our own in the midst of many reads.
    fn become_writer(&self) -> Result<(), NotSaved> {
        let (start, mut pause) = (Instant::now(), Duration::from_millis(1));
        loop {
            match self.try_to_become_writer(&mut self.held()) {
                Err(fault) if !fault.lost && start.elapsed() < PATIENCE => thread::sleep(pause),
                result => return result,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The read-only handle has to go first: redb lets nobody in beside it. If somebody else keeps looking, nothing
    /// is lost: we go on looking, too.
    fn try_to_become_writer(&self, held: &mut Held) -> Result<(), NotSaved> {
        let (Held::Looking(_), Some(dir)) = (&*held, &self.dir) else { return Ok(()) };
        *held = Held::Nothing;
        match open_writer(dir, Duration::ZERO) {
            Ok((writer, note)) => {
                *held = Held::Writing(writer);
                *lock(&self.note) = note;
            }
            Err(error @ StoreError::AlreadyOpen(_)) => match Store::open(dir, Access::ReadOnly) {
                Ok(opened) => {
                    *held = Held::Looking(opened.store);
                    return Err(NotSaved { why: error.to_string(), lost: false });
                }
                Err(error) => return Err(self.give_up(held, &error)),
            },
            Err(error) => return Err(self.give_up(held, &error)),
        }
        Ok(())
    }

    fn give_up(&self, held: &mut Held, error: &StoreError) -> NotSaved {
        if let Held::Lost(why) = held {
            return NotSaved::lost(why.clone());
        }
        let why = with_cause(error);
        *held = Held::Lost(why.clone());
        if let Some(dir) = &self.dir {
            // Removing needs no space. If even that fails the file is as unwritable for the next run, which
            // then says so itself.
            let _ = store::discard(dir);
        }
        NotSaved::lost(why)
    }

    /// Forgets tasks that no file declares any more and that have not run for a month (hazard D6). Costs a
    /// look at the names unless there are such tasks.
    pub(crate) fn forget_unseen(&self, known: impl Fn(&str) -> bool) {
        let held = self.held();
        let Held::Writing(writer) = &*held else { return };
        let Ok(snapshot) = writer.reader().snapshot() else { return };
        let is_known = |key: &[u8]| std::str::from_utf8(key).is_ok_and(&known);
        let names = snapshot.keys(Table::Tasks).unwrap_or_default();
        if names.iter().all(|name| is_known(name)) {
            return;
        }
        if let Ok(batch) = snapshot.forget_unseen(is_known, now_ms().saturating_sub(MONTH_MS)) {
            // Written before the store is closed; if it cannot be, the next session tries again.
            writer.submit_then(batch, drop);
        }
    }

    /// Forgets trails of sets nobody has any more, once they are more than the others. `known` are the keys of
    /// those somebody has.
    pub(crate) fn forget_trails(&self, known: impl FnOnce() -> HashSet<[u8; 16]>, usual: usize) {
        let held = self.held();
        let Held::Writing(writer) = &*held else { return };
        let Ok(snapshot) = writer.reader().snapshot() else { return };
        let few = snapshot.count(Table::Trails).is_ok_and(|count| count <= 2 * usual as u64 + SPARE_TRAILS);
        if few {
            return;
        }
        let (known, mut batch) = (known(), Batch::new());
        for key in snapshot.keys(Table::Trails).unwrap_or_default() {
            if !key.as_slice().try_into().is_ok_and(|key: [u8; 16]| known.contains(&key)) {
                batch.delete(Table::Trails, &key);
            }
        }
        writer.submit_then(batch, drop);
    }

    /// Closes the store, and says what the user should know of it.
    ///
    /// # Errors
    /// Why results were not saved.
    pub(crate) fn close(&self) -> Result<Vec<String>, String> {
        let notices = match std::mem::replace(&mut *self.held(), Held::Nothing) {
            Held::Nothing => Vec::new(),
            Held::Looking(store) => store.close().map_err(|e| e.to_string())?,
            Held::Writing(writer) => {
                let notices = writer.shutdown().map_err(|e| with_cause(&e))?;
                if !self.dir.as_ref().is_some_and(store::is_in_place) {
                    return Err("the state was removed while it was in use".to_owned());
                }
                notices
            }
            Held::Lost(why) => return Err(why),
        };
        let note = lock(&self.note).take();
        Ok(note.into_iter().chain(notices.iter().filter_map(put_notice)).collect())
    }
}

/// What a panic of another thread left is as good as before: every change is made at once.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_writer(dir: &StateDir, patience: Duration) -> Result<(GroupWriter, Option<String>), StoreError> {
    let opened = Store::open_waiting(dir, patience)?;
    let note = opened.notice.as_ref().map(told);
    Ok((GroupWriter::start(opened.store)?, note))
}

fn with_cause(error: &StoreError) -> String {
    error.source().map_or(error.to_string(), |source| format!("{error}: {source}"))
}

fn told(aside: &SetAside) -> String {
    format!("the state could not be used ({}); it is set aside as {}", aside.reason, aside.file.display())
}

fn put_notice(notice: &Notice) -> Option<String> {
    match notice {
        Notice::SetAside(aside) => Some(told(aside)),
        Notice::Damaged(why) => Some(format!("the state is damaged: {why}")),
        // One value that is lost costs one run; nobody can do anything about it.
        Notice::BadValue { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another run of the session begins to write while one reads: what it reads is not taken for absent.
    #[test]
    fn who_reads_while_looking_becomes_writing_reads_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::create(&dir.path().join("state")).unwrap();
        let mut batch = Batch::new();
        batch.put(Table::Tasks, b"a:b", &7_u64).unwrap();
        let (writer, _) = open_writer(&state, PATIENCE).unwrap();
        writer.submit_then(batch, drop);
        drop(writer.shutdown().unwrap());
        let (memory, _) = Memory::open(state, false).unwrap();
        assert!(memory.is_only_looked_at());
        let mut tries = 0;
        let found = memory.read(|reader| {
            tries += 1;
            memory.become_writer().unwrap();
            reader.snapshot()?.get::<u64>(Table::Tasks, b"a:b")
        });
        assert_eq!((found.flatten(), tries), (Some(7), 2));
        memory.close().unwrap();
        assert!(memory.read(Reader::snapshot).is_none(), "a memory that is closed holds nothing");
    }
}
