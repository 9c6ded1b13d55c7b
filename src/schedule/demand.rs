//! Which processes are needed: one for which only tasks wait that may turn out to be fresh is not started before one of
//! them is not (so that a run that has nothing to do starts nothing).
//!
//! Such a process passes its gate, instead of starting, when everything upstream of it allows that. A task downstream is
//! judged as soon as everything upstream of it holds, or is a process that has passed its gate; if it is fresh, that
//! is all. If it is not, it demands the processes, and is judged again when they are up. Whatever becomes of a process
//! that others demanded changes nothing for a task that is fresh.

use std::{collections::HashMap, sync::Arc};

use super::{Moves, Phase, Scheduler, Step};
use crate::{
    graph::Edge,
    model::{Condition, Outcome, TaskId, TaskSet},
    plan::Plan,
};

/// Edges from processes that start on demand to what rests on them through tasks in between.
#[derive(Debug, Default)]
pub(super) struct Through {
    up: HashMap<TaskId, Vec<Edge>>,
    down: HashMap<TaskId, Vec<Edge>>,
}

/// What demand has to do with a task.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    /// It is a process that starts on demand.
    is_lazy: bool,
    /// It rests on such a process directly, or is one: it looks ahead.
    looks_ahead: bool,
    /// Edges into it that are neither settled nor from a process that has passed its gate.
    closed: usize,
    /// One of them came to nothing.
    is_broken: bool,
    /// A process: it has passed its gate, or never will.
    has_told: bool,
    /// It is certain that it needs what it rests on.
    demands: bool,
}

impl Demand {
    /// Whether it is still to be found out whether it needs what it rests on.
    pub(super) const fn is_early(self) -> bool {
        self.looks_ahead && !self.demands
    }

    /// Whether what is downstream knows of its gate.
    pub(super) const fn has_told(self) -> bool {
        self.has_told
    }

    /// An edge into it is settled.
    pub(super) fn settle(&mut self, broken: bool) {
        self.closed -= 1;
        self.is_broken |= broken;
    }
}

impl Scheduler {
    /// Finds out which processes start on demand, and who may come to need them.
    pub(super) fn foresee_demand(&mut self, wanted: Option<&TaskSet>) {
        let (graph, plan) = (Arc::clone(&self.graph), Arc::clone(&self.plan));
        // What is sure to execute, or has something below it that is; and what gathers others for who asked.
        let (mut above, mut gathers) = (TaskSet::new(), TaskSet::new());
        for &id in plan.order().iter().rev() {
            let (task, is_root) = (graph.task(id), wanted.unwrap_or(plan.roots()).contains(id));
            let below = || plan.downstream(&graph, id).map(|edge| edge.task);
            let mut executes = below().any(|id| above.contains(id));
            let is_gathered = is_root || below().any(|id| gathers.contains(id));
            if task.is_process() {
                executes |= is_gathered;
                self.states[id.index()].demand.is_lazy = !executes;
            } else if !task.has_command() {
                is_gathered.then(|| gathers.insert(id));
            } else {
                executes |= !task.can_be_fresh() && !self.keeps;
            }
            executes.then(|| above.insert(id));
        }
        self.through_others(&plan);
        for &id in plan.order() {
            let upstream = || self.upstream(id).filter(|edge| plan.scheduled().contains(edge.task));
            let rests = upstream().any(|edge| self.states[edge.task.index()].demand.is_lazy);
            let scheduled = upstream().count();
            let state = &mut self.states[id.index()];
            state.pending = scheduled;
            state.demand.looks_ahead = rests || state.demand.is_lazy;
            state.demand.closed = scheduled;
        }
    }

    /// What rests on a process through a task in between needs it, too, also if that task is fresh: in a clean run the
    /// process would be up. That is an edge of the same conditions; an end that was waited for is over, and a soft
    /// edge does not ask how what is upstream of it has fared.
    fn through_others(&mut self, plan: &Plan) {
        let graph = Arc::clone(&self.graph);
        let mut rests: HashMap<TaskId, Vec<Edge>> = HashMap::new();
        for &id in plan.order() {
            let (mut own, mut through): (Vec<Edge>, Vec<Edge>) = (Vec::new(), Vec::new());
            for edge in plan.upstream(&graph, id).filter(|edge| plan.scheduled().contains(edge.task)) {
                if self.states[edge.task.index()].demand.is_lazy {
                    own.push(edge);
                } else if !edge.conditions.is_soft() && !graph.task(edge.task).is_process() {
                    through.extend(rests.get(&edge.task).into_iter().flatten());
                }
            }
            through.retain(|edge| !edge.conditions.contains(Condition::Completed));
            through.sort_by_key(|edge| edge.task);
            through.dedup_by(|edge, kept| {
                let same = edge.task == kept.task;
                if same {
                    edge.conditions.iter().for_each(|condition| kept.conditions.insert(condition));
                }
                same
            });
            through.retain(|edge| own.iter().all(|direct| direct.task != edge.task));
            own.extend(through.iter().copied());
            // One that only gathers others does nothing for which it would need anything.
            if !through.is_empty() && graph.task(id).has_command() {
                for edge in &through {
                    self.through.down.entry(edge.task).or_default().push(Edge { task: id, ..*edge });
                }
                self.through.up.insert(id, through);
            }
            if !own.is_empty() {
                rests.insert(id, own);
            }
        }
    }

    /// The edges into a task, with those from processes that others need for it.
    pub(super) fn upstream(&self, id: TaskId) -> impl Iterator<Item = Edge> + '_ {
        let through = self.through.up.get(&id).into_iter().flatten().copied();
        self.plan.upstream(&self.graph, id).chain(through)
    }

    /// The edges out of a task, with those into tasks that need it for others.
    pub(super) fn downstream(&self, id: TaskId) -> impl Iterator<Item = Edge> + '_ {
        let through = self.through.down.get(&id).into_iter().flatten().copied();
        self.plan.downstream(&self.graph, id).chain(through)
    }

    /// A task that may turn out not to need what it rests on.
    pub(super) fn look_ahead(&mut self, id: TaskId, moves: &mut Moves) {
        let state = &mut self.states[id.index()];
        match (state.demand.closed, state.demand.is_broken) {
            (0, true) => self.give_up(id, moves),
            (0, false) if state.demand.is_lazy => {
                state.progress.phase = Phase::Dormant;
                state.demand.has_told = true;
                moves.steps.push(Step::MayStart(id));
            }
            (0, false) => moves.satisfied.push(id),
            _ => {}
        }
    }

    /// A process upstream of a task could start, if that is scheduled.
    pub(super) fn open_gate(&mut self, id: TaskId, broken: bool, moves: &mut Moves) {
        if self.plan.scheduled().contains(id) {
            self.states[id.index()].demand.settle(broken);
            self.advance(id, moves);
        }
    }

    /// Whether a task is judged before it is clear what becomes of the processes it rests on.
    #[must_use]
    pub fn is_foretold(&self, id: TaskId) -> bool {
        let state = &self.states[id.index()];
        let is_open = state.pending > 0 || !state.broken_by.is_empty();
        state.progress.phase == Phase::Checking && state.demand.is_early() && is_open
    }

    /// A task needs the processes it rests on, and these theirs.
    pub(super) fn demand(&mut self, id: TaskId) {
        self.busy -= 1;
        self.checking -= 1;
        let (mut todo, mut moves) = (Vec::new(), Moves::default());
        let mut awake = Some(id);
        while let Some(id) = awake {
            let state = &mut self.states[id.index()];
            state.demand.demands = true;
            state.progress.phase = Phase::Waiting;
            todo.extend(self.upstream(id).map(|edge| edge.task));
            self.advance(id, &mut moves);
            awake = loop {
                match todo.pop() {
                    Some(upper) if self.phase(upper) == Phase::Dormant => break Some(upper),
                    Some(_) => {}
                    None => break None,
                }
            };
        }
        self.travel(moves);
    }

    /// When all that is left are processes nobody needed, that is it.
    pub(super) fn pass_over_dormant(&mut self) {
        let rest = |id: &TaskId| self.phase(*id) == Phase::Dormant;
        let dormant: Vec<TaskId> = self.plan.order().iter().copied().filter(rest).collect();
        if dormant.len() < self.open {
            return;
        }
        for id in dormant {
            self.states[id.index()].progress.phase = Phase::Done(Outcome::Skipped);
            self.open -= 1;
            self.passed_over.push((id, Outcome::Skipped));
        }
    }
}
