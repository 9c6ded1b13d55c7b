//! Runs: from a graph and a request to results, with everything the rooms below can do.
//!
//! Floor 8. A [`Session`] holds the tree: the lock, the store, the file table, the children. Each
//! [`Request`] becomes a [`Run`] with a scheduler of its own. The room reads neither home nor environment
//! by itself (but `TMPDIR`, where no place for private files is named) and prints nothing: who opens a session says what it may use.
//!
//! | file | story |
//! |---|---|
//! | `open`, `request`, `run` | what who starts runs has to do with |
//! | `shared`, `context` | what everything in a session, and in a run, looks at |
//! | `drive` | effects out, observations in: one run from start to summary |
//! | `judging` | the same without a runtime, as long as nothing has to be executed |
//! | `judge` | is a task fresh, and if not, why (spec section 4) |
//! | `settled` | the answer to a request that was settled before, as a whole |
//! | `unmatched` | globs that match nothing, and what they would match elsewhere |
//! | `execute` | one task by the record protocol (hazards, section 0) |
//! | `results` | what is handed on, and who sees it (spec section 3) |
//! | `conduct`, `direct` | one job from its start to its end; commands that need no shell |
//! | `launch`, `environment`, `script` | what is started for a task, and what it is given |
//! | `harvest`, `record` | what it leaves, what is remembered and told of it |
//! | `saver` | results on their way to the store, many together (spec section 4.3) |
//! | `memory` | the store, opened as late and given up as early as is right |
//! | `telling`, `emit`, `runlog` | what is told: by events, to the reader and to the run's log |

mod conduct;
mod context;
mod direct;
mod drive;
mod emit;
mod environment;
mod execute;
mod harvest;
mod judge;
mod judging;
mod launch;
mod memory;
mod open;
mod record;
mod request;
mod results;
mod run;
mod runlog;
mod saver;
mod script;
mod settled;
mod shared;
mod telling;
mod unmatched;

use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

#[doc(hidden)]
pub use harvest::harvested;
pub use judging::{Judging, Pending};
pub use open::{SessionBuilder, Wait};
pub use request::{Caller, LiveLines, Request};
pub use run::{Run, RunControl, RunSummary};
pub use runlog::{known_runs, logged_runs, read_run, task_log};

use tokio::sync::mpsc;

use crate::{
    graph::TaskGraph,
    model::{Task, TaskId, TaskName},
    plan::{Mode, Plan, SelectFault, Standpoint, default_selection, select},
    store::{Owner, StoreError, Table, TaskRecord},
};
use context::{RunContext, Turn};
use drive::Driver;
use emit::{Emitter, Parcel};
use runlog::RunLog;
use settled::Settling;
use shared::Shared;

/// An open tree: what runs are started in.
#[derive(Clone, Debug)]
pub struct Session {
    shared: Arc<Shared>,
    notices: Arc<Vec<String>>,
}

/// A run about to begin.
struct Prepared {
    run: Arc<RunContext>,
    plan: Plan,
    events: mpsc::UnboundedReceiver<Parcel>,
}

/// Why a session or a run cannot be had. A failed task is not among these: it is an outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Another process holds the tree, and waiting was not wanted.
    #[error("{0} holds this tree")]
    Held(Owner),
    /// Waiting for the tree was given up.
    #[error("stopped waiting for the tree")]
    StoppedWaiting,
    /// The state directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name selects nothing.
    #[error("{}", unknown_names(.0))]
    Unknown(Vec<SelectFault>),
    /// A run of this session is under way: tasks of two could not be told apart by their records.
    #[error("a run of this session is under way")]
    Busy,
    /// Something was to be executed in a session opened for looking only.
    #[error("this session was opened for looking only")]
    ReadOnly,
    /// A task made in code declares an output that does not lie beneath the root (spec section 4.5).
    #[error("outputs outside the root are refused: `{pattern}` of {task}")]
    OutputOutside {
        /// The task.
        task: TaskName,
        /// The pattern, as it was written.
        pattern: String,
    },
    /// The run needs a long-running process.
    #[error("{0} is a process, and running processes is not supported yet")]
    NeedsProcess(TaskName),
    /// The system refused something that every run needs.
    #[error("cannot {what}: {error}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// A part of the library broke down.
    #[error("internal failure: {0}")]
    Internal(String),
}

fn unknown_names(faults: &[SelectFault]) -> String {
    let names: Vec<String> = faults.iter().map(|f| format!("`{}`", f.typed)).collect();
    format!("nothing is called {}", names.join(" or "))
}

impl Session {
    /// Starts to open a session over `graph`.
    #[must_use]
    pub fn builder(graph: impl Into<Arc<TaskGraph>>) -> SessionBuilder {
        SessionBuilder::new(graph.into())
    }

    /// Starts a run. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`SessionError::Unknown`], [`SessionError::NeedsProcess`], [`SessionError::ReadOnly`],
    /// [`SessionError::Busy`] while another run of this session is under way.
    pub fn start(&self, request: Request) -> Result<Run, SessionError> {
        let Prepared { run, plan, events } = self.prepare(request)?;
        let records = self.records(&plan);
        let mut driver = Driver::new(run, plan, records, None);
        driver.begin();
        Ok(Pending::new(driver, events).go_on())
    }

    /// Starts a run that judges on the calling thread and needs no runtime before something has to be executed.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use devtask::{Request, Session, Task, TaskGraph};
    ///
    /// # let root = tempfile::tempdir()?;
    /// let graph = TaskGraph::builder().task(Task::shell("app:gen", "make gen").exec_if_modified(["x"])).build()?;
    /// let session = Session::builder(graph).root(root.path()).open_blocking()?;
    /// let judging = session.judge(Request::run(["app:gen"]))?;
    /// match judging.finish() {
    ///     Ok(summary) => println!("nothing to do: {:?}", summary.outcomes),
    ///     // `pending.go_on()` within a runtime executes it.
    ///     Err(pending) => drop(pending),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn judge(&self, request: Request) -> Result<Judging, SessionError> {
        let Prepared { run, plan, events } = self.prepare(request)?;
        let mut settling = Settling::of(&self.shared, &run.request, &plan);
        match settling.as_mut().map(|settling| settling.follow(&self.shared)) {
            Some(Ok(settled)) => return Ok(Judging::over(settled::tell(run, &plan, settled), events)),
            Some(Err(contents)) => self.shared.table.believe(contents),
            None => {}
        }
        let records = self.records(&plan);
        let mut driver = Driver::new(run, plan, records, settling);
        driver.begin();
        Ok(Judging::new(driver, events))
    }

    /// Everything a run needs before anything is looked at.
    fn prepare(&self, request: Request) -> Result<Prepared, SessionError> {
        if self.shared.read_only && !request.dry_run {
            return Err(SessionError::ReadOnly);
        }
        let roots = self.select_from(request.standpoint.as_ref(), &request.names)?;
        let plan = Plan::new(&self.shared.graph, roots, request.mode);
        self.refuse_processes(&plan, &request)?;
        self.refuse_outputs_outside(&plan)?;
        // A dry run only looks.
        let turn = match request.dry_run {
            true => None,
            false => Some(Turn::take(&self.shared.turn).ok_or(SessionError::Busy)?),
        };
        let now = SystemTime::now();
        let (id, log) = match request.dry_run {
            true => (runlog::run_id(now), RunLog::none()),
            false => runlog::claim(&self.shared.state_dir, now),
        };
        let (emitter, events) = Emitter::new(log);
        let shared = Arc::clone(&self.shared);
        let run = Arc::new(RunContext::new(shared, request, id, &plan, emitter, turn));
        Ok(Prepared { run, plan, events })
    }

    /// The tasks these names select; without names the default selection (spec section 1.1).
    ///
    /// # Errors
    /// [`SessionError::Unknown`] with every name that selects nothing.
    pub fn select(&self, names: &[String]) -> Result<Vec<TaskId>, SessionError> {
        self.select_from(None, names)
    }

    /// [`select`](Self::select) from elsewhere.
    pub(crate) fn select_from(
        &self,
        standpoint: Option<&Standpoint>,
        names: &[String],
    ) -> Result<Vec<TaskId>, SessionError> {
        let Standpoint { project, default_project } = standpoint.unwrap_or(&self.shared.standpoint);
        if names.is_empty() {
            return Ok(default_selection(&self.shared.graph, default_project.as_deref()));
        }
        select(&self.shared.graph, project.as_deref(), names).map_err(SessionError::Unknown)
    }

    /// The tasks.
    pub(crate) fn graph(&self) -> &TaskGraph {
        &self.shared.graph
    }

    /// Whether nobody else can hold the tree meanwhile.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.shared.lock.is_some()
    }

    /// How coarse the stamps of files are at worst.
    pub(crate) fn granularity(&self) -> Duration {
        self.shared.granularity
    }

    /// Has the guardian remove a runtime directory if this process does not live to do it.
    pub(crate) fn guard_directory(&self, directory: &Path) {
        self.shared.warden.guard_directory(directory);
    }

    /// What happened while opening that the user should know.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The record of a task's last execution, if there is one.
    #[must_use]
    pub fn record(&self, name: &TaskName) -> Option<TaskRecord> {
        self.shared.memory.record(name.as_str())
    }

    /// Whether everything that runs and can be paused is: a pause takes effect as the run is polled.
    #[must_use]
    pub fn is_still(&self) -> bool {
        self.shared.warden.is_still()
    }

    /// Ends everything that was started here and what it left: SIGTERM, SIGKILL after `grace`. Nothing can be
    /// started afterwards. Can be dropped and called again with less patience.
    pub async fn end_children(&self, grace: Duration) {
        self.shared.warden.end_everything(grace).await;
    }

    /// Ends what is left, closes the store and lets go of the tree.
    ///
    /// # Errors
    /// Why results were not saved.
    pub async fn close(self) -> Result<Vec<String>, String> {
        self.end_children(execute::GRACE).await;
        let shared = Arc::clone(&self.shared);
        let closed = tokio::task::spawn_blocking(move || shared.close_memory()).await;
        closed.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// [`close`](Self::close) without a runtime, for a session that has executed nothing.
    ///
    /// # Errors
    /// Why results were not saved.
    pub fn close_blocking(self) -> Result<Vec<String>, String> {
        self.shared.close_memory()
    }

    fn refuse_processes(&self, plan: &Plan, request: &Request) -> Result<(), SessionError> {
        let graph = &self.shared.graph;
        let process = plan.order().iter().find(|id| graph.task(**id).is_process());
        match process {
            Some(id) if !request.dry_run => Err(SessionError::NeedsProcess(graph.name(*id).clone())),
            _ => Ok(()),
        }
    }

    /// Task files are checked when they are loaded; graphs made in code are not.
    fn refuse_outputs_outside(&self, plan: &Plan) -> Result<(), SessionError> {
        let graph = &self.shared.graph;
        let root = &self.shared.root;
        for &id in plan.order().iter().filter(|id| !is_plainly_beneath(graph.task(**id), root)) {
            let (task, patterns) = (graph.task(id), self.shared.patterns(id));
            let mut positive = patterns.outputs.globs().iter().filter(|glob| !glob.is_negated());
            let outside = positive.find(|glob| !glob.prefix().starts_with(&self.shared.root));
            if let Some(pattern) = outside.and_then(|glob| task.outputs.get(glob.written())) {
                let pattern = pattern.written.clone();
                return Err(SessionError::OutputOutside { task: task.name.clone(), pattern });
            }
        }
        Ok(())
    }

    /// What is remembered of each task that is scheduled or upstream of one that is, by id.
    fn records(&self, plan: &Plan) -> Vec<Option<TaskRecord>> {
        let graph = &self.shared.graph;
        let mut records = vec![None; graph.len()];
        let Some(snapshot) = self.shared.memory.snapshot() else { return records };
        let wanted = Plan::new(graph, plan.scheduled().iter(), Mode::Before);
        // What cannot be read counts as absent: that only ever costs running.
        let few = |all| all > 4 * wanted.order().len() as u64;
        if snapshot.count(Table::Tasks).is_ok_and(few) {
            for &id in wanted.order() {
                let name = graph.name(id).as_str().as_bytes();
                records[id.index()] = snapshot.get(Table::Tasks, name).ok().flatten();
            }
            return records;
        }
        for (name, record) in snapshot.entries(Table::Tasks).unwrap_or_default() {
            let id = std::str::from_utf8(&name).ok().and_then(|name| graph.id(name));
            if let Some(id) = id {
                records[id.index()] = Some(record);
            }
        }
        records
    }

    /// The directory of the state.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.shared.state_dir.clone()
    }
}

/// Whether the text of a task's outputs leaves no doubt that they lie beneath the root: nothing has to be
/// compiled to see that.
fn is_plainly_beneath(task: &Task, root: &Path) -> bool {
    let climbs = |path: &Path| path.components().any(|part| part == Component::ParentDir);
    let is_plain = |pattern: &str| {
        !pattern.starts_with('/') && !pattern.contains("..") && !pattern.contains(['{', '\\'])
    };
    task.outputs.iter().all(|pattern| is_plain(&pattern.value))
        && task.cwd.starts_with(root)
        && !climbs(&task.cwd)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What starting a run of a task with this output comes to.
    async fn start(output: &str) -> Result<Run, SessionError> {
        let root = tempfile::tempdir().unwrap();
        let graph = TaskGraph::builder().task(Task::shell("a:t", "true").outputs([output])).build().unwrap();
        let session = Session::builder(graph).root(root.path()).open().await.unwrap();
        session.start(Request::run(["a:t"]).dry())
    }

    #[tokio::test]
    async fn outputs_outside_the_root_are_refused_for_graphs_made_in_code_too() {
        for output in ["../x", "/x", "sub/../../x/**", "{in,/out}"] {
            let refused = start(output).await.map(drop).unwrap_err();
            let message = format!("outputs outside the root are refused: `{output}` of a:t");
            assert_eq!(refused.to_string(), message);
        }
        assert!(start("sub/../x").await.is_ok());
    }

    #[tokio::test]
    async fn a_session_has_one_run_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let graph = TaskGraph::builder().task(Task::shell("a:t", "true")).build().unwrap();
        let session = Session::builder(graph).root(root.path()).open().await.unwrap();
        let run = session.start(Request::run(["a:t"])).unwrap();
        let second = session.start(Request::run(["a:t"]));
        assert!(matches!(second.map(drop), Err(SessionError::Busy)));
        assert!(session.start(Request::run(["a:t"]).dry()).is_ok(), "who only looks is in nobody's way");
        run.finish().await.unwrap();
        assert!(session.start(Request::run(["a:t"])).is_ok());
    }
}
