//! The runs of a session and the tasks they execute at one moment: who may go, and who waits for whom. Pure.
//!
//! A run that a task asked for (a nested run) and the run that task is part of are one family. The caller waits for
//! all of the nested run, so what it holds (its lock, the terminal) is nobody's in the way of what it waits for, and
//! its slot is lent. Who waits for whom:
//!
//! ```text
//! a task that executes ──▶ every nested run it called ──▶ what that run executes, and what stands in its way
//! ```

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use tokio::sync::mpsc::UnboundedSender;

use super::{
    calls::Call,
    environment::{Ambient, tracked},
    results::HandedOn,
};
use crate::{
    event::Finished,
    graph::TaskGraph,
    model::{Digest, Outcome, Task, TaskId, TaskName, TaskSet},
    plan::Plan,
    scan::FileSet,
    schedule::Observation,
};

/// A run that begins.
pub(crate) struct Newcomer {
    pub(crate) plan: Arc<Plan>,
    pub(crate) ambient: Ambient,
    pub(crate) jobs: usize,
    /// The run and the task that ask for it.
    pub(crate) caller: Option<(String, TaskId)>,
    /// What its caller will rest on.
    pub(crate) asked_for: Vec<TaskId>,
    /// Whether these could as well be scheduled before the caller.
    pub(crate) is_plain: bool,
}

/// Why a run cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoEntry {
    /// Its caller would have to wait for itself: the way from it back to it.
    Circle(Vec<TaskId>),
    /// Another session has taken the place of this one.
    Left,
}

/// What became of a task in a family.
#[derive(Clone, Debug)]
pub(crate) struct Over {
    pub(crate) outcome: Outcome,
    pub(crate) began: bool,
    pub(crate) handed: Arc<HandedOn>,
    /// What was told of its end, if it executed.
    pub(crate) finished: Option<Arc<Finished>>,
    /// With what it executed, beside what its task says.
    pub(crate) asked: Option<Digest>,
}

impl Over {
    /// What is told of its end.
    pub(crate) fn finished(&self, name: TaskName) -> Finished {
        let told = self.finished.as_deref().cloned();
        told.unwrap_or_else(|| Finished::without_execution(name, self.outcome))
    }
}

/// What came of calling a task.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) call: Call,
    /// The declared outputs that count, as they were when it was over.
    pub(crate) files: Vec<(TaskId, Arc<FileSet>)>,
}

/// The tasks an execution called; none: it is not known what came of that, or nobody could find out without the caller.
pub(crate) type Calls = BTreeMap<TaskId, Option<Answer>>;

#[derive(Debug, Default)]
pub(crate) struct Crew {
    runs: BTreeMap<u64, Run>,
    families: HashMap<u64, Family>,
    executing: BTreeMap<TaskId, Executing>,
    next: u64,
    /// Another session has taken the place of this one: nobody enters any more.
    is_left: bool,
    /// Whether somebody may get on who could not before.
    pub(crate) has_changed: bool,
}

#[derive(Debug)]
struct Run {
    id: String,
    family: u64,
    /// The execution that asked for it.
    caller: Option<u64>,
    plan: Arc<Plan>,
    ambient: Ambient,
    asked_for: Vec<TaskId>,
    is_plain: bool,
    /// Files change under its hands.
    drives: bool,
    tell: Option<UnboundedSender<Observation>>,
    /// What stands in the way of its tasks.
    held_up: HashMap<TaskId, Vec<TaskId>>,
}

#[derive(Debug)]
struct Family {
    members: usize,
    jobs: usize,
    over: Vec<Option<Over>>,
}

/// A task that executes.
#[derive(Debug)]
struct Executing {
    number: u64,
    run: u64,
    lock: Option<String>,
    interactive: bool,
    slot: Slot,
    /// How many nested runs of it are under way.
    waits_for: usize,
    calls: Calls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Held,
    /// Its task waits.
    Lent,
    /// Its task could go on.
    Wanted,
}

impl Crew {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Takes in a run.
    ///
    /// # Errors
    /// [`NoEntry`].
    pub(crate) fn enter(&mut self, graph: &TaskGraph, new: Newcomer) -> Result<u64, NoEntry> {
        if self.is_left {
            return Err(NoEntry::Left);
        }
        let caller = new.caller.as_ref().and_then(|(run, task)| {
            let found = self.executing.get(task)?;
            (self.runs.get(&found.run)?.id == *run).then_some((*task, found.number, found.run))
        });
        if let Some((task, ..)) = caller
            && let Some(circle) = self.circle(graph, &new, task)
        {
            return Err(NoEntry::Circle(circle));
        }
        let number = self.number();
        let mut is_plain = new.is_plain;
        let family = match caller {
            Some((task, _, outer)) => {
                let outer = &self.runs[&outer];
                is_plain &= is_same_for(graph, &new, &outer.ambient);
                let family = outer.family;
                self.begin_to_wait(task, &new.asked_for);
                family
            }
            None => {
                self.families.insert(number, Family { members: 0, jobs: new.jobs.max(1), over: Vec::new() });
                number
            }
        };
        self.families.entry(family).and_modify(|family| family.members += 1);
        let run = Run {
            id: String::new(),
            family,
            caller: caller.map(|(_, execution, _)| execution),
            plan: new.plan,
            ambient: new.ambient,
            asked_for: new.asked_for,
            is_plain,
            drives: false,
            tell: None,
            held_up: HashMap::new(),
        };
        self.runs.insert(number, run);
        Ok(number)
    }

    fn begin_to_wait(&mut self, caller: TaskId, asked_for: &[TaskId]) {
        let Some(execution) = self.executing.get_mut(&caller) else { return };
        execution.calls.extend(asked_for.iter().map(|id| (*id, None)));
        execution.waits_for += 1;
        let run = execution.run;
        if std::mem::replace(&mut execution.slot, Slot::Lent) == Slot::Held {
            self.tell(run, Observation::Waits(caller));
        }
        self.has_changed = true;
    }

    fn tell(&self, run: u64, what: Observation) {
        if let Some(tell) = self.runs.get(&run).and_then(|run| run.tell.as_ref()) {
            // A run that is over has nothing to schedule.
            let _ = tell.send(what);
        }
    }

    /// Says by which id tasks of a run know it.
    pub(crate) fn is_called(&mut self, run: u64, id: &str) {
        self.runs.entry(run).and_modify(|run| id.clone_into(&mut run.id));
    }

    /// Who hears that tasks of a run wait, and go on.
    pub(crate) fn listen(&mut self, run: u64, tell: UnboundedSender<Observation>) {
        self.runs.entry(run).and_modify(|run| run.tell = Some(tell));
    }

    /// From here on files change under a run's hands.
    pub(crate) fn drives(&mut self, run: u64) {
        self.runs.entry(run).and_modify(|run| run.drives = true);
    }

    /// Lets nobody in any more, if nobody is: whether that is so now.
    pub(crate) fn leave_for_good(&mut self) -> bool {
        self.is_left |= self.runs.is_empty();
        self.is_left
    }

    /// Whether no run has files change under its hands.
    pub(crate) fn nobody_drives(&self) -> bool {
        self.runs.values().all(|run| !run.drives)
    }

    /// All tasks that a run and its family have in hand, or had.
    pub(crate) fn in_hand(&self, run: u64) -> TaskSet {
        let family = self.runs.get(&run).map(|run| run.family);
        let runs = self.runs.values().filter(|run| Some(run.family) == family);
        runs.flat_map(|run| run.plan.scheduled().iter()).collect()
    }

    /// The task that asked for a run, as long as it waits for it, and whether it could as well have been scheduled
    /// after what it asked for.
    pub(crate) fn caller(&self, run: u64) -> Option<(TaskId, bool)> {
        let run = self.runs.get(&run)?;
        self.execution(run.caller?).map(|task| (task, run.is_plain))
    }

    /// What the caller of a run asked for.
    pub(crate) fn asked_for(&self, run: u64) -> Vec<TaskId> {
        self.runs.get(&run).map(|run| run.asked_for.clone()).unwrap_or_default()
    }

    fn execution(&self, number: u64) -> Option<TaskId> {
        self.executing.iter().find(|(_, execution)| execution.number == number).map(|(task, _)| *task)
    }

    /// What came of a nested run: its caller goes on as soon as it has a slot.
    pub(crate) fn answer(&mut self, run: u64, answers: Vec<(TaskId, Answer)>) {
        let Some((caller, is_plain)) = self.caller(run) else { return };
        if let Some(run) = self.runs.get_mut(&run) {
            run.caller = None;
        }
        let Some(execution) = self.executing.get_mut(&caller) else { return };
        if is_plain {
            execution.calls.extend(answers.into_iter().map(|(task, answer)| (task, Some(answer))));
        }
        execution.waits_for -= 1;
        if execution.waits_for == 0 {
            execution.slot = Slot::Wanted;
        }
        self.has_changed = true;
    }

    /// Whether a caller has gone on, or has to wait again, or is over.
    pub(crate) fn goes_on(&mut self, caller: TaskId, jobs: usize, by_force: bool) -> bool {
        let Some(execution) = self.executing.get(&caller).filter(|found| found.slot == Slot::Wanted) else {
            return true;
        };
        let run = execution.run;
        if !by_force && !self.has_slot(run, jobs, |slot| slot == Slot::Held) {
            return false;
        }
        self.executing.entry(caller).and_modify(|execution| execution.slot = Slot::Held);
        self.tell(run, Observation::GoesOn(caller));
        true
    }

    /// Whether fewer tasks than may be `count` against the limits of all runs and of this family.
    fn has_slot(&self, run: u64, jobs: usize, counts: impl Fn(Slot) -> bool) -> bool {
        let Some(family) = self.runs.get(&run).map(|run| run.family) else { return true };
        let taken = || self.executing.values().filter(|execution| counts(execution.slot));
        let of_family =
            |execution: &&Executing| self.runs.get(&execution.run).is_some_and(|run| run.family == family);
        let limit = self.families.get(&family).map_or(jobs, |family| family.jobs);
        taken().count() < jobs && taken().filter(of_family).count() < limit
    }

    /// All tasks that execute.
    pub(crate) fn executing(&self) -> Vec<TaskId> {
        self.executing.keys().copied().collect()
    }

    pub(crate) fn is_executing(&self, id: TaskId) -> bool {
        self.executing.contains_key(&id)
    }

    /// Takes all a task needs, unless something stands in its way.
    pub(crate) fn take(&mut self, run: u64, id: TaskId, task: &Task, jobs: usize) -> bool {
        let conflicts = |other: &Executing| {
            let same_lock = task.lock.is_some() && task.lock == other.lock;
            same_lock || task.interactive || other.interactive
        };
        let stands = |(other, execution): &(&TaskId, &Executing)| {
            **other == id || (conflicts(execution) && !self.waits_for(**other, run))
        };
        let in_the_way: Vec<TaskId> = self.executing.iter().filter(stands).map(|(other, _)| *other).collect();
        let is_free = in_the_way.is_empty() && self.has_slot(run, jobs, |slot| slot != Slot::Lent);
        self.hold_up(run, id, in_the_way);
        if is_free {
            let execution = Executing {
                number: self.number(),
                run,
                lock: task.lock.clone(),
                interactive: task.interactive,
                slot: Slot::Held,
                waits_for: 0,
                calls: Calls::new(),
            };
            self.executing.insert(id, execution);
        }
        is_free
    }

    /// Notes what stands in the way of a task of a run; nothing: it has gone.
    pub(crate) fn hold_up(&mut self, run: u64, id: TaskId, in_the_way: Vec<TaskId>) {
        let Some(run) = self.runs.get_mut(&run) else { return };
        let before = match in_the_way.is_empty() {
            true => run.held_up.remove(&id),
            false => run.held_up.insert(id, in_the_way.clone()),
        };
        // Others may find that somebody waits for them now.
        self.has_changed |= before.unwrap_or_default() != in_the_way;
    }

    /// A task is over.
    pub(crate) fn release(&mut self, id: TaskId) {
        self.executing.remove(&id);
        self.has_changed = true;
    }

    /// What a task that executes has called so far.
    pub(crate) fn calls(&self, id: TaskId) -> Calls {
        self.executing.get(&id).map(|execution| execution.calls.clone()).unwrap_or_default()
    }

    /// A run is over.
    pub(crate) fn leave(&mut self, number: u64) {
        self.answer(number, Vec::new());
        let Some(run) = self.runs.remove(&number) else { return };
        if let Some(family) = self.families.get_mut(&run.family) {
            family.members -= 1;
            if family.members == 0 {
                self.families.remove(&run.family);
            }
        }
    }

    /// What became of a task in the family of a run, if it was asked for the same there.
    pub(crate) fn over(&self, run: u64, id: TaskId, asked: Option<Digest>) -> Option<&Over> {
        let over = &self.families.get(&self.runs.get(&run)?.family)?.over;
        over.get(id.index())?.as_ref().filter(|over| over.asked == asked)
    }

    /// Tells the family of a run what became of a task.
    pub(crate) fn tell_over(&mut self, run: u64, id: TaskId, what: Over) {
        let family = self.runs.get(&run).map(|run| run.family);
        let Some(family) = family.and_then(|family| self.families.get_mut(&family)) else { return };
        if family.over.len() <= id.index() {
            family.over.resize(id.index() + 1, None);
        }
        family.over[id.index()] = Some(what);
    }

    /// Whether a task that executes waits for a run.
    fn waits_for(&self, task: TaskId, run: u64) -> bool {
        let (mut todo, mut seen) = (vec![task], HashSet::from([task]));
        while let Some(task) = todo.pop() {
            let Some(execution) = self.executing.get(&task) else { continue };
            let called = self.runs.iter().filter(|(_, run)| run.caller == Some(execution.number));
            for (number, nested) in called {
                if *number == run {
                    return true;
                }
                let executed = self.executing.iter().filter(|(_, execution)| execution.run == *number);
                let needed = executed.map(|(id, _)| id).chain(nested.held_up.values().flatten());
                todo.extend(needed.copied().filter(|id| seen.insert(*id)));
            }
        }
        false
    }

    /// The way on which `caller` would come to wait for itself if it asked for this plan.
    fn circle(&self, graph: &TaskGraph, new: &Newcomer, caller: TaskId) -> Option<Vec<TaskId>> {
        let family = self.runs.get(&self.executing.get(&caller)?.run)?.family;
        // Tasks in the plan of a run (none: the one asked for), and by whose need they were found.
        let mut found: Vec<(Option<u64>, TaskId, usize)> = Vec::new();
        let mut seen = HashSet::new();
        for &id in &new.asked_for {
            seen.insert((None, id));
            found.push((None, id, usize::MAX));
        }
        let mut at = 0;
        while let Some(&(run, id, _)) = found.get(at) {
            let mut next: Vec<(Option<u64>, TaskId)> = Vec::new();
            if id == caller {
                return Some(way(&found, at, caller));
            }
            let (plan, family) = match run.and_then(|run| self.runs.get(&run)) {
                Some(run) => (&*run.plan, run.family),
                None => (&*new.plan, family),
            };
            let is_over = || {
                let over = self.families.get(&family).and_then(|family| family.over.get(id.index()));
                over.is_some_and(Option::is_some)
            };
            if let Some(execution) = self.executing.get(&id) {
                let called = self.runs.iter().filter(|(_, run)| run.caller == Some(execution.number));
                for (number, run) in called {
                    next.extend(run.asked_for.iter().map(|id| (Some(*number), *id)));
                }
            } else if !is_over() {
                let upstream = plan.upstream(graph, id).map(|edge| edge.task);
                next.extend(upstream.filter(|id| plan.scheduled().contains(*id)).map(|id| (run, id)));
            }
            found.extend(next.into_iter().filter(|node| seen.insert(*node)).map(|(run, id)| (run, id, at)));
            at += 1;
        }
        None
    }
}

fn way(found: &[(Option<u64>, TaskId, usize)], last: usize, caller: TaskId) -> Vec<TaskId> {
    let mut way = Vec::new();
    let mut at = last;
    while let Some((_, id, by)) = found.get(at) {
        way.push(*id);
        at = *by;
    }
    way.push(caller);
    way.reverse();
    way
}

/// Whether the variables that tasks of a run track are the same in another environment.
fn is_same_for(graph: &TaskGraph, new: &Newcomer, other: &Ambient) -> bool {
    let mut all =
        new.plan.order().iter().map(|id| &graph.task(*id).track_env).filter(|names| !names.is_empty());
    Arc::ptr_eq(&new.ambient, other) || all.all(|names| tracked(&new.ambient, names) == tracked(other, names))
}
