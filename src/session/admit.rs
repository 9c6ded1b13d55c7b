//! Before a task executes: it has to be its turn among the runs of the session, and another run may have done it.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    commons::{Claim, Standing},
    context::RunContext,
    crew::Over,
    execute::{Execution, Failure, Halt, Left, Orders},
    judge,
    results::HandedOn,
};
use crate::model::TaskId;

/// What comes of waiting for one's turn.
pub(super) enum Admission {
    Granted(Claim),
    /// The family has done it.
    Over(Over),
    /// It was ended meanwhile.
    Cancelled,
}

/// Waits until a task may execute.
pub(super) async fn admit(run: &RunContext, id: TaskId, mut orders: watch::Receiver<Orders>) -> Admission {
    tokio::select! {
        standing = run.member.claim(id, run.shared.graph.task(id), run.asked(id)) => match standing {
            Standing::Free(claim) => Admission::Granted(claim),
            Standing::Over(over) => Admission::Over(over),
            Standing::Executing => Admission::Cancelled, // which is waited for, and so never the answer
        },
        _ = orders.wait_for(|orders| orders.halt != Halt::No) => Admission::Cancelled,
    }
}

impl Execution {
    /// What it was judged by may no longer be the last that is known of it. Some: another run has done it.
    pub(super) async fn judge_again(&mut self) -> Result<Option<Left>, Failure> {
        // What was found before it had to wait for its turn is no ground to put something back.
        let may_restore_late = self.start.restorable.is_some() && self.start.snapshot.is_none();
        if self.claim.times == self.start.question.times && !may_restore_late {
            return Ok(None);
        }
        self.start.snapshot = None;
        self.start.record = self.run.shared.record(self.id);
        if !self.task().is_keyed() {
            return Ok(None);
        }
        let (run, mut question) = (Arc::clone(&self.run), self.start.question.clone());
        let last = self.start.record.clone();
        let judge = move || {
            question.with_remembered_calls(&run.shared, last.as_ref(), |_| true);
            question.record = last;
            judge::judge(&run.shared, vec![question])
        };
        let mut judged = self.aside(judge).await?;
        let Some(judged) = judged.pop() else { return Ok(None) };
        if judged.reasons.is_empty() {
            let handed = judged.fresh.as_ref().map(HandedOn::from_record).unwrap_or_default();
            return Ok(Some(Left { handed, was_done: true, looked: Some(judged.looked), ..Left::default() }));
        }
        self.start.reasons = judged.reasons;
        self.start.changed = judged.changed;
        self.start.restorable = judged.restorable;
        self.start.snapshot = judged.snapshot;
        Ok(None)
    }
}
