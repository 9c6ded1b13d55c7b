//! The simulated world: does what it is told in random order, and watches every step.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use devtask::{
    model::{Condition, Outcome, TaskId},
    plan::{Mode, Plan},
    schedule::{Effect, Observation, Options, Scheduler, Verdict},
};
use fastrand::Rng;

use super::{
    case::{Case, Script},
    oracle::{Oracle, begins, own_end},
};

/// All that has happened to one task.
#[derive(Clone, Debug, Default)]
struct Fact {
    checked: bool,
    judged: bool,
    stale: bool,
    started: bool,
    began: bool,
    waits: bool,
    /// It was judged before all it rests on was up, and needs that.
    foretold: bool,
    ready: bool,
    stopped: bool,
    ended: Option<Outcome>,
}

impl Fact {
    fn is_active(&self) -> bool {
        self.started && self.ended.is_none()
    }

    fn is_judging(&self) -> bool {
        self.checked && !self.judged && self.ended.is_none()
    }

    fn is_queued(&self) -> bool {
        self.stale && !self.started && self.ended.is_none()
    }
}

struct World<'a> {
    case: &'a Case,
    oracle: Oracle<'a>,
    machine: Scheduler,
    ids: Vec<TaskId>,
    at: HashMap<TaskId, usize>,
    paths: Vec<u64>,
    facts: Vec<Fact>,
    /// What will be told of each task, in this order.
    to_come: Vec<VecDeque<Observation>>,
    cancelled: bool,
    /// How many may execute at once now: more than the limit only after one came back to its slot.
    most: usize,
    rng: Rng,
}

type Checked = Result<(), String>;

macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}

/// Plays the case to its end.
pub(crate) fn run(case: &Case) -> Checked {
    // What runs to its own end must have one.
    let case = &with_ends(case);
    let mut world = World::new(case)?;
    let mut step = 0;
    world.drain(usize::MAX)?;
    while !world.machine.is_done() {
        if case.cancel_at == Some(step) {
            world.cancel()?;
        } else {
            world.tell_one()?;
        }
        step += 1;
    }
    world.verdict()
}

/// Root processes, unless they outlive the run, and processes that are only waited for until they end, are never stopped.
fn with_ends(case: &Case) -> Case {
    let oracle = Oracle::new(case);
    let mut with_ends = case.clone();
    for (at, task) in with_ends.tasks.iter_mut().enumerate() {
        if let Script::Stays { ready } = task.script
            && (oracle.is_root(at) && !case.keeps || oracle.is_soft(at))
        {
            task.script = Script::Ends { ready, fine: true };
        }
    }
    with_ends
}

impl<'a> World<'a> {
    fn new(case: &'a Case) -> Result<Self, String> {
        let graph = Arc::new(case.graph()?);
        let ids: Vec<TaskId> = case.tasks.iter().filter_map(|task| graph.id(task.name().as_str())).collect();
        let at: HashMap<TaskId, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let mut durations = vec![0; graph.len()];
        for (id, task) in ids.iter().zip(&case.tasks) {
            durations[id.index()] = task.duration;
        }
        let plan = Plan::new(&graph, case.roots.iter().map(|at| ids[*at]), case.mode);
        let called = |caller: TaskId| {
            let calls = case.calls.iter().filter(|(other, _)| ids[*other] == caller);
            calls.map(|(_, called)| ids[*called]).collect()
        };
        let extends = matches!(case.mode, Mode::Before | Mode::All);
        let (plan, refused) = plan.following(&graph, extends, called);
        ensure!(refused.is_empty(), "a call that can be followed is not");
        let place = |id: TaskId| plan.order().iter().position(|other| *other == id);
        for (caller, called) in &case.calls {
            let (caller, called) = (place(ids[*caller]), place(ids[*called]));
            ensure!(caller.is_none() || called < caller || called.is_none(), "a caller comes first");
        }
        let options = Options {
            jobs: case.jobs,
            fail_fast: case.fail_fast,
            keeps: case.keeps,
            wanted: None,
            durations,
        };
        let oracle = Oracle::new(case);
        for (at, id) in ids.iter().enumerate() {
            ensure!(plan.scheduled().contains(*id) == oracle.scheduled[at], "task {at} (not) scheduled");
        }
        let mut known = vec![None; case.tasks.len()];
        let paths = (0..case.tasks.len()).map(|at| oracle.path(at, &mut known)).collect();
        Ok(Self {
            case,
            machine: Scheduler::new(graph, plan, &options),
            paths,
            facts: vec![Fact::default(); ids.len()],
            to_come: vec![VecDeque::new(); ids.len()],
            cancelled: false,
            most: case.jobs,
            rng: Rng::with_seed(case.seed ^ 0x5eed),
            oracle,
            ids,
            at,
        })
    }

    /// Lets one thing happen, chosen at random.
    fn tell_one(&mut self) -> Checked {
        let open: Vec<usize> = (0..self.ids.len()).filter(|at| !self.to_come[*at].is_empty()).collect();
        ensure!(!open.is_empty(), "deadlock: nothing is to come and the run is not over\n{}", self.picture());
        let at = open[self.rng.usize(0..open.len())];
        if let Some(observation) = self.to_come[at].pop_front() {
            self.note(at, observation);
            self.machine.observe(observation);
        }
        self.drain(usize::MAX)
    }

    fn note(&mut self, at: usize, observation: Observation) {
        let fact = &mut self.facts[at];
        if fact.ended.is_some() {
            return;
        }
        match observation {
            Observation::Judged(_, verdict) => {
                let is_early = self.oracle.looks_ahead(at) && !self.facts[at].foretold;
                let is_open = self.oracle.needs[at].iter().any(|(up, c)| self.holds(*up, *c) != Some(true));
                let fact = &mut self.facts[at];
                if is_early && is_open && matches!(verdict, Verdict::Stale | Verdict::NoCommand) {
                    (fact.foretold, fact.checked) = (true, false);
                    self.let_failures_travel();
                    return self.let_the_rest_be();
                }
                fact.judged = true;
                match verdict {
                    Verdict::Stale => fact.stale = true,
                    Verdict::Fresh => fact.ended = Some(Outcome::Cached),
                    Verdict::NoCommand => fact.ended = Some(Outcome::Skipped),
                    Verdict::Over(outcome) | Verdict::Stays(outcome) => fact.ended = Some(outcome),
                }
            }
            Observation::Began(_) => fact.began = true,
            Observation::Waits(_) => fact.waits = true,
            Observation::GoesOn(_) => {
                fact.waits = false;
                self.most = self.most.max(self.in_slots());
            }
            Observation::Ready(_) => fact.ready = true,
            Observation::Ended(_, outcome) => fact.ended = Some(outcome),
        }
        if !self.cancelled {
            self.let_failures_travel();
            if self.case.fail_fast
                && self.facts[at].ended == Some(Outcome::Failed)
                && !matches!(self.case.tasks[at].script, Script::AsBefore(_))
                && !self.oracle.is_soft(at)
            {
                self.note_cancel();
            } else {
                self.let_the_rest_be();
            }
        }
    }

    /// A task whose edges are all decided, one of them against it, is over. Upstream comes first.
    fn let_failures_travel(&mut self) {
        for at in 0..self.ids.len() {
            if self.oracle.scheduled[at] && self.facts[at].ended.is_none() && !self.facts[at].checked {
                let is_broken = match self.looks_ahead(at) {
                    true => self.gate(at) == Some(false),
                    false => {
                        let needs = self.oracle.needs[at].iter();
                        let now: Option<Vec<bool>> =
                            needs.map(|(up, condition)| self.holds(*up, *condition)).collect();
                        now.is_some_and(|now| now.contains(&false))
                    }
                };
                if is_broken {
                    self.facts[at].ended = Some(Outcome::DependencyFailed);
                }
            }
        }
    }

    /// When all that is left are processes nobody needed, that is it.
    fn let_the_rest_be(&mut self) {
        let open = |at: &usize| self.oracle.scheduled[*at] && self.facts[*at].ended.is_none();
        let rest: Vec<usize> = (0..self.ids.len()).filter(open).collect();
        if rest.iter().all(|at| self.is_dormant(*at)) {
            rest.into_iter().for_each(|at| self.facts[at].ended = Some(Outcome::Skipped));
        }
    }

    /// Whether it is still to be found out whether a task needs what it rests on.
    fn looks_ahead(&self, at: usize) -> bool {
        let is_decided = if self.oracle.is_lazy(at) { self.is_demanded(at) } else { self.facts[at].foretold };
        self.oracle.looks_ahead(at) && !is_decided
    }

    /// Whether everything upstream holds, or is a process that starts on demand and could; `None`: that may still be.
    fn gate(&self, at: usize) -> Option<bool> {
        let one = |up: usize, condition: Condition| match self.oracle.is_lazy(up) {
            // That it could start is known once and for all, whatever becomes of it.
            true => self.gate(up).map(|opens| opens || self.holds(up, condition) == Some(true)),
            false => self.holds(up, condition),
        };
        let now: Option<Vec<bool>> = self.oracle.needs[at].iter().map(|(up, c)| one(*up, *c)).collect();
        now.map(|now| !now.contains(&false))
    }

    /// Whether a task that is not fresh is known to need the process.
    fn is_demanded(&self, at: usize) -> bool {
        self.oracle.feeds[at].iter().any(|(down, _)| match self.oracle.is_lazy(*down) {
            true => self.gate(*down) == Some(true) && self.is_demanded(*down),
            false => self.facts[*down].foretold,
        })
    }

    /// Whether it is a process that could start, if anybody needed it.
    fn is_dormant(&self, at: usize) -> bool {
        let fact = &self.facts[at];
        let is_untouched = !fact.checked && fact.ended.is_none();
        self.oracle.is_lazy(at) && is_untouched && self.gate(at) == Some(true) && !self.is_demanded(at)
    }

    /// Whether the state has been reached; `None`: it may still be.
    fn holds(&self, up: usize, condition: Condition) -> Option<bool> {
        let fact = &self.facts[up];
        let good = |end| matches!(end, Outcome::Succeeded | Outcome::Cached | Outcome::Skipped);
        match condition {
            Condition::Started if fact.began => Some(true),
            Condition::Ready if fact.ready => Some(true),
            Condition::Ready if self.case.tasks[up].process.is_some() => fact.ended.map(|_| false),
            Condition::Completed => fact.ended.map(|_| true),
            Condition::Started | Condition::Ready | Condition::Succeeded => fact.ended.map(good),
        }
    }

    fn may_begin(&self, at: usize) -> bool {
        self.oracle.needs[at].iter().all(|(up, condition)| self.holds(*up, *condition) == Some(true))
    }

    fn cancel(&mut self) -> Checked {
        self.machine.cancel();
        self.note_cancel();
        self.drain(usize::MAX)
    }

    fn note_cancel(&mut self) {
        self.cancelled = true;
        for (at, fact) in self.facts.iter_mut().enumerate() {
            if self.oracle.scheduled[at] && !fact.started && fact.ended.is_none() {
                fact.ended = Some(Outcome::Cancelled);
            }
        }
    }

    /// Takes what is to be done. Now and then the cancel comes before all of it was taken.
    fn drain(&mut self, mut most: usize) -> Checked {
        if self.case.cancel_at.is_some() && !self.cancelled && self.rng.u8(0..40) == 0 {
            most = self.rng.usize(0..3);
        }
        let mut last = None;
        while most > 0
            && let Some(effect) = self.machine.next_effect()
        {
            most -= 1;
            match effect {
                Effect::Check(id) => {
                    let path = self.paths[self.at[&id]];
                    ensure!(last.is_none_or(|last| path <= last), "a less urgent task is checked first");
                    last = Some(path);
                    self.check(self.at[&id])?;
                }
                Effect::Start(id) => self.start(self.at[&id])?,
                Effect::Stop(id) => self.stop(self.at[&id])?,
            }
        }
        if most == 0 {
            return self.cancel();
        }
        self.look_around()
    }

    fn check(&mut self, at: usize) -> Checked {
        let verdict = match self.case.tasks[at].script {
            Script::Fresh => Verdict::Fresh,
            Script::NoCommand => Verdict::NoCommand,
            Script::Over { outcome, .. } => Verdict::Over(outcome),
            Script::AsBefore(outcome) => Verdict::Stays(outcome),
            _ => Verdict::Stale,
        };
        ensure!(self.oracle.scheduled[at], "task {at} is checked but not scheduled");
        ensure!(!self.cancelled, "task {at} is checked after the cancel");
        ensure!(!self.facts[at].checked, "task {at} is checked twice");
        let may = if self.looks_ahead(at) { self.gate(at) == Some(true) } else { self.may_begin(at) };
        ensure!(may, "task {at} is checked before its edges are satisfied");
        ensure!(!self.is_dormant(at), "process {at} is checked although nobody needs it");
        self.facts[at].checked = true;
        if let Script::Over { began: true, .. } = self.case.tasks[at].script {
            self.to_come[at].push_back(Observation::Began(self.ids[at]));
        }
        self.to_come[at].push_back(Observation::Judged(self.ids[at], verdict));
        Ok(())
    }

    fn start(&mut self, at: usize) -> Checked {
        ensure!(!self.cancelled, "task {at} starts after the cancel");
        ensure!(self.facts[at].is_queued(), "task {at} starts although it is not to, or again");
        ensure!(self.may_begin(at), "task {at} starts before its edges are satisfied");
        ensure!(self.is_free(at), "task {at} starts without a slot, its lock or the terminal");
        let id = self.ids[at];
        let rival = (0..self.ids.len()).find(|other| {
            self.facts[*other].is_queued()
                && self.kind(*other) == self.kind(at)
                && self.is_free(*other)
                && (self.paths[*other], id) > (self.paths[at], self.ids[*other])
        });
        ensure!(rival.is_none(), "task {at} starts before {rival:?}, which has a longer path");
        self.facts[at].started = true;
        let script = self.case.tasks[at].script;
        let began = begins(script);
        let probeless = self.case.tasks[at].process == Some(false);
        let ready =
            matches!(script, Script::Stays { ready: true } | Script::Ends { ready: true, .. }) || probeless;
        let ends = !matches!(script, Script::Stays { .. });
        let is_process = self.case.tasks[at].process.is_some();
        self.to_come[at].extend(began.then_some(Observation::Began(id)));
        for _ in 0..if began { self.case.tasks[at].waits } else { 0 } {
            self.to_come[at].extend([Observation::Waits(id), Observation::GoesOn(id)]);
        }
        self.to_come[at].extend((is_process && began && ready).then_some(Observation::Ready(id)));
        self.to_come[at].extend(ends.then_some(Observation::Ended(id, own_end(script))));
        Ok(())
    }

    /// How many one-shot tasks hold a slot.
    fn in_slots(&self) -> usize {
        let holds = |at: &usize| {
            let fact = &self.facts[*at];
            fact.is_active() && !fact.waits && self.kind(*at) > 0
        };
        (0..self.ids.len()).filter(holds).count()
    }

    /// 0: a process, 1: a one-shot task, 2: one that wants the terminal.
    fn kind(&self, at: usize) -> u8 {
        match &self.case.tasks[at] {
            task if task.process.is_some() => 0,
            task => 1 + u8::from(task.interactive),
        }
    }

    /// Whether slots, locks and the terminal let the task start now.
    fn is_free(&self, at: usize) -> bool {
        let active = || (0..self.ids.len()).filter(|other| self.facts[*other].is_active());
        let oneshots = self.in_slots();
        let alone = active().all(|other| self.kind(other) == 0);
        let lock = self.case.tasks[at].lock;
        let lock_free = lock.is_none() || active().all(|other| self.case.tasks[other].lock != lock);
        let slot_free = match self.kind(at) {
            0 => true,
            1 => oneshots < self.case.jobs,
            // Alone also means that nobody is about to be found stale.
            _ => alone && !self.facts.iter().any(Fact::is_judging),
        };
        lock_free && slot_free && active().all(|other| self.kind(other) < 2)
    }

    fn stop(&mut self, at: usize) -> Checked {
        ensure!(self.facts[at].is_active(), "task {at} is stopped but does not run");
        ensure!(!std::mem::replace(&mut self.facts[at].stopped, true), "task {at} is stopped twice");
        if !self.cancelled {
            self.may_stop(at)?;
        }
        let id = self.ids[at];
        let told_to_come = self.to_come[at].iter().any(|o| matches!(o, Observation::Ended(..)));
        if self.cancelled && self.rng.bool() {
            self.to_come[at] = VecDeque::from([Observation::Ended(id, Outcome::Cancelled)]);
        } else if !told_to_come {
            self.to_come[at].push_back(Observation::Ended(id, own_end(self.case.tasks[at].script)));
        }
        Ok(())
    }

    /// A process is stopped only when nothing else can happen and nobody waits for what it does itself.
    fn may_stop(&self, at: usize) -> Checked {
        ensure!(self.case.tasks[at].process.is_some(), "task {at} is no process but is stopped");
        let is_the_point = |at: usize| self.oracle.is_root(at) && !self.case.keeps;
        ensure!(!is_the_point(at), "process {at} is a root but is stopped");
        let busy = (0..self.ids.len()).find(|other| {
            let fact = &self.facts[*other];
            let judging = fact.checked && !fact.judged && fact.ended.is_none();
            judging || fact.is_active() && (self.kind(*other) > 0 || is_the_point(*other))
        });
        ensure!(busy.is_none(), "process {at} is stopped while {busy:?} is not over");
        for (down, condition) in self.feeds_open(at) {
            let for_its_end = condition == Condition::Completed && self.oracle.is_soft(at);
            ensure!(!for_its_end, "process {at} is stopped although {down} waits for its own end");
            let for_ready = condition == Condition::Ready && !self.facts[at].ready;
            ensure!(!for_ready, "process {at} is stopped although {down} waits for it to be ready");
        }
        let above =
            (0..self.ids.len()).find(|other| self.facts[*other].is_active() && self.rests_on(*other, at));
        ensure!(above.is_none(), "process {at} is stopped before {above:?}, which rests on it");
        let is_free = |at: usize| {
            !(0..self.ids.len()).any(|other| self.facts[other].is_active() && self.rests_on(other, at))
        };
        let idle = (0..self.ids.len())
            .find(|other| self.facts[*other].is_active() && is_free(*other) && !self.is_in_use(*other));
        ensure!(idle.is_none() || !self.is_in_use(at), "process {at} is in use; {idle:?} is not");
        Ok(())
    }

    /// Whether a task needs another one, directly or through others, for more than its end.
    fn rests_on(&self, at: usize, lower: usize) -> bool {
        let for_its_end = |up| self.oracle.needs[at].contains(&(up, Condition::Completed));
        let mut needs = self.oracle.needs[at].iter().map(|(up, _)| *up).filter(|up| !for_its_end(*up));
        needs.any(|up| up == lower || self.rests_on(up, lower))
    }

    /// Edges into tasks that may still run.
    fn feeds_open(&self, at: usize) -> impl Iterator<Item = (usize, Condition)> + '_ {
        self.oracle.feeds[at].iter().copied().filter(|(down, _)| {
            let fact = &self.facts[*down];
            let mut needs = self.oracle.needs[*down].iter();
            !(fact.started || fact.ended.is_some() || self.is_dormant(*down))
                && needs.all(|(up, condition)| self.holds(*up, *condition) != Some(false))
        })
    }

    /// Whether a task that may still run wants the process up, and does not wait for its end.
    fn is_in_use(&self, at: usize) -> bool {
        let for_its_end = |down| self.oracle.feeds[at].contains(&(down, Condition::Completed));
        self.feeds_open(at).any(|(down, _)| !for_its_end(down))
    }

    /// What must hold whenever everything that was to be done is under way.
    fn look_around(&mut self) -> Checked {
        ensure!(self.machine.is_cancelled() == self.cancelled, "cancelled should be {}", self.cancelled);
        let oneshots = self.in_slots();
        ensure!(oneshots <= self.most, "too many tasks at once");
        self.most = oneshots.max(self.case.jobs);
        for at in 0..self.ids.len() {
            let fact = &self.facts[at];
            let outcome = self.machine.outcome(self.ids[at]);
            ensure!(outcome == fact.ended, "task {at} should be {:?} but is {outcome:?}", fact.ended);
            if self.cancelled {
                ensure!(fact.stopped || !fact.is_active(), "task {at} runs on after the cancel");
            } else if self.oracle.scheduled[at] && fact.ended.is_none() {
                let may = if self.looks_ahead(at) { self.gate(at) == Some(true) } else { self.may_begin(at) };
                let may = may && !self.is_dormant(at);
                ensure!(fact.checked || !may, "task {at} may begin and is left waiting");
                ensure!(!(fact.is_queued() && self.is_free(at)), "task {at} could start and does not");
            }
        }
        Ok(())
    }

    fn verdict(&mut self) -> Checked {
        ensure!(self.machine.next_effect().is_none(), "something is to be done after the end");
        let mut known = vec![None; self.ids.len()];
        for at in 0..self.ids.len() {
            let id = self.ids[at];
            let outcome = self.machine.outcome(id);
            if !self.oracle.scheduled[at] {
                ensure!(outcome.is_none(), "task {at} is not scheduled but {outcome:?}");
                continue;
            }
            ensure!(self.machine.is_soft(id) == self.oracle.is_soft(at), "task {at}: softness");
            let fate = self.oracle.fate(at, &mut known);
            let ended_early = self.cancelled && outcome == Some(Outcome::Cancelled);
            ensure!(outcome == Some(fate) || ended_early, "task {at} is {outcome:?} and not {fate:?}");
            let mut blamed: Vec<TaskId> = self.machine.broken_by(id).to_vec();
            blamed.sort();
            ensure!(
                outcome != Some(Outcome::DependencyFailed) || blamed == self.to_blame(at),
                "task {at}: blame"
            );
        }
        Ok(())
    }

    /// The upstream tasks that kept it from running.
    fn to_blame(&self, at: usize) -> Vec<TaskId> {
        let needs = self.oracle.needs[at].iter();
        // Of such a process nothing more is awaited once it could start.
        let never_ran = [Some(Outcome::Skipped), Some(Outcome::Cancelled)];
        let is_idle = |up: usize| self.oracle.is_lazy(up) && never_ran.contains(&self.facts[up].ended);
        let mut blamed: Vec<TaskId> = needs
            .filter(|(up, condition)| !is_idle(*up) && self.holds(*up, *condition) == Some(false))
            .map(|(up, _)| self.ids[*up])
            .collect();
        blamed.sort();
        blamed.dedup();
        blamed
    }

    fn picture(&self) -> String {
        let lines = self.facts.iter().enumerate().filter(|(at, _)| self.oracle.scheduled[*at]);
        lines.map(|(at, fact)| format!("  {at}: {fact:?}\n")).collect()
    }
}
