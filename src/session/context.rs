//! What every task of one run looks at.

use std::{
    collections::HashMap,
    ffi::OsString,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Once, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use rustix::process::geteuid;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    commons::Member,
    direct::Shell,
    emit::Emitter,
    environment::{Ambient, Surroundings, tracked},
    ledger::Ledger,
    memory::NotSaved,
    request::{LiveLines, Request},
    runlog,
    shared::Shared,
};
use crate::{
    event::What,
    fingerprint::digest_of,
    model::{Digest, PortRef, TaskId, TaskKind, TaskSet},
    plan::Plan,
    process::{RuntimeDir, TaskFiles},
};

/// The longest name a log file gets; beyond it a name is cut and made unique by its hash.
const LONGEST_NAME: usize = 180;

/// One run.
#[derive(Debug)]
pub(crate) struct RunContext {
    pub(crate) shared: Arc<Shared>,
    pub(crate) request: Request,
    /// What single tasks are given.
    given: HashMap<TaskId, Vec<OsString>>,
    pub(crate) id: String,
    pub(crate) started: Instant,
    pub(crate) roots: TaskSet,
    pub(crate) emitter: Emitter,
    /// The surrounding environment.
    pub(crate) ambient: Ambient,
    surroundings: OnceLock<Surroundings>,
    log_dir_made: Once,
    /// Which shells interpreters are, for those that were asked about.
    shells: Mutex<HashMap<PathBuf, Option<Shell>>>,
    /// How long looks at files take.
    pub(crate) pace: Pace,
    /// The tasks of the run, until the first begins.
    planned: Mutex<Vec<TaskId>>,
    /// Where starts are noted.
    ledger: OnceCell<Option<Arc<Ledger>>>,
    not_saved: Mutex<Option<String>>,
    pub(crate) member: Member,
    /// Whether all it does is to wait for processes.
    pub(crate) only_waits: Arc<AtomicBool>,
    /// The processes that were started for it, and not only used.
    begun: Mutex<TaskSet>,
}

/// How long looks at files have taken.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The longest of late, in nanoseconds; 0: there was none.
    longest: AtomicU64,
}

impl Pace {
    /// Up to here a look keeps nothing else from being heard.
    const QUICK: u64 = 500_000;

    /// Whether the next look will be over before a thread could be woken for it, as far as can be told.
    pub(crate) fn is_quick(&self) -> bool {
        (1..Self::QUICK).contains(&self.longest.load(Ordering::Relaxed))
    }

    /// Looks, and remembers how long it took. What took long is forgotten after some that were quick.
    pub(crate) fn time<T>(&self, look: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let seen = look();
        let took = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let faded = self.longest.load(Ordering::Relaxed) / 8 * 7;
        self.longest.store(took.max(faded).max(1), Ordering::Relaxed);
        seen
    }
}

impl RunContext {
    pub(crate) fn new(
        shared: Arc<Shared>,
        request: Request,
        id: String,
        plan: &Plan,
        emitter: Emitter,
        member: Member,
    ) -> Self {
        let given = request
            .given
            .iter()
            .filter_map(|(task, given)| Some((shared.graph.id(task.as_str())?, given.clone())));
        Self {
            given: given.collect(),
            ambient: shared.ambient_of(&request),
            shared,
            request,
            id,
            started: Instant::now(),
            roots: plan.roots().clone(),
            emitter,
            surroundings: OnceLock::new(),
            log_dir_made: Once::new(),
            shells: Mutex::default(),
            pace: Pace::default(),
            planned: Mutex::new(plan.order().to_vec()),
            ledger: OnceCell::new(),
            not_saved: Mutex::default(),
            member,
            only_waits: Arc::default(),
            begun: Mutex::default(),
        }
    }

    /// A process is started for this run.
    pub(crate) fn starts(&self, id: TaskId) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// Whether a process was started for this run, and not only used.
    pub(crate) fn has_started(&self, id: TaskId) -> bool {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Where the start of a task is noted, made ready when the first one is to. None: it has to be saved.
    pub(crate) async fn ledger(&self) -> Result<Option<&Ledger>, NotSaved> {
        let names = || {
            let planned = std::mem::take(&mut *self.planned.lock().unwrap_or_else(PoisonError::into_inner));
            let tasks = planned.into_iter().map(|id| self.shared.graph.task(id));
            tasks.filter(|task| task.is_keyed()).map(|task| task.name.to_string()).collect()
        };
        let join = || self.shared.ledgers.join(&self.shared.memory, &self.id, names);
        self.ledger.get_or_try_init(join).await.map(Option::as_deref)
    }

    /// Where starts are noted, if anything has begun.
    pub(crate) fn known_ledger(&self) -> Option<&Ledger> {
        self.ledger.get().and_then(Option::as_deref)
    }

    /// Whether starts are noted rather than saved.
    pub(crate) fn has_journal(&self) -> bool {
        self.known_ledger().is_some()
    }

    /// Whether this run counts among those that have the journal.
    pub(crate) fn has_joined(&self) -> bool {
        self.ledger.get().is_some()
    }

    /// What all tasks get of the surrounding environment.
    pub(crate) fn surroundings(&self) -> &Surroundings {
        self.surroundings.get_or_init(|| Surroundings::of(&self.ambient))
    }

    pub(crate) fn runtime_path(&self) -> Result<&Path, String> {
        self.shared.private.runtime(&self.shared).map(RuntimeDir::path)
    }

    pub(crate) fn task_files(&self) -> Result<TaskFiles, String> {
        self.shared.private.task_files(&self.shared)
    }

    /// The port a task refers to; none if nobody knows it.
    pub(crate) fn port(&self, id: TaskId, port: &PortRef) -> Option<Result<u16, String>> {
        let (process, name) = self.shared.graph.port(id, port)?;
        Some(self.own_port(process, name))
    }

    /// A port of a process.
    pub(crate) fn own_port(&self, process: TaskId, name: &str) -> Result<u16, String> {
        let task = self.shared.graph.task(process);
        let TaskKind::Process(spec) = &task.kind else { return Err(format!("{} is no process", task.name)) };
        let port = spec.ports.get(name).ok_or_else(|| format!("{} has no port `{name}`", task.name))?;
        let base = self.shared.runtime_bases.first().map_or(Path::new("/tmp"), PathBuf::as_path);
        let claims = base.join(format!("devtask-ports-{}", geteuid().as_raw()));
        let strict = self.request.strict_ports;
        self.shared.processes.ports.get((&task.name, name), port.allocate, strict, &claims)
    }

    /// Where a task's output is kept; `kind` tells its command's from its status'.
    pub(crate) fn log_file(&self, id: TaskId, kind: &str) -> PathBuf {
        self.log_dir_made.call_once(|| runlog::make_log_dir(&self.shared.state_dir, &self.id));
        let name = log_name(self.shared.graph.name(id).as_str(), kind);
        self.shared.log_dir().join(&self.id).join(name)
    }

    /// The shell an interpreter is, if it is one that is known.
    pub(crate) fn shell(&self, program: &Path) -> Option<Shell> {
        let mut shells = self.shells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shells.get(program) {
            return *known;
        }
        *shells.entry(program.to_owned()).or_insert_with(|| Shell::of(program))
    }

    /// What the command line and the surrounding environment add to what a task is; none: nothing.
    pub(crate) fn asked(&self, id: TaskId) -> Option<Digest> {
        let tracks = &self.shared.graph.task(id).track_env;
        let inputs =
            Some(&self.request.inputs).filter(|inputs| !inputs.is_empty() && self.roots.contains(id));
        let arguments = self.arguments_of(id);
        if tracks.is_empty() && inputs.is_none() && arguments.is_empty() {
            return None;
        }
        let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
        let inputs = inputs.map(|inputs| Value::Object(inputs.clone()).to_string());
        let asked = format!("{:?}", (arguments, inputs, tracked(&self.ambient, tracks)));
        Some(digest_of(asked.as_bytes()))
    }

    /// What a task was given for itself; arguments after `--` reach the roots only.
    pub(crate) fn arguments_of(&self, id: TaskId) -> &[OsString] {
        if let Some(given) = self.given.get(&id) {
            return given;
        }
        if self.roots.contains(id) { &self.request.arguments } else { &[] }
    }

    /// The input a task gets: its own, with the command line's on top if it is a root (spec section 3).
    pub(crate) fn input_of(&self, id: TaskId) -> Option<Map<String, Value>> {
        let own = self.shared.graph.task(id).input.as_ref().map(|input| input.value.clone());
        self.with_command_line(id, own)
    }

    /// The same as written, for the key.
    pub(crate) fn written_input_of(&self, id: TaskId) -> Option<Map<String, Value>> {
        let own = self.shared.graph.task(id).input.as_ref().map(|input| input.written.clone());
        self.with_command_line(id, own)
    }

    fn with_command_line(&self, id: TaskId, own: Option<Map<String, Value>>) -> Option<Map<String, Value>> {
        if !self.roots.contains(id) || self.request.inputs.is_empty() {
            return own;
        }
        let mut merged = own.unwrap_or_default();
        merged.extend(self.request.inputs.clone());
        Some(merged)
    }

    /// Whether and how a task's lines are passed on.
    pub(crate) fn lines_of(&self, id: TaskId) -> LiveLines {
        match self.request.lines {
            LiveLines::Off if self.shared.graph.task(id).show_output => LiveLines::All,
            lines => lines,
        }
    }

    pub(crate) fn warn(&self, id: TaskId, message: &str) {
        let task = Some(self.shared.graph.name(id).clone());
        self.emitter.emit(What::Warning { task, message: message.to_owned() });
    }

    /// Warns, unless the run is over; whether it is not.
    pub(crate) fn warn_in_time(&self, id: TaskId, message: &str) -> bool {
        let task = Some(self.shared.graph.name(id).clone());
        self.emitter.emit_in_time(What::Warning { task, message: message.to_owned() })
    }

    /// Something that concerns no task in particular.
    pub(crate) fn warn_of_all(&self, message: &str) {
        self.emitter.emit(What::Warning { task: None, message: message.to_owned() });
    }

    /// Results cannot be saved any more: said once, and the run does not end with 0.
    pub(crate) fn not_saved(&self, why: &str) {
        let mut known = self.not_saved.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = Some(why.to_owned());
            let message = format!("results are not saved: {why}");
            self.emitter.emit(What::Warning { task: None, message });
        }
    }

    pub(crate) fn why_not_saved(&self) -> Option<String> {
        self.not_saved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The name of a task's log file. Task names are legal file names, but may be too long for one.
pub(crate) fn log_name(task: &str, kind: &str) -> String {
    if task.len() <= LONGEST_NAME {
        return format!("{task}.{kind}");
    }
    // Legal names are ASCII, so any byte is a boundary.
    let head = task.get(..LONGEST_NAME).unwrap_or_default();
    format!("{head}~{:016x}.{kind}", xxh3_64(task.as_bytes()))
}
