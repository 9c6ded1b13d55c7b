//! When an edge is satisfied, and when it never can be (the table of spec section 2).

use super::{Phase, Progress};
use crate::{
    graph::Conditions,
    model::{Condition, Outcome},
};

/// What an edge says about its downstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It may still be satisfied.
    Pending,
    /// It is satisfied, for good.
    Satisfied,
    /// It never will be: the failure travels on.
    Broken,
}

/// The status of an edge whose upstream has come this far. Never goes back from `Satisfied` or `Broken`.
pub(super) fn status(conditions: Conditions, upstream: Progress) -> Status {
    let mut all = Status::Satisfied;
    for condition in conditions.iter() {
        match one(condition, upstream) {
            Status::Broken => return Status::Broken,
            Status::Pending => all = Status::Pending,
            Status::Satisfied => {}
        }
    }
    all
}

fn one(condition: Condition, upstream: Progress) -> Status {
    let reached = match condition {
        Condition::Started => upstream.began,
        Condition::Ready if upstream.is_process => upstream.was_ready,
        Condition::Ready | Condition::Succeeded | Condition::Completed => false,
    };
    match upstream.phase {
        _ if reached => Status::Satisfied,
        Phase::Done(outcome) if at_end(condition, outcome, upstream.is_process) => Status::Satisfied,
        Phase::Done(_) => Status::Broken,
        _ => Status::Pending,
    }
}

/// Whether an upstream that ended without reaching the state before satisfies the condition by its end.
fn at_end(condition: Condition, outcome: Outcome, is_process: bool) -> bool {
    match condition {
        Condition::Completed => outcome != Outcome::Cancelled,
        Condition::Ready if is_process => false,
        Condition::Started | Condition::Ready | Condition::Succeeded => outcome.is_success(),
    }
}
