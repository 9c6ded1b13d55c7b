//! Who goes first, and who must wait although it could go: slots, locks, the terminal.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use super::Options;
use crate::{
    graph::TaskGraph,
    model::{TaskId, TaskSet},
    plan::Plan,
};

/// Larger goes first: the longest remaining path, then the order of declaration.
pub(super) type Rank = (u64, Reverse<TaskId>);

/// Tasks that must run, ordered, with everything that limits how many run at once.
#[derive(Debug)]
pub(super) struct Queue {
    ranks: Vec<u64>,
    traits: Vec<Traits>,
    lines: Lines,
    /// By lock: its holder, and those that were passed over because of it.
    locks: Vec<Lock>,
    running: TaskSet,
    /// Of those that have lent their slots: nobody is alone beside them.
    lent: TaskSet,
    terminal_taken: bool,
    limit: usize,
}

/// Tasks in the order they may go, by what limits them.
#[derive(Clone, Debug, Default)]
struct Lines {
    /// One-shot tasks, which want a slot.
    oneshots: BTreeSet<Rank>,
    /// Processes, which hold no slot.
    processes: BTreeSet<Rank>,
    /// Tasks that want the terminal for themselves: they go when nothing else can.
    interactive: BTreeSet<Rank>,
}

#[derive(Clone, Copy, Debug)]
struct Traits {
    lock: Option<usize>,
    line: Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    OneShot,
    Process,
    Interactive,
}

#[derive(Clone, Debug, Default)]
struct Lock {
    held: bool,
    parked: Lines,
}

impl Queue {
    pub(super) fn new(graph: &TaskGraph, plan: &Plan, options: &Options) -> Self {
        let mut names: HashMap<&str, usize> = HashMap::new();
        let traits = graph
            .ids()
            .map(|id| {
                let task = graph.task(id);
                let lock = task.lock.as_deref().map(|name| {
                    let next = names.len();
                    *names.entry(name).or_insert(next)
                });
                let line = match task {
                    task if task.is_process() => Line::Process,
                    task if task.interactive => Line::Interactive,
                    _ => Line::OneShot,
                };
                Traits { lock, line }
            })
            .collect();
        Self {
            ranks: ranks(graph, plan, &options.durations),
            traits,
            lines: Lines::default(),
            locks: vec![Lock::default(); names.len()],
            running: TaskSet::new(),
            lent: TaskSet::new(),
            terminal_taken: false,
            limit: options.jobs.max(1),
        }
    }

    pub(super) fn push(&mut self, id: TaskId) {
        let rank = self.rank(id);
        self.lines.of(self.traits[id.index()].line).insert(rank);
    }

    pub(super) fn withdraw(&mut self, id: TaskId) {
        let (rank, traits) = (self.rank(id), self.traits[id.index()]);
        self.lines.of(traits.line).remove(&rank);
        if let Some(lock) = traits.lock {
            self.locks[lock].parked.of(traits.line).remove(&rank);
        }
    }

    /// The next task that may start now; it holds its slot and lock until [`release`](Self::release). While
    /// tasks are being judged (`more_to_come`) nobody is alone yet.
    pub(super) fn pop(&mut self, more_to_come: bool) -> Option<TaskId> {
        if self.terminal_taken {
            return None;
        }
        let id = self
            .pop_line(Line::Process)
            .or_else(|| if self.running.len() < self.limit { self.pop_line(Line::OneShot) } else { None });
        let id = id.or_else(|| {
            let alone = !more_to_come
                && self.running.is_empty()
                && self.lent.is_empty()
                && self.lines.oneshots.is_empty();
            if alone { self.pop_line(Line::Interactive) } else { None }
        })?;
        self.hold(id);
        Some(id)
    }

    /// The first of a line whose lock is free. Those whose lock is held are parked with it, so that
    /// nobody is looked at again before that lock is released.
    fn pop_line(&mut self, line: Line) -> Option<TaskId> {
        loop {
            let rank = self.lines.of(line).pop_last()?;
            let id = rank.1.0;
            match self.traits[id.index()].lock {
                Some(lock) if self.locks[lock].held => self.locks[lock].parked.of(line).insert(rank),
                _ => return Some(id),
            };
        }
    }

    fn hold(&mut self, id: TaskId) {
        let traits = self.traits[id.index()];
        if traits.line != Line::Process {
            self.running.insert(id);
        }
        self.terminal_taken |= traits.line == Line::Interactive;
        if let Some(lock) = traits.lock {
            self.locks[lock].held = true;
        }
    }

    /// Gives back what a task held; the best of each line parked with its lock goes back into that line,
    /// since the best of all may lack a slot or the terminal.
    pub(super) fn release(&mut self, id: TaskId) {
        self.running.remove(id);
        self.lent.remove(id);
        let traits = self.traits[id.index()];
        if traits.line == Line::Interactive {
            self.terminal_taken = false;
        }
        if let Some(lock) = traits.lock {
            self.locks[lock].held = false;
            for line in [Line::Process, Line::OneShot, Line::Interactive] {
                let best = self.locks[lock].parked.of(line).pop_last();
                self.lines.of(line).extend(best);
            }
        }
    }

    /// Another may have its slot for a while; its lock and the terminal it keeps.
    pub(super) fn lend(&mut self, id: TaskId) {
        self.running.remove(id);
        self.lent.insert(id);
    }

    /// It has a slot again, whether or not one was free here.
    pub(super) fn take_back(&mut self, id: TaskId) {
        self.lent.remove(id);
        self.running.insert(id);
    }

    /// How urgent a task is.
    pub(super) fn rank(&self, id: TaskId) -> Rank {
        (self.ranks[id.index()], Reverse(id))
    }
}

impl Lines {
    fn of(&mut self, line: Line) -> &mut BTreeSet<Rank> {
        match line {
            Line::OneShot => &mut self.oneshots,
            Line::Process => &mut self.processes,
            Line::Interactive => &mut self.interactive,
        }
    }
}

/// For each task the expected time from its start to the end of the longest path below it.
fn ranks(graph: &TaskGraph, plan: &Plan, durations: &[u64]) -> Vec<u64> {
    let mut ranks: Vec<u64> = vec![0; graph.len()];
    for &id in plan.order().iter().rev() {
        let below = plan
            .downstream(graph, id)
            .filter(|e| plan.scheduled().contains(e.task))
            .map(|e| ranks[e.task.index()])
            .max()
            .unwrap_or(0);
        let own = durations.get(id.index()).copied().unwrap_or(1).max(1);
        ranks[id.index()] = below.saturating_add(own);
    }
    ranks
}
