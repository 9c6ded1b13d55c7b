//! Results on their way to the store: together, one transaction at a time, while the runs go on.
//!
//! A dependent does not wait for them (limit L1), so they need not hurry: a commit costs more processor time than a
//! small task does. The first is committed at once, and what ends while it is, or soon after, goes into the next.
//! All runs of a session save in one line: of two results of one task the later one must not be overtaken.

use std::{
    future::pending,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep_until};

use super::{
    context::RunContext,
    memory::{Explanation, NotSaved},
    shared::Shared,
};
use crate::{model::TaskId, store::Batch};

/// How long it rests after a commit. What a power cut takes back is run again; of a kill the journal knows.
const REST: Duration = Duration::from_millis(20);

/// Results of all runs of a session that are not saved yet.
#[derive(Debug, Default)]
pub(crate) struct Savings {
    waiting: Mutex<Waiting>,
    /// Held by whoever commits: what was put in first is committed first.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    batch: Batch,
    results: Vec<Result>,
}

/// Of whom to tell what.
#[derive(Debug)]
struct Result {
    run: Weak<RunContext>,
    id: TaskId,
    explanation: Option<Arc<Explanation>>,
}

impl Savings {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in a result. Whoever does so commits it at the end of its run at the latest.
    pub(crate) fn put(
        &self,
        run: &Arc<RunContext>,
        id: TaskId,
        batch: Batch,
        explanation: Option<Arc<Explanation>>,
    ) {
        let mut waiting = self.waiting();
        waiting.batch.append(batch);
        waiting.results.push(Result { run: Arc::downgrade(run), id, explanation });
    }

    /// Commits all that was put in, and `last` after it.
    pub(crate) async fn commit(&self, shared: &Shared, last: Batch) -> std::result::Result<(), NotSaved> {
        let _turn = self.turn.lock().await;
        let Waiting { mut batch, results } = mem::take(&mut *self.waiting());
        batch.append(last);
        if batch.is_empty() {
            return Ok(());
        }
        let saved = shared.memory.save(batch).await;
        for Result { run, id, explanation } in results {
            match (&saved, explanation) {
                (Ok(()), Some(explanation)) => shared.commons.is_stored(id, &explanation),
                (Ok(()), None) => {}
                (Err(fault), _) => drop(run.upgrade().map(|run| run.not_saved(&fault.why))),
            }
        }
        saved
    }
}

/// Has the results of one run saved.
#[derive(Debug)]
pub(crate) struct Saver {
    run: Arc<RunContext>,
    /// Whether there is a result that nobody is saving.
    is_due: bool,
    /// The transaction under way, if there is one.
    writing: JoinSet<()>,
    rested: Instant,
}

impl Saver {
    pub(crate) fn new(run: Arc<RunContext>) -> Self {
        Self { run, is_due: false, writing: JoinSet::new(), rested: Instant::now() }
    }

    /// A result was put in. It is saved by [`Saver::advance`] or by [`Saver::finish`].
    pub(crate) fn is_due(&mut self) {
        self.is_due = true;
    }

    /// Does what there is to do next, once it is time. Loses nothing when dropped half-way.
    pub(crate) async fn advance(&mut self) {
        if self.writing.join_next().await.is_some() {
            // Without a journal every moment counts.
            let rest = if self.run.has_journal() { REST } else { Duration::ZERO };
            self.rested = Instant::now() + rest;
        } else if self.is_due {
            sleep_until(self.rested.into()).await;
            self.is_due = false;
            let run = Arc::clone(&self.run);
            self.writing.spawn(async move { commit(&run, Batch::new()).await });
        } else {
            pending().await
        }
    }

    /// Saves the rest, and `last` in one transaction with it.
    pub(crate) async fn finish(&mut self, last: Batch) {
        while self.writing.join_next().await.is_some() {}
        commit(&self.run, last).await;
    }
}

async fn commit(run: &RunContext, last: Batch) {
    // A stat cache that could not be saved while somebody else looks only costs reading again.
    if let Err(fault) = run.shared.savings.commit(&run.shared, last).await
        && fault.lost
    {
        run.not_saved(&fault.why);
    }
}
