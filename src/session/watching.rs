//! What a session knows of its tree while it is watched: what sets of patterns hold now, without looking at what
//! nobody touched, and how every task stands.
//!
//! Everything is asked as in a session that does not watch; only the answers come from a
//! [`Live`] that is told of changes by a [`Source`]. Before any answer everything that was written until then
//! is taken in (hazard B9), so it does not matter who asks and when.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{results::HandedOn, shared::Shared};
use crate::{
    model::{Digest, Outcome, TaskId, TaskSet},
    pattern::PatternKind,
    plan::{Mode, Plan},
    scan::{self, Attendant, Live, Refreshed},
    watch::{Change, Health, Source, Synced, Watched},
};

/// How long the system may take to tell of a change. Then everything is looked at.
const PATIENCE: Duration = Duration::from_secs(1);

/// A tree that is watched.
#[derive(Debug)]
pub(crate) struct Watching {
    source: Arc<Source>,
    /// Whoever is to look.
    woken: Arc<Notify>,
    live: Mutex<Live>,
    /// Directories that are watched for other reasons than patterns.
    extra: Mutex<HashSet<PathBuf>>,
    /// What changed since somebody took it.
    seen: Mutex<Seen>,
    /// The sets of each task, by key.
    tasks: HashMap<Digest, Vec<(TaskId, PatternKind)>>,
    standings: Mutex<BTreeMap<TaskId, Stood>>,
}

/// What changed.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) sets: BTreeSet<Digest>,
    pub(crate) paths: BTreeSet<PathBuf>,
    /// Changes beside those of sets.
    pub(crate) other: Vec<Change>,
    /// Tasks that others began, or meant to, and gave up.
    pub(crate) owed: BTreeSet<TaskId>,
    /// Tasks that others executed, and what these others had in hand.
    pub(crate) executed: Vec<(TaskId, TaskSet)>,
}

/// How a task stands since it was last judged or executed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stood {
    pub(crate) outcome: Option<Outcome>,
    /// The exit code it failed with.
    pub(crate) failure: Option<i32>,
    pub(crate) handed: Arc<HandedOn>,
    pub(crate) looked: Looked,
    /// What somebody wrote to while it ran: whatever that holds now, the task may have read something else.
    pub(crate) disturbed: Option<PathBuf>,
}

/// What its sets held then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) inputs: Option<Digest>,
    pub(crate) outputs: Option<Digest>,
    pub(crate) upstream: Vec<(TaskId, Digest)>,
}

/// Who watches directories while somebody looks.
struct Attending<'a> {
    watching: &'a Watching,
    shared: &'a Shared,
}

impl Attendant for Attending<'_> {
    fn attend(&self, directory: &Path) -> bool {
        self.watching.attend(directory)
    }

    fn leave(&self, directory: &Path) {
        self.watching.leave(directory);
    }

    fn has_read(&self) {
        if let Some(learnt) = self.shared.stat_cache_changes() {
            self.shared.memory.put_away(learnt);
            self.shared.table.forget_everything();
        }
    }
}

impl Attendant for Watching {
    fn attend(&self, directory: &Path) -> bool {
        self.source.watch(directory) != Watched::Missing
    }

    fn leave(&self, directory: &Path) {
        if !lock(&self.extra).contains(directory) {
            self.source.unwatch(directory);
        }
    }
}

impl Watching {
    /// Watches everything that the tasks of a plan, and what is upstream of them, rest on.
    pub(crate) fn new(shared: &Shared, plan: &Plan, source: Arc<Source>, woken: Arc<Notify>) -> Self {
        let all = Plan::new(&shared.graph, plan.scheduled().iter(), Mode::Before);
        let mut tasks: HashMap<Digest, Vec<(TaskId, PatternKind)>> = HashMap::new();
        let mut sets = Vec::new();
        for &id in all.order() {
            for kind in shared.kinds(id) {
                let key = shared.set_key(id, kind);
                let users = tasks.entry(key).or_default();
                if users.is_empty() {
                    sets.push((key, Arc::clone(shared.patterns(id).of(kind))));
                }
                users.push((id, kind));
            }
        }
        Self {
            source,
            woken,
            live: Mutex::new(Live::new(&shared.scanner, sets, shared.threads)),
            extra: Mutex::default(),
            seen: Mutex::default(),
            tasks,
            standings: Mutex::default(),
        }
    }

    /// Takes in what was written until now, and looks at it.
    pub(crate) fn catch_up(&self, shared: &Shared) -> MutexGuard<'_, Live> {
        let synced = self.source.sync(PATIENCE);
        let mut live = lock(&self.live);
        self.take_in(&mut live);
        if synced == Synced::Unknown {
            live.note(scan::Change::Everything);
        }
        let Refreshed { sets, mut paths } =
            live.refresh(&shared.scanner, &shared.table, &Attending { watching: self, shared });
        let mut seen = lock(&self.seen);
        seen.sets.extend(sets);
        seen.paths.append(&mut paths);
        // Whoever asks, what is found here nobody is told of any more.
        if !seen.is_empty() {
            self.woken.notify_one();
        }
        drop(seen);
        live
    }

    /// What is known, without looking.
    pub(crate) fn now(&self) -> MutexGuard<'_, Live> {
        lock(&self.live)
    }

    /// Takes what the source has; true if any of it matters.
    fn take_in(&self, live: &mut Live) -> bool {
        let mut matters = false;
        for change in self.source.take() {
            let is_other = match &change {
                Change::Entry(path) => path.parent().is_some_and(|parent| lock(&self.extra).contains(parent)),
                Change::Directory(path) | Change::Lost(path) => lock(&self.extra).contains(path),
                Change::Everything => true,
            };
            if is_other {
                lock(&self.seen).other.push(change.clone());
            }
            if let Change::Lost(path) = &change {
                // If it is wanted still, whoever wants it watches it anew.
                lock(&self.extra).remove(path);
            }
            let change = match change {
                Change::Entry(path) => scan::Change::Entry(path),
                Change::Directory(path) => scan::Change::Directory(path),
                Change::Lost(path) => scan::Change::Lost(path),
                Change::Everything => scan::Change::Everything,
            };
            let concerns = live.concerns(&change);
            if concerns {
                live.note(change);
            }
            matters |= is_other || concerns;
        }
        matters
    }

    /// The source has something. Whether it matters, or somebody looked at it already; true, too, if somebody is just
    /// looking, who may find something.
    pub(crate) fn hear(&self) -> bool {
        match self.live.try_lock() {
            Ok(mut live) => self.take_in(&mut live) || !lock(&self.seen).is_empty(),
            Err(_) => true,
        }
    }

    /// A file that nobody watches is another.
    pub(crate) fn suspect(&self, path: PathBuf) {
        lock(&self.seen).other.push(Change::Entry(path));
        self.woken.notify_one();
    }

    /// Has whoever looks do so.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// What changed since this was asked last.
    pub(crate) fn take_seen(&self) -> Seen {
        std::mem::take(&mut *lock(&self.seen))
    }

    /// Watches a directory whatever patterns say.
    pub(crate) fn watch_also(&self, directory: &Path) {
        lock(&self.extra).insert(directory.to_owned());
        // Also of one that was watched before: it may be another now.
        self.source.watch(directory);
    }

    /// Watches a directory no more, unless patterns say so.
    pub(crate) fn watch_no_more(&self, directory: &Path) {
        if lock(&self.extra).remove(directory) && !self.now().attends(directory) {
            self.source.unwatch(directory);
        }
    }

    /// The tasks whose sets these are, or who use what these hold.
    pub(crate) fn users(&self, shared: &Shared, sets: &BTreeSet<Digest>) -> BTreeSet<TaskId> {
        let mut users = BTreeSet::new();
        for (id, kind) in sets.iter().filter_map(|key| self.tasks.get(key)).flatten() {
            users.insert(*id);
            if *kind == PatternKind::Outputs {
                // Through tasks without a command, too: who uses them is known by what they looked at.
                let standings = lock(&self.standings);
                let uses = |standing: &Stood| standing.looked.upstream.iter().any(|(made, _)| made == id);
                users.extend(standings.iter().filter(|(_, standing)| uses(standing)).map(|(user, _)| *user));
                drop(standings);
                users.extend(shared.graph.downstream(*id).map(|edge| edge.task));
            }
        }
        users
    }

    /// Whether a task is to be looked at: its sets hold something else than when it was last, or nobody knows what they
    /// held then. A task nobody looked at is not changed.
    pub(crate) fn has_changed(&self, shared: &Shared, live: &Live, id: TaskId) -> bool {
        let Some(standing) = self.standing(id) else { return false };
        // Of one that was given up nobody knows what it holds.
        let is_unknown = standing.outcome == Some(Outcome::Cancelled) || standing.disturbed.is_some();
        is_unknown || !self.others(shared, live, id).is_empty()
    }

    /// The sets of a task that hold something else than when it was last looked at: its own, and what it uses of others.
    pub(crate) fn others(&self, shared: &Shared, live: &Live, id: TaskId) -> Vec<(TaskId, PatternKind)> {
        let Some(standing) = self.standing(id) else { return Vec::new() };
        let Looked { inputs, outputs, upstream } = &standing.looked;
        // What a failed task left is of no account.
        let counts = standing.outcome.is_some_and(Outcome::is_success);
        let outputs = outputs.filter(|_| counts);
        let own = [(PatternKind::Inputs, *inputs), (PatternKind::Outputs, outputs)];
        let own = own.into_iter().filter_map(|(kind, was)| Some((id, kind, was?)));
        let upstream = upstream.iter().map(|(made, was)| (*made, PatternKind::Outputs, *was));
        let is_other =
            |set: &(TaskId, PatternKind, Digest)| live.content(shared.set_key(set.0, set.1)) != Some(set.2);
        own.chain(upstream).filter(is_other).map(|(id, kind, _)| (id, kind)).collect()
    }

    /// What the sets of a task hold.
    pub(crate) fn look_at(&self, shared: &Shared, live: &Live, id: TaskId, producers: &[TaskId]) -> Looked {
        let now = |id, kind| {
            let has = shared.kinds(id).any(|known| known == kind);
            has.then(|| live.content(shared.set_key(id, kind))).flatten()
        };
        let made = |id: &TaskId| Some((*id, now(*id, PatternKind::Outputs)?));
        Looked {
            inputs: now(id, PatternKind::Inputs),
            outputs: now(id, PatternKind::Outputs),
            upstream: producers.iter().filter_map(made).collect(),
        }
    }

    pub(crate) fn standing(&self, id: TaskId) -> Option<Stood> {
        lock(&self.standings).get(&id).cloned()
    }

    /// Takes note of what a task begins with. What it made before is its own to change from now on.
    pub(crate) fn begin(&self, id: TaskId, looked: &Looked) {
        let mut standings = lock(&self.standings);
        let standing = standings.entry(id).or_default();
        standing.looked = Looked { outputs: None, ..looked.clone() };
        standing.disturbed = None;
    }

    /// Takes note of how a task stands.
    pub(crate) fn stand(&self, id: TaskId, standing: Stood) {
        lock(&self.standings).insert(id, standing);
    }

    /// Takes note of what became of a task in the hands of somebody else, who has these tasks `in_hand`.
    pub(crate) fn tell(
        &self,
        id: TaskId,
        outcome: Outcome,
        was_executed: bool,
        in_hand: impl FnOnce() -> TaskSet,
    ) {
        let was_given_up = outcome == Outcome::Cancelled;
        if was_given_up || was_executed {
            let in_hand = in_hand();
            let mut seen = lock(&self.seen);
            seen.executed.extend(was_executed.then_some((id, in_hand)));
            seen.owed.extend(was_given_up.then_some(id));
            drop(seen);
            self.woken.notify_one();
        }
    }

    /// Watches the directories that another one watches for other reasons than patterns.
    pub(crate) fn watch_also_as(&self, before: &Self) {
        lock(&self.extra).extend(lock(&before.extra).iter().cloned());
    }

    /// All that is known of tasks.
    pub(crate) fn standings(&self) -> MutexGuard<'_, BTreeMap<TaskId, Stood>> {
        lock(&self.standings)
    }

    /// How well the source can see.
    pub(crate) fn health(&self) -> Health {
        self.source.health()
    }

    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }
}

impl Seen {
    fn is_empty(&self) -> bool {
        let has_paths = !(self.sets.is_empty() && self.paths.is_empty() && self.other.is_empty());
        !has_paths && self.owed.is_empty() && self.executed.is_empty()
    }
}

/// What a panic of another thread left is as good as before: every change is made at once.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
