//! Dense task ids and sets of them.

use serde::{Deserialize, Serialize};

/// The position of a task in its graph: dense, so that per-task state is a plain vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(u32);

impl TaskId {
    /// The id of the task at `index`.
    ///
    /// # Panics
    /// If there are more than `u32::MAX` tasks, which no memory holds.
    #[must_use]
    pub fn new(index: usize) -> Self {
        Self(u32::try_from(index).expect("fewer than 2^32 tasks"))
    }

    /// The position in the graph's vector of tasks.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of tasks of one graph: one bit a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskSet {
    words: Vec<u64>,
    len: usize,
}

impl TaskSet {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task; true if it was not there.
    pub fn insert(&mut self, id: TaskId) -> bool {
        let (word, bit) = (id.index() / 64, 1u64 << (id.index() % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += usize::from(new);
        new
    }

    /// Removes a task; true if it was there.
    pub fn remove(&mut self, id: TaskId) -> bool {
        let there = self.contains(id);
        if there {
            self.words[id.index() / 64] &= !(1u64 << (id.index() % 64));
            self.len -= 1;
        }
        there
    }

    /// Whether the task is in the set.
    #[must_use]
    pub fn contains(&self, id: TaskId) -> bool {
        self.words.get(id.index() / 64).is_some_and(|w| w & (1u64 << (id.index() % 64)) != 0)
    }

    /// How many tasks are in the set.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tasks, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            std::iter::successors((word != 0).then_some(word), |w| {
                let rest = w & (w - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |w| TaskId::new(at * 64 + w.trailing_zeros() as usize))
        })
    }
}

impl FromIterator<TaskId> for TaskSet {
    fn from_iter<I: IntoIterator<Item = TaskId>>(ids: I) -> Self {
        let mut set = Self::new();
        for id in ids {
            set.insert(id);
        }
        set
    }
}

impl Extend<TaskId> for TaskSet {
    fn extend<I: IntoIterator<Item = TaskId>>(&mut self, ids: I) {
        for id in ids {
            self.insert(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_keeps_each_task_once_and_in_order() {
        let ids = [200, 3, 64, 3, 0, 63].map(TaskId::new);
        let mut set: TaskSet = ids.into_iter().collect();
        assert_eq!(set.len(), 5);
        assert_eq!(set.iter().map(TaskId::index).collect::<Vec<_>>(), [0, 3, 63, 64, 200]);
        assert!(set.remove(TaskId::new(64)) && !set.remove(TaskId::new(64)));
        assert!(!set.contains(TaskId::new(64)) && set.contains(TaskId::new(200)));
        assert!(!set.contains(TaskId::new(100_000)));
    }
}
