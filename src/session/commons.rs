//! What the runs of a session have in common: who executes what, and how much at once.
//!
//! A task that executes in one run is neither judged nor executed by another before that has ended: what its
//! record says, and what it leaves, is half done until then. Afterwards it is judged by the newest record, which is
//! here before it is in the store. So work that two runs want is done once.
//!
//! What a task takes (its claim, a slot, its lock, the terminal) it takes at once or not at all, when it is about
//! to execute, and gives back when it is over: nobody holds one thing and waits for another.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, mpsc::UnboundedSender};

use super::{
    crew::{Answer, Calls, Crew, Newcomer, NoEntry, Over},
    memory::Explanation,
};
use crate::{
    graph::TaskGraph,
    model::{Digest, Task, TaskId, TaskSet},
    schedule::Observation,
    store::TaskRecord,
};

/// What the runs of a session have in common.
#[derive(Debug)]
pub(crate) struct Commons {
    /// How many one-shot tasks execute at once in all runs.
    jobs: usize,
    crew: Mutex<Crew>,
    past: Mutex<HashMap<TaskId, Past>>,
    /// Somebody may get on who could not before.
    changed: Notify,
    /// Whether anything was ever executed: until then there is nothing to ask.
    was_used: AtomicBool,
}

/// What became of a task in this session.
#[derive(Debug, Default)]
struct Past {
    /// How often it was executed.
    times: u64,
    record: Option<TaskRecord>,
    /// Until it can be read from the store.
    explanation: Option<Arc<Explanation>>,
}

/// A run's place among the others; given up when dropped.
#[derive(Debug)]
pub(crate) struct Member {
    commons: Arc<Commons>,
    number: u64,
}

/// The right to execute a task, with all it takes; given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    commons: Arc<Commons>,
    id: TaskId,
    /// How often the task had been executed before.
    pub(crate) times: u64,
}

/// What a run that wants to judge or execute a task has to know.
#[derive(Debug)]
pub(crate) enum Standing<T> {
    /// It may.
    Free(T),
    /// It executes in another run.
    Executing,
    /// The family has done it.
    Over(Over),
}

/// Something may stand in the way of a task; forgotten when dropped.
struct Waiting<'a> {
    member: &'a Member,
    id: TaskId,
}

impl Commons {
    pub(crate) fn new(jobs: usize) -> Arc<Self> {
        Arc::new(Self {
            jobs: jobs.max(1),
            crew: Mutex::default(),
            past: Mutex::default(),
            changed: Notify::new(),
            was_used: AtomicBool::new(false),
        })
    }

    /// Every change is made at once: what a panic of another thread left is as good as before.
    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn past(&self) -> MutexGuard<'_, HashMap<TaskId, Past>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks or tells the crew something, and wakes those who wait for what follows from it.
    fn with_crew<T>(&self, work: impl FnOnce(&mut Crew) -> T) -> T {
        let mut crew = self.crew();
        let result = work(&mut crew);
        let has_changed = std::mem::take(&mut crew.has_changed);
        drop(crew);
        if has_changed {
            self.changed.notify_waiters();
        }
        result
    }

    /// Another run begins.
    ///
    /// # Errors
    /// [`NoEntry`].
    pub(crate) fn enter(self: &Arc<Self>, graph: &TaskGraph, new: Newcomer) -> Result<Member, NoEntry> {
        let number = self.with_crew(|crew| crew.enter(graph, new))?;
        Ok(Member { commons: Arc::clone(self), number })
    }

    /// Does something that is right only while no files change under the hands of a run.
    pub(crate) fn while_still(&self, work: impl FnOnce()) {
        let crew = self.crew();
        if crew.nobody_drives() {
            work();
        }
    }

    /// Lets no run begin any more, if none is under way or about to be: whether that is so now. Whoever comes later
    /// finds another session.
    pub(crate) fn leave_for_good(&self) -> bool {
        self.crew().leave_for_good()
    }

    /// The tasks that execute, in whichever run.
    pub(crate) fn executing(&self) -> Vec<TaskId> {
        self.crew().executing()
    }

    /// Whether no run has files change under its hands. One that only looks may be under way.
    pub(crate) fn nobody_drives(&self) -> bool {
        self.crew().nobody_drives()
    }

    fn was_used(&self) -> bool {
        self.was_used.load(Ordering::Acquire)
    }

    fn times(&self, id: TaskId) -> u64 {
        self.past().get(&id).map_or(0, |past| past.times)
    }

    /// Waits until there is an answer.
    async fn until<T>(&self, mut ask: impl FnMut(&mut Crew) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // What changes from now on is heard of.
            changed.as_mut().enable();
            if let Some(answer) = self.with_crew(&mut ask) {
                return answer;
            }
            changed.await;
        }
    }

    /// The newest record of a task that was executed in this session.
    pub(crate) fn record(&self, id: TaskId) -> Option<TaskRecord> {
        if !self.was_used() {
            return None;
        }
        self.past().get(&id).and_then(|past| past.record.clone())
    }

    /// What explains it, as long as the store does not.
    pub(crate) fn explanation(&self, id: TaskId) -> Option<Arc<Explanation>> {
        self.past().get(&id).and_then(|past| past.explanation.clone())
    }

    /// Remembers the newest record of a task. Its claim is still held.
    pub(crate) fn remember(&self, id: TaskId, record: TaskRecord, explanation: Option<Arc<Explanation>>) {
        let mut all = self.past();
        let past = all.entry(id).or_default();
        past.record = Some(record);
        past.explanation = explanation;
    }

    /// The store has it now.
    pub(crate) fn is_stored(&self, id: TaskId, explanation: &Arc<Explanation>) {
        if let Some(past) = self.past().get_mut(&id) {
            past.explanation.take_if(|kept| Arc::ptr_eq(kept, explanation));
        }
    }
}

impl Member {
    /// Says by which id tasks of the run know it.
    pub(crate) fn is_called(&self, id: &str) {
        self.commons.with_crew(|crew| crew.is_called(self.number, id));
    }

    /// Who hears that tasks of the run wait for nested runs, and go on.
    pub(crate) fn listen(&self, tell: UnboundedSender<Observation>) {
        self.commons.with_crew(|crew| crew.listen(self.number, tell));
    }

    /// From here on files change under the run's hands; `work` is done before anybody else is told.
    pub(crate) fn drives(&self, work: impl FnOnce()) {
        let mut crew = self.commons.crew();
        crew.drives(self.number);
        work();
    }

    /// All tasks that this run and its family have in hand.
    pub(crate) fn in_hand(&self) -> TaskSet {
        self.commons.crew().in_hand(self.number)
    }

    /// Whether a task waits for this run.
    pub(crate) fn is_nested(&self) -> bool {
        self.commons.crew().caller(self.number).is_some()
    }

    /// How a task stands now. Free: how often it was executed in this session.
    pub(crate) fn standing(&self, id: TaskId, asked: impl FnOnce() -> Option<Digest>) -> Standing<u64> {
        if !self.commons.was_used() {
            return Standing::Free(0);
        }
        let crew = self.commons.crew();
        if crew.is_executing(id) {
            return Standing::Executing;
        }
        let over = crew.over(self.number, id, asked()).cloned();
        drop(crew);
        over.map_or_else(|| Standing::Free(self.commons.times(id)), Standing::Over)
    }

    /// Whether a task has been executed no more than so often, and is not now.
    pub(crate) fn is_as_before(&self, id: TaskId, times: u64) -> bool {
        !self.commons.was_used() || (!self.commons.crew().is_executing(id) && self.commons.times(id) == times)
    }

    /// Waits until a task does not execute.
    pub(crate) async fn freed(&self, id: TaskId) {
        let _waiting = Waiting { member: self, id };
        let ask = |crew: &mut Crew| {
            let in_the_way = if crew.is_executing(id) { vec![id] } else { Vec::new() };
            let is_free = in_the_way.is_empty();
            crew.hold_up(self.number, id, in_the_way);
            is_free.then_some(())
        };
        self.commons.until(ask).await;
    }

    /// Takes what a task needs to execute, once it is free.
    pub(crate) async fn claim(&self, id: TaskId, task: &Task, asked: Option<Digest>) -> Standing<Claim> {
        let _waiting = Waiting { member: self, id };
        let (commons, run) = (&self.commons, self.number);
        let take = |crew: &mut Crew| {
            if !crew.is_executing(id)
                && let Some(over) = crew.over(run, id, asked)
            {
                return Some(Standing::Over(over.clone()));
            }
            crew.take(run, id, task, commons.jobs).then(|| {
                commons.was_used.store(true, Ordering::Release);
                Standing::Free(Claim { commons: Arc::clone(commons), id, times: commons.times(id) })
            })
        };
        commons.until(take).await
    }

    /// Tells the family what became of tasks.
    pub(crate) fn tell_over(&self, all: impl IntoIterator<Item = (TaskId, Over)>) {
        let mut crew = self.commons.crew();
        all.into_iter().for_each(|(id, over)| crew.tell_over(self.number, id, over));
    }

    /// Tells the caller what came of what it asked for, and waits until it goes on.
    pub(crate) async fn answer(&self, answers: Vec<(TaskId, Answer)>) {
        let caller = self.commons.with_crew(|crew| {
            let caller = crew.caller(self.number);
            crew.answer(self.number, answers);
            caller
        });
        if let Some((caller, _)) = caller {
            let jobs = self.commons.jobs;
            self.commons.until(|crew| crew.goes_on(caller, jobs, false).then_some(())).await;
        }
    }

    /// What the caller asked for.
    pub(crate) fn asked_for(&self) -> Vec<TaskId> {
        self.commons.crew().asked_for(self.number)
    }
}

impl Claim {
    /// What the task has called.
    pub(crate) fn calls(&self) -> Calls {
        self.commons.crew().calls(self.id)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.member.commons.with_crew(|crew| crew.hold_up(self.member.number, self.id, Vec::new()));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.commons.with_crew(|crew| {
            // A run that was given up: its caller does not wait for a slot.
            let caller = crew.caller(self.number);
            crew.leave(self.number);
            caller.map(|(caller, _)| crew.goes_on(caller, self.commons.jobs, true));
        });
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Nobody finds it free before it has been counted.
        self.commons.with_crew(|crew| {
            self.commons.past().entry(self.id).or_default().times += 1;
            crew.release(self.id);
        });
    }
}
