//! The journal of the store, shared by the runs that execute at the same time: begun by the first of them, ended by
//! the last.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Mutex, MutexGuard};

use super::memory::{Memory, NotSaved};
use crate::store::{Batch, Journal};

/// Who has the journal.
#[derive(Debug, Default)]
pub(crate) struct Ledgers {
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    users: usize,
    /// None while somebody uses it: there is no journal, and each start has to be saved.
    ledger: Option<Arc<Ledger>>,
}

/// A journal in use.
#[derive(Debug)]
pub(crate) struct Ledger {
    journal: Journal,
    /// Tasks that were noted as begun, and of which there is no record yet.
    open: AtomicUsize,
}

/// The end of a run's use of the journal: nobody else begins or ends to use it meanwhile.
pub(crate) struct Leaving<'a>(MutexGuard<'a, Current>);

impl Ledgers {
    /// The journal in use; else one for `run`, in which `names` may begin. None: there is none.
    pub(crate) async fn join(
        &self,
        memory: &Arc<Memory>,
        run: &str,
        names: impl FnOnce() -> Vec<String>,
    ) -> Result<Option<Arc<Ledger>>, NotSaved> {
        let mut current = self.current.lock().await;
        if current.users == 0 {
            let journal = memory.begin_run(run.to_owned(), names()).await?;
            current.ledger = journal.map(|journal| Arc::new(Ledger { journal, open: AtomicUsize::new(0) }));
        }
        current.users += 1;
        Ok(current.ledger.clone())
    }

    /// A run that joined uses it no more. Whoever is the last ends it with `last`, which is to be saved before this
    /// is dropped.
    pub(crate) async fn leave(&self, last: &mut Batch) -> Leaving<'_> {
        let mut current = self.current.lock().await;
        current.users = current.users.saturating_sub(1);
        // Should some task that began have no record, after a failure of our own, the next run asks the journal.
        let is_complete = |ledger: &Arc<Ledger>| ledger.open.load(Ordering::Relaxed) == 0;
        if current.users == 0 && current.ledger.as_ref().is_some_and(is_complete) {
            last.end_run();
        }
        Leaving(current)
    }
}

impl Ledger {
    /// Notes that a task begins, of which this was the run of the last record. False: it has to be saved, too.
    ///
    /// # Errors
    /// If what was noted of it before would be the last word.
    pub(crate) fn begin(&self, name: &str, last_run: Option<&str>, record: &Batch) -> io::Result<bool> {
        // The journal gives way to records of its run. There may be one although the task has not begun in it: an
        // earlier run had the same id (the clock was set back).
        let is_known = last_run == Some(self.journal.run());
        if !is_known && self.journal.begin(name).is_ok() {
            return Ok(true);
        }
        self.journal.note(record).map(|()| false)
    }

    /// Notes that there is to be a record of a task that begins.
    pub(crate) fn open(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes the record of a task, and that it was the one that was to be, if it was.
    pub(crate) fn note(&self, record: &Batch, was_open: bool) {
        // Without it a kill costs running the task again.
        let _ = self.journal.note(record);
        self.open.fetch_sub(usize::from(was_open), Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Leaving<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Leaving").field(&self.0.users).finish()
    }
}
