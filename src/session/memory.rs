//! The store as a session sees it: opened read-only, for writing only once something has to be written,
//! and given up, never trusted, once it cannot be written.

use std::{
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use super::shared::now_ms;
use crate::{
    fingerprint::{FileRow, Manifest},
    model::DirRecord,
    store::{
        Access, Batch, GroupWriter, Notice, Reader, SetAside, Snapshot, StateDir, Store, StoreError, Table,
        TaskRecord,
    },
};

/// How long a reader without the lock (`list` elsewhere in the tree) may keep us from opening the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a task that no file declares is remembered, in milliseconds.
const MONTH_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// What explains the record of a task: read only when a difference has to be put into words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Explanation {
    /// What its key was made of when it last executed.
    pub(crate) manifest: Manifest,
    /// The files it declared as outputs, as it left them.
    pub(crate) outputs: Vec<FileRow>,
}

/// The store of a session.
#[derive(Debug)]
pub(crate) struct Memory {
    dir: Option<StateDir>,
    held: Mutex<Held>,
}

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
        Self { dir: None, held: Mutex::new(Held::Nothing) }
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
                let (writer, note) = open_writer(&dir)?;
                notes.extend(note);
                Held::Writing(writer)
            }
            Err(error) => return Err(error),
        };
        Ok((Self { dir: Some(dir), held: Mutex::new(held) }, notes))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
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
        // A handle may be replaced between taking and using it (looking becomes writing): look again.
        (0..2).find_map(|_| match self.reader()?.get(table, key) {
            Err(StoreError::Closed) => None,
            result => Some(result.ok().flatten()),
        })?
    }

    pub(crate) fn record(&self, name: &str) -> Option<TaskRecord> {
        self.get(Table::Tasks, name.as_bytes())
    }

    pub(crate) fn explanation(&self, name: &str) -> Option<Explanation> {
        self.get(Table::Manifests, name.as_bytes())
    }

    pub(crate) fn directory(&self, key: &[u8]) -> Option<DirRecord> {
        self.get(Table::Dirs, key)
    }

    /// Everything of one moment, for many reads.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        self.reader()?.snapshot().ok()
    }

    /// Makes a batch durable. When that fails for good the whole store is given up and its file removed:
    /// the records in it no longer say what happened, and must not be believed later (hazard D3).
    pub(crate) async fn save(&self, batch: Batch) -> Result<(), String> {
        let (sender, saved) = oneshot::channel();
        {
            let mut held = self.held();
            match self.writer(&mut held) {
                Ok(Some(writer)) => writer.submit_then(batch, move |result| drop(sender.send(result))),
                Ok(None) => return Ok(()),
                Err(why) => {
                    self.give_up(&mut held, &why);
                    return Err(why);
                }
            }
        }
        match saved.await.unwrap_or(Err(StoreError::Closed)) {
            Ok(()) => Ok(()),
            Err(error) => {
                let why = error.to_string();
                self.give_up(&mut self.held(), &why);
                Err(why)
            }
        }
    }

    fn writer<'a>(&self, held: &'a mut Held) -> Result<Option<&'a GroupWriter>, String> {
        if let (Held::Looking(_), Some(dir)) = (&*held, &self.dir) {
            // The read-only handle has to go first: redb lets nobody in beside it.
            *held = Held::Nothing;
            let (writer, _) = open_writer(dir).map_err(|e| e.to_string())?;
            *held = Held::Writing(writer);
        }
        match held {
            Held::Writing(writer) => Ok(Some(writer)),
            Held::Lost(why) => Err(why.clone()),
            Held::Nothing | Held::Looking(_) => Ok(None),
        }
    }

    fn give_up(&self, held: &mut Held, why: &str) {
        if matches!(held, Held::Lost(_)) {
            return;
        }
        *held = Held::Lost(why.to_owned());
        if let Some(dir) = &self.dir {
            // Removing needs no space. If even that fails the file is as unwritable for the next run, which
            // then says so itself.
            let _ = fs::remove_file(dir.path().join("state.redb"));
        }
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

    /// Closes the store, and says what the user should know of it.
    ///
    /// # Errors
    /// Why results were not saved.
    pub(crate) fn close(&self) -> Result<Vec<String>, String> {
        let notices = match std::mem::replace(&mut *self.held(), Held::Nothing) {
            Held::Nothing => Vec::new(),
            Held::Looking(store) => store.close().map_err(|e| e.to_string())?,
            Held::Writing(writer) => writer.shutdown().map_err(|e| e.to_string())?,
            Held::Lost(why) => return Err(why),
        };
        Ok(notices.iter().filter_map(put_notice).collect())
    }
}

fn open_writer(dir: &StateDir) -> Result<(GroupWriter, Option<String>), StoreError> {
    let opened = Store::open_waiting(dir, PATIENCE)?;
    let note = opened.notice.as_ref().map(told);
    Ok((GroupWriter::start(opened.store)?, note))
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
