//! Results on their way to the store: together, one transaction at a time, while the run goes on.
//!
//! A dependent does not wait for them (limit L1), so they need not hurry: a commit costs more processor time than a
//! small task does. The first is committed at once, and what ends while it is, or soon after, goes into the next.

use std::{
    future::pending,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep_until};

use super::context::RunContext;
use crate::store::Batch;

/// How long it rests after a commit. What a power cut takes back is run again; of a kill the journal knows.
const REST: Duration = Duration::from_millis(20);

/// Saves the results of one run.
#[derive(Debug)]
pub(crate) struct Saver {
    run: Arc<RunContext>,
    waiting: Batch,
    /// The transaction under way, if there is one.
    writing: JoinSet<()>,
    rested: Instant,
}

impl Saver {
    pub(crate) fn new(run: Arc<RunContext>) -> Self {
        Self { run, waiting: Batch::new(), writing: JoinSet::new(), rested: Instant::now() }
    }

    /// Takes a result. It is saved by [`Saver::advance`] or by [`Saver::finish`].
    pub(crate) fn save(&mut self, batch: Batch) {
        self.waiting.append(batch);
    }

    /// Does what there is to do next, once it is time. Loses nothing when dropped half-way.
    pub(crate) async fn advance(&mut self) {
        if self.writing.join_next().await.is_some() {
            // Without a journal every moment counts.
            let rest = if self.run.has_begun() { REST } else { Duration::ZERO };
            self.rested = Instant::now() + rest;
        } else if self.waiting.is_empty() {
            pending().await
        } else {
            sleep_until(self.rested.into()).await;
            let (run, batch) = (Arc::clone(&self.run), mem::take(&mut self.waiting));
            self.writing.spawn(async move { commit(&run, batch, true).await });
        }
    }

    /// Saves the rest, and `last` in one transaction with it.
    pub(crate) async fn finish(&mut self, last: Batch) {
        while self.writing.join_next().await.is_some() {}
        let has_results = !self.waiting.is_empty();
        self.waiting.append(last);
        let batch = mem::take(&mut self.waiting);
        if !batch.is_empty() {
            commit(&self.run, batch, has_results).await;
        }
    }
}

async fn commit(run: &RunContext, batch: Batch, has_results: bool) {
    // A stat cache that could not be saved while somebody else looks only costs reading again.
    if let Err(fault) = run.shared.memory.save(batch).await
        && (fault.lost || has_results)
    {
        run.not_saved(&fault.why);
    }
}
