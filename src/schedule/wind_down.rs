//! When nothing more happens by itself: which processes are stopped then (spec section 6: a process is
//! started for those that need it, and stopped afterwards).

use super::{Phase, Scheduler};
use crate::{
    graph::Conditions,
    model::{Condition, TaskId, TaskSet},
};

impl Scheduler {
    /// Stops the processes that hold the run up, unless one of them still has something to give.
    pub(super) fn wind_down(&mut self) {
        let is_live = |id: &TaskId| matches!(self.phase(*id), Phase::Running | Phase::Up);
        let live: Vec<TaskId> = self.plan.order().iter().copied().filter(is_live).collect();
        if live.iter().any(|id| self.goes_on(*id)) {
            return;
        }
        // What others rest on ends after them.
        let below = self.below(&live);
        let free = live.into_iter().filter(|id| !below.contains(*id));
        let (in_use, idle): (Vec<TaskId>, Vec<TaskId>) = free.partition(|id| self.is_in_use(*id));
        // Those in use are kept for tasks that wait for the end of an idle one. If there is no idle one,
        // the tasks wait for each other's processes, or for a lock, and only an end gets them on.
        for id in if idle.is_empty() { in_use } else { idle } {
            self.stop(id);
        }
    }

    /// What is upstream of these, directly or through others. Who waits for an end does not rest on what has ended.
    fn below(&self, tasks: &[TaskId]) -> TaskSet {
        let (mut below, mut todo) = (TaskSet::new(), tasks.to_vec());
        while let Some(id) = todo.pop() {
            for edge in self.upstream(id) {
                if !edge.conditions.contains(Condition::Completed) && below.insert(edge.task) {
                    todo.push(edge.task);
                }
            }
        }
        below
    }

    /// Whether something may come of a live process without anybody else moving: it is a root and runs
    /// until it ends (unless it outlives the run), it is on its way to be ready or to its end, and somebody waits
    /// for that.
    fn goes_on(&self, id: TaskId) -> bool {
        let state = &self.states[id.index()];
        let will_be_ready = || {
            state.progress.phase == Phase::Running && self.is_awaited(id, |c| c.contains(Condition::Ready))
        };
        // Who is only ever waited for to complete is no service for others: it ends by itself.
        let will_end = || self.is_soft(id) && self.is_awaited(id, |_| true);
        let is_the_point = self.plan.roots().contains(id) && !self.keeps;
        is_the_point || state.stopping || will_be_ready() || will_end()
    }

    /// Whether a task that is still to run wants the process up, and does not wait for its end.
    fn is_in_use(&self, id: TaskId) -> bool {
        self.is_awaited(id, |conditions| !conditions.contains(Condition::Completed))
    }

    /// Whether a task that may still run has such an edge from this one.
    fn is_awaited(&self, id: TaskId, edge: impl Fn(Conditions) -> bool) -> bool {
        self.downstream(id).any(|e| {
            let state = &self.states[e.task.index()];
            self.plan.scheduled().contains(e.task)
                && matches!(state.progress.phase, Phase::Waiting | Phase::Queued)
                && state.broken_by.is_empty()
                && edge(e.conditions)
        })
    }
}
