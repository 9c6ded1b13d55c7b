//! What is started for a process, and how it is asked how it is.

use std::{collections::BTreeMap, path::Path};

use crate::{
    model::{LinePattern, Probe, ProbeKind, ProcessSpec},
    process::{Command, HeldPort, HttpQuestion, ListenOn, LogTarget, TaskFiles},
    session::{harvest::harvest, results::HandedOn},
};

/// Everything it takes to start a process, as often as it has to be.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) spec: ProcessSpec,
    /// How to tell that it is ready: declared, or its ports.
    pub(crate) probe: Option<Probe>,
    pub(crate) question: Question,
    pub(crate) command: Command,
    /// Should the system not start it in that way: why not is for a shell to say.
    pub(crate) by_shell: Option<Command>,
    /// The sockets it is to have, by name (socket activation).
    pub(crate) listen: Vec<(String, ListenOn)>,
    pub(crate) log: LogTarget,
    /// As people read it.
    pub(crate) log_name: String,
    pub(crate) ports: BTreeMap<String, u16>,
    /// Until it starts for the first time.
    pub(crate) held: Vec<HeldPort>,
    /// Its private files live as long as it may be started.
    pub(crate) files: TaskFiles,
}

/// What its probe asks.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// This command exits with 0.
    Exec(Box<Command>),
    /// All of these accept a connection.
    Tcp(Vec<(String, u16)>),
    /// This is answered.
    Http(HttpQuestion),
    /// A line of its output matches.
    Line(LinePattern),
    /// Nothing: it says so itself, or nobody wants to know.
    Told,
}

impl Prepared {
    /// It is about to be started.
    pub(super) fn begin_anew(&mut self) -> Result<(), String> {
        self.held.clear();
        self.files.renew().map_err(|error| format!("cannot write a file for it: {error}"))
    }

    /// Whether it may say something on a notify socket.
    pub(super) fn hears_notices(&self) -> bool {
        let is_told = self.probe.as_ref().is_some_and(|probe| matches!(probe.kind, ProbeKind::Notify));
        is_told || self.spec.watchdog.is_some()
    }

    /// A directory of its own.
    pub(super) fn private_dir(&self) -> &Path {
        self.files.path()
    }

    /// Whether this line of its output says that it is ready.
    pub(super) fn is_awaited(&self, line: &[u8]) -> bool {
        matches!(&self.question, Question::Line(pattern) if pattern.is_in(line))
    }

    /// What it has handed on until now; none if nothing can be said of it.
    pub(super) fn handed(&self) -> Result<Option<HandedOn>, String> {
        let read = |name: &str, what: &str| self.files.read(name).map_err(|e| format!("its {what} file {e}"));
        let output = read(TaskFiles::OUTPUT, "output")?;
        let exports = read(TaskFiles::EXPORTS, "exports")?;
        harvest(output.as_deref(), exports.as_deref(), None).map(Some).map_err(|error| error.to_string())
    }
}
