//! Executing one task from its snapshot to its record (spec section 4.3).
//!
//! What another run has done meanwhile, what its `status` says is done, and what can come back is not executed. Else:
//!
//! 1. Fingerprint the inputs.
//! 2. Say that it has begun, in a way that neither a kill nor a power cut takes back.
//! 3. Run it.
//! 4. See whether an input changed meanwhile.
//! 5. Commit record, output, exports and messages as one.
//!
//! Everything that can go wrong on the way is a [`Failure`] of the task, never an error of the library.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};

use super::{
    admit::{Admission, admit},
    commons::Claim,
    context::RunContext,
    crew::Over,
    harvest::{harvest, last_of_each},
    judge::{self, InputSnapshot, Question},
    launch::{LISTED, Way},
    memory::{Explanation, NotSaved},
    ownership::{Scene, Whose},
    restore::{CameBack, Restorable},
    results::HandedOn,
    watching::Looked,
};
use crate::{
    event::Finished,
    model::{Action, Outcome, Reason, Task, TaskId},
    planted::{self, Fault},
    process::{Ended, EndedBy, Exit, TaskFiles, Timeout},
    scan::FileSet,
    schedule::Observation,
    store::{Batch, Called, RecordState, TaskRecord},
};

pub(crate) const GRACE: Duration = super::run::RunControl::GRACE;
/// How long a signal of the terminal may take to reach us after it ended a task.
const TERMINAL_SIGNAL: Duration = Duration::from_millis(100);

/// What a running task is told from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    pub(crate) halt: Halt,
    /// A process: whether the run needs it no more.
    pub(crate) is_let_go: bool,
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
    /// What was asked when it was judged, but for its record.
    pub(crate) question: Question,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) changed: Vec<PathBuf>,
    /// Its inputs, if they were looked at just now.
    pub(crate) snapshot: Option<InputSnapshot>,
    /// What may come back instead.
    pub(crate) restorable: Option<Restorable>,
    pub(crate) record: Option<TaskRecord>,
    /// `DEVENV_TASKS_OUTPUTS`.
    pub(crate) outputs: Map<String, Value>,
    /// Exports of its upstream closure, in the order they apply.
    pub(crate) exports: Vec<(String, Vec<u8>)>,
}

/// What became of it, here or elsewhere.
#[derive(Debug)]
pub(crate) struct Executed {
    pub(crate) id: TaskId,
    pub(crate) finished: Finished,
    pub(crate) handed: Arc<HandedOn>,
    /// Whether a result of it waits to be saved.
    pub(crate) is_put: bool,
    /// What is to be saved at the end of the run.
    pub(crate) unhurried: Option<Batch>,
    /// What its sets held.
    pub(crate) looked: Looked,
    /// Its family has executed it, and has said how it stands.
    pub(crate) is_told: bool,
}

impl Executed {
    /// A process that a run has used.
    pub(crate) fn of_process(id: TaskId, finished: Finished, handed: Arc<HandedOn>, looked: Looked) -> Self {
        Self { id, finished, handed, is_put: false, unhurried: None, looked, is_told: false }
    }

    /// It did not execute here.
    fn elsewhere(run: &RunContext, id: TaskId, over: Option<Over>) -> Self {
        let name = run.shared.graph.name(id).clone();
        let finished = over.as_ref().map_or_else(
            || Finished::without_execution(name.clone(), Outcome::Cancelled),
            |over| over.finished(name.clone()),
        );
        let is_told = over.is_some();
        let handed = over.map(|over| over.handed).unwrap_or_default();
        Self { id, finished, handed, is_put: false, unhurried: None, looked: Looked::default(), is_told }
    }
}

/// Why a task failed, beside what its exit says.
#[derive(Debug, Default)]
pub(super) struct Failure {
    error: Option<String>,
    cancelled: bool,
    /// Its command could not be started.
    not_started: bool,
}

impl From<String> for Failure {
    fn from(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

impl Failure {
    pub(super) fn cancelled() -> Self {
        Self { cancelled: true, ..Self::default() }
    }

    pub(super) const fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// What it is called.
    pub(super) fn into_error(self) -> Option<String> {
        self.error
    }

    pub(super) fn not_started(error: String) -> Self {
        Self { not_started: true, ..error.into() }
    }
}

/// What a successful execution left.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) handed: HandedOn,
    pub(super) outputs: Option<FileSet>,
    /// There was nothing to do: its `status` said so, or another run has done it.
    pub(super) was_done: bool,
    /// Its server looked, and found nothing to do: that is a success to be recorded, told as what it is.
    pub(super) was_skipped: bool,
    /// What its sets held, if somebody looked before it was clear that nothing was to be done.
    pub(super) looked: Option<Looked>,
    /// An earlier success that came back.
    pub(super) came_back: Option<Box<CameBack>>,
}

/// One task being executed.
pub(super) struct Execution {
    pub(super) run: Arc<RunContext>,
    pub(super) id: TaskId,
    pub(super) start: Start,
    pub(super) orders: watch::Receiver<Orders>,
    pub(super) heard: mpsc::UnboundedSender<Observation>,
    /// Nobody else executes it as long as this is held.
    pub(super) claim: Claim,
    /// What explains its last execution, if it declares outputs.
    pub(super) earlier: Arc<Explanation>,
    /// The tasks it called.
    pub(super) called: Vec<Called>,
    pub(super) begun_at: Instant,
    pub(super) executed: bool,
    /// Whether it was noted as begun.
    pub(super) begun: bool,
    /// How long its last attempt took.
    pub(super) duration: Option<Duration>,
    /// How its last attempt ended.
    pub(super) ended: Option<Ended>,
}

/// Executes a task, once it is its turn. `heard` hears of it as soon as the task's own command has started.
pub(crate) async fn execute(
    run: Arc<RunContext>,
    start: Start,
    orders: watch::Receiver<Orders>,
    heard: mpsc::UnboundedSender<Observation>,
) -> Executed {
    let id = start.question.id;
    let claim = match admit(&run, id, orders.clone()).await {
        Admission::Granted(claim) => claim,
        Admission::Over(over) => {
            if over.began {
                // The driver outlives what it drives.
                let _ = heard.send(Observation::Began(id));
            }
            return Executed::elsewhere(&run, id, Some(over));
        }
        Admission::Cancelled => return Executed::elsewhere(&run, id, None),
    };
    let mut execution = Execution {
        id,
        run,
        start,
        orders,
        heard,
        claim,
        earlier: Arc::default(),
        called: Vec::new(),
        begun_at: Instant::now(),
        executed: false,
        begun: false,
        duration: None,
        ended: None,
    };
    let result = execution.go().await;
    execution.conclude(result).await
}

impl Execution {
    pub(super) fn task(&self) -> &Task {
        self.run.shared.graph.task(self.id)
    }

    async fn go(&mut self) -> Result<Left, Failure> {
        self.check_orders()?;
        if let Some(left) = self.judge_again().await? {
            return Ok(left);
        }
        if let (Some(status), false) = (self.task().status.clone(), self.start.question.force)
            && let Some(left) = self.status(&status).await?
        {
            return Ok(left);
        }
        if let Some(left) = self.restore().await? {
            return Ok(left);
        }
        self.take_snapshot().await?;
        self.say_begun().await?;
        self.await_keeper().await;
        let retries = self.run.request.retries.unwrap_or(self.task().retries);
        for attempt in 1..=retries {
            match self.attempt().await {
                Err(failure) if !failure.cancelled => self.try_again(attempt, retries, &failure),
                result => return result,
            }
        }
        self.attempt().await
    }

    pub(super) fn check_orders(&self) -> Result<(), Failure> {
        match self.orders.borrow().halt {
            Halt::No => Ok(()),
            Halt::Terminate | Halt::Kill => Err(Failure::cancelled()),
        }
    }

    /// Step 1. A snapshot taken for the verdict is good enough only if the task did not
    /// have to wait for a slot since.
    async fn take_snapshot(&mut self) -> Result<(), Failure> {
        if self.start.snapshot.is_none() && self.task().is_keyed() {
            let (run, question) = (Arc::clone(&self.run), self.start.question.clone());
            let taken = self.aside(move || judge::snapshot(&run.shared, &question)).await?;
            self.start.snapshot = Some(taken);
        }
        if !self.task().outputs.is_empty() {
            self.earlier = self.run.shared.explanation(self.id);
        }
        if let (Some(watching), Some(snapshot)) = (self.run.shared.watching.get(), &self.start.snapshot) {
            watching.begin(self.id, &snapshot.looked);
        }
        Ok(())
    }

    /// Step 2: from here on, and until step 5, no one may take the task for fresh. If that cannot be
    /// made durable the store is gone, and with it the old record.
    async fn say_begun(&mut self) -> Result<(), Failure> {
        if !self.task().is_keyed() || planted::is(Fault::RecordKept) {
            return Ok(());
        }
        match self.note_begun().await {
            Err(fault) if fault.lost => self.run.not_saved(&fault.why),
            // The old record still counts, and would say wrongly that this never happened.
            Err(fault) => return Err(format!("nothing can be recorded: {fault}").into()),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Its last result is still being kept, maybe: not while it makes another.
    async fn await_keeper(&self) {
        let (keeper, task) = (Arc::clone(&self.run.shared.keeper), self.task().name.clone());
        if keeper.has_in_hand(&task) {
            // It only waits.
            let _ = tokio::task::spawn_blocking(move || keeper.await_task(&task)).await;
        }
    }

    /// A byte in the journal or, where that is not enough, a record of its own. Runs beside this one are told at once.
    async fn note_begun(&mut self) -> Result<(), NotSaved> {
        let record = self.in_state(RecordState::Begun, None);
        let batch = self.batch(&record, None);
        self.begun = true;
        let shared = Arc::clone(&self.run.shared);
        let joined = self.run.ledger().await;
        shared.commons.remember(self.id, record, None);
        if let Some(ledger) = joined? {
            ledger.open();
            let last_run = self.start.record.as_ref().map(|record| record.run.as_str());
            let noted = ledger.begin(self.task().name.as_str(), last_run, &batch);
            if noted.map_err(|error| NotSaved { why: error.to_string(), lost: false })? {
                return Ok(());
            }
        }
        shared.savings.commit(&shared, batch).await
    }

    /// Asks the status command. Some: there is nothing to do.
    async fn status(&mut self, status: &Action) -> Result<Option<Left>, Failure> {
        let files = self.run.task_files()?;
        let mut launch = self.launch(&files, status, "status", Way::ByShell)?;
        launch.command.foreground = false; // a question, to which nobody types an answer
        launch.timeout = self.timeout();
        let ended = self.conduct(launch, false).await?;
        if ended.ended_by.is_some() {
            self.check_orders()?;
        }
        if matches!(ended.exit.code, Some(126 | 127)) {
            self.run.warn(
                self.id,
                "its status command could not run all of itself: see its log beside the task's",
            );
        }
        if !ended.exit.is_success() {
            self.start.reasons = vec![Reason::StatusSaidNo { exit_code: ended.exit.code }];
            return Ok(None);
        }
        let read = |name: &str| files.read(name).map_err(|e| format!("its exports file {e}"));
        let (exports, listed) = (read(TaskFiles::EXPORTS)?, read(LISTED)?);
        let exports =
            harvest(None, exports.as_deref(), listed.as_deref()).map_err(|e| e.to_string())?.exports;
        let success = self.start.record.as_ref().and_then(|r| r.success.as_ref());
        let mut handed = success.map(HandedOn::from_record).unwrap_or_default();
        handed.exports = last_of_each(handed.exports.into_iter().chain(exports).collect());
        let outputs = self.outputs_as_they_are().await?;
        Ok(Some(Left { handed, outputs, was_done: true, ..Left::default() }))
    }

    /// Points 3 and, as far as it can fail the task, what follows.
    async fn attempt(&mut self) -> Result<Left, Failure> {
        self.check_orders()?;
        let action = self.task().action.clone();
        if let Action::Served(server, name) = &action {
            return self.attempt_served(server, name).await;
        }
        let mut files = self.run.task_files()?;
        let mut launch = self.launch(&files, &action, "log", Way::Shortest)?;
        launch.timeout = self.timeout();
        let is_direct = launch.command.name.is_some();
        self.begun_at = Instant::now();
        let mut ended = self.conduct(launch, true).await;
        if is_direct && ended.as_ref().is_err_and(|failure| failure.not_started) {
            // What is wrong, and with which exit code that ends, is for the shell to say.
            files = self.run.task_files()?;
            let mut launch = self.launch(&files, &action, "log", Way::ByShell)?;
            launch.timeout = self.timeout();
            ended = self.conduct(launch, true).await;
        }
        let ended = ended?;
        self.duration = Some(self.begun_at.elapsed());
        self.hear_the_terminal(&ended).await;
        let judged = self.judge_end(&ended);
        self.ended = Some(ended);
        judged?;
        self.collect(&files).await
    }

    /// Tells of a failed attempt, and keeps its log beside that of the next.
    fn try_again(&self, attempt: u32, retries: u32, failure: &Failure) {
        let how = match (&failure.error, self.ended.as_ref().map(|e| e.exit)) {
            (Some(error), _) => format!(": {error}"),
            (None, Some(Exit { code: Some(code), .. })) => format!(" with exit {code}"),
            (None, Some(Exit { signal: Some(signal), .. })) => format!(" by signal {signal}"),
            (None, _) => String::new(),
        };
        self.run.warn(self.id, &format!("attempt {attempt} of {} failed{how}; trying again", retries + 1));
        let log = self.run.log_file(self.id, "log");
        // An attempt that wrote nothing has none.
        let _ = fs::rename(&log, log.with_added_extension(attempt.to_string()));
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
            Some(EndedBy::Terminated | EndedBy::Killed) => Err(Failure::cancelled()),
            None if ended.exit.is_success() => Ok(()),
            None if ended.exit.signal.is_some() => self.check_orders().and(Err(Failure::default())),
            None => Err(Failure::default()),
        }
    }

    /// Reads what it left: output, exports, declared outputs.
    pub(super) async fn collect(&self, files: &TaskFiles) -> Result<Left, Failure> {
        let read = |name: &str, what: &str| files.read(name).map_err(|e| format!("its {what} file {e}"));
        let output = read(TaskFiles::OUTPUT, "output")?;
        let exports = read(TaskFiles::EXPORTS, "exports")?;
        let lists = !self.task().exports.is_empty();
        let listed = if lists { read(LISTED, "exports")? } else { None };
        if listed.is_none() && lists {
            self.run.warn(self.id, "its exports were not seen: the script ends by `exec`, or by `exit` after setting a trap on EXIT");
        }
        let handed =
            harvest(output.as_deref(), exports.as_deref(), listed.as_deref()).map_err(|e| e.to_string())?;
        let outputs = self.outputs().await?;
        Ok(Left { handed, outputs, ..Left::default() })
    }

    /// The declared outputs, if it declares any.
    async fn outputs_as_they_are(&self) -> Result<Option<FileSet>, Failure> {
        if self.task().outputs.is_empty() {
            return Ok(None);
        }
        let (run, id) = (Arc::clone(&self.run), self.id);
        self.aside(move || judge::outputs(&run.shared, id)).await.map(Some)
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

    pub(super) fn timeout(&self) -> Option<Timeout> {
        let after = self.run.request.timeout.or(self.task().timeout)?;
        Some(Timeout { after, grace: GRACE })
    }

    /// Steps 4 and 5, and the event that tells of it all.
    async fn conclude(mut self, mut result: Result<Left, Failure>) -> Executed {
        let came_back = result.as_mut().ok().and_then(|left| left.came_back.take());
        let skipped = result.as_ref().is_ok_and(|left| left.was_skipped);
        let (outcome, error, left) = match result {
            Ok(left) if left.was_done => (Outcome::Cached, None, Some(left)),
            Ok(left) => (Outcome::Succeeded, None, Some(left)),
            Err(failure) if failure.cancelled => (Outcome::Cancelled, None, None),
            Err(failure) => (Outcome::Failed, failure.error, None),
        };
        self.take_calls();
        let not_fresh = match outcome {
            Outcome::Succeeded if self.task().is_keyed() && !planted::is(Fault::NoSecondLook) => {
                self.changed_meanwhile().await
            }
            _ => None,
        };
        let outputs = left.as_ref().and_then(|l| l.outputs.as_ref());
        let rows = outputs.map(|set| judge::rows(&self.run.shared, set));
        let whose = outputs.map(|set| self.whose(set)).unwrap_or_default();
        let files = rows.as_deref().map(judge::digest_of_rows);
        let before = self.start.snapshot.as_ref().map(|s| s.looked.clone()).unwrap_or_default();
        let found = left.as_ref().and_then(|left| left.looked.clone());
        let looked = found.unwrap_or(Looked { outputs: files, ..before });
        let log = self.ended.as_ref().and_then(|ended| Some((ended.log.clone()?, ended.lines)));
        let record = match &came_back {
            Some(came_back) => Some(self.record_of(came_back)),
            None => {
                let outputs = (rows.unwrap_or_default(), whose.foreign);
                self.record(outcome, left.as_ref(), not_fresh.as_ref(), outputs, files)
            }
        };
        let outcome = if skipped { Outcome::Cached } else { outcome };
        let mut executed = Executed {
            id: self.id,
            handed: Arc::new(left.map(|l| l.handed).unwrap_or_default()),
            finished: self.finished(outcome, error, not_fresh),
            is_put: false,
            unhurried: None,
            looked,
            is_told: false,
        };
        if let Some(came_back) = &came_back {
            came_back.tell(&self.run.shared, &mut executed.finished);
        }
        if let Some((record, explanation)) = record {
            let explanation = explanation.map(Arc::new);
            let mut batch = self.batch(&record, explanation.as_deref());
            if came_back.is_some() {
                self.note_use(&record, &mut batch);
            }
            self.run.shared.commons.remember(self.id, record.clone(), explanation.clone());
            if came_back.is_none() {
                self.keep(&record, explanation.as_deref(), &whose.left_alone, log);
            }
            if self.task().can_be_fresh() {
                if let Some(ledger) = self.run.known_ledger() {
                    ledger.note(&batch, self.begun);
                }
                self.run.shared.savings.put(&self.run, self.id, batch, explanation);
                executed.is_put = true;
            } else {
                // Nothing rests on it but the order of starting: it need not be durable at once.
                executed.unhurried = Some(batch);
            }
        }
        if outcome != Outcome::Cancelled {
            self.run.member.tell_over([(
                self.id,
                Over {
                    outcome,
                    began: self.executed,
                    handed: Arc::clone(&executed.handed),
                    finished: Some(Arc::new(executed.finished.clone())),
                    asked: self.run.asked(self.id),
                },
            )]);
        }
        executed
    }

    /// Whose is what is at its declared outputs now.
    fn whose(&self, after: &FileSet) -> Whose {
        let snapshot = self.start.snapshot.as_ref();
        let scene = Scene {
            root: &self.run.shared.root,
            before: snapshot.and_then(|snapshot| snapshot.outputs.as_deref()),
            inputs: snapshot.map(|snapshot| &*snapshot.files),
            earlier: &self.earlier,
        };
        let others = self.run.shared.others_within(self.id);
        scene.judge(after, |path| others.iter().any(|other| other.outputs.matches(path)))
    }

    /// Step 4: an input whose stat identity changed while the task ran (other than a declared output)
    /// keeps its success from being fresh. Identities, not contents: content may have changed and back.
    async fn changed_meanwhile(&mut self) -> Option<Reason> {
        let before = self.start.snapshot.take()?;
        let (run, id) = (Arc::clone(&self.run), self.id);
        let look = move || {
            let changed = judge::changed_since(&run.shared, &run.ambient, id, &before);
            (before, changed.map(|path| run.shared.display(&path)))
        };
        // If the look failed or was not waited for, nothing is known: it is not fresh.
        let Ok((before, changed)) = self.aside(look).await else { return Some(Reason::LastRunInterrupted) };
        self.start.snapshot = Some(before);
        changed.map(|path| Reason::ChangedWhileRunning { path })
    }

    /// Looks at files: on a thread of its own, and who is told to end does not wait for it. Where looks have
    /// been quick it is done here, since a change of threads costs more than a small look.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let run = Arc::clone(&self.run);
        let work = move || run.pace.time(look);
        // It may have to wait for what is being kept of the task.
        let keeper = &self.run.shared.keeper;
        if self.run.pace.is_quick() && !keeper.has_in_hand(&self.task().name) {
            return Ok(work());
        }
        let mut orders = self.orders.clone();
        tokio::select! {
            done = tokio::task::spawn_blocking(work) => done.map_err(|error| error.to_string().into()),
            _ = orders.wait_for(|orders| orders.halt != Halt::No) => {
                Err(Failure::cancelled())
            }
        }
    }
}
