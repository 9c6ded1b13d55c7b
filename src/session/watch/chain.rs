//! Cycles that cause each other (hazard B12).
//!
//! A task that writes into its own inputs, or two that feed each other, would run for ever. Who wrote is not known;
//! but what changed while a cycle ran and causes the next one, again and again and by the same files, is not a person
//! at work. Once is no fault: a formatter that rewrites its input settles on its second run.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::model::TaskId;

/// The cycle of this number, of those in a row that a task's own cycles caused, is not begun.
const MOST: u32 = 3;

/// The cycles since something changed that no cycle made.
#[derive(Debug, Default)]
pub(super) struct Chain {
    links: BTreeMap<TaskId, Link>,
}

#[derive(Debug)]
struct Link {
    times: u32,
    /// The files that changed every time.
    paths: BTreeSet<PathBuf>,
}

impl Chain {
    /// Something changed while nothing ran, or nothing did while a cycle ran: one may feed another only every other
    /// cycle, so that a task had nothing to do after one says nothing.
    pub(super) fn end(&mut self) {
        self.links.clear();
    }

    /// A task has to run because these files changed while a cycle ran. Some: it has been enough, because of these.
    pub(super) fn extend(&mut self, task: TaskId, paths: BTreeSet<PathBuf>) -> Option<Vec<PathBuf>> {
        let link = self.links.entry(task).or_insert_with(|| Link { times: 0, paths: paths.clone() });
        let same: BTreeSet<PathBuf> = link.paths.intersection(&paths).cloned().collect();
        match same.is_empty() {
            true => *link = Link { times: 1, paths },
            false => *link = Link { times: link.times + 1, paths: same },
        }
        (link.times >= MOST).then(|| link.paths.iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> BTreeSet<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn the_third_time_in_a_row_is_enough() {
        let task = TaskId::new(0);
        for (steps, expected) in [
            (&[&["a"][..], &["a"], &["a"]][..], Some("a")),
            (&[&["a"], &["a"]], None),
            (&[&["a"], &["b"], &["a"], &["b"]], None),
            (&[&["a", "b"], &["b", "c"], &["b"]], Some("b")),
            (&[&["a"], &["b"], &["b"], &["b"]], Some("b")),
        ] {
            let mut chain = Chain::default();
            let last = steps.iter().map(|step| chain.extend(task, paths(step))).last().flatten();
            assert_eq!(last, expected.map(|path| vec![PathBuf::from(path)]), "{steps:?}");
        }
    }

    #[test]
    fn tasks_that_feed_each_other_are_counted_each() {
        let (one, other) = (TaskId::new(0), TaskId::new(1));
        let mut chain = Chain::default();
        for _ in 0..2 {
            assert_eq!(chain.extend(one, paths(&["a"])), None);
            assert_eq!(chain.extend(other, paths(&["b"])), None);
        }
        assert_eq!(chain.extend(one, paths(&["a"])), Some(vec!["a".into()]));
        chain.end();
        assert_eq!(chain.extend(other, paths(&["b"])), None);
    }
}
