//! What tasks left, taken into the cache while the runs go on (spec section 4.5).
//!
//! One thread does it, one result after the other, and is there only while there is something to do. Nobody waits for
//! it but who is about to execute the same task again, who wants to know whether its earlier results come back, who
//! prunes or cleans, and who closes the session. Whatever goes wrong here costs executing.

use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{context::RunContext, memory::Memory, prune};
use crate::{
    cache::{self, Cache, CacheError},
    fingerprint::FileRow,
    model::{Digest, KeptFile, KeptKind, TaskId, TaskName},
    store::{Batch, Kept, KeptLog, StateDir, Streak, Success, Table, now_ms},
};

/// Where contents lie, in the state directory.
pub(super) const DIR: &str = "outputs";

/// So many results are put into the store together, at most.
const TOGETHER: usize = 64;
/// Of so many files, about.
const FILES_TOGETHER: usize = 20_000;

/// A result that is to be kept.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) task: TaskName,
    pub(crate) id: TaskId,
    /// Who is told what the user should know.
    pub(crate) run: Weak<RunContext>,
    pub(crate) streak: Streak,
    pub(crate) success: Success,
    /// What was found at its declared outputs when it ended.
    pub(crate) rows: Vec<FileRow>,
    /// What lay there beside it.
    pub(crate) others: Vec<FileRow>,
    /// What it wrote, and how many lines.
    pub(crate) log: Option<(PathBuf, u64)>,
}

/// Keeps results.
#[derive(Debug)]
pub(crate) struct Keeper {
    root: PathBuf,
    state_dir: PathBuf,
    memory: Arc<Memory>,
    pub(super) limits: prune::CacheLimits,
    cache: OnceLock<Option<Cache>>,
    work: Mutex<Work>,
    changed: Condvar,
    /// The result under way is not wanted any more.
    is_halted: AtomicBool,
    /// It may be too much by now.
    is_due: AtomicBool,
    /// Held by who takes in contents until the store refers to them, and by who removes what it does not refer to.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Work {
    waiting: VecDeque<Leaving>,
    /// The task of the result under way, and the run that made it.
    current: Option<(TaskName, Weak<RunContext>)>,
    /// Whether there is a thread.
    runs: bool,
    /// What is not in the store yet.
    unsaved: Batch,
    recent: HashMap<Vec<u8>, Arc<Kept>>,
    untold: Vec<String>,
    /// What was new to the cache since its size was last noted, in bytes.
    added: u64,
}

impl Keeper {
    pub(crate) fn new(
        root: &Path,
        state_dir: &Path,
        memory: Arc<Memory>,
        limits: prune::CacheLimits,
    ) -> Arc<Self> {
        Arc::new(Self {
            root: root.to_owned(),
            state_dir: state_dir.to_owned(),
            memory,
            limits,
            cache: OnceLock::new(),
            work: Mutex::default(),
            changed: Condvar::new(),
            is_halted: AtomicBool::new(false),
            is_due: AtomicBool::new(false),
            turn: Mutex::default(),
        })
    }

    /// Every change is made at once: what a panic of another thread left is as good as before.
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cache, made when it is first needed. None where there can be none.
    pub(super) fn cache(&self) -> Option<&Cache> {
        let open = || {
            let dir = StateDir::open(&self.state_dir).ok().flatten()?.subdir(DIR).ok()?;
            Cache::open(&dir, &self.root).ok()
        };
        self.cache.get_or_init(open).as_ref()
    }

    pub(super) const fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Where the contents lie.
    pub(super) fn dir(&self) -> PathBuf {
        self.state_dir.join(DIR)
    }

    /// Has a result kept.
    pub(crate) fn keep(self: &Arc<Self>, leaving: Leaving) {
        if !self.memory.remembers() {
            return;
        }
        let mut work = self.work();
        work.waiting.push_back(leaving);
        if !work.runs {
            let me = Arc::clone(self);
            // Without a thread nothing is kept.
            work.runs = thread::Builder::new().name("keeper".to_owned()).spawn(move || me.run()).is_ok();
            if !work.runs {
                work.waiting.clear();
            }
        }
    }

    fn run(&self) {
        // Whatever happens on this thread: nobody waits for it for ever.
        let _over = Over(self);
        let _turn = self.turn();
        while let Some(leaving) = self.next() {
            if let Some(cache) = self.cache() {
                self.one(cache, leaving);
            }
        }
    }

    /// The next result; none: the thread is over.
    fn next(&self) -> Option<Leaving> {
        loop {
            let mut work = self.work();
            work.current = None;
            self.changed.notify_all();
            let (waits, is_much) = (!work.waiting.is_empty(), work.is_much());
            if waits && !is_much {
                self.is_halted.store(false, Ordering::Relaxed);
                let first = work.waiting.front();
                work.current = first.map(|leaving| (leaving.task.clone(), leaving.run.clone()));
                return work.waiting.pop_front();
            }
            if work.recent.is_empty() {
                work.runs = false;
                return None;
            }
            drop(work);
            self.save();
        }
    }

    /// Puts into the store what was kept.
    fn save(&self) {
        let mut work = self.work();
        let (batch, keys) =
            (std::mem::take(&mut work.unsaved), work.recent.keys().cloned().collect::<Vec<_>>());
        let added = std::mem::take(&mut work.added);
        drop(work);
        // What cannot be saved is not kept.
        let saved = self.memory.save_waiting(batch);
        let mut work = self.work();
        keys.iter().for_each(|key| drop(work.recent.remove(key)));
        drop(work);
        if saved.is_ok() && added > 0 {
            self.is_due.fetch_or(prune::note_growth(self, added), Ordering::Relaxed);
        }
    }

    /// It was looked after.
    pub(super) fn clear_due(&self) {
        self.is_due.store(false, Ordering::Relaxed);
    }

    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to look for what is too much.
    pub(super) fn is_due(&self) -> bool {
        self.is_due.load(Ordering::Relaxed)
    }

    fn one(&self, cache: &Cache, leaving: Leaving) {
        let go_on = || !self.is_halted.load(Ordering::Relaxed);
        let kept = match cache.keep(&leaving.rows, &go_on) {
            Ok(kept) => kept,
            Err(CacheError::Changed { .. } | CacheError::Stopped) => return,
            Err(error) => {
                return self.warn(&leaving, &format!("what it left is not kept: {error}"));
            }
        };
        let log = leaving.log.as_ref().and_then(|(path, lines)| {
            let (digest, size) = cache.keep_other(path).ok()?;
            Some(KeptLog { digest, size, lines: *lines })
        });
        let log_size = log.as_ref().map_or(0, |log| log.size);
        let key = Kept::key(&leaving.task, leaving.success.key);
        let linked = linked(leaving.rows, &kept.files);
        let Leaving { streak, success, others, .. } = leaving;
        let row = Kept { streak, success, files: kept.files, others, linked, log };
        let mut batch = Batch::new();
        if batch.put(Table::Kept, &key, &row).is_err() || batch.put(Table::Uses, &key, &now_ms()).is_err() {
            return;
        }
        let mut work = self.work();
        work.added += kept.added + log_size;
        work.unsaved.append(batch);
        work.recent.insert(key, Arc::new(row));
    }

    /// Tells the run that made it, or, if that is over, who closes the session.
    fn warn(&self, leaving: &Leaving, message: &str) {
        let is_told = leaving.run.upgrade().is_some_and(|run| run.warn_in_time(leaving.id, message));
        if !is_told {
            self.work().untold.push(format!("{}: {message}", leaving.task));
        }
    }

    /// What the user should know and no run could tell any more.
    pub(crate) fn take_untold(&self) -> Vec<String> {
        std::mem::take(&mut self.work().untold)
    }

    /// What is kept of a success with this key, once nothing of the task is under way.
    pub(crate) fn find(&self, task: &TaskName, key: Digest) -> Option<Arc<Kept>> {
        self.await_task(task);
        let key = Kept::key(task, key);
        let recent = self.work().recent.get(&key).map(Arc::clone);
        recent.or_else(|| self.memory.kept(&key).map(Arc::new))
    }

    /// Whether all contents of a result are there, as far as names and sizes say.
    pub(crate) fn has_all_of(&self, kept: &Kept) -> bool {
        let dir = self.dir();
        kept.files.iter().all(|file| match file.what {
            KeptKind::File { digest, size, .. } => cache::has_content(&dir, digest, size),
            KeptKind::Directory { .. } | KeptKind::Link(_) => true,
        })
    }

    /// All that is kept of a task.
    pub(crate) fn all_of(&self, task: &TaskName) -> Vec<Arc<Kept>> {
        let prefix = Kept::prefix(task);
        let work = self.work();
        let of_task = work.recent.iter().filter(|(key, _)| key.starts_with(&prefix));
        let recent: Vec<Arc<Kept>> = of_task.map(|(_, kept)| Arc::clone(kept)).collect();
        drop(work);
        recent.into_iter().chain(self.memory.all_kept(task).into_iter().map(Arc::new)).collect()
    }

    /// Whether somebody who changes its files would spoil a result of a task.
    pub(crate) fn has_in_hand(&self, task: &TaskName) -> bool {
        self.work().has_in_hand(task)
    }

    /// Waits until no result of the task is under way; those of others may wait meanwhile.
    pub(crate) fn await_task(&self, task: &TaskName) {
        let mut work = self.work();
        if let Some(at) = work.waiting.iter().position(|leaving| leaving.task == *task)
            && let Some(leaving) = work.waiting.remove(at)
        {
            work.waiting.push_front(leaving);
        }
        drop(work);
        self.wait_while(|work| work.has_in_hand(task));
    }

    /// Waits until nothing is to be done.
    pub(crate) fn finish(&self) {
        self.wait_while(|work| work.runs);
    }

    fn wait_while(&self, condition: impl Fn(&Work) -> bool) {
        let work = self.changed.wait_while(self.work(), |work| condition(work));
        drop(work.unwrap_or_else(PoisonError::into_inner));
    }

    /// Keeps nothing more: somebody is in a hurry.
    pub(crate) fn give_up(&self) {
        self.work().waiting.clear();
        self.is_halted.store(true, Ordering::Relaxed);
    }

    /// Keeps nothing more of what a run made.
    pub(crate) fn give_up_of(&self, run: &RunContext) {
        let is_its = |other: &Weak<RunContext>| std::ptr::eq(other.as_ptr(), run);
        let mut work = self.work();
        work.waiting.retain(|leaving| !is_its(&leaving.run));
        if work.current.as_ref().is_some_and(|(_, of)| is_its(of)) {
            self.is_halted.store(true, Ordering::Relaxed);
        }
    }
}

/// The rows that are those of what links led to: of the links themselves, and of what lies beyond them.
fn linked(rows: Vec<FileRow>, kept: &[KeptFile]) -> Vec<FileRow> {
    let is_itself = |row: &FileRow| {
        let at = kept.binary_search_by(|file| file.path.cmp(&row.path));
        at.is_ok_and(|at| !matches!(kept[at].what, KeptKind::Link(_)))
    };
    rows.into_iter().filter(|row| !is_itself(row)).collect()
}

impl Work {
    /// Whether what is not saved has become much.
    fn is_much(&self) -> bool {
        let files = || self.recent.values().map(|kept| kept.files.len()).sum::<usize>();
        self.recent.len() >= TOGETHER || files() >= FILES_TOGETHER
    }

    fn has_in_hand(&self, task: &TaskName) -> bool {
        self.current.as_ref().is_some_and(|(current, _)| current == task)
            || self.waiting.iter().any(|leaving| leaving.task == *task)
    }
}

/// The end of the thread, however it comes.
struct Over<'a>(&'a Keeper);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let mut work = self.0.work();
        work.current = None;
        if thread::panicking() {
            work.runs = false;
            work.waiting.clear();
        }
        drop(work);
        self.0.changed.notify_all();
    }
}
