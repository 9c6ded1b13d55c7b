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

use tokio::sync::Notify;

use super::memory::Explanation;
use crate::{
    model::{Task, TaskId},
    store::TaskRecord,
};

/// What the runs of a session have in common.
#[derive(Debug)]
pub(crate) struct Commons {
    /// How many one-shot tasks execute at once in all runs.
    jobs: usize,
    state: Mutex<State>,
    /// Something was given back.
    changed: Notify,
    /// Whether anything was ever executed: until then there is nothing to ask.
    was_used: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Runs under way, by number, and whether files change under their hands.
    runs: HashMap<u64, bool>,
    next_run: u64,
    executing: HashMap<TaskId, Executing>,
    past: HashMap<TaskId, Past>,
}

/// A task that executes.
#[derive(Debug)]
struct Executing {
    lock: Option<String>,
    interactive: bool,
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

impl Commons {
    pub(crate) fn new(jobs: usize) -> Arc<Self> {
        Arc::new(Self {
            jobs: jobs.max(1),
            state: Mutex::default(),
            changed: Notify::new(),
            was_used: AtomicBool::new(false),
        })
    }

    /// Every change is made at once: what a panic of another thread left is as good as before.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another run begins.
    pub(crate) fn enter(self: &Arc<Self>) -> Member {
        let mut state = self.state();
        state.next_run += 1;
        let number = state.next_run;
        state.runs.insert(number, false);
        Member { commons: Arc::clone(self), number }
    }

    /// Does something that is right only while no files change under the hands of a run.
    pub(crate) fn while_still(&self, work: impl FnOnce()) {
        if self.state().runs.values().all(|drives| !drives) {
            work();
        }
    }

    /// How often a task was executed in this session; none while it is.
    pub(crate) fn times(&self, id: TaskId) -> Option<u64> {
        if !self.was_used.load(Ordering::Acquire) {
            return Some(0);
        }
        let state = self.state();
        (!state.executing.contains_key(&id)).then(|| state.times(id))
    }

    /// Waits until a task does not execute.
    pub(crate) async fn freed(&self, id: TaskId) {
        self.until(|state| (!state.executing.contains_key(&id)).then_some(())).await;
    }

    /// Takes what a task needs to execute, once it is free.
    pub(crate) async fn claim(self: &Arc<Self>, id: TaskId, task: &Task) -> Claim {
        let take = |state: &mut State| {
            let times = state.take(id, task, self.jobs)?;
            self.was_used.store(true, Ordering::Release);
            Some(times)
        };
        let times = self.until(take).await;
        Claim { commons: Arc::clone(self), id, times }
    }

    /// Waits until there is an answer.
    async fn until<T>(&self, mut ask: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // What changes from now on is heard of.
            changed.as_mut().enable();
            if let Some(answer) = ask(&mut self.state()) {
                return answer;
            }
            changed.await;
        }
    }

    /// The newest record of a task that was executed in this session.
    pub(crate) fn record(&self, id: TaskId) -> Option<TaskRecord> {
        if !self.was_used.load(Ordering::Acquire) {
            return None;
        }
        self.state().past.get(&id).and_then(|past| past.record.clone())
    }

    /// What explains it, as long as the store does not.
    pub(crate) fn explanation(&self, id: TaskId) -> Option<Arc<Explanation>> {
        self.state().past.get(&id).and_then(|past| past.explanation.clone())
    }

    /// Remembers the newest record of a task. Its claim is still held.
    pub(crate) fn remember(&self, id: TaskId, record: TaskRecord, explanation: Option<Arc<Explanation>>) {
        let mut state = self.state();
        let past = state.past.entry(id).or_default();
        past.record = Some(record);
        past.explanation = explanation;
    }

    /// The store has it now.
    pub(crate) fn is_stored(&self, id: TaskId, explanation: &Arc<Explanation>) {
        if let Some(past) = self.state().past.get_mut(&id) {
            past.explanation.take_if(|kept| Arc::ptr_eq(kept, explanation));
        }
    }
}

impl State {
    fn times(&self, id: TaskId) -> u64 {
        self.past.get(&id).map_or(0, |past| past.times)
    }

    /// Takes what a task needs, if all of it is free.
    fn take(&mut self, id: TaskId, task: &Task, jobs: usize) -> Option<u64> {
        let conflicts = |other: &Executing| {
            let same_lock = task.lock.is_some() && task.lock == other.lock;
            same_lock || task.interactive || other.interactive
        };
        let is_free = !self.executing.contains_key(&id)
            && self.executing.len() < jobs
            && !self.executing.values().any(conflicts);
        is_free.then(|| {
            self.executing.insert(id, Executing { lock: task.lock.clone(), interactive: task.interactive });
            self.times(id)
        })
    }
}

impl Member {
    /// From here on files change under the run's hands; `work` is done before anybody else is told.
    pub(crate) fn drives(&self, work: impl FnOnce()) {
        let mut state = self.commons.state();
        state.runs.insert(self.number, true);
        work();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.commons.state().runs.remove(&self.number);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.commons.state();
        state.executing.remove(&self.id);
        state.past.entry(self.id).or_default().times += 1;
        drop(state);
        self.commons.changed.notify_waiters();
    }
}
