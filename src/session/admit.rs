//! Before a task executes: it has to be its turn among the runs of the session, and another run may have done it.

use std::sync::Arc;

use super::{
    execute::{Execution, Failure, Halt, Left},
    judge,
    results::HandedOn,
};
impl Execution {
    /// Waits until it may execute. Some: another run has done it meanwhile.
    pub(super) async fn admit(&mut self) -> Result<Option<Left>, Failure> {
        let mut orders = self.orders.clone();
        let claim = tokio::select! {
            claim = self.run.shared.commons.claim(self.id, self.task()) => claim,
            _ = orders.wait_for(|orders| orders.halt != Halt::No) => return Err(Failure::cancelled()),
        };
        let is_judged = claim.times == self.start.question.times;
        self.claim = Some(claim);
        if is_judged { Ok(None) } else { self.judge_again().await }
    }

    /// What it was judged by is no longer the last that is known of it.
    async fn judge_again(&mut self) -> Result<Option<Left>, Failure> {
        self.start.snapshot = None;
        self.start.record = self.run.shared.record(self.id);
        if !self.task().is_keyed() {
            return Ok(None);
        }
        let (run, mut question) = (Arc::clone(&self.run), self.start.question.clone());
        question.record = self.start.record.clone();
        let mut judged = self.aside(move || judge::judge(&run.shared, vec![question])).await?;
        let Some(judged) = judged.pop() else { return Ok(None) };
        if judged.reasons.is_empty() {
            let handed = judged.fresh.as_ref().map(HandedOn::from_record).unwrap_or_default();
            return Ok(Some(Left { handed, was_done: true, ..Left::default() }));
        }
        self.start.reasons = judged.reasons;
        self.start.changed = judged.changed;
        self.start.snapshot = judged.snapshot;
        Ok(None)
    }
}
