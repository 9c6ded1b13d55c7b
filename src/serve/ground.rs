//! What requests are served from, and which of them can be.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::wire::{Attach, Hello, Raw, Refusal, WatchInfo, Welcome, Whence};
use crate::{
    graph::TaskGraph,
    loader::{Loaded, is_same_place},
    model::{Digest, TaskId, TaskName},
    plan::{Plan, Standpoint},
    session::{Caller, Request, Session, SessionError, Watch, WatchControl, WatchedSession},
};

/// An open tree, and what was loaded for it.
#[derive(Debug)]
pub struct Ground {
    session: Session,
    loaded: Loaded,
    digest: OnceLock<Option<Digest>>,
    /// The tasks whose output is always shown.
    shown: Vec<TaskName>,
    has_interactive: bool,
}

/// Whether a request is served.
#[derive(Clone, Debug)]
pub enum Admission {
    /// From this.
    Served(Arc<Ground>),
    /// Not now: whoever asks waits for the tree.
    Wait,
}

/// What the process that holds a tree decides about requests.
pub trait Host: Send + Sync + 'static {
    /// Whether, and from what, requests are served now. Asked for each of them, on a thread on which it may take its
    /// time: what was loaded may have to be loaded anew.
    fn admit(&self) -> Admission;

    /// What processes are kept up from, whatever the files say by now.
    fn kept(&self) -> Option<Arc<Ground>>;

    /// The watch that it is, if it is one, and what that was started as.
    fn watch(&self) -> Option<(&WatchControl, &str)> {
        None
    }

    /// Whether that is there for processes, and ends when they are to.
    fn is_up(&self) -> bool {
        false
    }
}

/// Serves from what was loaded once, as long as that is what the files say.
#[derive(Clone, Debug)]
pub struct AsLoaded(pub Arc<Ground>);

impl Host for AsLoaded {
    fn admit(&self) -> Admission {
        if self.0.loaded.is_current() { Admission::Served(Arc::clone(&self.0)) } else { Admission::Wait }
    }

    fn kept(&self) -> Option<Arc<Ground>> {
        Some(Arc::clone(&self.0))
    }
}

/// How long a guest waits for task files that were edited just now to take effect: less than it waits for an answer.
/// If they have not by then, a cycle is under way that rests on what they said before, and the guest asks again.
const RELOAD: Duration = Duration::from_secs(1);
/// How often it is looked whether they have.
const GLANCE: Duration = Duration::from_millis(20);

/// Serves from what a watch goes on with.
#[derive(Debug)]
pub struct AsWatched {
    session: WatchedSession,
    /// What was loaded last, and its graph.
    loaded: Arc<Mutex<(Arc<TaskGraph>, Loaded)>>,
    ground: Mutex<Option<Arc<Ground>>>,
    control: WatchControl,
    label: String,
    is_up: bool,
}

impl AsWatched {
    /// `label` is what the watch was started as, for people only; `loaded` is what the watch was told to go on with, by whoever loads for it.
    #[must_use]
    pub fn new(watch: &Watch, label: String, loaded: Arc<Mutex<(Arc<TaskGraph>, Loaded)>>) -> Self {
        let (session, control) = (watch.session(), watch.control());
        Self { session, loaded, ground: Mutex::default(), control, label, is_up: false }
    }

    /// For one that is there for processes (`devtask up`).
    #[must_use]
    pub fn up(mut self) -> Self {
        self.is_up = true;
        self
    }

    /// What the watch goes on with, as far as that is known, and whether it is.
    fn latest(&self) -> (Option<Arc<Ground>>, bool) {
        let session = self.session.get();
        let mut known = lock(&self.ground);
        if known.as_ref().is_none_or(|known| !known.session.is_same(&session)) {
            let (graph, loaded) = lock(&self.loaded).clone();
            if !Arc::ptr_eq(&graph, session.graph()) {
                // The watch has not come that far yet.
                return (known.clone(), false);
            }
            *known = Some(Arc::new(Ground::new(session, loaded)));
        }
        (known.clone(), true)
    }

    /// What can be served from now; none if that is not what the files say.
    fn ground(&self) -> Option<Arc<Ground>> {
        let (ground, is_latest) = self.latest();
        ground.filter(|ground| is_latest && ground.loaded.is_current())
    }
}

impl Host for AsWatched {
    fn admit(&self) -> Admission {
        let end = Instant::now() + RELOAD;
        loop {
            match self.ground() {
                Some(ground) => return Admission::Served(ground),
                None if Instant::now() > end => return Admission::Wait,
                None => thread::sleep(GLANCE),
            }
        }
    }

    fn kept(&self) -> Option<Arc<Ground>> {
        self.latest().0
    }

    fn watch(&self) -> Option<(&WatchControl, &str)> {
        Some((&self.control, &self.label))
    }

    fn is_up(&self) -> bool {
        self.is_up
    }
}

/// What a panic of another thread left is as good as before: every change is made at once.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ground {
    /// A session, and what its graph was loaded from.
    #[must_use]
    pub fn new(session: Session, loaded: Loaded) -> Self {
        let graph = session.graph();
        let tasks = || graph.ids().map(|id| graph.task(id));
        Self {
            shown: tasks().filter(|task| task.show_output).map(|task| task.name.clone()).collect(),
            has_interactive: tasks().any(|task| task.interactive),
            digest: OnceLock::new(),
            session,
            loaded,
        }
    }

    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    /// `watch`: what the watch was started as, if a watch holds the tree.
    pub(crate) fn welcome(&self, watch: Option<&str>, is_up: bool) -> Welcome {
        let watch = watch.map(|label| WatchInfo { label: label.to_owned(), pid: std::process::id(), is_up });
        Welcome {
            root: Raw::of(self.loaded.root.as_os_str()),
            settings: self.loaded.settings.clone(),
            shown: self.shown.clone(),
            watch,
        }
    }

    /// From where this guest's names are meant. None: it may belong to another tree, or wants what this session
    /// cannot give.
    pub(crate) fn standpoint(&self, hello: &Hello) -> Option<Standpoint> {
        let is_as_coarse = hello.granularity == self.session.granularity();
        match &hello.whence {
            Whence::Keeper { dir } => Some(self.loaded.standpoint_within(dir.as_path())),
            _ if !is_as_coarse => None,
            Whence::Directory { dir, home } => {
                self.loaded.standpoint_at(dir.as_path(), home.as_ref().map(Raw::as_path))
            }
            Whence::Loaded { digest, standpoint } => {
                let own = *self.digest.get_or_init(|| self.loaded.digest(self.session.graph()));
                (own == Some(*digest)).then(|| standpoint.clone())
            }
        }
    }

    /// Completes a request with what only this side can tell.
    pub(crate) fn complete(&self, request: &mut Request, standpoint: Standpoint) -> Result<(), Refusal> {
        request.caller = self.caller(request)?;
        request.standpoint = Some(standpoint);
        if !self.has_interactive || request.dry_run {
            return Ok(());
        }
        let roots = self.session.select_from(request.standpoint.as_ref(), &request.names)?;
        let (graph, plan) = (self.session.graph(), Plan::new(self.session.graph(), roots, request.mode));
        match plan.order().iter().map(|id| graph.task(*id)).find(|task| task.interactive) {
            Some(task) => Err(Refusal::Interactive(task.name.clone())),
            None => Ok(()),
        }
    }

    /// The tasks that one who wants to attach wants to see kept true: those it names, and what belongs to these.
    pub(crate) fn tasks_of(
        &self,
        attach: &Attach,
        standpoint: &Standpoint,
    ) -> Result<(Vec<TaskName>, Vec<TaskName>), SessionError> {
        if attach.names.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let graph = self.session.graph();
        let roots = self.session.select_from(Some(standpoint), &attach.names)?;
        let plan = Plan::new(graph, roots.iter().copied(), attach.mode);
        let mut others = plan.order().iter().filter(|id| !roots.contains(id));
        let names = |ids: &mut dyn Iterator<Item = &TaskId>| ids.map(|id| graph.name(*id).clone()).collect();
        Ok((names(&mut roots.iter()), names(&mut others)))
    }

    /// The task of this session that asks, if one does. One that does so through another tree cannot be told: its
    /// own name was replaced by that of the other tree's task.
    fn caller(&self, request: &Request) -> Result<Option<Caller>, Refusal> {
        let variables = request.environment.iter().flat_map(|variables| variables.iter());
        let variables = variables.map(|(name, value)| (name.as_bytes(), value.as_os_str()));
        let value =
            |wanted: &str| variables.clone().find(|(name, _)| *name == wanted.as_bytes()).map(|(_, v)| v);
        let Some(trees) = value("DEVTASK_TREES") else { return Ok(None) };
        let state_dir = self.session.state_dir();
        let mut trees = trees.as_bytes().split(|byte| *byte == b'\n').rev().map(OsStr::from_bytes);
        let is_ours = |tree: &OsStr| is_same_place(Path::new(tree), &state_dir);
        if trees.next().is_some_and(is_ours) {
            let task =
                value("DEVTASK_TASK").and_then(OsStr::to_str).and_then(|name| TaskName::new(name).ok());
            let run = value("DEVTASK_RUN").and_then(OsStr::to_str);
            return match (run, task) {
                (Some(run), Some(task)) => Ok(Some(Caller { run: run.to_owned(), task })),
                _ => Err(Refusal::Nested),
            };
        }
        if trees.any(is_ours) { Err(Refusal::Nested) } else { Ok(None) }
    }
}
