//! Why a task must run: data, put into words by whoever shows it (spec section 4, `why`).

use serde::{Deserialize, Serialize};

use super::TaskName;

/// One reason why a task is not fresh.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It has neither `execIfModified` nor `outputs` nor `status`: it runs whenever it is scheduled.
    AlwaysRuns,
    /// The user asked for it (`--force`, `--refresh-task-cache`).
    Forced,
    /// It executes just now, for another run of the session; what comes of that nobody knows yet.
    Executing,
    /// Its `status` command decides, when it is asked.
    StatusDecides,
    /// Its `status` command said that there is work to do.
    StatusSaidNo {
        /// The exit code of the status command; none if a signal ended it.
        exit_code: Option<i32>,
    },
    /// No run of it is known.
    NeverRan,
    /// Its last run failed; putting old inputs back does not undo that.
    LastRunFailed,
    /// Its last run was ended before it was done.
    LastRunInterrupted,
    /// What is remembered of its last run is not of one piece: nothing of it is believed.
    RecordIncomplete,
    /// An input changed while it last ran, so its result may be of either version.
    ChangedWhileRunning {
        /// The input, relative to the root where it lies beneath it.
        path: String,
    },
    /// The script or command is another.
    Exec,
    /// The arguments after `--` are others.
    Arguments,
    /// The interpreter is another.
    Interpreter,
    /// The working directory (relative to the root) is another.
    Cwd,
    /// The list of exported variables is another.
    ExportList,
    /// The list of patterns is another.
    Patterns,
    /// A key of `input` was added, removed or changed; `None`: the whole value.
    Input {
        /// The top-level key.
        key: Option<String>,
    },
    /// A variable of `env`, `[env]` or a dotenv file was added, removed or changed.
    Env {
        /// The variable.
        name: String,
    },
    /// A tracked variable of the surrounding environment was added, removed or changed.
    TrackedEnv {
        /// The variable.
        name: String,
    },
    /// A matched file differs.
    File {
        /// The path, relative to the root where it lies beneath it.
        path: String,
        /// In what way.
        change: FileChange,
    },
    /// A file or directory that counts could not be read: such a task is never fresh (spec section 4.4).
    Unreadable {
        /// The path.
        path: String,
        /// The system's message.
        error: String,
    },
    /// Something handed on from upstream differs.
    Upstream {
        /// The upstream task.
        task: TaskName,
        /// What of it.
        change: UpstreamChange,
    },
    /// An upstream task would run first and may hand on something else (only in a dry run).
    UpstreamWouldRun {
        /// The upstream task.
        task: TaskName,
    },
    /// A declared output is not what the last run left.
    Output {
        /// The path, relative to the root where it lies beneath it.
        path: String,
        /// In what way; [`FileChange::Removed`] for a missing one.
        change: FileChange,
    },
}

/// In what way a file differs from what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileChange {
    /// It was not there.
    Added,
    /// It is gone.
    Removed,
    /// Its content is another.
    Content,
    /// Its executable bit is another.
    Executable,
    /// It is another kind of file (a directory for a file, say).
    Kind,
}

/// What an upstream hands on differently.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum UpstreamChange {
    /// It hands on something now and did not before.
    Appeared,
    /// It handed on something before and does not now.
    Disappeared,
    /// A key of its output JSON; `None`: the whole value.
    OutputKey {
        /// The top-level key.
        key: Option<String>,
    },
    /// An exported variable.
    Export {
        /// The variable.
        name: String,
    },
    /// The content of its declared outputs.
    OutputFiles,
    /// What came of calling it (a nested run): how it ended, its output, its exports, its declared outputs.
    Called,
    /// It was called when the task last ran, and cannot be looked at before this one: it is gone, it would have to wait
    /// for its caller, or it was called in a way of its own (with arguments, say).
    NotFollowed,
}

/// How much was compared and found equal, for people who want to know what a verdict rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Matched files.
    pub files: usize,
    /// Variables of `env`, `[env]` and dotenv files.
    pub env: usize,
    /// Tracked variables.
    pub tracked_env: usize,
    /// Keys of `input`.
    pub input: usize,
    /// Things handed on from upstream.
    pub upstream: usize,
    /// Whether the command is the same.
    pub command: bool,
}
