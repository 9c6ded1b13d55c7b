//! Executing one task from its snapshot to its record: the record protocol (hazards, section 0).
//!
//! 1. Fingerprint the inputs.
//! 2. Durably say that it has begun.
//! 3. Run it.
//! 4. See whether an input changed meanwhile.
//! 5. Commit record, output, exports and messages as one.
//!
//! Everything that can go wrong on the way is a [`Failure`] of the task, never an error of the library.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};

use super::{
    context::RunContext,
    environment::{self, Environment, Layers, ONE_VARIABLE},
    harvest::{harvest, last_of_each, parse_exports},
    judge::{self, InputSnapshot, Question},
    memory::Explanation,
    request::LiveLines,
    results::HandedOn,
    script::{Dialect, ExportHook, Found},
    shared::now_ms,
};
use crate::{
    event::{Finished, What},
    model::{Action, Digest, Outcome, Reason, Task, TaskId},
    process::{
        Command, DEFAULT_LOG_CAP, Ended, EndedBy, Exit, JobControl, Launch, LineSink, LogTarget, Output,
        Piece, SinkMode, TaskFiles, Timeout, find_program,
    },
    scan::{FileSet, same_identities},
    store::{Batch, RecordState, Success, Table, TaskRecord},
};

/// From SIGTERM to SIGKILL (spec section 3).
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// How long a signal of the terminal may take to reach us after it ended a task.
const TERMINAL_SIGNAL: Duration = Duration::from_millis(100);
/// Lines that may wait between a job and the reader of its lines.
const LINES: usize = 256;
/// The file the `exports` hook writes.
const LISTED: &str = "listed";

/// What a running task is told from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    pub(crate) halt: Halt,
    pub(crate) paused: bool,
}

/// Whether a task is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Halt {
    /// No.
    #[default]
    No,
    /// SIGTERM, and SIGKILL after the grace period.
    Terminate,
    /// SIGKILL now.
    Kill,
}

/// A task that is to execute, with all it needs to know.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) question: Question,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) changed: Vec<PathBuf>,
    /// Its inputs, if they were looked at just now.
    pub(crate) snapshot: Option<InputSnapshot>,
    pub(crate) record: Option<TaskRecord>,
    /// `DEVENV_TASKS_OUTPUTS`.
    pub(crate) outputs: Map<String, Value>,
    /// Exports of its upstream closure, in the order they apply.
    pub(crate) exports: Vec<(String, Vec<u8>)>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Executed {
    pub(crate) id: TaskId,
    pub(crate) finished: Finished,
    pub(crate) handed: Arc<HandedOn>,
    pub(crate) files: Option<Digest>,
    /// What is to be made durable; nobody needs to wait for it.
    pub(crate) save: Option<Batch>,
}

/// Why a task failed, beside what its exit says.
#[derive(Debug, Default)]
struct Failure {
    error: Option<String>,
    cancelled: bool,
}

impl From<String> for Failure {
    fn from(error: String) -> Self {
        Self { error: Some(error), cancelled: false }
    }
}

/// What a successful execution left.
#[derive(Debug, Default)]
struct Left {
    handed: HandedOn,
    outputs: Option<FileSet>,
    /// Its `status` said there was nothing to do.
    by_status: bool,
}

/// One task being executed.
struct Execution {
    run: Arc<RunContext>,
    id: TaskId,
    start: Start,
    orders: watch::Receiver<Orders>,
    began: mpsc::UnboundedSender<TaskId>,
    begun_at: Instant,
    executed: bool,
    duration: Option<Duration>,
    ended: Option<Ended>,
}

/// Executes a task. `began` hears of it as soon as the task's own command has started.
pub(crate) async fn execute(
    run: Arc<RunContext>,
    start: Start,
    orders: watch::Receiver<Orders>,
    began: mpsc::UnboundedSender<TaskId>,
) -> Executed {
    let mut execution = Execution {
        id: start.question.id,
        run,
        start,
        orders,
        began,
        begun_at: Instant::now(),
        executed: false,
        duration: None,
        ended: None,
    };
    let result = execution.go().await;
    execution.conclude(result).await
}

impl Execution {
    fn task(&self) -> &Task {
        self.run.shared.graph.task(self.id)
    }

    async fn go(&mut self) -> Result<Left, Failure> {
        self.check_orders()?;
        if let (Some(status), false) = (self.task().status.clone(), self.start.question.force)
            && let Some(left) = self.status(&status).await?
        {
            return Ok(left);
        }
        self.take_snapshot().await?;
        self.say_begun().await;
        let mut attempts_left = self.run.request.retries.unwrap_or(self.task().retries);
        loop {
            match self.attempt().await {
                Err(failure) if attempts_left > 0 && !failure.cancelled => attempts_left -= 1,
                result => return result,
            }
        }
    }

    fn check_orders(&self) -> Result<(), Failure> {
        match self.orders.borrow().halt {
            Halt::No => Ok(()),
            Halt::Terminate | Halt::Kill => Err(Failure { error: None, cancelled: true }),
        }
    }

    /// Point 1 of the protocol. A snapshot taken for the verdict is good enough only if the task did not
    /// have to wait for a slot since.
    async fn take_snapshot(&mut self) -> Result<(), Failure> {
        if self.start.snapshot.is_none() && self.is_keyed() {
            let (run, question) = (Arc::clone(&self.run), self.start.question.clone());
            let taken = tokio::task::spawn_blocking(move || judge::snapshot(&run.shared, &question)).await;
            self.start.snapshot = Some(taken.map_err(|e| e.to_string())?);
        }
        Ok(())
    }

    /// Whether its freshness rests on a key.
    fn is_keyed(&self) -> bool {
        self.task().can_be_fresh() && self.task().status.is_none()
    }

    /// Point 2: from here on, and until point 5, no one may take the task for fresh. If that cannot be
    /// made durable the store is gone, and with it the old record.
    async fn say_begun(&self) {
        if !self.is_keyed() {
            return;
        }
        let batch = self.batch(RecordState::Begun, None, None);
        if let Err(why) = self.run.shared.memory.save(batch).await {
            self.run.not_saved(&why);
        }
    }

    /// Asks the status command. Some: there is nothing to do.
    async fn status(&mut self, status: &Action) -> Result<Option<Left>, Failure> {
        let files = self.run.task_files()?;
        let mut launch = self.launch(&files, status, "status")?;
        launch.command.foreground = false; // a question, to which nobody types an answer
        launch.timeout = self.timeout();
        let ended = self.conduct(launch, false).await?;
        if ended.ended_by.is_some() {
            self.check_orders()?;
        }
        if !ended.exit.is_success() {
            self.start.reasons = vec![Reason::StatusSaidNo { exit_code: ended.exit.code }];
            return Ok(None);
        }
        let exports = files.read(TaskFiles::EXPORTS).map_err(|e| format!("its exports file {e}"))?;
        let exports = parse_exports(&exports.unwrap_or_default()).map_err(|e| e.to_string())?;
        let success = self.start.record.as_ref().and_then(|r| r.success.as_ref());
        let mut handed = success.map(HandedOn::from_record).unwrap_or_default();
        handed.exports = last_of_each(handed.exports.into_iter().chain(exports).collect());
        Ok(Some(Left { handed, outputs: self.outputs_as_they_are().await?, by_status: true }))
    }

    /// Points 3 and, as far as it can fail the task, what follows.
    async fn attempt(&mut self) -> Result<Left, Failure> {
        self.check_orders()?;
        let files = self.run.task_files()?;
        let action = self.task().action.clone();
        let mut launch = self.launch(&files, &action, "log")?;
        launch.timeout = self.timeout();
        self.begun_at = Instant::now();
        let ended = self.conduct(launch, true).await?;
        self.duration = Some(self.begun_at.elapsed());
        self.hear_the_terminal(&ended).await;
        let judged = self.judge_end(&ended);
        self.ended = Some(ended);
        judged?;
        self.collect(&files).await
    }

    /// Ctrl-C reaches a task that owns the terminal as well as us, and it may be the first to react.
    async fn hear_the_terminal(&mut self, ended: &Ended) {
        if self.task().interactive && ended.exit.signal.is_some() && self.check_orders().is_ok() {
            // Nothing comes if the signal was meant for the task alone.
            let _ = tokio::time::timeout(TERMINAL_SIGNAL, self.orders.changed()).await;
        }
    }

    fn judge_end(&self, ended: &Ended) -> Result<(), Failure> {
        if ended.wanted_terminal {
            let error = "it was stopped because it wants the terminal; set `interactive = true`";
            return Err(error.to_owned().into());
        }
        match ended.ended_by {
            Some(EndedBy::Timeout) => {
                let limit = self.timeout().map(|t| t.after).unwrap_or_default();
                Err(format!("it took longer than {}", humantime::format_duration(limit)).into())
            }
            Some(EndedBy::Terminated | EndedBy::Killed) => Err(Failure { error: None, cancelled: true }),
            None if ended.exit.is_success() => Ok(()),
            None if ended.exit.signal.is_some() => self.check_orders().and(Err(Failure::default())),
            None => Err(Failure::default()),
        }
    }

    /// Reads what it left: output, exports, declared outputs.
    async fn collect(&self, files: &TaskFiles) -> Result<Left, Failure> {
        let read = |name: &str, what: &str| files.read(name).map_err(|e| format!("its {what} file {e}"));
        let output = read(TaskFiles::OUTPUT, "output")?;
        let exports = read(TaskFiles::EXPORTS, "exports")?;
        let listed = read(LISTED, "exports")?;
        if listed.is_none() && !self.task().exports.is_empty() {
            self.run.warn(self.id, "its exports were not seen: the script ends by `exec`, or by `exit` after setting a trap on EXIT");
        }
        let handed =
            harvest(output.as_deref(), exports.as_deref(), listed.as_deref()).map_err(|e| e.to_string())?;
        let outputs = self.outputs().await?;
        Ok(Left { handed, outputs, by_status: false })
    }

    /// The declared outputs, if it declares any.
    async fn outputs_as_they_are(&self) -> Result<Option<FileSet>, Failure> {
        if self.task().outputs.is_empty() {
            return Ok(None);
        }
        let (run, id) = (Arc::clone(&self.run), self.id);
        let found = tokio::task::spawn_blocking(move || judge::outputs(&run.shared, id)).await;
        Ok(Some(found.map_err(|e| e.to_string())?))
    }

    /// A declared output that is missing after success is a failure (spec section 4.5).
    async fn outputs(&self) -> Result<Option<FileSet>, Failure> {
        let Some(found) = self.outputs_as_they_are().await? else { return Ok(None) };
        if let Some(problem) = found.problems.first() {
            let path = self.run.shared.display(&problem.path);
            return Err(format!("its declared output {path} cannot be read: {}", problem.error).into());
        }
        let missing: Vec<String> = found
            .unmatched
            .iter()
            .filter_map(|at| self.task().outputs.get(*at))
            .map(|pattern| format!("`{}`", pattern.written))
            .collect();
        if missing.is_empty() {
            return Ok(Some(found));
        }
        Err(format!("it did not make its declared output {}", missing.join(", ")).into())
    }

    fn timeout(&self) -> Option<Timeout> {
        let after = self.run.request.timeout.or(self.task().timeout)?;
        Some(Timeout { after, grace: GRACE })
    }

    /// The command line, environment and log of the task's command, or of its status.
    fn launch(&self, files: &TaskFiles, action: &Action, log: &str) -> Result<Launch, Failure> {
        let mut env = self.environment(files)?;
        let (program, args) = self.command_line(files, action, &mut env)?;
        let command = Command {
            program,
            args,
            env: env.into_iter().collect(),
            cwd: self.task().cwd.clone(),
            foreground: self.task().interactive,
        };
        let log = LogTarget { path: self.run.log_file(self.id, log), cap: DEFAULT_LOG_CAP };
        Ok(Launch { command, log: Some(log), ..Launch::default() })
    }

    fn command_line(
        &self,
        files: &TaskFiles,
        action: &Action,
        env: &mut Environment,
    ) -> Result<(PathBuf, Vec<OsString>), Failure> {
        let task = self.task();
        let arguments = self.run.arguments_of(self.id);
        let path = env.get(OsStr::new("PATH")).cloned();
        let text = match action {
            Action::Script(text) => text.value.clone(),
            Action::Command(program) => {
                let found = find_program(program.as_os_str(), path.as_deref(), &task.cwd);
                let program = found.ok_or_else(|| format!("there is no program {}", program.display()))?;
                return Ok((program, arguments.to_vec()));
            }
            Action::None => return Err("it has no command".to_owned().into()),
        };
        let found =
            Found::look_up(&task.interpreter, path.as_deref(), &task.cwd).map_err(|e| e.to_string())?;
        let text = if task.exports.is_empty() { text } else { self.hook(files, &found, text, env)? };
        let script = write(files, "script", text.as_bytes())?;
        let arguments = found.arguments(&script, arguments);
        Ok((found.program, arguments))
    }

    fn hook(
        &self,
        files: &TaskFiles,
        found: &Found,
        text: String,
        env: &mut Environment,
    ) -> Result<String, Failure> {
        if found.dialect != Dialect::Bash {
            let program = found.program.display();
            return Err(format!("`exports` needs bash, and its interpreter is {program}").into());
        }
        let inherited = env.get(OsStr::new("BASH_ENV")).cloned();
        let hook = ExportHook::new(&self.task().exports, &files.path_of(LISTED), inherited.as_deref());
        env.insert("BASH_ENV".into(), write(files, "exports-hook", hook.before.as_bytes())?.into());
        Ok(text + &hook.after)
    }

    fn environment(&self, files: &TaskFiles) -> Result<Environment, Failure> {
        let task = self.task();
        let shared = &self.run.shared;
        let outputs = Value::Object(self.start.outputs.clone()).to_string();
        let outputs_file = write(files, "upstream", outputs.as_bytes())?;
        let changed: Vec<u8> = self.start.changed.iter().flat_map(|p| terminated(p)).collect();
        let changed_file = write(files, "changed", &changed)?;
        let outputs_fit = "DEVENV_TASKS_OUTPUTS=".len() + outputs.len() < ONE_VARIABLE;
        if !outputs_fit {
            self.run.warn(self.id, "DEVENV_TASKS_OUTPUTS is left out: it is larger than one variable can be; read $DEVENV_TASKS_OUTPUTS_FILE");
        }
        let mut reserved: Vec<(&'static str, Option<OsString>)> = vec![
            ("DEVENV_TASKS_OUTPUTS", outputs_fit.then(|| outputs.into())),
            ("DEVENV_TASKS_OUTPUTS_FILE", Some(outputs_file.into())),
            ("DEVENV_TASK_OUTPUT_FILE", Some(files.path_of(TaskFiles::OUTPUT).into())),
            ("DEVENV_TASK_EXPORTS_FILE", Some(files.path_of(TaskFiles::EXPORTS).into())),
            ("DEVTASK_TASK", Some(task.name.as_str().into())),
            ("DEVTASK_RUN", Some(self.run.id.clone().into())),
            ("DEVTASK_CHANGED_FILES", Some(changed_file.into())),
            ("DEVTASK_TREES", Some(shared.trees())),
        ];
        reserved.extend(shared.directories(self.run.runtime_path()?));
        let input = self.run.input_of(self.id).map(|input| Value::Object(input).to_string());
        Ok(environment::assemble(&Layers {
            ambient: &shared.ambient,
            task,
            input,
            exports: &self.start.exports,
            reserved: &reserved,
        }))
    }

    /// Starts a job and listens to it and to what is ordered meanwhile.
    async fn conduct(&mut self, mut launch: Launch, is_command: bool) -> Result<Ended, Failure> {
        let lines = if is_command { self.forward_lines(&mut launch) } else { None };
        self.run.shared.end_predecessors().await?;
        let is_first = is_command && !self.executed;
        let started = || What::TaskStarted { task: self.task().name.clone() };
        if is_first && self.task().interactive {
            // Nobody may draw on the terminal once it is the task's.
            self.run.emitter.emit_and_wait(started()).await;
        }
        let job = self.run.shared.warden.spawn(launch).map_err(|e| e.to_string())?;
        if is_first {
            if !self.task().interactive {
                self.run.emitter.emit(started());
            }
            self.executed = true;
            // The driver outlives what it drives.
            let _ = self.began.send(self.id);
        }
        let control = job.control();
        let finish = job.finish();
        tokio::pin!(finish);
        let mut last = Orders::default();
        let ended = loop {
            let now = *self.orders.borrow_and_update();
            obey(&control, last, now);
            last = now;
            tokio::select! {
                ended = &mut finish => break ended,
                changed = self.orders.changed() => if changed.is_err() {
                    break finish.await;
                },
            }
        };
        if let Some(lines) = lines {
            // It ends with the channel, which ended with the job.
            let _ = lines.await;
        }
        Ok(ended)
    }

    /// Passes the job's lines on as events, if anyone wants them.
    fn forward_lines(&self, launch: &mut Launch) -> Option<tokio::task::JoinHandle<()>> {
        let mode = match self.run.lines_of(self.id) {
            LiveLines::Off => return None,
            LiveLines::All => SinkMode::Lossless,
            LiveLines::Lossy => SinkMode::Lossy,
        };
        let (to, mut from) = mpsc::channel::<Output>(LINES);
        launch.lines = Some(LineSink { tag: 0, to, mode });
        let (run, task) = (Arc::clone(&self.run), self.task().name.clone());
        Some(tokio::spawn(async move {
            while let Some(output) = from.recv().await {
                let task = task.clone();
                let what = match output.piece {
                    Piece::Line { stream, bytes } => {
                        What::Log { task, stream, line: String::from_utf8_lossy(&bytes).into_owned() }
                    }
                    Piece::Gap { lines } => What::LogGap { task, lines },
                };
                run.emitter.emit_line(what).await;
            }
        }))
    }

    /// Points 4 and 5, and the event that tells of it all.
    async fn conclude(mut self, result: Result<Left, Failure>) -> Executed {
        let (outcome, error, left) = match result {
            Ok(left) if left.by_status => (Outcome::Cached, None, Some(left)),
            Ok(left) => (Outcome::Succeeded, None, Some(left)),
            Err(failure) if failure.cancelled => (Outcome::Cancelled, None, None),
            Err(failure) => (Outcome::Failed, failure.error, None),
        };
        let not_fresh = match outcome {
            Outcome::Succeeded if self.is_keyed() => self.changed_meanwhile().await,
            _ => None,
        };
        let outputs = left.as_ref().and_then(|l| l.outputs.as_ref());
        let rows = outputs.map(|set| judge::rows(&self.run.shared, set));
        let files = rows.as_deref().map(judge::digest_of_rows);
        let save = self.record(outcome, left.as_ref(), not_fresh.as_ref(), rows.unwrap_or_default(), files);
        let handed = Arc::new(left.map(|l| l.handed).unwrap_or_default());
        Executed { id: self.id, finished: self.finished(outcome, error, not_fresh), handed, files, save }
    }

    /// Point 4: an input whose stat identity changed while the task ran (other than a declared output)
    /// keeps its success from being fresh. Identities, not contents: content may have changed and back.
    async fn changed_meanwhile(&self) -> Option<Reason> {
        let before = Arc::clone(&self.start.snapshot.as_ref()?.files);
        let (run, id) = (Arc::clone(&self.run), self.id);
        let changed = tokio::task::spawn_blocking(move || {
            let patterns = run.shared.patterns(id);
            let now = run.shared.walk(&patterns.inputs);
            let path = same_identities(&before, &now, Some(&patterns.outputs))?;
            Some(run.shared.display(&path))
        });
        match changed.await {
            Ok(path) => path.map(|path| Reason::ChangedWhileRunning { path }),
            // The look failed, so nothing is known: it is not fresh.
            Err(_) => Some(Reason::LastRunInterrupted),
        }
    }

    fn record(
        &self,
        outcome: Outcome,
        left: Option<&Left>,
        not_fresh: Option<&Reason>,
        rows: Vec<crate::fingerprint::FileRow>,
        files: Option<Digest>,
    ) -> Option<Batch> {
        let state = match (outcome, not_fresh) {
            (Outcome::Succeeded, Some(Reason::ChangedWhileRunning { path })) => {
                RecordState::ChangedWhileRunning(path.clone())
            }
            (Outcome::Succeeded, None) => RecordState::Fresh,
            (Outcome::Failed, _) => RecordState::Failed,
            // Cancelled: it stays as begun. Cached by its status: nothing new.
            _ => return None,
        };
        let success = left.filter(|_| self.task().can_be_fresh()).map(|left| self.success(left, files));
        let manifest = self.start.snapshot.as_ref().map(|s| s.manifest.clone());
        let explanation = manifest.map(|manifest| Explanation { manifest, outputs: rows });
        Some(self.batch(state, success, explanation.as_ref()))
    }

    fn success(&self, left: &Left, outputs: Option<Digest>) -> Success {
        Success {
            key: self.start.snapshot.as_ref().map_or(Digest(0), |s| s.manifest.key()),
            output: left.handed.output.as_ref().map(Value::to_string),
            exports: left.handed.exports.clone(),
            messages: left.handed.messages.clone(),
            outputs,
            duration_ms: self.millis(),
        }
    }

    fn millis(&self) -> u64 {
        self.duration.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    fn batch(
        &self,
        state: RecordState,
        success: Option<Success>,
        explanation: Option<&Explanation>,
    ) -> Batch {
        let earlier = self.start.record.as_ref();
        let typical_ms = match &state {
            RecordState::Fresh | RecordState::ChangedWhileRunning(_) => Some(self.millis()),
            RecordState::Begun | RecordState::Failed => earlier.and_then(|r| r.typical_ms),
        };
        // A status decides for itself, so what its task last handed on outlives a failure (spec 1.2).
        let success = match self.task().status {
            Some(_) => success.or_else(|| earlier.and_then(|r| r.success.clone())),
            None => success,
        };
        let record = TaskRecord { state, success, run: self.run.id.clone(), at_ms: now_ms(), typical_ms };
        let name = self.task().name.as_str().as_bytes();
        let mut batch = Batch::new();
        let written = batch.put(Table::Tasks, name, &record).and_then(|()| match explanation {
            Some(explanation) => batch.put(Table::Manifests, name, explanation),
            None => Ok(()),
        });
        if written.is_err() {
            // Without a stored form the record has to go: what is not known is run.
            batch.delete(Table::Tasks, name);
        }
        batch
    }

    fn finished(&mut self, status: Outcome, error: Option<String>, not_fresh: Option<Reason>) -> Finished {
        let ended = self.ended.take();
        let exit = ended.as_ref().map_or(Exit::default(), |e| e.exit);
        let tail = ended.as_ref().filter(|_| status == Outcome::Failed).map(|e| self.tail(e));
        let shared = &self.run.shared;
        let log = ended.as_ref().and_then(|e| e.log.as_deref()).map(|p| shared.display(p));
        let cwd = shared.display(&self.task().cwd);
        Finished {
            task: self.task().name.clone(),
            status,
            exit_code: exit.code,
            signal: exit.signal,
            duration_ms: self.duration.map(|d| d.as_secs_f64() * 1000.0),
            reasons: std::mem::take(&mut self.start.reasons),
            error,
            because: Vec::new(),
            command: first_line(&self.task().action),
            cwd: Some(cwd).filter(|c| !c.is_empty() && c != "."),
            log,
            lines: ended.as_ref().map_or(0, |e| e.lines),
            tail: tail.unwrap_or_default(),
            not_fresh,
            leaky: ended.is_some_and(|e| e.leaky),
            soft: false,
        }
    }

    fn tail(&self, ended: &Ended) -> Vec<String> {
        let skip = ended.tail.len().saturating_sub(self.run.request.tail);
        ended.tail.iter().skip(skip).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }
}

fn obey(control: &JobControl, last: Orders, now: Orders) {
    match (last.paused, now.paused) {
        (false, true) => control.pause(),
        (true, false) => control.resume(),
        _ => {}
    }
    if now.halt > last.halt {
        match now.halt {
            Halt::Kill => control.kill(),
            _ => control.terminate(GRACE),
        }
    }
}

fn write(files: &TaskFiles, name: &str, content: &[u8]) -> Result<PathBuf, Failure> {
    files.write(name, content).map_err(|e| format!("cannot write a file for it: {e}").into())
}

fn terminated(path: &Path) -> impl Iterator<Item = u8> + use<> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    bytes.push(0);
    bytes.into_iter()
}

/// What people recognise a task's command by.
pub(crate) fn first_line(action: &Action) -> Option<String> {
    match action {
        Action::None => None,
        Action::Command(path) => Some(path.display().to_string()),
        Action::Script(text) => text.value.lines().map(str::trim).find(|l| !l.is_empty()).map(str::to_owned),
    }
}
