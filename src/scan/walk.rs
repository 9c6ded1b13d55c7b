//! One traversal for any number of pattern sets.

use std::{
    collections::HashSet,
    num::NonZero,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::{
    beginnings::Beginnings,
    git::Git,
    item::{Followed, Item, Link},
    system::{self, Inode},
    trail::Notes,
    visit::{Found, Visitor},
};
use crate::{
    model::{FileKind, StatIdentity},
    pattern::PatternSet,
};

/// How many directories a thread takes at once: enough that threads seldom meet at the queue, few enough
/// that none is left with all the rest.
const AT_ONCE: usize = 16;

/// How many names one thread looks at before others are asked to help: about what starting them costs.
const ALONE: usize = 1_000;

/// What a [`Scanner`] has to know.
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// The top of the project: absolute, free of `.` and `..`.
    pub root: PathBuf,
    /// devtask's own directory, which is never entered: absolute.
    pub state_dir: PathBuf,
    /// The user's global ignore file (git's `core.excludesFile`), if there is one.
    pub global_ignore: Option<PathBuf>,
    /// How many threads may walk.
    pub threads: NonZero<usize>,
}

/// One file or directory that matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its absolute path, as the walk came to it; shared by all sets that match it.
    pub path: Arc<Path>,
    /// What it is; of a link that leads somewhere, its target.
    pub kind: FileKind,
    /// Its stat identity; of a link that leads somewhere, its target's.
    pub identity: StatIdentity,
}

/// Something that could not be looked at, or was not what it seemed (hazard A9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What.
    pub path: PathBuf,
    /// The system's words, or `changed while it was read`.
    pub error: String,
}

/// What one pattern set matches.
#[derive(Clone, Debug, Default)]
pub struct Matched {
    /// The files, and the directories beneath literal patterns: in the order of their paths' bytes.
    pub entries: Vec<Entry>,
    /// What could not be looked at: with any of these the set is never known to be unchanged.
    pub problems: Vec<Problem>,
    /// Positive patterns, by their position in the list, that matched nothing.
    pub unmatched: Vec<usize>,
    /// What else the walk rests on.
    pub(super) notes: Notes,
}

/// Two are equal if the same was found, whatever that rests on.
impl PartialEq for Matched {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries && self.problems == other.problems && self.unmatched == other.unmatched
    }
}

impl Eq for Matched {}

/// Walks the tree of one project.
#[derive(Debug)]
pub struct Scanner {
    options: ScanOptions,
    git: Git,
}

impl Scanner {
    /// A scanner. Nothing is looked at yet.
    #[must_use]
    pub fn new(options: ScanOptions) -> Self {
        let git = Git::new(options.root.clone(), options.global_ignore.clone());
        Self { options, git }
    }

    /// What it was made with.
    #[must_use]
    pub const fn options(&self) -> &ScanOptions {
        &self.options
    }

    /// Finds what each of the sets matches, in one traversal.
    #[must_use]
    pub fn walk(&self, sets: &[&PatternSet]) -> Vec<Matched> {
        let beginnings = Beginnings::new(sets, &self.options.state_dir);
        let walk = self.prepare(sets, &beginnings);
        let mut visitors = vec![Visitor::new(&walk)];
        let mut open = Vec::new();
        visitors[0].begin(&mut open);
        let mut followed = HashSet::new();
        loop {
            self.visit_all(&walk, &mut open, &mut visitors);
            follow(&mut visitors, &mut followed, &mut open);
            if open.is_empty() {
                return join(sets, visitors.into_iter().map(Visitor::into_found));
            }
        }
    }

    /// What everybody who visits directories for these sets knows.
    pub(super) fn prepare<'a>(&'a self, sets: &'a [&'a PatternSet], beginnings: &'a Beginnings) -> Walk<'a> {
        Walk {
            sets,
            beginnings,
            git: &self.git,
            lookups: Mutex::default(),
            state_dir: &self.options.state_dir,
            state_inode: system::status(&self.options.state_dir).ok().flatten().map(|status| status.inode),
        }
    }

    /// Visits everything beneath the open directories but what links lead to. The first visitor works alone
    /// until it has seen enough to be worth company.
    fn visit_all<'a>(&self, walk: &'a Walk<'a>, open: &mut Vec<Item>, visitors: &mut Vec<Visitor<'a>>) {
        let first = &mut visitors[0];
        let enough = first.seen() + ALONE;
        while let Some(item) = open.pop() {
            first.visit(item, open);
            if first.seen() >= enough && open.len() > 1 && self.options.threads.get() > 1 {
                visitors.extend(share(walk, std::mem::take(open), self.options.threads.get()));
                return;
            }
        }
    }
}

/// Decides for which sets to follow links: in the order of their paths, so that the answer never depends on
/// who was faster; and of several that lead to the same directory for the same patterns only the first, as
/// packages that link to each other have more paths than anybody can walk.
fn follow(visitors: &mut [Visitor<'_>], followed: &mut HashSet<Followed>, open: &mut Vec<Item>) {
    let mut links: Vec<Link> = visitors.iter_mut().flat_map(Visitor::take_links).collect();
    links.sort_by(|a, b| a.path().as_os_str().cmp(b.path().as_os_str()));
    for mut link in links {
        let given_up = link.give_up(|target| followed.insert(target));
        visitors[0].note_link(&link, &given_up);
        if link.is_wanted() {
            open.push(link.into_item());
        }
    }
}

/// What all threads of one walk know.
pub(super) struct Walk<'a> {
    pub(super) sets: &'a [&'a PatternSet],
    pub(super) beginnings: &'a Beginnings,
    pub(super) git: &'a Git,
    pub(super) lookups: Mutex<super::git::Lookups>,
    pub(super) state_dir: &'a Path,
    pub(super) state_inode: Option<Inode>,
}

/// The directories still to be visited, and who may yet find more.
struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
    /// How many threads have nothing to do: looked at without the lock, by who may have something to give.
    idle: AtomicUsize,
}

struct Waiting {
    open: Vec<Item>,
    busy: usize,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for directories to visit; false when there are none and nobody is busy with one.
    fn take(&self, items: &mut Vec<Item>) -> bool {
        let mut state = self.lock();
        self.idle.fetch_add(1, Relaxed);
        while state.open.is_empty() && state.busy > 0 {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.idle.fetch_sub(1, Relaxed);
        let left = state.open.len().saturating_sub(AT_ONCE);
        items.extend(state.open.drain(left..));
        state.busy += usize::from(!items.is_empty());
        !items.is_empty()
    }

    /// Gives away all but one of the directories still to be visited.
    fn give(&self, items: &mut Vec<Item>) {
        let given = items.len().saturating_sub(1);
        self.lock().open.extend(items.drain(..given));
        self.changed.notify_all();
    }

    fn work<'a>(&self, walk: &'a Walk<'a>) -> Visitor<'a> {
        let mut visitor = Visitor::new(walk);
        let mut items = Vec::new();
        while self.take(&mut items) {
            let _busy = Busy(self);
            while let Some(item) = items.pop() {
                visitor.visit(item, &mut items);
                if items.len() > 1 && self.idle.load(Relaxed) > 0 {
                    self.give(&mut items);
                }
            }
        }
        visitor
    }
}

/// A thread at work on directories. Ends with a panic, too: else the others would wait for it for ever.
struct Busy<'a>(&'a Queue);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().busy -= 1;
        self.0.changed.notify_all();
    }
}

fn share<'a>(walk: &'a Walk<'a>, open: Vec<Item>, threads: usize) -> Vec<Visitor<'a>> {
    let state = Mutex::new(Waiting { open, busy: 0 });
    let queue = Queue { state, changed: Condvar::new(), idle: AtomicUsize::new(0) };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(|| queue.work(walk))).collect();
        let mut visitors = vec![queue.work(walk)];
        // A panic of a helper is a bug and goes on as one.
        visitors
            .extend(helpers.into_iter().map(|h| h.join().unwrap_or_else(|p| std::panic::resume_unwind(p))));
        visitors
    })
}

/// Puts together what the threads found.
fn join(sets: &[&PatternSet], found: impl Iterator<Item = Vec<Found>>) -> Vec<Matched> {
    let mut all: Vec<Found> = sets.iter().map(|_| Found::default()).collect();
    for part in found {
        for (whole, part) in all.iter_mut().zip(part) {
            whole.append(part);
        }
    }
    sets.iter().zip(all).map(|(set, found)| matched(set, found)).collect()
}

fn matched(set: &PatternSet, found: Found) -> Matched {
    let Found { mut entries, mut problems, hit, notes } = found;
    entries.sort_by(|a, b| a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()));
    entries.dedup_by(|a, b| a.path.as_os_str() == b.path.as_os_str());
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    problems.dedup();
    let mut unmatched: Vec<usize> = set
        .globs()
        .iter()
        .filter(|g| !g.is_negated())
        .map(|g| g.written())
        .filter(|w| !hit.contains(w))
        .collect();
    unmatched.dedup();
    Matched { entries, problems, unmatched, notes }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_panics_is_not_waited_for() {
        let state = Mutex::new(Waiting { open: Vec::new(), busy: 1 });
        let queue = Queue { state, changed: Condvar::new(), idle: AtomicUsize::new(0) };
        thread::scope(|scope| {
            let waits = scope.spawn(|| queue.take(&mut Vec::new()));
            let panics = scope.spawn(|| {
                let _busy = Busy(&queue);
                panic!("a bug");
            });
            assert!(panics.join().is_err());
            assert!(!waits.join().unwrap());
        });
    }
}
