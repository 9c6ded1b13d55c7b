//! The scheduler: a machine without hands.
//!
//! Floor 5, pure. It hands out [`Effect`]s and is told [`Observation`]s; it knows no clock, no file, no
//! process. All of spec section 2 that concerns time order lives here: when an edge is satisfied or
//! broken (`edge`), who goes first and what must wait (`queue`), which processes are needed at all (`demand`), when
//! they are stopped (`wind_down`), and every change of a task's phase (one function: `Scheduler::enter`).
//!
//! ```text
//!            every edge settled                 judged stale             slot, lock, terminal free
//!  Waiting ────────────────────▶ Checking ──────────────────▶ Queued ─────────────────────────▶ Starting
//!     │ one broken                  │ fresh / no command                                           │ began
//!     ▼                             ▼                                                              ▼
//!   Done(DependencyFailed)        Done(Cached, Skipped)      Done(…) ◀── ended ── Up ◀─ ready ─ Running
//! ```

mod demand;
mod edge;
mod queue;
pub mod supervise;
mod wind_down;

use std::{collections::VecDeque, sync::Arc};

use demand::{Demand, Through};
use edge::Status;
use queue::Queue;

use crate::{
    graph::{Edge, TaskGraph},
    model::{Outcome, TaskId, TaskSet},
    plan::Plan,
};

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Judge whether the task must run; answer with [`Observation::Judged`].
    Check(TaskId),
    /// Execute it; answer with [`Observation::Began`] (if it did) and [`Observation::Ended`].
    Start(TaskId),
    /// End it; it still answers with [`Observation::Ended`].
    Stop(TaskId),
}

/// What became of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// The answer to [`Effect::Check`].
    Judged(TaskId, Verdict),
    /// It has begun executing, here or (while it is judged) elsewhere: `@started` holds.
    Began(TaskId),
    /// A one-shot task that executes waits for others, and lends its slot meanwhile.
    Waits(TaskId),
    /// It goes on, with a slot.
    GoesOn(TaskId),
    /// A process passed its readiness probe, or has none and began: `@ready` holds.
    Ready(TaskId),
    /// It is over.
    Ended(TaskId, Outcome),
}

/// Whether a task must run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It must.
    Stale,
    /// It is fresh: cached.
    Fresh,
    /// It has no command: skipped.
    NoCommand,
    /// It was executed elsewhere for the same run, and is over with this outcome.
    Over(Outcome),
    /// It stays as it was before the run: a failure among these is no failure of the run.
    Stays(Outcome),
}

/// How a run is to be scheduled.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many one-shot tasks may execute at once; at least 1. Processes hold no slot (spec section 3).
    pub jobs: usize,
    /// Whether the first failure that counts ends the run.
    pub fail_fast: bool,
    /// Whether processes outlive the run, as in a watch: the run is over without their end, and does not wait for
    /// one to be ready for which nobody else waits.
    pub keeps: bool,
    /// The processes that are to be up, whoever needs them; none: the roots.
    pub wanted: Option<TaskSet>,
    /// Expected duration of each task in milliseconds, by id; missing ones count as 1.
    pub durations: Vec<u64>,
}

/// Where a task is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not every edge into it is settled.
    Waiting,
    /// Its freshness is being judged.
    Checking,
    /// It must run and waits for a slot.
    Queued,
    /// It holds a slot and is about to execute.
    Starting,
    /// It executes.
    Running,
    /// A process that is ready.
    Up,
    /// A process that could start, if anybody needed it.
    Dormant,
    /// It is over.
    Done(Outcome),
}

/// How far a task has come: all that the edges out of it depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// Where it is.
    phase: Phase,
    /// It began executing at some time.
    began: bool,
    /// It was ready at some time.
    was_ready: bool,
    /// It is a long-running process.
    is_process: bool,
}

/// What the scheduler knows of one task.
#[derive(Clone, Debug)]
struct State {
    progress: Progress,
    /// Edges into it that are not settled yet.
    pending: usize,
    /// Upstream tasks that broke an edge into it.
    broken_by: Vec<TaskId>,
    /// A stop was asked for.
    stopping: bool,
    /// It has lent its slot.
    waits: bool,
    /// Whether a process it rests on, or it itself, starts only on demand.
    demand: Demand,
}

/// What is to be followed down the graph.
#[derive(Debug, Default)]
struct Moves {
    steps: Vec<Step>,
    /// Tasks that are to be judged then.
    satisfied: Vec<TaskId>,
}

#[derive(Debug)]
enum Step {
    /// A task has got further than this.
    Moved(TaskId, Progress),
    /// A process could start.
    MayStart(TaskId),
}

/// Schedules one run of a plan.
#[derive(Debug)]
pub struct Scheduler {
    graph: Arc<TaskGraph>,
    plan: Arc<Plan>,
    fail_fast: bool,
    keeps: bool,
    through: Through,
    states: Vec<State>,
    queue: Queue,
    effects: VecDeque<Effect>,
    /// Tasks that get on by themselves: while there is one, no process is stopped.
    busy: usize,
    /// Tasks being judged.
    checking: usize,
    /// Tasks that are not over.
    open: usize,
    cancelled: bool,
    /// Tasks that ended without ever being started, not yet told.
    passed_over: Vec<(TaskId, Outcome)>,
}

impl Scheduler {
    /// A scheduler for `plan`; its first effects can be had at once.
    #[must_use]
    pub fn new(graph: Arc<TaskGraph>, plan: Plan, options: &Options) -> Self {
        let state = |id: TaskId| State {
            progress: Progress {
                phase: Phase::Waiting,
                began: false,
                was_ready: false,
                is_process: graph.task(id).is_process(),
            },
            pending: 0,
            broken_by: Vec::new(),
            stopping: false,
            waits: false,
            demand: Demand::default(),
        };
        let mut scheduler = Self {
            queue: Queue::new(&graph, &plan, options),
            states: graph.ids().map(state).collect(),
            fail_fast: options.fail_fast,
            keeps: options.keeps,
            through: Through::default(),
            effects: VecDeque::new(),
            busy: 0,
            checking: 0,
            open: plan.order().len(),
            cancelled: false,
            passed_over: Vec::new(),
            graph: Arc::clone(&graph),
            plan: Arc::new(plan),
        };
        scheduler.foresee_demand(options.wanted.as_ref());
        let mut moves = Moves::default();
        for &id in Arc::clone(&scheduler.plan).order() {
            scheduler.advance(id, &mut moves);
        }
        scheduler.travel(moves);
        scheduler
    }

    /// The next thing to do, if there is one now.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Tasks that have ended, since the last call, without an effect: a dependency failed, or the run was
    /// ended before their turn.
    pub fn take_passed_over(&mut self) -> Vec<(TaskId, Outcome)> {
        std::mem::take(&mut self.passed_over)
    }

    /// Takes note of what happened. Observations that come too late (a verdict after a cancel) are ignored.
    pub fn observe(&mut self, observation: Observation) {
        match observation {
            Observation::Judged(id, Verdict::Stale | Verdict::NoCommand) if self.is_foretold(id) => {
                self.demand(id);
            }
            Observation::Judged(id, verdict) if self.phase(id) == Phase::Checking => match verdict {
                Verdict::Stale => self.enter(id, Phase::Queued),
                Verdict::Fresh => self.enter(id, Phase::Done(Outcome::Cached)),
                Verdict::NoCommand => self.enter(id, Phase::Done(Outcome::Skipped)),
                Verdict::Over(outcome) => self.end(id, outcome),
                Verdict::Stays(outcome) => self.enter(id, Phase::Done(outcome)),
            },
            Observation::Began(id) if self.phase(id) == Phase::Starting => self.enter(id, Phase::Running),
            Observation::Began(id) if self.phase(id) == Phase::Checking => self.began_elsewhere(id),
            Observation::Waits(id) if self.may_wait(id) => {
                self.states[id.index()].waits = true;
                self.queue.lend(id);
            }
            Observation::GoesOn(id) if self.states[id.index()].waits => {
                self.states[id.index()].waits = false;
                self.queue.take_back(id);
            }
            Observation::Ready(id)
                if self.phase(id) == Phase::Running && self.graph.task(id).is_process() =>
            {
                self.enter(id, Phase::Up);
            }
            Observation::Ended(id, outcome)
                if matches!(self.phase(id), Phase::Starting | Phase::Running | Phase::Up) =>
            {
                self.states[id.index()].waits = false;
                self.end(id, outcome);
            }
            _ => {}
        }
        self.settle();
    }

    fn end(&mut self, id: TaskId, outcome: Outcome) {
        self.enter(id, Phase::Done(outcome));
        if self.fail_fast && outcome == Outcome::Failed && !self.is_soft(id) {
            self.cancel();
        }
    }

    fn began_elsewhere(&mut self, id: TaskId) {
        let before = self.states[id.index()].progress;
        self.states[id.index()].progress.began = true;
        self.settle_edges(id, before);
    }

    fn may_wait(&self, id: TaskId) -> bool {
        let state = &self.states[id.index()];
        state.progress.phase == Phase::Running && !state.progress.is_process && !state.waits
    }

    /// Ends the run: nothing new starts, what runs gets [`Effect::Stop`].
    pub fn cancel(&mut self) {
        if std::mem::replace(&mut self.cancelled, true) {
            return;
        }
        // What was never handed out never began.
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Start(id) => {
                    self.enter(id, Phase::Done(Outcome::Cancelled));
                    self.passed_over.push((id, Outcome::Cancelled));
                }
                Effect::Stop(_) => self.effects.push_back(effect),
                Effect::Check(_) => {}
            }
        }
        for id in self.plan.order().to_vec() {
            match self.phase(id) {
                Phase::Waiting | Phase::Checking | Phase::Queued | Phase::Dormant => {
                    self.enter(id, Phase::Done(Outcome::Cancelled));
                    self.passed_over.push((id, Outcome::Cancelled));
                }
                Phase::Starting | Phase::Running | Phase::Up => self.stop(id),
                Phase::Done(_) => {}
            }
        }
    }

    /// Whether every scheduled task is over.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.open == 0
    }

    /// Whether the run was ended by [`cancel`](Self::cancel) or by the first failure.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// How the task ended, once it has.
    #[must_use]
    pub fn outcome(&self, id: TaskId) -> Option<Outcome> {
        match self.phase(id) {
            Phase::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The upstream tasks that keep it from running.
    #[must_use]
    pub fn broken_by(&self, id: TaskId) -> &[TaskId] {
        &self.states[id.index()].broken_by
    }

    /// Whether a failure of the task does not count for the run: it is no root, has a scheduled edge out
    /// of it, and all of these are `@completed` (spec section 2). Nor does that of a task which is only there because
    /// another one called it: what comes of the failure is for its caller to say.
    #[must_use]
    pub fn is_soft(&self, id: TaskId) -> bool {
        if self.plan.is_beside(id) {
            return true;
        }
        let edges = self.plan.downstream(&self.graph, id);
        let mut edges = edges.filter(|e| self.plan.scheduled().contains(e.task)).peekable();
        !self.plan.roots().contains(id) && edges.peek().is_some() && edges.all(|e| e.conditions.is_soft())
    }

    /// What is scheduled.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn phase(&self, id: TaskId) -> Phase {
        self.states[id.index()].progress.phase
    }

    /// The one road into every phase that something downstream or in the queue depends on: counts, queues
    /// and edges follow from here.
    fn enter(&mut self, id: TaskId, phase: Phase) {
        let state = &mut self.states[id.index()];
        let before = state.progress;
        state.progress.phase = phase;
        state.progress.began |= phase == Phase::Running;
        state.progress.was_ready |= phase == Phase::Up;
        let now = state.progress;
        self.busy += usize::from(now.is_busy());
        self.busy -= usize::from(before.is_busy());
        self.checking -= usize::from(before.phase == Phase::Checking);
        if before.phase == Phase::Queued && phase != Phase::Starting {
            self.queue.withdraw(id);
        }
        if before.holds_slot() && !now.holds_slot() {
            self.queue.release(id);
        }
        match phase {
            Phase::Queued => self.queue.push(id),
            Phase::Starting => self.effects.push_back(Effect::Start(id)),
            Phase::Done(_) => self.open -= 1,
            Phase::Waiting | Phase::Checking | Phase::Running | Phase::Up | Phase::Dormant => {}
        }
        if !self.cancelled {
            self.settle_edges(id, before);
        }
    }

    /// Settles the edges out of a task that has got further than `before`.
    fn settle_edges(&mut self, id: TaskId, before: Progress) {
        self.travel(Moves { steps: vec![Step::Moved(id, before)], satisfied: Vec::new() });
    }

    /// Follows what is new of tasks down the graph. Iterative, so that a failure may travel down a chain of any
    /// length.
    fn travel(&mut self, mut moves: Moves) {
        while let Some(step) = moves.steps.pop() {
            match step {
                Step::Moved(upstream, before) => {
                    for edge in self.downstream(upstream).collect::<Vec<_>>() {
                        if self.settle_edge(upstream, before, edge) {
                            self.advance(edge.task, &mut moves);
                        }
                    }
                }
                Step::MayStart(upstream) => {
                    for edge in self.downstream(upstream).collect::<Vec<_>>() {
                        self.open_gate(edge.task, false, &mut moves);
                    }
                }
            }
        }
        self.enter_checking(moves.satisfied);
    }

    /// A task that waits goes on if it can.
    fn advance(&mut self, id: TaskId, moves: &mut Moves) {
        let state = &self.states[id.index()];
        if state.progress.phase != Phase::Waiting {
            return;
        }
        if state.demand.is_early() {
            return self.look_ahead(id, moves);
        }
        match (state.pending, state.broken_by.is_empty()) {
            (0, true) => moves.satisfied.push(id),
            (0, false) => self.give_up(id, moves),
            _ => {}
        }
    }

    /// Something upstream of a task keeps it from running.
    fn give_up(&mut self, id: TaskId, moves: &mut Moves) {
        let state = &mut self.states[id.index()];
        moves.steps.push(Step::Moved(id, state.progress));
        state.progress.phase = Phase::Done(Outcome::DependencyFailed);
        self.open -= 1;
        self.passed_over.push((id, Outcome::DependencyFailed));
    }

    /// Notes what has become of an edge; whether it is settled now and was not before.
    fn settle_edge(&mut self, upstream: TaskId, before: Progress, edge: Edge) -> bool {
        let now = edge::status(edge.conditions, self.states[upstream.index()].progress);
        let was_pending = edge::status(edge.conditions, before) == Status::Pending;
        if !was_pending || now == Status::Pending || !self.plan.scheduled().contains(edge.task) {
            return false;
        }
        let has_gate = self.states[upstream.index()].demand.has_told();
        let state = &mut self.states[edge.task.index()];
        state.pending -= 1;
        if now == Status::Broken {
            state.broken_by.push(upstream);
        }
        if !has_gate {
            state.demand.settle(now == Status::Broken);
        }
        true
    }

    /// Tasks whose edges are all satisfied are judged next, the most urgent first: who is judged first may
    /// take the last slot. Nothing downstream depends on that phase, so this does not settle edges (and
    /// does not recurse).
    fn enter_checking(&mut self, mut satisfied: Vec<TaskId>) {
        satisfied.sort_by_key(|id| std::cmp::Reverse(self.queue.rank(*id)));
        for id in satisfied {
            self.states[id.index()].progress.phase = Phase::Checking;
            self.busy += 1;
            self.checking += 1;
            self.effects.push_back(Effect::Check(id));
        }
    }

    /// Hands out what the state now allows: starts, and the end of processes nobody needs any more.
    fn settle(&mut self) {
        while !self.cancelled
            && let Some(id) = self.queue.pop(self.checking > 0)
        {
            self.enter(id, Phase::Starting);
        }
        if self.busy == 0 && self.open > 0 && !self.cancelled {
            self.pass_over_dormant();
        }
        if self.busy == 0 && self.open > 0 && !self.cancelled {
            self.wind_down();
        }
    }

    fn stop(&mut self, id: TaskId) {
        if !std::mem::replace(&mut self.states[id.index()].stopping, true) {
            self.effects.push_back(Effect::Stop(id));
        }
    }
}

impl Progress {
    /// Whether it is sure to get on without anybody else moving. A process that executes may stay as it
    /// is for ever, and a task in the queue may wait for a lock that such a process holds.
    fn is_busy(self) -> bool {
        match self.phase {
            Phase::Checking | Phase::Starting => true,
            Phase::Running => !self.is_process,
            Phase::Waiting | Phase::Queued | Phase::Up | Phase::Dormant | Phase::Done(_) => false,
        }
    }

    /// Whether it counts against the limit of tasks that execute at once, and holds its lock.
    fn holds_slot(self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Running | Phase::Up)
    }
}

#[cfg(test)]
mod tests;
