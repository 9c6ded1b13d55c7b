//! Tasks that cause themselves (hazard B12): by which files, and when it has been enough.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{chain, turns::Turns};
use crate::{
    event::What,
    model::{TaskId, TaskSet},
};

/// How long nothing runs, to see whether files change then, too: several times what there is between the writes of
/// somebody who writes fifty times a second.
const PAUSE: Duration = Duration::from_millis(100);
/// What changes together with more files than this, a checkout perhaps, is no task's doing.
const MOST: usize = 1_000;

impl Turns {
    /// Tasks that changed while a cycle ran may have been changed by it.
    pub(super) async fn find_loops(&mut self) {
        if self.changed.is_empty() || self.paths.len() > MOST {
            return self.chain.end();
        }
        let mut disturbed = self.disturbed();
        let mut suspects = Vec::new();
        for id in self.changed.clone() {
            let mut own = self.of_concern(id, &self.paths);
            own.extend(disturbed.remove(&id));
            if own.is_empty() {
                continue;
            }
            let (times, paths) = self.chain.extend(id, own);
            if times > 1 {
                suspects.push((id, times, paths.clone()));
            }
        }
        if suspects.is_empty() {
            return;
        }
        // Somebody else who writes all the time does so while nothing runs, too.
        tokio::time::sleep(PAUSE).await;
        let (_, meanwhile) = self.take_in(false).await;
        for (id, times, paths) in suspects {
            if !paths.is_disjoint(&meanwhile) {
                self.chain.forget(id);
            } else if times >= chain::MOST {
                self.stop(id, paths.into_iter().collect());
            }
        }
    }

    /// Running tasks whose files changed begin anew, unless they seem to change them themselves.
    pub(super) fn restart(&mut self, new: &BTreeSet<PathBuf>) {
        let executing = self.session.shared.commons.executing();
        let changed: Vec<TaskId> = self.changed.iter().copied().filter(|id| executing.contains(id)).collect();
        let mut tasks = TaskSet::new();
        for id in changed {
            match self.restarts.count(id, self.of_concern(id, new), Instant::now()) {
                None => drop(tasks.insert(id)),
                Some(paths) => self.stop(id, paths),
            }
        }
        if let (Some(run), false) = (&self.run, tasks.is_empty()) {
            run.control().restart(tasks);
        }
    }

    /// It has been enough: the task is told of, and what it does to these files is of no account.
    fn stop(&mut self, id: TaskId, paths: Vec<PathBuf>) {
        let shared = &self.session.shared;
        let names = paths.iter().map(|path| shared.display(path)).collect();
        self.audience.emit(What::LoopFound { task: shared.graph.name(id).clone(), paths: names });
        self.changed.remove(&id);
        self.stuck.insert(id, paths);
    }

    /// Lets go of those of these tasks that something else happened to than what they do to themselves: some other file
    /// changed, or any of them by another hand, as nothing ran.
    pub(super) fn release(&mut self, tasks: &[TaskId], new: &BTreeSet<PathBuf>, by_other_hand: bool) {
        for id in tasks {
            let Some(own) = self.stuck.get(id) else { continue };
            let is_other = || self.of_concern(*id, new).iter().any(|path| !own.contains(path));
            if by_other_hand || is_other() {
                self.stuck.remove(id);
                self.chain.forget(*id);
            }
        }
    }

    /// Of these files those that make a task another than it was: what it reads, what it made, what it uses of others.
    fn of_concern(&self, id: TaskId, paths: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let (shared, watching) = (&self.session.shared, self.watching());
        let sets = watching.others(shared, &watching.now(), id);
        let is_of =
            |path: &PathBuf| sets.iter().any(|(id, kind)| shared.patterns(*id).of(*kind).matches(path));
        paths.iter().filter(|path| is_of(path)).cloned().collect()
    }

    /// Tasks that somebody disturbed while they ran, and by what.
    pub(super) fn disturbed(&self) -> BTreeMap<TaskId, PathBuf> {
        let standings = self.watching().standings();
        let disturbed = standings.iter().filter(|(id, _)| self.plan.scheduled().contains(**id));
        disturbed.filter_map(|(id, standing)| Some((*id, standing.disturbed.clone()?))).collect()
    }
}
