//! What everything in a session looks at: the graph, the directories, the file table, the store.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    num::NonZero,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::sync::OnceCell;

use super::{
    commons::Commons,
    context::log_name,
    environment::{Ambient, variable},
    keeper::Keeper,
    ledger::Ledgers,
    memory::{Explanation, Memory},
    private::Private,
    processes::Processes,
    prune,
    request::Request,
    runlog,
    saver::Savings,
    servers::Servers,
    settled::StoreStamp,
    watching::Watching,
};
pub(crate) use crate::store::now_ms;
use crate::{
    graph::TaskGraph,
    model::{Digest, DirRecord, Task, TaskId, TaskName, Written},
    pattern::{PatternKind, PatternSet},
    plan::Standpoint,
    planted::{self, Fault},
    process::Warden,
    scan::{
        self, FileSet, FileTable, Matched, Moment, Scanner, Sight, Trail, Wanted, relative_name,
        same_identities,
    },
    store::{Batch, Lock, Snapshot, Table, TaskRecord},
};

/// What everything in a session looks at.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) graph: Arc<TaskGraph>,
    pub(crate) root: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) ambient: Ambient,
    pub(crate) memory: Arc<Memory>,
    /// What the store was like before it was opened.
    pub(crate) store: Option<StoreStamp>,
    /// Stands for the graph and for the program, if somebody could tell.
    pub(crate) loaded: Option<Digest>,
    /// How coarse the stamps of files are at worst.
    pub(crate) granularity: Duration,
    pub(crate) warden: Warden,
    pub(crate) predecessors: OnceCell<()>,
    pub(crate) keeps_devenv_dirs: bool,
    pub(crate) standpoint: Standpoint,
    pub(crate) jobs: usize,
    pub(crate) threads: NonZero<usize>,
    pub(crate) runtime_bases: Vec<PathBuf>,
    pub(crate) file_bases: Vec<PathBuf>,
    pub(crate) private: Arc<Private>,
    /// The processes that are up, and those that were.
    pub(crate) processes: Arc<Processes>,
    /// The task servers that run.
    pub(crate) servers: Arc<Servers>,
    pub(crate) scanner: Scanner,
    pub(crate) table: FileTable,
    pub(crate) patterns: Vec<OnceLock<Arc<Patterns>>>,
    /// Where outputs of tasks begin, and whose they are, in order.
    pub(crate) outputs: OnceLock<Vec<(PathBuf, TaskId)>>,
    /// What is known of the tree while it is watched.
    pub(crate) watching: OnceLock<Watching>,
    /// What its runs have in common.
    pub(crate) commons: Arc<Commons>,
    pub(crate) ledgers: Ledgers,
    pub(crate) savings: Savings,
    /// What keeps what tasks left.
    pub(crate) keeper: Arc<Keeper>,
    /// Opened for looking only.
    pub(crate) read_only: bool,
    pub(crate) lock: Option<Arc<Lock>>,
}

/// The compiled patterns of a task.
#[derive(Debug)]
pub(crate) struct Patterns {
    pub(crate) inputs: Arc<PatternSet>,
    pub(crate) outputs: Arc<PatternSet>,
}

impl Shared {
    /// The compiled patterns of a task, compiled when they are first needed.
    pub(crate) fn patterns(&self, id: TaskId) -> Arc<Patterns> {
        Arc::clone(self.patterns[id.index()].get_or_init(|| Arc::new(Patterns::compile(self.graph.task(id)))))
    }

    /// The patterns of other tasks whose outputs lie where those of this one do, or deeper: what they match is theirs.
    pub(crate) fn others_within(&self, id: TaskId) -> Vec<Arc<Patterns>> {
        let index = self.outputs.get_or_init(|| {
            let with_outputs = self.graph.ids().filter(|id| !self.graph.task(*id).outputs.is_empty());
            let mut all: Vec<(PathBuf, TaskId)> = with_outputs
                .flat_map(|id| self.beginnings(id).into_iter().map(move |beginning| (beginning, id)))
                .collect();
            all.sort();
            all
        });
        let mut others = BTreeSet::new();
        for own in self.beginnings(id) {
            let from = index.partition_point(|(beginning, _)| *beginning < own);
            let within = index[from..].iter().take_while(|(beginning, _)| beginning.starts_with(&own));
            others.extend(within.map(|(_, other)| *other).filter(|other| *other != id));
        }
        others.into_iter().map(|other| self.patterns(other)).collect()
    }

    /// Where the outputs of a task begin.
    fn beginnings(&self, id: TaskId) -> Vec<PathBuf> {
        let patterns = self.patterns(id);
        let positive = patterns.outputs.globs().iter().filter(|glob| !glob.is_negated());
        positive.map(|glob| glob.prefix().to_owned()).collect()
    }

    /// The kinds of patterns a task has.
    pub(crate) fn kinds(&self, id: TaskId) -> impl Iterator<Item = PatternKind> + use<> {
        let task = self.graph.task(id);
        let inputs = (!task.exec_if_modified.is_empty()).then_some(PatternKind::Inputs);
        inputs.into_iter().chain((!task.outputs.is_empty()).then_some(PatternKind::Outputs))
    }

    /// Stands for a set of patterns of a task.
    pub(crate) fn set_key(&self, id: TaskId, kind: PatternKind) -> Digest {
        set_key(self, self.graph.task(id), kind)
    }

    /// Looks at the inputs or outputs of tasks; and when, if the tree is watched.
    pub(crate) fn look(&self, asked: &[(TaskId, PatternKind)]) -> (Vec<Sight>, Option<Moment>) {
        let Some(watching) = self.watching.get() else { return (self.look_there(asked), None) };
        let live = if planted::is(Fault::AnswersEarly) { watching.now() } else { watching.catch_up(self) };
        let sights: Vec<Option<Sight>> =
            asked.iter().map(|(id, kind)| live.sight(self.set_key(*id, *kind))).collect();
        let moment = live.moment();
        drop(live);
        let rest: Vec<_> =
            asked.iter().zip(&sights).filter(|(_, sight)| sight.is_none()).map(|(set, _)| *set).collect();
        // Of tasks that are not watched.
        let mut rest = if rest.is_empty() { Vec::new() } else { self.look_there(&rest) }.into_iter();
        (sights.into_iter().filter_map(|sight| sight.or_else(|| rest.next())).collect(), Some(moment))
    }

    fn look_there(&self, asked: &[(TaskId, PatternKind)]) -> Vec<Sight> {
        let patterns: Vec<_> =
            asked.iter().map(|(id, kind)| move || Arc::clone(self.patterns(*id).of(*kind))).collect();
        let key = |&(id, kind)| set_key(self, self.graph.task(id), kind);
        let wanted: Vec<Wanted<'_>> =
            asked.iter().zip(&patterns).map(|(set, patterns)| Wanted { key: key(set), patterns }).collect();
        self.table.look(&self.scanner, &wanted, self.threads)
    }

    /// Whether a set is known to match the very files it did `before`, untouched since.
    fn is_untouched(&self, id: TaskId, kind: PatternKind, before: &FileSet) -> bool {
        self.table.is_untouched(self.set_key(id, kind), before)
    }

    /// The first thing in a set that was written to since it was looked at, other than what `except` matches.
    pub(crate) fn changed_since(
        &self,
        (id, kind): (TaskId, PatternKind),
        before: &FileSet,
        then: Option<Moment>,
        except: &PatternSet,
    ) -> Option<PathBuf> {
        if let (Some(watching), Some(then)) = (self.watching.get(), then) {
            let live = watching.catch_up(self);
            if let Some(touched) = live.touched_since(self.set_key(id, kind), then) {
                return touched.into_iter().find(|path| !except.matches(path)).map(Path::to_owned);
            }
        }
        if self.is_untouched(id, kind, before) {
            return None;
        }
        same_identities(before, &self.walk(self.patterns(id).of(kind)), Some(except))
    }

    /// The files of a set, now.
    pub(crate) fn files_now(&self, id: TaskId, kind: PatternKind) -> FileSet {
        let kept =
            self.watching.get().and_then(|watching| watching.catch_up(self).files(self.set_key(id, kind)));
        match kept {
            Some(files) => FileSet::clone(&files),
            None => self.table.digest(&self.walk(self.patterns(id).of(kind))),
        }
    }

    /// Forgets the trails of sets that no task has any more.
    pub(crate) fn forget_trails(&self) {
        let tasks = || self.graph.ids().map(|id| self.graph.task(id));
        let keys = |task| [PatternKind::Inputs, PatternKind::Outputs].map(|kind| set_key(self, task, kind));
        let known = || tasks().flat_map(keys).map(|key| key.0.to_le_bytes()).collect();
        self.memory.forget_trails(known, 2 * self.graph.len());
    }

    /// The files of a set, as they were seen.
    pub(crate) fn files(&self, id: TaskId, kind: PatternKind, sight: &Sight) -> Arc<FileSet> {
        let kept = || {
            let live = self.watching.get()?.now();
            let key = self.set_key(id, kind);
            (live.content(key) == Some(sight.content())).then(|| live.files(key)).flatten()
        };
        self.table.files_of(sight).or_else(kept).unwrap_or_else(|| {
            // Somebody looked again meanwhile and saw something else; then that is what counts.
            Arc::new(self.table.digest(&self.walk(self.patterns(id).of(kind))))
        })
    }

    /// Ends what dead sessions of this tree left running, once, before anything is started (hazards,
    /// section 0, point 5: else it overwrites the output after the new run committed).
    pub(crate) async fn end_predecessors(&self) -> Result<(), String> {
        let ended =
            self.predecessors.get_or_try_init(|| async { self.warden.end_predecessors().await.map(|_| ()) });
        ended.await.copied().map_err(|e| format!("cannot end what an earlier run left running: {e}"))
    }

    /// Where the logs of runs' tasks are.
    pub(crate) fn log_dir(&self) -> PathBuf {
        runlog::log_dir(&self.state_dir)
    }

    /// Where the output of a process is kept, whichever run starts it.
    pub(crate) fn process_log(&self, name: &TaskName) -> PathBuf {
        process_log(&self.state_dir, name)
    }

    /// `DEVENV_ROOT` and its like; kept as they are where a devenv shell set them and the tasks are
    /// devenv's (spec section 3).
    pub(crate) fn directories(
        &self,
        ambient: &Ambient,
        runtime: &Path,
    ) -> Vec<(&'static str, Option<OsString>)> {
        let ours = [
            ("DEVENV_ROOT", self.root.clone()),
            ("DEVENV_DOTFILE", self.state_dir.clone()),
            ("DEVENV_STATE", self.state_dir.join("state")),
            ("DEVENV_RUNTIME", runtime.to_owned()),
        ];
        let kept = |name: &str| variable(ambient, name).filter(|_| self.keeps_devenv_dirs);
        let inherited = |name: &str| kept(name).map(OsStr::to_owned);
        ours.into_iter().map(|(name, path)| (name, Some(inherited(name).unwrap_or(path.into())))).collect()
    }

    /// The state directories of the trees whose runs a task runs in, one a line, the outermost first: a
    /// nested run must not wait for one that waits for it.
    pub(crate) fn trees(&self, ambient: &Ambient) -> OsString {
        let mut trees = variable(ambient, "DEVTASK_TREES").map(OsStr::to_owned).unwrap_or_default();
        let own = self.state_dir.as_os_str();
        if trees.as_bytes().rsplit(|b| *b == b'\n').next() == Some(own.as_bytes()) {
            return trees; // a nested run of this tree
        }
        if !trees.is_empty() {
            trees.push("\n");
        }
        trees.push(own);
        trees
    }

    /// The surrounding environment of a run.
    pub(crate) fn ambient_of(&self, request: &Request) -> Ambient {
        request.environment.clone().unwrap_or_else(|| Arc::clone(&self.ambient))
    }

    /// The record of a task's last execution.
    pub(crate) fn record(&self, id: TaskId) -> Option<TaskRecord> {
        self.commons.record(id).or_else(|| self.memory.record(self.graph.name(id).as_str()))
    }

    /// What explains it.
    pub(crate) fn explanation(&self, id: TaskId) -> Arc<Explanation> {
        let stored = || self.memory.explanation(self.graph.name(id).as_str()).unwrap_or_default();
        self.commons.explanation(id).unwrap_or_else(|| Arc::new(stored()))
    }

    /// Walks without hashing.
    pub(crate) fn walk(&self, set: &PatternSet) -> Matched {
        self.scanner.walk(&[set]).pop().unwrap_or_default()
    }

    /// A path as people read it: relative to the root where it lies beneath it.
    pub(crate) fn display(&self, path: &Path) -> String {
        String::from_utf8_lossy(&relative_name(&self.root, path)).into_owned()
    }

    /// The path a name in a manifest stands for.
    pub(crate) fn absolute(&self, name: &[u8]) -> PathBuf {
        self.root.join(std::ffi::OsStr::from_bytes(name))
    }

    /// Closes the store, and says what the user should know of it.
    pub(crate) fn close_memory(&self) -> Result<Vec<String>, String> {
        prune::prune_if_due(self);
        self.memory.forget_unseen(|name| self.graph.id(name).is_some());
        self.forget_trails();
        let untold = self.keeper.take_untold();
        Ok(untold.into_iter().chain(self.memory.close()?).collect())
    }

    /// What the file table has learnt, ready to be saved; none if there is nothing new.
    pub(crate) fn stat_cache_changes(&self) -> Option<Batch> {
        let mut batch = Batch::new();
        for (key, record) in self.table.take_changes() {
            // A record without a stored form is only missing from the cache.
            let _ = batch.put(Table::Dirs, &key, &record);
        }
        for (set, trail) in self.table.take_trails() {
            let _ = batch.put(Table::Trails, &set.0.to_le_bytes(), &*trail);
        }
        (!batch.is_empty()).then_some(batch)
    }
}

/// Where the output of a process is kept.
#[must_use]
pub fn process_log(state_dir: &Path, name: &TaskName) -> PathBuf {
    state_dir.join("processes").join(log_name(name.as_str(), "log"))
}

/// Stands for a set of patterns and for what decides what they match: not for where the tree is.
fn set_key(shared: &Shared, task: &Task, kind: PatternKind) -> Digest {
    let (bases, list, kind) = match kind {
        PatternKind::Inputs => (task.pattern_bases.as_slice(), &task.exec_if_modified, b"inputs".as_slice()),
        PatternKind::Outputs => (std::slice::from_ref(&task.cwd), &task.outputs, b"outputs".as_slice()),
    };
    let options = shared.scanner.options();
    let global = options.global_ignore.as_ref().map_or(b"".as_slice(), |path| path.as_os_str().as_bytes());
    let mut words = vec![kind, scan::directory_key(&shared.root, &options.state_dir), global];
    words.extend(list.iter().map(|pattern| pattern.value.as_bytes()));
    scan::set_key(&shared.root, bases.iter().map(PathBuf::as_path), &words)
}

impl Patterns {
    /// Those of one kind.
    pub(crate) const fn of(&self, kind: PatternKind) -> &Arc<PatternSet> {
        match kind {
            PatternKind::Inputs => &self.inputs,
            PatternKind::Outputs => &self.outputs,
        }
    }

    fn compile(task: &Task) -> Self {
        let values = |list: &[Written<String>]| list.iter().map(|p| p.value.clone()).collect::<Vec<_>>();
        let compile = |bases: &[PathBuf], list: &[Written<String>], kind| {
            // Faulty patterns are faults of the file or of the graph made in code: none is left here.
            let set = PatternSet::new(bases, &values(list), kind);
            Arc::new(set.unwrap_or_else(|_| PatternSet::empty(kind)))
        };
        Self {
            inputs: compile(&task.pattern_bases, &task.exec_if_modified, PatternKind::Inputs),
            outputs: compile(std::slice::from_ref(&task.cwd), &task.outputs, PatternKind::Outputs),
        }
    }
}

/// The stat cache and the trails of the store, for the file table.
#[derive(Debug)]
pub(crate) struct Recall(pub(crate) Arc<Memory>);

impl scan::Memory for Recall {
    fn recall(&self, key: &[u8]) -> Option<DirRecord> {
        self.0.directory(key)
    }

    fn trail(&self, set: Digest) -> Option<Trail> {
        self.0.trail(set)
    }

    fn moment(&self) -> Option<Box<dyn scan::Memory + '_>> {
        self.0.snapshot().map(|snapshot| Box::new(AtOnce(snapshot)) as _)
    }
}

/// The same at one moment. What cannot be read counts as absent: that only ever costs reading.
#[derive(Debug)]
struct AtOnce(Snapshot);

impl scan::Memory for AtOnce {
    fn recall(&self, key: &[u8]) -> Option<DirRecord> {
        self.0.get(Table::Dirs, key).ok().flatten()
    }

    fn trail(&self, set: Digest) -> Option<Trail> {
        self.0.get(Table::Trails, &set.0.to_le_bytes()).ok().flatten()
    }

    fn trails(&self, wanted: usize) -> Option<Vec<(Digest, Trail)>> {
        // To go through all of them costs about as much as to look for a quarter.
        let all = self.0.count(Table::Trails).ok()?;
        if all > 4 * wanted as u64 {
            return None;
        }
        let trails = self.0.entries(Table::Trails).ok()?;
        let key = |key: Vec<u8>| Some(Digest(u128::from_le_bytes(key.try_into().ok()?)));
        Some(trails.into_iter().filter_map(|(bytes, trail)| Some((key(bytes)?, trail))).collect())
    }
}
