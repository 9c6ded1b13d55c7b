//! What is left to be looked at, and what is remembered of it afterwards (hazards, section 0).

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::{Ground, Key, Look, Passed, key};
use crate::{
    graph::TaskGraph,
    model::{CheckRole, Digest, Outcome, TaskId, TaskName},
    plan::{Assigned, check_of},
    store::StoreError,
};

/// A check, or a fix, with the files that have not passed yet.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What is to be run, on which files.
    pub assigned: Assigned,
    check: TaskId,
    name: TaskName,
    /// None: nothing is remembered of it.
    key: Option<Key>,
}

impl Pending {
    /// What is left of it: none, if all its files have passed as `before` shows them. `memory` is the state directory that
    /// remembers; none: nothing counts as passed. A fix is judged by the check it belongs to.
    #[must_use]
    pub fn of(
        graph: &TaskGraph,
        assigned: &Assigned,
        ground: &Ground,
        before: &Look,
        memory: Option<&Path>,
    ) -> Option<Self> {
        let known = graph.task(assigned.task).check.as_ref();
        let check = match known.map(|check| check.role) {
            Some(CheckRole::Fix) => check_of(graph, assigned.task).unwrap_or(assigned.task),
            _ => assigned.task,
        };
        let name = graph.name(check).clone();
        let takes = known.is_some_and(|check| check.passes_files);
        let key = if takes { key(graph, check, ground) } else { None };
        let mut pending = Self { assigned: assigned.clone(), check, name, key };
        if let (Some(memory), Some(_)) = (memory, &pending.key) {
            let passed = Passed::read(memory, &pending.name);
            let has =
                |file: &PathBuf| pending.mark(ground, before, file).is_some_and(|mark| passed.has(mark));
            let left: Vec<PathBuf> = assigned.files.iter().filter(|file| !has(file)).cloned().collect();
            if left.is_empty() {
                return None;
            }
            pending.assigned.files = left;
        }
        Some(pending)
    }

    /// The task of the check: that of its fix, too.
    #[must_use]
    pub const fn name(&self) -> &TaskName {
        &self.name
    }

    fn mark(&self, ground: &Ground, before: &Look, file: &PathBuf) -> Option<Digest> {
        before.mark(ground, self.key.as_ref()?.digest(), file)
    }

    /// Remembers what came of the check: its files have passed that nobody touched meanwhile, if nothing was touched that it
    /// rests on; those of one that failed have not. Nothing is learnt from any other outcome.
    ///
    /// # Errors
    /// Of the state directory; nothing is remembered of the check then.
    pub fn remember(
        &self,
        graph: &TaskGraph,
        ground: &Ground,
        outcome: Outcome,
        (before, after): (&Look, &Look),
        memory: &Path,
    ) -> Result<(), StoreError> {
        let Some(key) = &self.key else { return Ok(()) };
        let files = || self.assigned.files.iter();
        let marks = |files: &mut dyn Iterator<Item = &PathBuf>| -> Vec<Digest> {
            files.filter_map(|file| self.mark(ground, before, file)).collect()
        };
        match outcome {
            Outcome::Succeeded if super::key(graph, self.check, ground).as_ref() == Some(key) => {
                let passed = marks(&mut files().filter(|file| before.is_same(after, file)));
                Passed::update(memory, &self.name, passed, &HashSet::new())
            }
            Outcome::Failed => {
                let failed = marks(&mut files()).into_iter().collect();
                Passed::update(memory, &self.name, [], &failed)
            }
            _ => Ok(()),
        }
    }
}
