//! One cycle of a watch: which of its tasks are looked at again, and what becomes of those that need no look
//! (spec section 5).
//!
//! A cycle is a run of a part of the plan: the tasks whose files changed, and everything downstream of them. How
//! the others stand is known ([`Stood`]). Freshness is judged as in any run; but a
//! task that failed is not tried again before something in its key is another, and one that always runs does so only
//! after an execution upstream of it.

use std::{collections::BTreeMap, sync::Arc};

use super::watching::Stood;
use crate::{
    graph::TaskGraph,
    model::{Outcome, Reason, Task, TaskId, TaskSet},
    plan::Plan,
    planted::{self, Fault},
};

/// Which tasks a cycle is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cycle {
    /// The tasks that the watch was asked for.
    pub(crate) named: TaskSet,
    /// All it schedules.
    pub(crate) scheduled: TaskSet,
    /// What of that is looked at again, and not only there to be used.
    about: TaskSet,
    /// Processes among these that changed, or are downstream of what did.
    concerned: TaskSet,
    /// Upstream of these, what did not succeed and stays as it is.
    stays: TaskSet,
    /// To be executed whatever is known of them.
    forced: TaskSet,
    /// To be executed if they can be at all: nobody knows what they would do, or they were ended by us.
    owed: TaskSet,
}

impl Cycle {
    /// The cycle after these tasks have changed.
    pub(crate) fn new(
        graph: &TaskGraph,
        plan: &Plan,
        changed: impl IntoIterator<Item = TaskId>,
        forced: TaskSet,
        owed: TaskSet,
        standings: &BTreeMap<TaskId, Stood>,
    ) -> Self {
        let mut forced = forced;
        let changed: Vec<TaskId> = changed.into_iter().collect();
        forced.extend(changed.iter().copied().filter(|id| graph.task(*id).is_process()));
        let mut scheduled: TaskSet = changed.into_iter().chain(forced.iter()).chain(owed.iter()).collect();
        let mut open: Vec<TaskId> =
            scheduled.iter().filter(|_| !planted::is(Fault::DownstreamForgotten)).collect();
        while let Some(id) = open.pop() {
            let downstream: Vec<TaskId> = plan.downstream(graph, id).map(|edge| edge.task).collect();
            open.extend(
                downstream.into_iter().filter(|id| plan.scheduled().contains(*id) && scheduled.insert(*id)),
            );
        }
        let concerned = scheduled.iter().filter(|id| graph.task(*id).is_process()).collect();
        let stands = |id: TaskId| standings.get(&id).and_then(|standing| standing.outcome);
        let upstream = scheduled.iter().flat_map(|id| plan.upstream(graph, id)).map(|edge| edge.task);
        let stays: TaskSet = upstream
            .filter(|id| plan.scheduled().contains(*id) && !scheduled.contains(*id))
            .filter(|id| stands(*id).is_some_and(|outcome| !outcome.is_success()))
            .collect();
        for id in stays.iter() {
            scheduled.insert(id);
        }
        let about = scheduled.clone();
        // What is up may be used; what is not is started if it is needed, also through tasks in between.
        let leads = leading_to_processes(graph, plan);
        let mut open: Vec<TaskId> = scheduled.iter().filter(|id| !stays.contains(*id)).collect();
        while let Some(id) = open.pop() {
            let upstream = plan.upstream(graph, id).map(|edge| edge.task).filter(|id| leads.contains(*id));
            let new: Vec<TaskId> =
                upstream.filter(|id| !stays.contains(*id) && scheduled.insert(*id)).collect();
            open.extend(new);
        }
        Self { named: plan.roots().clone(), scheduled, about, concerned, stays, forced, owed }
    }
}

impl Cycle {
    /// Whether a task is looked at again, and not only there to be used.
    pub(crate) fn is_about(&self, id: TaskId) -> bool {
        self.about.contains(id)
    }

    /// The processes that are to be up whoever needs them: they are others now, or what they rest on may be. Those that
    /// are to be `let_be` are not among them.
    pub(crate) fn wanted(&self, let_be: impl Fn(TaskId) -> bool) -> TaskSet {
        let concerned = self.concerned.iter().filter(|id| !let_be(*id));
        self.forced.iter().chain(self.owed.iter()).chain(concerned).collect()
    }
}

/// Processes, and tasks by which others rest on them.
fn leading_to_processes(graph: &TaskGraph, plan: &Plan) -> TaskSet {
    let mut leads = TaskSet::new();
    for &id in plan.order() {
        let mut hard = plan.upstream(graph, id).filter(|edge| !edge.conditions.is_soft());
        if graph.task(id).is_process() || hard.any(|edge| leads.contains(edge.task)) {
            leads.insert(id);
        }
    }
    leads
}

/// A cycle under way.
#[derive(Debug)]
pub(crate) struct Following {
    cycle: Arc<Cycle>,
    /// Tasks that were executed, and those downstream of them.
    moved: TaskSet,
}

impl Following {
    pub(crate) fn new(cycle: Arc<Cycle>) -> Self {
        Self { cycle, moved: TaskSet::new() }
    }

    /// Whether a task has to be executed.
    pub(crate) fn forces(&self, id: TaskId) -> bool {
        self.cycle.forced.contains(id)
    }

    /// Whether a process is to be begun anew because something upstream of it was executed of which nobody can tell
    /// whether it made anything else than before.
    pub(crate) fn may_rest_on_other(
        &self,
        graph: &TaskGraph,
        plan: &Plan,
        id: TaskId,
        hands_on: impl Fn(TaskId) -> bool,
    ) -> bool {
        plan.upstream(graph, id).any(|edge| {
            let task = graph.task(edge.task);
            let tells = !task.outputs.is_empty() || hands_on(edge.task);
            let counts = !edge.conditions.is_soft() && task.has_command() && !task.is_process();
            counts && !tells && self.moved.contains(edge.task)
        })
    }

    /// Whether a task stays as it is before anybody looks at its files.
    pub(crate) fn stays(&self, graph: &TaskGraph, plan: &Plan, id: TaskId) -> bool {
        let task: &Task = graph.task(id);
        let is_keyed = task.can_be_fresh() && task.status.is_none();
        let may_stay = || !is_keyed && !self.has_cause(graph, plan, id);
        self.cycle.stays.contains(id) || task.has_command() && may_stay()
    }

    /// Whether there is a reason to execute a task that its key does not show.
    fn has_cause(&self, graph: &TaskGraph, plan: &Plan, id: TaskId) -> bool {
        self.is_wanted(id) || plan.upstream(graph, id).any(|edge| self.moved.contains(edge.task))
    }

    /// Whether a task that failed stays so, these being the reasons to execute it. One upstream of which something was
    /// executed does not: what made it fail may be mended by that, whatever its key says.
    pub(crate) fn stays_failed(
        &self,
        graph: &TaskGraph,
        plan: &Plan,
        id: TaskId,
        reasons: &[Reason],
        outcome: Option<Outcome>,
    ) -> bool {
        let is_as_before = outcome == Some(Outcome::Failed) && matches!(reasons, [Reason::LastRunFailed]);
        is_as_before && !self.has_cause(graph, plan, id)
    }

    fn is_wanted(&self, id: TaskId) -> bool {
        self.cycle.forced.contains(id) || self.cycle.owed.contains(id)
    }

    /// Takes note that a task was executed or, if not, looked at.
    pub(crate) fn passed(&mut self, graph: &TaskGraph, plan: &Plan, id: TaskId, was_executed: bool) {
        if was_executed || plan.upstream(graph, id).any(|edge| self.moved.contains(edge.task)) {
            self.moved.insert(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Condition, plan::Mode};

    fn graph() -> TaskGraph {
        let task = |name: &str| Task::shell(name, "true");
        TaskGraph::builder()
            .task(task("a:gen").exec_if_modified(["gen"]))
            .task(task("a:build").exec_if_modified(["src"]).after("a:gen", Condition::Succeeded))
            .task(task("a:test").after("a:build", Condition::Succeeded))
            .task(task("a:lint").exec_if_modified(["src"]))
            .build()
            .unwrap()
    }

    fn ids(graph: &TaskGraph, names: &[&str]) -> TaskSet {
        names.iter().map(|name| graph.id(&format!("a:{name}")).unwrap()).collect()
    }

    fn stood(graph: &TaskGraph, stands: &[(&str, Outcome)]) -> BTreeMap<TaskId, Stood> {
        let standing = |outcome| Stood { outcome: Some(outcome), ..Stood::default() };
        stands.iter().map(|(name, o)| (graph.id(&format!("a:{name}")).unwrap(), standing(*o))).collect()
    }

    #[test]
    fn a_cycle_is_what_changed_and_all_downstream_of_it() {
        let graph = graph();
        let plan = Plan::new(&graph, graph.ids(), Mode::Single);
        for (changed, stands, scheduled) in [
            (&["lint"][..], &[][..], &["lint"][..]),
            (&["build"], &[], &["build", "test"]),
            (&["gen", "lint"], &[], &["gen", "build", "test", "lint"]),
            // What failed upstream keeps it from running.
            (&["build"], &[("gen", Outcome::Failed)], &["gen", "build", "test"]),
            (&["build"], &[("gen", Outcome::Cached)], &["build", "test"]),
        ] {
            let none = TaskSet::new;
            let changed = ids(&graph, changed);
            let cycle = Cycle::new(&graph, &plan, changed.iter(), none(), none(), &stood(&graph, stands));
            assert_eq!(cycle.scheduled, ids(&graph, scheduled), "{changed:?}");
        }
    }

    #[test]
    fn what_always_runs_does_so_after_an_execution_upstream() {
        let graph = graph();
        let plan = Plan::new(&graph, graph.ids(), Mode::Single);
        let id = |name: &str| graph.id(&format!("a:{name}")).unwrap();
        let changed = [id("gen")];
        let cycle = Cycle::new(&graph, &plan, changed, TaskSet::new(), TaskSet::new(), &BTreeMap::new());
        let mut following = Following::new(Arc::new(cycle));
        assert!(following.stays(&graph, &plan, id("test")));
        following.passed(&graph, &plan, id("gen"), false);
        following.passed(&graph, &plan, id("build"), false);
        assert!(following.stays(&graph, &plan, id("test")));
        // Also where what is in between came out the same.
        following.passed(&graph, &plan, id("gen"), true);
        following.passed(&graph, &plan, id("build"), false);
        assert!(!following.stays(&graph, &plan, id("test")));
        assert!(!following.stays(&graph, &plan, id("build")), "files decide");
    }

    #[test]
    fn a_failure_stays_unless_something_is_another() {
        let graph = graph();
        let plan = Plan::new(&graph, graph.ids(), Mode::Single);
        let lint = graph.id("a:lint").unwrap();
        let stays = |forced: TaskSet, reasons: &[Reason], outcome| {
            let cycle = Cycle::new(&graph, &plan, [lint], forced, TaskSet::new(), &BTreeMap::new());
            Following::new(Arc::new(cycle)).stays_failed(&graph, &plan, lint, reasons, outcome)
        };
        let failed = Some(Outcome::Failed);
        assert!(stays(TaskSet::new(), &[Reason::LastRunFailed], failed));
        assert!(!stays([lint].into_iter().collect(), &[Reason::LastRunFailed], failed));
        assert!(!stays(TaskSet::new(), &[Reason::LastRunFailed, Reason::NeverRan], failed));
        assert!(!stays(TaskSet::new(), &[Reason::LastRunInterrupted], failed));
        assert!(!stays(TaskSet::new(), &[Reason::LastRunFailed], None), "this watch never tried");
    }

    #[test]
    fn a_failure_is_tried_again_after_an_execution_upstream() {
        let graph = graph();
        let plan = Plan::new(&graph, graph.ids(), Mode::Single);
        let (generator, build) = (graph.id("a:gen").unwrap(), graph.id("a:build").unwrap());
        for was_executed in [false, true] {
            let none = TaskSet::new;
            let cycle = Cycle::new(&graph, &plan, [generator], none(), none(), &BTreeMap::new());
            let mut following = Following::new(Arc::new(cycle));
            following.passed(&graph, &plan, generator, was_executed);
            let reasons = [Reason::LastRunFailed];
            let stays = following.stays_failed(&graph, &plan, build, &reasons, Some(Outcome::Failed));
            assert_eq!(stays, !was_executed);
        }
    }
}
