//! A session whose runs go on on a thread of their own, while the test waits for what they do.

use std::{path::Path, sync::Arc, thread};

use super::support::Sandbox;
use devtask::{
    Caller, Outcome, Request, Run, RunSummary, Session, SessionError, Task, TaskDraft, TaskGraph,
    event::{Event, What},
    model::TaskName,
};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task::JoinHandle,
};

/// Closed when dropped.
pub(crate) struct Host {
    pub(crate) session: Session,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Host {
    /// A session over these tasks in `root`.
    pub(crate) fn new(root: &Path, jobs: usize, tasks: impl IntoIterator<Item = TaskDraft>) -> Self {
        let graph = tasks.into_iter().fold(TaskGraph::builder(), |builder, task| builder.task(task));
        let session = Session::builder(Arc::new(graph.build().unwrap()))
            .root(root)
            .environment(std::env::vars_os())
            .jobs(jobs)
            .open_blocking()
            .unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || drop(runtime.block_on(stopped)));
        Self { session, handle, stop: Some(stop), thread: Some(thread) }
    }

    /// Starts a run.
    pub(crate) fn start(&self, request: Request) -> Running<'_> {
        let _entered = self.handle.enter();
        Running { host: self, run: self.session.start(request).unwrap() }
    }

    /// Starts a run of these tasks.
    pub(crate) fn run(&self, names: &str) -> Running<'_> {
        self.start(Request::run(names.split_whitespace()))
    }

    /// Asks for a run as a task of another one.
    pub(crate) fn call(&self, run: &str, task: &str, names: &str) -> Result<Running<'_>, SessionError> {
        self.ask(run, task, Request::run(names.split_whitespace()))
    }

    /// The same with a request.
    pub(crate) fn ask(&self, run: &str, task: &str, request: Request) -> Result<Running<'_>, SessionError> {
        let mut request = request;
        request.caller = Some(Caller { run: run.to_owned(), task: TaskName::new(task).unwrap() });
        let _entered = self.handle.enter();
        Ok(Running { host: self, run: self.session.start(request)? })
    }

    /// Runs these tasks to the end.
    pub(crate) fn outcomes(&self, names: &str) -> String {
        self.run(names).outcomes()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let closed = self.handle.block_on(self.session.clone().close());
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap();
        if !thread::panicking() {
            closed.unwrap();
        }
    }
}

/// A run under way.
pub(crate) struct Running<'a> {
    host: &'a Host,
    pub(crate) run: Run,
}

impl<'a> Running<'a> {
    /// The events up to the first that this holds of.
    pub(crate) fn until(&mut self, mut holds: impl FnMut(&What) -> bool) -> Vec<What> {
        let mut told = Vec::new();
        self.host.handle.block_on(async {
            while let Some(Event { what, .. }) = self.run.next_event().await {
                let is_last = holds(&what);
                told.push(what);
                if is_last {
                    return;
                }
            }
            panic!("the run is over: {told:#?}");
        });
        told
    }

    /// The id of the run.
    pub(crate) fn id(&mut self) -> String {
        match self.until(|what| matches!(what, What::RunStarted { .. })).pop() {
            Some(What::RunStarted { run, .. }) => run,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until a task is over.
    pub(crate) fn until_finished(&mut self, name: &str) -> Vec<What> {
        self.until(|what| matches!(what, What::TaskFinished(finished) if finished.task.as_str() == name))
    }

    /// Reads what it tells from now on.
    pub(crate) fn read(self) -> Reading<'a> {
        Reading { host: self.host, summary: self.host.handle.spawn(self.run.finish()) }
    }

    /// What the run came to.
    pub(crate) fn finish(self) -> RunSummary {
        self.host.handle.block_on(self.run.finish()).unwrap()
    }

    /// How its tasks ended: `a:x succeeded, a:y cached`, by name.
    pub(crate) fn outcomes(self) -> String {
        outcomes(&self.finish())
    }
}

/// A run under way, whose events are read.
pub(crate) struct Reading<'a> {
    host: &'a Host,
    summary: JoinHandle<Result<RunSummary, SessionError>>,
}

impl Reading<'_> {
    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.summary.is_finished()
    }

    /// What the run came to.
    pub(crate) fn finish(self) -> RunSummary {
        self.host.handle.block_on(self.summary).unwrap().unwrap()
    }

    /// How its tasks ended.
    pub(crate) fn outcomes(self) -> String {
        outcomes(&self.finish())
    }
}

/// How the tasks of a run ended: `a:x succeeded, a:y cached`, by name.
pub(crate) fn outcomes(summary: &RunSummary) -> String {
    let mut all: Vec<&(TaskName, Outcome)> = summary.outcomes.iter().collect();
    all.sort_by_key(|(name, _)| name.clone());
    all.iter()
        .map(|(name, outcome)| format!("{name} {outcome}").to_lowercase())
        .collect::<Vec<_>>()
        .join(", ")
}

/// A task that counts how often it executes.
pub(crate) fn counted(name: &str, script: &str) -> TaskDraft {
    let count = name.replace(':', "-");
    Task::shell(name, &format!("echo x >> {count}.count; {script}"))
}

/// How often a counted task was executed.
pub(crate) fn count(tree: &Sandbox, name: &str) -> usize {
    let file = format!("{}.count", name.replace(':', "-"));
    if tree.exists(&file) { tree.read(&file).lines().count() } else { 0 }
}

/// A script that notes how many of its kind execute at once.
pub(crate) const CROWD: &str = "mkdir -p now; touch now/$$; ls now | wc -l >> most; rm now/$$";

/// How many there were at most.
pub(crate) fn most(tree: &Sandbox) -> usize {
    tree.read("most").lines().map(|line| line.trim().parse().unwrap()).max().unwrap()
}
