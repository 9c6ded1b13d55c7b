//! A task as it was declared, with every default filled in (spec section 1.2).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Check, ProcessSpec, TaskName, TaskServer};

/// Something as its file has it, and with `${…}` substituted. The key is made from what was written,
/// so that a moved tree stays fresh (spec section 4.1); what runs is the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(
    from = "Pair<T>",
    into = "Pair<T>",
    bound = "T: Clone + PartialEq + Serialize + serde::de::DeserializeOwned"
)]
pub struct Written<T> {
    /// As written.
    pub written: T,
    /// After substitution.
    pub value: T,
}

/// [`Written`] without saying the same twice: mostly nothing is substituted.
#[derive(Serialize, Deserialize)]
struct Pair<T>(T, Option<T>);

impl<T: PartialEq> From<Written<T>> for Pair<T> {
    fn from(Written { written, value }: Written<T>) -> Self {
        let other = (written != value).then_some(value);
        Self(written, other)
    }
}

impl<T: Clone> From<Pair<T>> for Written<T> {
    fn from(Pair(written, other): Pair<T>) -> Self {
        let value = other.unwrap_or_else(|| written.clone());
        Self { written, value }
    }
}

/// JSON within formats that do not describe themselves.
mod as_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

    use super::{Map, Value, Written};

    type Input = Option<Written<Map<String, Value>>>;

    pub(super) fn serialize<S: Serializer>(input: &Input, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |map| serde_json::to_string(map).map_err(S::Error::custom);
        let texts = input.as_ref().map(|i| Ok((text(&i.written)?, text(&i.value)?))).transpose()?;
        texts.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Input, D::Error> {
        let texts = Option::<(String, String)>::deserialize(deserializer)?;
        let map = |text: String| serde_json::from_str(&text).map_err(D::Error::custom);
        texts.map(|(written, value)| Ok(Written { written: map(written)?, value: map(value)? })).transpose()
    }
}

impl<T: Clone> Written<T> {
    /// Something without substitutions.
    pub fn plain(value: T) -> Self {
        Self { written: value.clone(), value }
    }
}

impl From<&str> for Written<String> {
    fn from(text: &str) -> Self {
        Self::plain(text.to_owned())
    }
}

/// What a task executes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Nothing: it only gathers edges (`devenv:enterShell`).
    None,
    /// Script text for the task's interpreter.
    Script(Written<String>),
    /// An executable, spawned directly (devenv's `command`).
    Command(PathBuf),
    /// What a server does for it, by the name it has in the server's list, which may be the local one.
    Served(Arc<TaskServer>, Arc<str>),
}

/// Who runs script text (spec section 1.2, `package` and `binary`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// A program name looked up on `PATH`, or a path (a program, or a directory with `bin/`).
    pub package: Written<String>,
    /// The program's name where it differs from the package's.
    pub binary: Option<String>,
}

impl Default for Interpreter {
    fn default() -> Self {
        Self { package: "bash".into(), binary: None }
    }
}

/// Whether a task ends by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TaskKind {
    /// It runs to its end.
    OneShot,
    /// It stays up until it is stopped.
    Process(Box<ProcessSpec>),
}

/// One task. Built by the loader from task files, or by hand with [`Task::shell`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Global name.
    pub name: TaskName,
    /// The project that declares it.
    pub project: Arc<str>,
    /// One line for people.
    pub description: Option<String>,
    /// What it executes.
    pub action: Action,
    /// Who runs its script and its status.
    pub interpreter: Interpreter,
    /// What says with exit 0 that there is nothing to do: script text, or an executable in devenv's JSON.
    /// Never [`Action::None`].
    pub status: Option<Action>,
    /// Files, directories, globs, `!`negations whose change makes it run (spec section 4.4). Of a process: what
    /// restarts it; there the pattern that was made from an entry of `watch` is the value of what was written.
    pub exec_if_modified: Vec<Written<String>>,
    /// Directories relative patterns of `exec_if_modified` are looked up from: the task's `cwd`, and in
    /// devenv's JSON also the directory devtask was started in.
    pub pattern_bases: Vec<PathBuf>,
    /// Files it produces, relative to `cwd` (spec section 4.5).
    pub outputs: Vec<Written<String>>,
    /// Whether `outputs` are all that it produces, so that what it left for the same key may come back instead of its
    /// execution (spec section 4.5).
    pub restore: bool,
    /// Names, or `PREFIX_*`, of surrounding variables that count as inputs.
    pub track_env: Vec<String>,
    /// Where it runs: absolute.
    pub cwd: PathBuf,
    /// JSON for `$DEVENV_TASK_INPUT`.
    #[serde(with = "as_text")]
    pub input: Option<Written<Map<String, Value>>>,
    /// Its own variables.
    pub env: BTreeMap<String, Written<String>>,
    /// Variables of its file: `[env]` over dotenv files.
    pub file_env: BTreeMap<String, Written<String>>,
    /// Shell variables that become exports (bash only).
    pub exports: Vec<String>,
    /// Whether its output is always shown.
    pub show_output: bool,
    /// Whether it ends by itself.
    pub kind: TaskKind,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// How often it is tried again after a failure.
    pub retries: u32,
    /// Whether it owns the terminal while it runs.
    pub interactive: bool,
    /// A named lock held while it runs.
    pub lock: Option<String>,
    /// What makes it a check, or the fix of one.
    pub check: Option<Arc<Check>>,
}

impl Task {
    /// A task without a command.
    #[must_use]
    pub fn empty(name: TaskName, cwd: &Path) -> Self {
        Self {
            name,
            project: "".into(),
            description: None,
            action: Action::None,
            interpreter: Interpreter::default(),
            status: None,
            exec_if_modified: Vec::new(),
            pattern_bases: vec![cwd.to_owned()],
            outputs: Vec::new(),
            restore: false,
            track_env: Vec::new(),
            cwd: cwd.to_owned(),
            input: None,
            env: BTreeMap::new(),
            file_env: BTreeMap::new(),
            exports: Vec::new(),
            show_output: false,
            kind: TaskKind::OneShot,
            timeout: None,
            retries: 0,
            interactive: false,
            lock: None,
            check: None,
        }
    }

    /// Whether there is something to execute.
    #[must_use]
    pub fn has_command(&self) -> bool {
        !matches!(self.action, Action::None)
    }

    /// Whether it is a long-running process.
    #[must_use]
    pub fn is_process(&self) -> bool {
        matches!(self.kind, TaskKind::Process(_))
    }

    /// Whether it can ever be skipped: only tasks with `execIfModified`, `outputs` or `status` can
    /// (spec section 4).
    #[must_use]
    pub fn can_be_fresh(&self) -> bool {
        !self.is_process()
            && (!self.exec_if_modified.is_empty() || !self.outputs.is_empty() || self.status.is_some())
    }

    /// Whether its freshness rests on a key: a `status` decides for itself.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.can_be_fresh() && self.status.is_none()
    }

    /// Whether what it leaves is kept, and comes back (spec section 4.5).
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.restore && self.is_keyed()
    }
}
