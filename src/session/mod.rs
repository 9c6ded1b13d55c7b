//! Runs: from a graph and a request to results, with everything the rooms below can do.
//!
//! Floor 9. A [`Session`] holds the tree: the lock, the store, the file table, the children. Each
//! [`Request`] becomes a [`Run`] with a scheduler of its own. The room reads neither home nor environment
//! by itself (but `TMPDIR`, where no place for private files is named) and prints nothing: who opens a session says what it may use.
//!
//! | file | story |
//! |---|---|
//! | `open`, `request`, `run`, `followed` | what who starts runs has to do with |
//! | `shared`, `context` | what everything in a session, and in a run, looks at |
//! | `drive` | effects out, observations in: one run from start to summary (`drive::ends`: what becomes of its tasks) |
//! | `judging` | the same without a runtime, as long as nothing has to be executed |
//! | `judge` | is a task fresh, and if not, why (spec section 4) |
//! | `settled` | the answer to a request that was settled before, as a whole |
//! | `unmatched` | globs that match nothing, and what they would match elsewhere |
//! | `crew`, `calls` | nested runs: who waits for whom, and what a task has called (spec section 3) |
//! | `commons`, `ledger` | what runs beside each other have in common: claims, slots, locks; the journal |
//! | `admit`, `execute` | one task by the record protocol (hazards, section 0) |
//! | `keeper`, `ownership` | what tasks left is kept beside the runs; which files are whose (spec section 4.5) |
//! | `restore`, `foresee` | what comes back instead of an execution; what that would make of things (spec section 4.5) |
//! | `prune`, `clean` | what is kept and remembered goes: by limits, by name (spec section 4.5) |
//! | `uses` | a process in a run: started if it is not up, used, given back (spec section 6) |
//! | `processes` | processes, which outlive runs: who is up, what is done for one |
//! | `results` | what is handed on, and who sees it (spec section 3) |
//! | `servers`, `served` | task servers while they run; a task that one of them runs |
//! | `conduct`, `direct` | one job from its start to its end; commands that need no shell |
//! | `launch`, `environment`, `script` | what is started for a task, and what it is given |
//! | `private` | where private files of tasks are |
//! | `harvest`, `record` | what it leaves, what is remembered and told of it |
//! | `watch` | keeping results true while files change: bursts, cycles, loops (spec section 5) |
//! | `renew` | the same tree with another graph |
//! | `cycle`, `watching` | what a cycle looks at; what is known of a tree that is watched |
//! | `saver` | results on their way to the store, many together (spec section 4.3) |
//! | `memory` | the store, opened as late and given up as early as is right |
//! | `telling`, `emit`, `runlog` | what is told: by events, to the reader and to the run's log |

mod admit;
mod calls;
mod clean;
mod commons;
mod conduct;
mod context;
mod crew;
mod cycle;
mod direct;
mod drive;
mod emit;
mod environment;
mod execute;
mod followed;
mod foresee;
mod harvest;
mod judge;
mod judging;
mod keeper;
mod launch;
mod ledger;
mod memory;
mod open;
mod ownership;
mod private;
mod processes;
mod prune;
mod record;
mod renew;
mod request;
mod restore;
mod results;
mod run;
mod runlog;
mod saver;
mod script;
mod served;
mod servers;
mod settled;
mod shared;
mod telling;
mod unmatched;
mod uses;
mod watch;
mod watching;

use std::{
    collections::HashSet,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

#[doc(hidden)]
pub use clean::Cleaned;
pub(crate) use environment::tracked;
pub use harvest::harvested;
pub use judging::{Judging, Pending};
pub use open::{SessionBuilder, Wait};
pub use processes::ProcessControl;
pub use prune::{CacheLimits, Pruned};
pub use renew::Reloaded;
pub use request::{Caller, LiveLines, Request};
pub use run::{Run, RunControl, RunSummary};
pub use runlog::{known_runs, logged_runs, read_run, run_log, task_log};
pub(crate) use script::Found;
pub use shared::process_log;
pub use watch::{
    AttachError, Attachment, OnBusy, Reload, Watch, WatchControl, WatchOptions, WatchSummary, WatchedSession,
};

use tokio::sync::mpsc;

use crate::{
    graph::TaskGraph,
    model::{Task, TaskId, TaskName},
    plan::{Mode, Plan, SelectFault, Standpoint, default_selection, select},
    store::{Owner, StoreError, Table, TaskRecord},
};
use calls::called;
use context::RunContext;
use crew::{Newcomer, NoEntry};
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

/// What a run is to do, and what is remembered of it.
struct Purpose {
    plan: Plan,
    /// By task.
    records: Vec<Option<TaskRecord>>,
    /// Calls of earlier runs, caller first, that cannot be followed.
    not_followed: HashSet<(TaskId, TaskId)>,
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
    /// A task asked for a run that would have to wait for that task: the way from it back to it.
    #[error("a task cannot wait for itself: {}", way(.0))]
    NestedCycle(Vec<TaskName>),
    /// The watch of this session goes on in another one ([`WatchedSession::get`]), because task files were edited
    /// or tasks call others than before.
    #[error("the watch of this tree goes on in another session")]
    Left,
    /// This session watches its tree already.
    #[error("this session watches its tree already")]
    Watched,
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

fn way(tasks: &[TaskName]) -> String {
    tasks.iter().map(TaskName::as_str).collect::<Vec<_>>().join(" -> ")
}

fn unknown_names(faults: &[SelectFault]) -> String {
    let names: Vec<String> = faults.iter().map(|f| format!("`{}`", f.typed)).collect();
    format!("nothing is called {}", names.join(" or "))
}

impl Purpose {
    /// Takes back everything that is there because of calls.
    fn follow_nothing(&mut self, graph: &TaskGraph, plan: Plan) {
        for &id in self.plan.order() {
            let called = called(self.records[id.index()].as_ref());
            let called = called.iter().filter_map(|called| graph.id(called.task.as_str()));
            self.not_followed.extend(called.map(|called| (id, called)));
        }
        self.plan = plan;
    }
}

impl Session {
    /// Starts to open a session over `graph`.
    #[must_use]
    pub fn builder(graph: impl Into<Arc<TaskGraph>>) -> SessionBuilder {
        SessionBuilder::new(graph.into())
    }

    /// Starts a run. Must be called within a tokio runtime. Any number of runs may be under way: what two of them
    /// want is executed once, and together they keep to the session's number of jobs and to locks.
    ///
    /// # Errors
    /// [`SessionError::Unknown`], [`SessionError::ReadOnly`], [`SessionError::NestedCycle`],
    /// [`SessionError::Left`].
    pub fn start(&self, request: Request) -> Result<Run, SessionError> {
        let plan = self.plan(&request)?;
        let (driver, events) = self.drive(request, plan, None)?;
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
        let plan = self.plan(&request)?;
        let mut settling = Settling::of(&self.shared, &request, &plan);
        match settling.as_mut().map(|settling| settling.follow(&self.shared)) {
            Some(Ok(settled)) => {
                let (run, events) = self.enter(request, &plan)?;
                return Ok(Judging::over(settled::tell(run, &plan, settled), events));
            }
            Some(Err(contents)) => self.shared.commons.while_still(|| self.shared.table.believe(contents)),
            None => {}
        }
        let (driver, events) = self.drive(request, plan, settling)?;
        Ok(Judging::new(driver, events))
    }

    /// A run that has begun, with everything that is remembered of what it is to do.
    fn drive(
        &self,
        request: Request,
        plan: Plan,
        settling: Option<Settling>,
    ) -> Result<(Driver, mpsc::UnboundedReceiver<Parcel>), SessionError> {
        let mut purpose = self.follow(plan.clone(), request.mode);
        if purpose.plan.follows_calls() {
            self.refuse_outputs_outside(&purpose.plan)?;
        }
        let entered = match self.enter(request.clone(), &purpose.plan) {
            // What follows from earlier runs must not keep a run from what it is asked for.
            Err(SessionError::NestedCycle(_)) if purpose.plan.follows_calls() => {
                purpose.follow_nothing(&self.shared.graph, plan);
                self.enter(request, &purpose.plan)
            }
            entered => entered,
        };
        let (run, events) = entered?;
        let Purpose { plan, records, not_followed } = purpose;
        // What calls come to is nowhere on a route.
        let settling = settling.filter(|_| !plan.follows_calls() && not_followed.is_empty());
        let mut driver = Driver::new(run, plan, records, not_followed, settling);
        driver.begin();
        Ok((driver, events))
    }

    /// What a request asks for.
    fn plan(&self, request: &Request) -> Result<Plan, SessionError> {
        if self.shared.read_only && !request.dry_run {
            return Err(SessionError::ReadOnly);
        }
        let plan = match &request.cycle {
            Some(cycle) => Plan::part(&self.shared.graph, cycle.named.clone(), cycle.scheduled.clone()),
            None => {
                let roots = self.select_from(request.standpoint.as_ref(), &request.names)?;
                Plan::new(&self.shared.graph, roots, request.mode)
            }
        };
        self.refuse_checks_without_files(&plan, request)?;
        self.refuse_outputs_outside(&plan)?;
        Ok(plan)
    }

    /// A check that looks at the files it is given would be content with none.
    fn refuse_checks_without_files(&self, plan: &Plan, request: &Request) -> Result<(), SessionError> {
        let graph = &self.shared.graph;
        let is_given = |name: &TaskName| request.given.iter().any(|(task, _)| task == name);
        let needs = |id: &TaskId| {
            let task = graph.task(*id);
            task.check.as_ref().is_some_and(|check| check.passes_files) && !is_given(&task.name)
        };
        let faults: Vec<SelectFault> = plan
            .order()
            .iter()
            .filter(|id| !request.dry_run && needs(id))
            .map(|id| SelectFault {
                typed: graph.name(*id).to_string(),
                suggestions: Vec::new(),
                is_of_processes: false,
                no_process: None,
                is_check: true,
            })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(SessionError::Unknown(faults)) }
    }

    /// Everything a run needs before anything is looked at.
    fn enter(
        &self,
        request: Request,
        plan: &Plan,
    ) -> Result<(Arc<RunContext>, mpsc::UnboundedReceiver<Parcel>), SessionError> {
        let graph = &self.shared.graph;
        let entered = self.shared.commons.enter(graph, self.newcomer(&request, plan));
        let names = |way: Vec<TaskId>| way.into_iter().map(|id| graph.name(id).clone()).collect();
        let member = entered.map_err(|why| match why {
            NoEntry::Circle(way) => SessionError::NestedCycle(names(way)),
            NoEntry::Left => SessionError::Left,
        })?;
        let now = SystemTime::now();
        let (id, log) = match request.dry_run {
            true => (runlog::run_id(now), RunLog::none()),
            false => runlog::claim(&self.shared.state_dir, now),
        };
        member.is_called(&id);
        let (emitter, events) = Emitter::new(log);
        let shared = Arc::clone(&self.shared);
        Ok((Arc::new(RunContext::new(shared, request, id, plan, emitter, member)), events))
    }

    fn newcomer(&self, request: &Request, plan: &Plan) -> Newcomer {
        let graph = &self.shared.graph;
        let caller = request.caller.as_ref().filter(|_| !request.dry_run);
        let has_all_upstream = matches!(request.mode, Mode::Before | Mode::All);
        Newcomer {
            plan: Arc::new(plan.clone()),
            ambient: self.shared.ambient_of(request),
            jobs: request.jobs.unwrap_or(self.shared.jobs),
            caller: caller.and_then(|caller| Some((caller.run.clone(), graph.id(caller.task.as_str())?))),
            asked_for: match request.mode {
                Mode::Single | Mode::Before => plan.roots().iter().collect(),
                Mode::After | Mode::All => plan.order().to_vec(),
            },
            is_plain: has_all_upstream
                && request.arguments.is_empty()
                && request.given.is_empty()
                && request.inputs.is_empty(),
        }
    }

    /// Follows the calls of earlier runs: what a task called is scheduled before it.
    fn follow(&self, plan: Plan, mode: Mode) -> Purpose {
        let graph = &self.shared.graph;
        let mut records = self.records(&plan);
        let newest = |records: &[Option<TaskRecord>], id: TaskId| {
            self.shared.commons.record(id).or_else(|| records[id.index()].clone())
        };
        let calls = |id: &TaskId| !called(newest(&records, *id).as_ref()).is_empty();
        if !plan.order().iter().any(calls) {
            return Purpose { plan, records, not_followed: HashSet::new() };
        }
        let extends = matches!(mode, Mode::Before | Mode::All);
        let known = Plan::new(graph, plan.scheduled().iter(), Mode::Before);
        let (plan, refused) = plan.following(graph, extends, |id| {
            if !known.scheduled().contains(id) {
                records[id.index()] = self.shared.record(id);
            }
            let record = newest(&records, id);
            let as_they_are = called(record.as_ref()).iter().filter(|called| called.as_it_is);
            as_they_are.filter_map(|called| graph.id(called.task.as_str())).collect()
        });
        Purpose { plan, records, not_followed: refused.into_iter().collect() }
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
    pub(crate) fn graph(&self) -> &Arc<TaskGraph> {
        &self.shared.graph
    }

    /// Whether both are one session: what one executes the other knows of.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
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
        let stored = || self.shared.memory.record(name.as_str());
        self.shared.graph.id(name.as_str()).map_or_else(stored, |id| self.shared.record(id))
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
        // Each by its own signal, and those first that rest on others.
        self.shared.processes.end(&self.shared.graph).await;
        self.shared.servers.end().await;
        self.end_children(execute::GRACE).await;
        let shared = Arc::clone(&self.shared);
        let closed = tokio::task::spawn_blocking(move || shared.close_memory()).await;
        closed.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Gives up keeping what tasks left, as far as that is not done (spec section 4.5): [`close`](Self::close) does not
    /// wait for it.
    pub fn give_up_keeping(&self) {
        self.shared.keeper.give_up();
    }

    /// [`close`](Self::close) without a runtime, for a session that has executed nothing.
    ///
    /// # Errors
    /// Why results were not saved.
    pub fn close_blocking(self) -> Result<Vec<String>, String> {
        self.shared.close_memory()
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
        let wanted = Plan::new(graph, plan.scheduled().iter(), Mode::Before);
        let all = self.shared.memory.read(|reader| {
            let mut records = vec![None; graph.len()];
            let snapshot = reader.snapshot()?;
            if snapshot.count(Table::Tasks)? > 4 * wanted.order().len() as u64 {
                for &id in wanted.order() {
                    records[id.index()] = snapshot.get(Table::Tasks, graph.name(id).as_str().as_bytes())?;
                }
                return Ok(records);
            }
            for (name, record) in snapshot.entries(Table::Tasks)? {
                let id = std::str::from_utf8(&name).ok().and_then(|name| graph.id(name));
                if let Some(id) = id {
                    records[id.index()] = Some(record);
                }
            }
            Ok(records)
        });
        // What cannot be read counts as absent: that only ever costs running.
        all.unwrap_or_else(|| vec![None; graph.len()])
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
}
