//! What becomes of the tasks of a run: what is told of it, what is kept of it, and what the scheduler learns.

use std::{fs, path::PathBuf, sync::Arc};

use super::{Driver, Halt};
use crate::{
    event::{Decided, Finished},
    model::{Outcome, Reason, TaskId},
    planted::{self, Fault},
    schedule::{Observation, Verdict},
    session::{
        calls::failure,
        crew::Over,
        execute::Executed,
        foresee::Foretold,
        judge::Judged,
        restore::Restorable,
        results::{HandedOn, TaskResult},
        telling::last_success,
        watching::{Looked, Stood},
    },
    store::{Kept, TaskRecord},
};

impl Driver {
    /// A task without a command is done when its upstream is, and hands that on.
    pub(super) fn pass_through(&mut self, id: TaskId) {
        if self.scheduler.is_foretold(id) {
            // What it gathers is not there yet.
            return self.scheduler.observe(Observation::Judged(id, Verdict::NoCommand));
        }
        let result =
            TaskResult { would_run: self.results.upstream_would_run(id).is_some(), ..TaskResult::default() };
        self.results.set(id, result);
        self.note_settled(id, None);
        self.decide(id, Decided::Skip, None);
        self.stand(id, Outcome::Skipped, Default::default(), false);
        self.finish(id, self.ended_as(id, Outcome::Skipped));
        self.scheduler.observe(Observation::Judged(id, Verdict::NoCommand));
    }

    pub(super) fn fresh(&mut self, judged: Judged) {
        let id = judged.id;
        self.decide(id, Decided::Cached, Some(&judged));
        let result = TaskResult { handed: HandedOn::of(judged.fresh.as_ref()), ..TaskResult::default() };
        self.results.set(id, result);
        self.note_settled(id, judged.record.as_ref());
        self.stand(id, Outcome::Cached, (judged.looked, None), false);
        if self.due.is_none() {
            self.run.member.tell_over([self.cached(id)]);
        }
        self.finish(id, self.ended_as(id, Outcome::Cached));
        self.scheduler.observe(Observation::Judged(id, Verdict::Fresh));
    }

    fn note_settled(&mut self, id: TaskId, record: Option<&TaskRecord>) {
        if let Some(settling) = &mut self.settling {
            settling.note(id, record.and_then(last_success), &self.results.get(id).handed);
        }
    }

    /// A dry run: nothing executes, and what would hand on something else makes others run too.
    pub(super) fn pretend(&mut self, judged: Judged) {
        let id = judged.id;
        if let Some(Restorable { kept, .. }) = judged.restorable {
            return self.foretell(id, &kept);
        }
        let counts = !judged.reasons.iter().any(|r| matches!(r, Reason::AlwaysRuns | Reason::StatusDecides));
        if counts {
            self.telling.summary.would_run.push(self.run.shared.graph.name(id).clone());
        }
        // What comes through a task that always runs may be something else as well.
        let judged_upstream = self.results.upstream_would_run(id).is_some();
        let success = judged.record.as_ref().and_then(|r| r.success.as_ref());
        let result = TaskResult {
            handed: HandedOn::of(success),
            would_run: counts || judged_upstream,
            assumed: !counts,
            ..TaskResult::default()
        };
        if !counts {
            Arc::make_mut(&mut self.assumed).insert(id);
        }
        self.results.set(id, result);
        self.pretended(id);
    }

    /// A dry run: what an earlier success left would come back, so what is downstream of it would find that.
    fn foretell(&mut self, id: TaskId, kept: &Kept) {
        self.telling.summary.would_restore.push(self.run.shared.graph.name(id).clone());
        let handed = HandedOn::of(Some(&kept.success));
        self.results.set(id, TaskResult { handed, ..TaskResult::default() });
        self.foretold.push(Foretold::of(&self.run.shared, id, kept));
        self.pretended(id);
    }

    fn pretended(&mut self, id: TaskId) {
        self.scheduler.observe(Observation::Began(id));
        self.scheduler.observe(Observation::Ready(id));
        self.scheduler.observe(Observation::Ended(id, Outcome::Succeeded));
    }

    pub(super) fn executed(&mut self, executed: Executed) {
        let id = executed.id;
        self.running.remove(&id);
        let outcome = executed.finished.status;
        let was_restarted = self.restarting.remove(id) && outcome == Outcome::Cancelled;
        if was_restarted && self.orders.halt == Halt::No && !self.scheduler.is_cancelled() {
            return self.begin_anew(executed);
        }
        if executed.is_put {
            self.saver.is_due();
        }
        if let Some(batch) = executed.unhurried {
            self.unhurried.append(batch);
        }
        let failure = failure(&executed.finished);
        self.results.set(id, TaskResult { handed: executed.handed, failure, ..TaskResult::default() });
        let disturbed = match &executed.finished.not_fresh {
            Some(Reason::ChangedWhileRunning { path }) if !planted::is(Fault::DisturbedForgotten) => {
                Some(self.run.shared.root.join(path))
            }
            _ => None,
        };
        let is_process = self.run.shared.graph.task(id).is_process();
        match executed.is_told {
            _ if is_process => self.stand_process(id, outcome, executed.looked),
            true => self.pass(id, outcome != Outcome::Cached),
            false => self.stand(id, outcome, (executed.looked, disturbed), outcome != Outcome::Cached),
        }
        // Told before the scheduler knows, so that a fail-fast end is told after its cause.
        self.finish(id, executed.finished);
        while let Ok(heard) = self.heard.1.try_recv() {
            self.hear(heard);
        }
        self.scheduler.observe(Observation::Ended(id, outcome));
    }

    /// Something is told of a task that executes. What is downstream may be judged from now on, not only at its end.
    pub(super) fn hear(&mut self, heard: Observation) {
        let graph = &self.run.shared.graph;
        match heard {
            // One that is up already is only used.
            Observation::Began(id) if !graph.task(id).is_process() || self.run.has_started(id) => {
                self.pass(id, true);
            }
            Observation::Ready(id) => {
                let handed = self.run.shared.processes.handed(graph.name(id));
                self.results.set(id, TaskResult { handed, ..TaskResult::default() });
            }
            _ => {}
        }
        self.scheduler.observe(heard);
    }

    pub(super) fn passed_over(&mut self, id: TaskId, outcome: Outcome) {
        let mut finished = self.ended_as(id, outcome);
        let graph = &self.run.shared.graph;
        finished.because = self.scheduler.broken_by(id).iter().map(|u| graph.name(*u).clone()).collect();
        self.results.set(id, TaskResult { failure: failure(&finished), ..TaskResult::default() });
        // Nothing has come of a process that nobody needed: it stands as it did.
        match outcome {
            Outcome::Skipped => self.pass(id, false),
            _ => self.stand(id, outcome, Default::default(), false),
        }
        self.finish(id, finished);
    }

    /// The family has done it.
    pub(super) fn over(&mut self, id: TaskId, over: &Over) {
        let finished = over.finished(self.telling.name(id));
        let result = TaskResult {
            handed: Arc::clone(&over.handed),
            failure: failure(&finished),
            ..TaskResult::default()
        };
        self.results.set(id, result);
        self.pass(id, over.began);
        self.finish(id, finished);
        if over.began {
            self.scheduler.observe(Observation::Began(id));
        }
        self.scheduler.observe(Observation::Judged(id, Verdict::Over(over.outcome)));
    }

    /// Tells the family what was found fresh before anything executed: until then nobody could ask.
    pub(super) fn tell_family(&self) {
        let order = self.scheduler.plan().order().iter().copied();
        let cached = order.filter(|id| self.scheduler.outcome(*id) == Some(Outcome::Cached));
        self.run.member.tell_over(cached.map(|id| self.cached(id)));
    }

    fn cached(&self, id: TaskId) -> (TaskId, Over) {
        let (handed, asked) = (Arc::clone(&self.results.get(id).handed), self.run.asked(id));
        (id, Over { outcome: Outcome::Cached, began: false, handed, finished: None, asked })
    }

    /// How a task stands, if the tree is watched.
    pub(super) fn standing(&self, id: TaskId) -> Option<Stood> {
        self.run.shared.watching.get()?.standing(id)
    }

    /// Takes note of how a task stands now.
    fn stand(
        &mut self,
        id: TaskId,
        outcome: Outcome,
        (looked, disturbed): (Looked, Option<PathBuf>),
        was_executed: bool,
    ) {
        if let (Some(watching), false) = (self.run.shared.watching.get(), self.run.request.dry_run) {
            let handed = Arc::clone(&self.results.get(id).handed);
            let failure = self.results.get(id).failure;
            watching.stand(id, Stood { outcome: Some(outcome), failure, handed, looked, disturbed });
            // What a guest began and did not end is left to the watch; what the watch itself ends it knows of.
            if !self.run.request.by_watch && !planted::is(Fault::OthersUnheard) {
                watching.tell(id, outcome, was_executed, || self.run.member.in_hand());
            }
        }
        self.pass(id, was_executed);
    }

    /// Takes note of how a process stands that this run has used. What becomes of one that a guest gives up is nothing
    /// for the watch to see to.
    fn stand_process(&mut self, id: TaskId, outcome: Outcome, looked: Looked) {
        let (handed, started) = (Arc::clone(&self.results.get(id).handed), self.run.has_started(id));
        if let Some(watching) = self.run.shared.watching.get() {
            let failure = self.results.get(id).failure;
            watching.stand(id, Stood { outcome: Some(outcome), failure, handed, looked, disturbed: None });
            // One that ends with the run that started it is nothing that others could rest on.
            if started && self.run.request.keeps && !self.run.request.by_watch {
                watching.tell(id, Outcome::Succeeded, true, || self.run.member.in_hand());
            }
        }
        self.pass(id, started);
    }

    /// Takes note, for the cycle, that a task was executed or, if not, looked at.
    fn pass(&mut self, id: TaskId, was_executed: bool) {
        if let Some(following) = &mut self.following {
            following.passed(&self.run.shared.graph, self.scheduler.plan(), id, was_executed);
        }
    }

    /// A task that failed was looked at again.
    pub(super) fn note_looked(&self, id: TaskId, looked: Looked) {
        if let (Some(watching), Some(standing)) = (self.run.shared.watching.get(), self.standing(id)) {
            watching.stand(id, Stood { looked, ..standing });
        }
    }

    /// A task that stays as it stands: nothing is told of it.
    pub(super) fn stay(&mut self, id: TaskId) {
        let Stood { outcome, failure, handed, .. } = self.standing(id).unwrap_or_default();
        self.results.set(id, TaskResult { handed, failure, ..TaskResult::default() });
        self.pass(id, false);
        // Of one that nobody looked at so far nothing bad is known.
        let outcome = outcome.unwrap_or(Outcome::Skipped);
        self.scheduler.observe(Observation::Judged(id, Verdict::Stays(outcome)));
    }

    fn ended_as(&self, id: TaskId, outcome: Outcome) -> Finished {
        Finished::without_execution(self.run.shared.graph.name(id).clone(), outcome)
    }

    /// Tells that a task is over.
    fn finish(&mut self, id: TaskId, mut finished: Finished) {
        finished.soft = finished.status == Outcome::Failed && self.scheduler.is_soft(id);
        self.telling.finished(finished, &self.results.get(id).handed);
    }

    /// Begins a task anew that was ended for that. What it was about is saved as it is: begun.
    fn begin_anew(&mut self, executed: Executed) {
        let id = executed.id;
        if executed.is_put {
            self.saver.is_due();
        }
        for kind in ["log", "status"] {
            let log = self.run.log_file(id, kind);
            // What wrote nothing has none. The new one takes its name; that of the last such end is kept.
            let _ = fs::rename(&log, log.with_added_extension("ended"));
        }
        self.again.insert(id);
        self.check(id);
    }
}
