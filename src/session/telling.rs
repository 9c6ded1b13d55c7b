//! What is told of a run, from its beginning to its end, and what it comes to.

use std::{collections::BTreeMap, sync::Arc};

use super::{context::RunContext, results::HandedOn, run::RunSummary, runlog};
use crate::{
    event::{Decided, Finished, LastSuccess, RunStatus, What},
    graph::TaskGraph,
    model::{Compared, Outcome, Reason, TaskId, TaskName},
    plan::Plan,
    store::{Success, TaskRecord},
};

/// Tells of one run.
#[derive(Debug)]
pub(crate) struct Telling {
    run: Arc<RunContext>,
    pub(crate) summary: RunSummary,
}

impl Telling {
    pub(crate) fn new(run: Arc<RunContext>) -> Self {
        Self { summary: RunSummary::new(run.id.clone()), run }
    }

    pub(crate) fn name(&self, id: TaskId) -> TaskName {
        self.run.shared.graph.name(id).clone()
    }

    /// Says what is planned.
    pub(crate) fn announce(&self, plan: &Plan) {
        let names = |ids: &mut dyn Iterator<Item = TaskId>| ids.map(|id| self.name(id)).collect();
        self.run.emitter.emit(What::RunStarted {
            run: self.run.id.clone(),
            roots: names(&mut plan.roots().iter().filter(|id| plan.scheduled().contains(*id))),
            dry_run: self.run.request.dry_run,
        });
        let after = places_upstream(&self.run.shared.graph, plan);
        self.run.emitter.emit(What::Plan { tasks: names(&mut plan.order().iter().copied()), after });
    }

    /// Tells what is to be done with a task, and why.
    pub(crate) fn decision(
        &self,
        id: TaskId,
        action: Decided,
        reasons: Vec<Reason>,
        compared: Option<Compared>,
        (last_success, restores): (Option<LastSuccess>, Option<LastSuccess>),
    ) {
        let task = self.name(id);
        self.run.emitter.emit(What::Decision { task, action, reasons, compared, last_success, restores });
    }

    /// Tells that a task is over, and takes its part of the summary.
    pub(crate) fn finished(&mut self, finished: Finished, handed: &HandedOn) {
        if finished.status == Outcome::Failed && !finished.soft {
            self.summary.failed = true;
            // As a shell says it.
            let code = finished.exit_code.or(finished.signal.map(|signal| 128 + signal));
            self.summary.first_exit_code = self.summary.first_exit_code.or(code);
        }
        let task = finished.task.clone();
        if let (Some(output), true) = (&handed.output, finished.status.is_success()) {
            self.summary.outputs.insert(task.to_string(), output.clone());
        }
        self.summary.outcomes.push((task.clone(), finished.status));
        self.run.emitter.emit(What::TaskFinished(Box::new(finished)));
        // A dry run has nothing new to say.
        let messages = if self.run.request.dry_run { &[][..] } else { &handed.messages };
        self.summary.messages.extend(messages.iter().map(|text| (task.clone(), text.clone())));
    }

    /// Tells that the run is over. `executed`: it may have left output of tasks.
    pub(crate) fn end(&mut self, interrupted: bool, executed: bool) -> RunSummary {
        if !self.run.request.dry_run {
            runlog::prune(&self.run.shared.state_dir, executed);
        }
        let mut summary = std::mem::replace(&mut self.summary, RunSummary::new(String::new()));
        summary.not_saved = self.run.why_not_saved();
        summary.status = match (interrupted, summary.failed) {
            (true, _) => RunStatus::Interrupted,
            (false, true) => RunStatus::Failed,
            (false, false) => RunStatus::Succeeded,
        };
        summary.duration = self.run.started.elapsed();
        summary.messages.iter().for_each(|(task, text)| self.message(task, text));
        let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
        for (_, outcome) in &summary.outcomes {
            *counts.entry(*outcome).or_default() += 1;
        }
        self.run.emitter.emit_last(What::RunFinished {
            counts,
            status: summary.status,
            duration_ms: summary.duration.as_secs_f64() * 1000.0,
        });
        summary
    }

    /// Only what tasks say that can be skipped may rest on disk (spec section 8).
    fn message(&self, task: &TaskName, text: &str) {
        let graph = &self.run.shared.graph;
        let rests = graph.id(task.as_str()).is_some_and(|id| graph.task(id).can_be_fresh());
        let message = What::Message { task: task.clone(), text: text.to_owned() };
        if rests { self.run.emitter.emit(message) } else { self.run.emitter.emit_unlogged(message) }
    }
}

/// For each task of a plan, in its order, the places in that order of those directly upstream of it.
fn places_upstream(graph: &TaskGraph, plan: &Plan) -> Vec<Vec<u32>> {
    let mut places: Vec<Option<u32>> = vec![None; graph.len()];
    for (place, id) in (0..).zip(plan.order()) {
        places[id.index()] = Some(place);
    }
    let of = |id: &TaskId| {
        let mut upstream: Vec<u32> =
            plan.upstream(graph, *id).filter_map(|edge| places[edge.task.index()]).collect();
        upstream.sort_unstable();
        upstream.dedup();
        upstream
    };
    plan.order().iter().map(of).collect()
}

/// What events say of the last execution of a task, if it was a success.
pub(crate) fn last_success(record: &TaskRecord) -> Option<LastSuccess> {
    let success = record.success.as_ref()?;
    Some(told_of(success))
}

/// What events say of a success.
pub(crate) fn told_of(success: &Success) -> LastSuccess {
    LastSuccess { at_ms: success.at_ms, duration_ms: success.duration_ms, run: success.run.clone() }
}
