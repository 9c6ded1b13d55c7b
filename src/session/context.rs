//! What every task of one run looks at.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Once, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    emit::Emitter,
    request::{LiveLines, Request},
    runlog,
    shared::Shared,
};
use crate::{
    event::What,
    model::{TaskId, TaskSet},
    process::{RuntimeDir, TaskFiles},
};

/// The longest name a log file gets; beyond it a name is cut and made unique by its hash.
const LONGEST_NAME: usize = 180;

/// One run.
#[derive(Debug)]
pub(crate) struct RunContext {
    pub(crate) shared: Arc<Shared>,
    pub(crate) request: Request,
    pub(crate) id: String,
    pub(crate) roots: TaskSet,
    pub(crate) emitter: Emitter,
    runtime: OnceLock<Result<RuntimeDir, String>>,
    log_dir_made: Once,
    not_saved: Mutex<Option<String>>,
    _turn: Turn,
}

/// The right to be the one run of a session, given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn(Arc<AtomicBool>);

impl Turn {
    /// Takes it, if no other run has it.
    pub(crate) fn take(turn: &Arc<AtomicBool>) -> Option<Self> {
        (!turn.swap(true, Ordering::AcqRel)).then(|| Self(Arc::clone(turn)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl RunContext {
    pub(crate) fn new(
        shared: Arc<Shared>,
        request: Request,
        id: String,
        roots: TaskSet,
        emitter: Emitter,
        turn: Turn,
    ) -> Self {
        let (runtime, not_saved) = (OnceLock::new(), Mutex::default());
        Self {
            shared,
            request,
            id,
            roots,
            emitter,
            runtime,
            log_dir_made: Once::new(),
            not_saved,
            _turn: turn,
        }
    }

    /// The directory for private files, made when the first task needs it.
    fn runtime(&self) -> Result<&RuntimeDir, String> {
        let made = self.runtime.get_or_init(|| {
            // `DEVENV_STATE` is there for whoever wants to keep something; without it they make it or fail.
            let _ =
                fs::DirBuilder::new().recursive(true).mode(0o700).create(self.shared.state_dir.join("state"));
            let bases = &self.shared.runtime_bases;
            let made = RuntimeDir::create(bases);
            if let Ok(dir) = &made {
                self.shared.warden.guard_directory(dir.path());
            }
            made.map_err(|e| format!("cannot make a directory for private files: {e}"))
        });
        made.as_ref().map_err(Clone::clone)
    }

    pub(crate) fn runtime_path(&self) -> Result<&Path, String> {
        self.runtime().map(RuntimeDir::path)
    }

    pub(crate) fn task_files(&self) -> Result<TaskFiles, String> {
        TaskFiles::create(self.runtime()?).map_err(|e| format!("cannot make its private files: {e}"))
    }

    /// Where a task's output is kept; `kind` tells its command's from its status'.
    pub(crate) fn log_file(&self, id: TaskId, kind: &str) -> PathBuf {
        self.log_dir_made.call_once(|| runlog::make_log_dir(&self.shared.state_dir, &self.id));
        let name = log_name(self.shared.graph.name(id).as_str(), kind);
        self.shared.log_dir().join(&self.id).join(name)
    }

    /// Arguments after `--` reach the roots only.
    pub(crate) fn arguments_of(&self, id: TaskId) -> &[OsString] {
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
