//! Cycles that cause each other (hazard B12).
//!
//! A task that writes into its own inputs, or two that feed each other, would run for ever. Who wrote is not known;
//! but what changed while a cycle ran and causes the next one, again and again and by the same files, is not a person
//! at work. Once is no fault: a formatter that rewrites its input settles on its second run.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::model::TaskId;

/// The cycle of this number, of those in a row that a task's own cycles caused, is not begun.
pub(super) const MOST: u32 = 3;

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

    /// What a task did is of no account any more.
    pub(super) fn forget(&mut self, task: TaskId) {
        self.links.remove(&task);
    }

    /// A task has to run because these files changed while a cycle ran: for how many times in a row that is, and
    /// because of which files each time.
    pub(super) fn extend(&mut self, task: TaskId, paths: BTreeSet<PathBuf>) -> (u32, &BTreeSet<PathBuf>) {
        let link = self.links.entry(task).or_insert_with(|| Link { times: 0, paths: paths.clone() });
        let same: BTreeSet<PathBuf> = link.paths.intersection(&paths).cloned().collect();
        match same.is_empty() {
            true => *link = Link { times: 1, paths },
            false => *link = Link { times: link.times + 1, paths: same },
        }
        (link.times, &link.paths)
    }
}

/// So often a running task begins anew because of the same files, each time within [`SOON`]: whoever saves by hand does
/// so neither that fast nor that often.
const MOST_RESTARTS: u32 = 10;
/// How soon after it began anew a change seems to be a task's own.
const SOON: Duration = Duration::from_secs(1);

/// Running tasks that began anew.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    links: BTreeMap<TaskId, (Link, Instant)>,
}

impl Restarts {
    /// A running task is to begin anew because of these files. Some: it has been enough, because of these.
    pub(super) fn count(
        &mut self,
        task: TaskId,
        paths: BTreeSet<PathBuf>,
        now: Instant,
    ) -> Option<Vec<PathBuf>> {
        let (link, last) =
            self.links.entry(task).or_insert_with(|| (Link { times: 0, paths: paths.clone() }, now));
        let same: BTreeSet<PathBuf> = link.paths.intersection(&paths).cloned().collect();
        *link = match same.is_empty() || now.duration_since(*last) > SOON {
            true => Link { times: 1, paths },
            false => Link { times: link.times + 1, paths: same },
        };
        *last = now;
        (link.times >= MOST_RESTARTS).then(|| link.paths.iter().cloned().collect())
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
            let mut enough = None;
            for step in steps {
                let (times, same) = chain.extend(task, paths(step));
                enough = (times >= MOST).then(|| same.clone());
            }
            assert_eq!(enough, expected.map(|path| paths(&[path])), "{steps:?}");
        }
    }

    #[test]
    fn who_saves_by_hand_may_begin_anew_as_often_as_he_wants() {
        let (task, begin) = (TaskId::new(0), Instant::now());
        for (pause_ms, expected) in [(20, Some(9)), (900, Some(9)), (1_100, None)] {
            let mut restarts = Restarts::default();
            let at = |number: u64| begin + Duration::from_millis(number * pause_ms);
            let stopped = (0..30).find(|number| restarts.count(task, paths(&["a"]), at(*number)).is_some());
            assert_eq!(stopped, expected, "every {pause_ms} ms");
        }
        let mut restarts = Restarts::default();
        let others = (0..30).find(|n| restarts.count(task, paths(&[&n.to_string()]), begin).is_some());
        assert_eq!(others, None, "other files each time");
    }

    #[test]
    fn tasks_that_feed_each_other_are_counted_each() {
        let (one, other) = (TaskId::new(0), TaskId::new(1));
        let mut chain = Chain::default();
        for times in 1..=3 {
            assert_eq!(chain.extend(one, paths(&["a"])), (times, &paths(&["a"])));
            assert_eq!(chain.extend(other, paths(&["b"])), (times, &paths(&["b"])));
        }
        chain.forget(one);
        assert_eq!(chain.extend(one, paths(&["a"])), (1, &paths(&["a"])));
        assert_eq!(chain.extend(other, paths(&["b"])).0, 4);
        chain.end();
        assert_eq!(chain.extend(other, paths(&["b"])).0, 1);
    }
}
