//! Opening a session: whose tree, which state, what of the surroundings may be used.

use std::{
    ffi::OsString,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use tokio::sync::OnceCell;

use super::{
    Session, SessionError,
    commons::Commons,
    keeper::Keeper,
    ledger::Ledgers,
    memory::Memory,
    prune::CacheLimits,
    saver::Savings,
    settled::StoreStamp,
    shared::{Recall, Shared, now_ms},
};
use crate::{
    graph::TaskGraph,
    model::{Action, Digest, Task, TaskServer},
    plan::Standpoint,
    process::{Warden, WardenOptions},
    scan::{FileTable, GRANULARITY, ScanOptions, Scanner, TableOptions},
    store::{Attempt, Lock, Owner, OwnerInfo, STATE_DIR, StateDir, StoreError},
};

/// What happens when another process holds the tree.
pub enum Wait {
    /// [`SessionError::Held`].
    No,
    /// It is waited for; asked with the present owner now and then, and given up when that says `true`.
    UntilStopped(Box<dyn FnMut(&Owner) -> bool + Send>),
}

impl std::fmt::Debug for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::No => "No",
            Self::UntilStopped(_) => "UntilStopped",
        })
    }
}

/// How a session is opened. Everything is off that touches more than the tree and its children.
#[derive(Debug)]
pub struct SessionBuilder {
    graph: Arc<TaskGraph>,
    root: PathBuf,
    state_dir: Option<PathBuf>,
    jobs: usize,
    ambient: Vec<(OsString, OsString)>,
    standpoint: Standpoint,
    guardian: Option<PathBuf>,
    adopt_orphans: bool,
    runtime_bases: Vec<PathBuf>,
    file_bases: Vec<PathBuf>,
    global_ignore: Option<PathBuf>,
    keeps_devenv_dirs: bool,
    read_only: bool,
    wait: Wait,
    label: String,
    loaded: Option<Digest>,
    granularity: Duration,
    kept: CacheLimits,
}

impl SessionBuilder {
    pub(super) fn new(graph: Arc<TaskGraph>) -> Self {
        Self {
            graph,
            root: PathBuf::from("."),
            state_dir: None,
            jobs: cores(),
            ambient: Vec::new(),
            standpoint: Standpoint::default(),
            guardian: None,
            adopt_orphans: false,
            runtime_bases: vec![std::env::temp_dir()],
            file_bases: Vec::new(),
            global_ignore: None,
            keeps_devenv_dirs: false,
            read_only: false,
            wait: Wait::No,
            label: "devtask".to_owned(),
            loaded: None,
            granularity: GRANULARITY,
            kept: CacheLimits::default(),
        }
    }

    /// The root of the tree; default: the working directory.
    #[must_use]
    pub fn root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self
    }

    /// Where the state lives; default: `.devtask` in the root.
    #[must_use]
    pub fn state_dir(mut self, dir: Option<PathBuf>) -> Self {
        self.state_dir = dir;
        self
    }

    /// How many one-shot tasks execute at once, in all runs together; default: the cores.
    #[must_use]
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// The environment tasks inherit; default: none of it.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.ambient = variables.into_iter().collect();
        self
    }

    /// From where names are meant; default: from above all projects.
    #[must_use]
    pub fn standpoint(mut self, standpoint: Standpoint) -> Self {
        self.standpoint = standpoint;
        self
    }

    /// The program that becomes the guardian: one whose `main` calls
    /// [`guardian_main`](crate::process::guardian_main). Without one, what runs outlives a SIGKILL of this
    /// process until the next session in the tree ends it.
    #[must_use]
    pub fn guardian(mut self, program: Option<PathBuf>) -> Self {
        self.guardian = program;
        self
    }

    /// Whether this process adopts the orphans of its descendants; see
    /// [`WardenOptions::adopt_orphans`].
    #[must_use]
    pub fn adopt_orphans(mut self, adopt: bool) -> Self {
        self.adopt_orphans = adopt;
        self
    }

    /// Where short-lived private directories may be made, best first; default: the temporary directory.
    #[must_use]
    pub fn runtime_bases(mut self, bases: Vec<PathBuf>) -> Self {
        self.runtime_bases = bases;
        self
    }

    /// Where the private files of tasks may be made, best first, if not in the directory of
    /// [`runtime_bases`](Self::runtime_bases): in memory, where making and removing them costs next to nothing.
    #[must_use]
    pub fn file_bases(mut self, bases: Vec<PathBuf>) -> Self {
        self.file_bases = bases;
        self
    }

    /// The user's global git ignore file.
    #[must_use]
    pub fn global_ignore(mut self, file: Option<PathBuf>) -> Self {
        self.global_ignore = file;
        self
    }

    /// Whether `DEVENV_ROOT` and its like are kept where the environment has them (devenv's tasks).
    #[must_use]
    pub fn keep_devenv_dirs(mut self, keep: bool) -> Self {
        self.keeps_devenv_dirs = keep;
        self
    }

    /// Opens for looking only: makes no directory, and takes the lock only to put in order what a killed
    /// process left; only dry runs may be started.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// What happens when another process holds the tree; default: an error.
    #[must_use]
    pub fn wait(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// How others are told who holds the tree.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// A digest that stands for the graph and for the program that judges it: where both are the same, it is the same,
    /// and never else. With it the session keeps what it found fresh as a whole, and the next one that is asked
    /// the same need not look at each task; default: none.
    #[must_use]
    pub fn loaded(mut self, digest: Option<Digest>) -> Self {
        self.loaded = digest;
        self
    }

    /// How much of earlier results is kept, and for how long (spec section 4.5); default: 1 GiB, 30 days.
    #[must_use]
    pub fn kept(mut self, limits: CacheLimits) -> Self {
        self.kept = limits;
        self
    }

    /// How coarse the stamps of files are at worst: what was written no longer ago than this may be written again
    /// without showing, and is read at every look (hazard A1); default: 2 s, those of FAT.
    #[must_use]
    pub fn granularity(mut self, granularity: Duration) -> Self {
        self.granularity = granularity;
        self
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`SessionError::Held`], [`SessionError::StoppedWaiting`], [`SessionError::Store`],
    /// [`SessionError::System`].
    pub async fn open(self) -> Result<Session, SessionError> {
        let opened = tokio::task::spawn_blocking(move || self.open_blocking()).await;
        opened.unwrap_or_else(|error| Err(SessionError::Internal(error.to_string())))
    }

    /// [`open`](Self::open) on the calling thread; needs no runtime.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_blocking(mut self) -> Result<Session, SessionError> {
        let root = self
            .root
            .canonicalize()
            .map_err(|error| SessionError::System { what: "find the root", error })?;
        let state_dir = self.state_dir.clone().unwrap_or_else(|| root.join(STATE_DIR));
        let Opened { lock, store, memory, notices, sessions } =
            if self.read_only { look_only(&state_dir, &self.label) } else { self.hold(&state_dir) }?;
        let memory = Arc::new(memory);
        let scanner = Scanner::new(ScanOptions {
            root: root.clone(),
            state_dir: state_dir.clone(),
            threads: threads(),
            global_ignore: self.global_ignore.take(),
        });
        let recall = Box::new(Recall(Arc::clone(&memory)));
        let options = TableOptions { granularity: self.granularity, ..TableOptions::default() };
        let table = FileTable::new(&root, recall, options);
        let warden = self.warden(sessions)?;
        let graph = anchored(&self.graph, &root);
        let keeper = Keeper::new(&root, &state_dir, Arc::clone(&memory), self.kept);
        let shared = Shared {
            patterns: graph.ids().map(|_| OnceLock::new()).collect(),
            outputs: OnceLock::new(),
            graph,
            root,
            state_dir,
            ambient: Arc::new(self.ambient),
            memory,
            store,
            loaded: self.loaded,
            granularity: self.granularity,
            warden,
            predecessors: OnceCell::new(),
            keeps_devenv_dirs: self.keeps_devenv_dirs,
            standpoint: self.standpoint,
            jobs: self.jobs,
            threads: threads(),
            runtime_bases: self.runtime_bases,
            file_bases: self.file_bases,
            private: Arc::default(),
            processes: Arc::default(),
            servers: Arc::default(),
            scanner,
            table,
            watching: OnceLock::new(),
            commons: Commons::new(self.jobs),
            ledgers: Ledgers::default(),
            savings: Savings::default(),
            keeper,
            read_only: self.read_only,
            lock: lock.map(Arc::new),
        };
        Ok(Session { shared: Arc::new(shared), notices: Arc::new(notices) })
    }

    /// Takes the lock and opens the store. Without locks there is no store (hazard D8).
    fn hold(&mut self, path: &Path) -> Result<Opened, SessionError> {
        let dir = StateDir::create(path)?;
        let info = OwnerInfo::this_process(self.label.clone(), now_ms());
        let lock = match &mut self.wait {
            Wait::No => match Lock::try_acquire(&dir, &info) {
                Ok(Attempt::Held(owner)) => return Err(SessionError::Held(owner)),
                Ok(Attempt::Acquired(lock)) => Ok(Some(lock)),
                Err(error) => Err(error),
            },
            Wait::UntilStopped(stop) => Lock::acquire_waiting(&dir, &info, stop),
        };
        match lock {
            Ok(Some(lock)) => {
                let sessions = Some(dir.subdir("sessions")?);
                let store = self.loaded.and_then(|_| StoreStamp::of(&dir));
                let (memory, notices) = Memory::open(dir, true)?;
                Ok(Opened { lock: Some(lock), store, memory, notices, sessions })
            }
            Ok(None) => Err(SessionError::StoppedWaiting),
            Err(error @ StoreError::NoLocks { .. }) => {
                let (sessions, notices) =
                    (dir.subdir("sessions")?, vec![format!("nothing is remembered: {error}")]);
                Ok(Opened {
                    lock: None,
                    store: None,
                    memory: Memory::none(),
                    notices,
                    sessions: Some(sessions),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn warden(&self, sessions_dir: Option<PathBuf>) -> Result<Warden, SessionError> {
        let outer = self.ambient.iter().find(|(name, _)| name == crate::process::SESSION_VARIABLE);
        let options = WardenOptions {
            adopt_orphans: self.adopt_orphans && !self.read_only,
            guardian: self.guardian.clone(),
            sessions_dir,
            outer_session: outer.map(|(_, value)| value.clone()),
        };
        Warden::new(options)
            .map_err(|error| SessionError::System { what: "prepare for child processes", error })
    }
}

/// What opening the state directory gave.
struct Opened {
    lock: Option<Lock>,
    store: Option<StoreStamp>,
    memory: Memory,
    notices: Vec<String>,
    /// Where session files lie, if something may be executed.
    sessions: Option<PathBuf>,
}

/// Opens the store for looking. One that a killed process left behind, or a damaged one, has to be put in
/// order first, which needs the lock.
fn look_only(path: &Path, label: &str) -> Result<Opened, SessionError> {
    let opened = |lock, (memory, notices)| Opened { lock, store: None, memory, notices, sessions: None };
    let Some(dir) = StateDir::open(path)? else { return Ok(opened(None, (Memory::none(), Vec::new()))) };
    match Memory::open(dir.clone(), false) {
        Ok(found) => Ok(opened(None, found)),
        Err(StoreError::NeedsRepair(_)) => {
            match Lock::try_acquire(&dir, &OwnerInfo::this_process(label.to_owned(), now_ms()))? {
                Attempt::Held(owner) => Err(SessionError::Held(owner)),
                Attempt::Acquired(lock) => Ok(opened(Some(lock), Memory::open(dir, true)?)),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Tasks made in code may have directories relative to the root.
pub(super) fn anchored(graph: &Arc<TaskGraph>, root: &Path) -> Arc<TaskGraph> {
    let is_anchored = |task: &Task| {
        let server = match &task.action {
            Action::Served(server, _) => Some(&server.dir),
            _ => None,
        };
        task.pattern_bases.iter().chain([&task.cwd]).chain(server).all(|path| path.is_absolute())
    };
    if graph.ids().all(|id| is_anchored(graph.task(id))) {
        return Arc::clone(graph);
    }
    let mut graph = TaskGraph::clone(graph);
    graph.each_task(|task| {
        task.cwd = root.join(&task.cwd);
        task.pattern_bases = task.pattern_bases.iter().map(|base| root.join(base)).collect();
        if let Action::Served(server, _) = &mut task.action
            && server.dir.is_relative()
        {
            *server = Arc::new(TaskServer { dir: root.join(&server.dir), ..TaskServer::clone(server) });
        }
    });
    Arc::new(graph)
}

fn cores() -> usize {
    threads().get()
}

/// Asked once: the system answers with a walk through its control groups.
fn threads() -> NonZero<usize> {
    static THREADS: OnceLock<NonZero<usize>> = OnceLock::new();
    *THREADS.get_or_init(|| thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))
}
