//! Group commit: many batches, few transactions.
//!
//! A commit costs an fsync or two whatever its size (limit L1). A thread of its own owns the store;
//! whatever was submitted while it committed goes into the next transaction, in order of submission.

use std::{
    mem,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use super::{Batch, Journal, Notice, Reader, Store, StoreError};

type Done<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

enum Job {
    Commit(Batch, Done<()>),
    Begin { run: String, names: Vec<String>, done: Done<Option<Journal>> },
}

/// The store on a thread of its own. Dropping it writes what was submitted and closes the store;
/// [`shutdown`](Self::shutdown) also reports.
#[derive(Debug)]
pub struct GroupWriter {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<Result<Vec<Notice>, StoreError>>>,
    reader: Reader,
}

impl GroupWriter {
    /// Moves `store` to a thread of its own.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the thread cannot be made; the store is closed then.
    pub fn start(store: Store) -> Result<Self, StoreError> {
        let reader = store.reader();
        let (jobs, queue) = mpsc::channel();
        let thread = thread::Builder::new().name("store".to_owned()).spawn(move || write_all(store, &queue));
        let thread = thread.map_err(|e| StoreError::io("start a thread for", reader.path(), e))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), reader })
    }

    /// Hands a batch over. It is written after all that were submitted before it; then `done` is called on the writer's thread, and must neither block nor panic. If the
    /// writer is gone it is dropped without a call.
    pub fn submit_then(&self, batch: Batch, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.submit(Job::Commit(batch, Box::new(done)));
    }

    /// [`Store::begin_run`] in its turn; `done` as with [`submit_then`](Self::submit_then).
    pub fn begin_run_then(
        &self,
        run: String,
        names: Vec<String>,
        done: impl FnOnce(Result<Option<Journal>, StoreError>) + Send + 'static,
    ) {
        self.submit(Job::Begin { run, names, done: Box::new(done) });
    }

    fn submit(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // A writer that is gone has dropped the queue, and `done` goes with the job.
            let _ = jobs.send(job);
        }
    }

    /// For reading what is committed, at any time.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Writes what was submitted, closes the store, and returns the notices nobody has taken.
    ///
    /// # Errors
    /// Those of [`Store::close`]. Failed batches were reported to whoever submitted them.
    pub fn shutdown(mut self) -> Result<Vec<Notice>, StoreError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<Vec<Notice>, StoreError> {
        self.jobs.take();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(closed)) => closed,
            // A callback panicked; the store was dropped, and thereby closed, while unwinding.
            Some(Err(_)) | None => Err(StoreError::Closed),
        }
    }
}

impl Drop for GroupWriter {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

fn write_all(mut store: Store, queue: &mpsc::Receiver<Job>) -> Result<Vec<Notice>, StoreError> {
    while let Ok(first) = queue.recv() {
        let mut batch = Batch::new();
        let mut waiting = Vec::new();
        for job in std::iter::once(first).chain(queue.try_iter()) {
            match job {
                Job::Commit(more, done) => {
                    batch.append(more);
                    waiting.push(done);
                }
                Job::Begin { run, names, done } => {
                    commit(&mut store, &mut batch, &mut waiting);
                    done(store.begin_run(run, names));
                }
            }
        }
        commit(&mut store, &mut batch, &mut waiting);
    }
    store.close()
}

fn commit(store: &mut Store, batch: &mut Batch, waiting: &mut Vec<Done<()>>) {
    let result = store.commit(&mem::take(batch));
    waiting.drain(..).for_each(|done| done(result.clone()));
}
