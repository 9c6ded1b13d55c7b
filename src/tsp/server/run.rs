//! What a task can say and ask while it runs.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, Weak,
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, SystemTime},
};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Failure, Remark, child, input, lines::Lines, lock};
use crate::tsp::{Log, Progress, RunParams, RunResult, Status};

/// What is told of a run.
pub(super) enum Told {
    Log(Log),
    Progress(Progress),
    Remark(Remark),
}

/// Who is told.
pub(super) trait Sink: Send + Sync {
    fn tell(&self, told: Told);
}

/// A run of a task. Clones are the same one; what is said after its end is not heard.
#[derive(Clone)]
pub struct Run(Arc<Inner>);

struct Inner {
    params: RunParams,
    cwd: PathBuf,
    sink: Arc<dyn Sink>,
    /// Held while something is told, so that nothing is told after the end.
    has_ended: Mutex<bool>,
    cancelling: Mutex<Cancelling>,
    left: Mutex<Left>,
}

#[derive(Default)]
struct Cancelling {
    is_cancelled: bool,
    /// Who wants to be told.
    listeners: Vec<Weak<dyn Fn() + Send + Sync>>,
}

/// What it leaves besides its output.
#[derive(Default)]
struct Left {
    exports: BTreeMap<String, String>,
    messages: Vec<String>,
    is_skipped: bool,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("task", &self.task()).finish_non_exhaustive()
    }
}

impl Run {
    pub(super) fn new(params: RunParams, sink: Arc<dyn Sink>) -> Self {
        let cwd = PathBuf::from(params.cwd.as_deref().unwrap_or("."));
        Self(Arc::new(Inner {
            params,
            cwd,
            sink,
            has_ended: Mutex::default(),
            cancelling: Mutex::default(),
            left: Mutex::default(),
        }))
    }

    /// The name of the task.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.0.params.task
    }

    /// What the tasks before it handed on, by name.
    #[must_use]
    pub fn outputs(&self) -> &Map<String, Value> {
        &self.0.params.outputs
    }

    /// What one task before it handed on.
    ///
    /// # Errors
    /// It handed on nothing, or something of another shape: a sentence that names the task and the field.
    pub fn upstream<T: DeserializeOwned>(&self, task: &str) -> Result<T, Failure> {
        let output = self.outputs().get(task);
        let output = output.ok_or_else(|| Failure::new(format!("`{task}` handed on nothing")))?;
        input::decode(output, &format!("what `{task}` handed on")).map_err(Failure::new)
    }

    /// Variables for the commands it starts, on top of the server's own.
    #[must_use]
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.0.params.env
    }

    /// Where it works. The server itself stands elsewhere: paths are to be joined to this one.
    #[must_use]
    pub fn cwd(&self) -> &Path {
        &self.0.cwd
    }

    /// The files that made it run, absolute; empty where it was not files.
    #[must_use]
    pub fn changed_files(&self) -> &[String] {
        &self.0.params.changed_files
    }

    /// Says something; a text of several lines is several lines. Lines of more than 1 MiB come in pieces.
    pub fn log(&self, text: impl AsRef<str>) {
        self.lines(text.as_ref(), false);
    }

    /// The same on stderr.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.lines(text.as_ref(), true);
    }

    fn lines(&self, text: &str, is_stderr: bool) {
        let mut lines = Lines::default();
        lines.push(text.strip_suffix('\n').unwrap_or(text).as_bytes(), |line| self.line(line, is_stderr));
        lines.push(b"\n", |line| self.line(line, is_stderr));
    }

    /// Says one line.
    pub(super) fn line(&self, line: &str, is_stderr: bool) {
        self.tell(Told::Log(Log {
            task: self.task().to_owned(),
            run: self.0.params.run.clone(),
            line: line.to_owned(),
            stderr: is_stderr,
            time: Some(humantime::format_rfc3339_millis(SystemTime::now()).to_string().into()),
            level: None,
        }));
    }

    /// Says how far it is: so much of so much, in whatever it counts, and what it is at.
    pub fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        self.tell(Told::Progress(Progress {
            task: self.task().to_owned(),
            run: self.0.params.run.clone(),
            done,
            total,
            message: message.map(str::to_owned),
        }));
    }

    /// Says something about a place in a file. Whose remark it is need not be filled in.
    pub fn remark(&self, remark: Remark) {
        let (task, run) = (self.task().to_owned(), self.0.params.run.clone());
        self.tell(Told::Remark(Remark { task, run, ..remark }));
    }

    fn tell(&self, told: Told) {
        let has_ended = lock(&self.0.has_ended);
        if !*has_ended {
            self.0.sink.tell(told);
        }
    }

    /// A variable for the tasks after it.
    pub fn export(&self, name: impl Into<String>, value: impl Into<String>) {
        lock(&self.0.left).exports.insert(name.into(), value.into());
    }

    /// Something to be shown to people when all is done.
    pub fn message(&self, text: impl Into<String>) {
        lock(&self.0.left).messages.push(text.into());
    }

    /// Says that there was nothing to do: unless it fails, the run counts as skipped.
    pub fn skip(&self) {
        lock(&self.0.left).is_skipped = true;
    }

    /// Whether it is not wanted any more. To be asked now and then by what takes long.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        lock(&self.0.cancelling).is_cancelled
    }

    /// The same for `?`.
    ///
    /// # Errors
    /// It is not wanted any more.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_cancelled() { Err(Failure::cancelled()) } else { Ok(()) }
    }

    /// Waits so long, or until the run is cancelled.
    ///
    /// # Errors
    /// It is not wanted any more.
    pub fn pause(&self, time: Duration) -> Result<(), Failure> {
        let (to, from) = mpsc::channel();
        let _heard = self.on_cancel(move || to.send(()).unwrap_or_default());
        match from.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Failure::cancelled()),
        }
    }

    /// Runs a command where the run works and with its variables, as far as the command has none of its own. It reads
    /// nothing; its lines become lines of the run. Its process group is its own, and what is left of that two seconds
    /// after the command, a cancellation or the end of the connection is killed.
    ///
    /// # Errors
    /// It cannot be started, or ends with another code than 0, or the run is cancelled.
    pub fn command(&self, command: Command) -> Result<(), Failure> {
        child::conduct(self, command)
    }

    /// Not wanted any more. Those who listen are told once.
    pub(super) fn cancel(&self) {
        let listeners = {
            let mut cancelling = lock(&self.0.cancelling);
            cancelling.is_cancelled = true;
            std::mem::take(&mut cancelling.listeners)
        };
        listeners.iter().filter_map(Weak::upgrade).for_each(|tell| tell());
    }

    /// Calls `tell` when the run is cancelled, at once if it is: for as long as what is returned is kept.
    pub(super) fn on_cancel(&self, tell: impl Fn() + Send + Sync + 'static) -> Arc<dyn Fn() + Send + Sync> {
        let tell: Arc<dyn Fn() + Send + Sync> = Arc::new(tell);
        let mut cancelling = lock(&self.0.cancelling);
        if cancelling.is_cancelled {
            drop(cancelling);
            tell();
        } else {
            cancelling.listeners.retain(|listener| listener.strong_count() > 0);
            cancelling.listeners.push(Arc::downgrade(&tell));
        }
        tell
    }

    /// Whether these are clones.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether this is what a `cancel` means: the run of that id, or any of the task.
    pub(super) fn is_meant(&self, task: &str, run: Option<&str>) -> bool {
        match run {
            Some(run) => self.0.params.run.as_deref() == Some(run),
            None => self.task() == task,
        }
    }

    pub(super) fn given(&self) -> &Value {
        &self.0.params.inputs
    }

    /// The end: nothing is told any more.
    pub(super) fn end(&self, outcome: Result<Value, Failure>) -> RunResult {
        *lock(&self.0.has_ended) = true;
        let Left { exports, messages, is_skipped } = std::mem::take(&mut *lock(&self.0.left));
        let nothing = RunResult::succeeded(self.task(), Value::Null);
        let result = match outcome {
            Ok(outputs) if is_skipped => RunResult { status: Status::Skipped, outputs, ..nothing },
            Ok(outputs) => RunResult { outputs, ..nothing },
            // Whatever it says: what was interrupted may well fail in its own words.
            Err(failure) => {
                let is_cancelled = failure.is_cancelled() || self.is_cancelled();
                let status = if is_cancelled { Status::Cancelled } else { Status::Failed };
                RunResult { status, error: failure.into_error(), ..nothing }
            }
        };
        RunResult { exports, messages, ..result }
    }
}
