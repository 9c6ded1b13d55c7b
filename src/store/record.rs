//! What is remembered of a task.

use std::{
    hash::{BuildHasher, RandomState},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{
    fingerprint::FileRow,
    model::{Digest, KeptFile, TaskName},
};

/// The clock of records: milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The state of a task as of its last execution (spec section 4.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// What became of the last execution.
    pub state: RecordState,
    /// Results of the last success, if the last execution was one.
    pub success: Option<Success>,
    /// The run that wrote this: of the last execution, or of what came back since.
    pub run: String,
    /// When (of an execution that never ended, when it began): milliseconds since the epoch.
    pub at_ms: u64,
    /// How long the last success executed, in milliseconds: the scheduler's estimate. Outlives failures.
    pub typical_ms: Option<u64>,
    /// Which unbroken row of successes the last execution belongs to; none if it was no success. What was kept of another
    /// row does not come back (spec section 4.5).
    pub streak: Option<Streak>,
}

/// A row of successes of one task without a failure or a kill in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Streak(u64);

impl Streak {
    /// Another one than any before.
    #[must_use]
    pub fn another() -> Self {
        // The hasher of the standard library begins with numbers drawn at random.
        Self(RandomState::new().hash_one(now_ms()))
    }
}

impl TaskRecord {
    /// The record of a task that begins now.
    #[must_use]
    pub fn begun(run: String, typical_ms: Option<u64>) -> Self {
        Self { state: RecordState::Begun, success: None, run, at_ms: now_ms(), typical_ms, streak: None }
    }
}

/// What became of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordState {
    /// It began; nothing is known of its end. Written before a task starts.
    Begun,
    /// It failed.
    Failed,
    /// It succeeded with inputs that stayed as they were.
    Fresh,
    /// It succeeded, but this input changed meanwhile.
    ChangedWhileRunning(String),
}

/// What a success left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Success {
    /// The key it ran with (spec section 4.1).
    pub key: Digest,
    /// Its output: compact JSON text.
    pub output: Option<String>,
    /// Its exports: name and value, in the order they were written.
    pub exports: Vec<(String, Vec<u8>)>,
    /// Messages to show.
    pub messages: Vec<String>,
    /// Digest of the declared outputs as it left them; none if it declares none.
    pub outputs: Option<Digest>,
    /// The tasks it called (nested runs), by name.
    pub called: Vec<Called>,
    /// How long it executed, in milliseconds.
    pub duration_ms: u64,
    /// The run in which it executed.
    pub run: String,
    /// When it ended: milliseconds since the epoch.
    pub at_ms: u64,
}

/// What is kept of a success beside what it handed on (spec section 4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The row of successes it belongs to.
    pub streak: Streak,
    /// What it handed on.
    pub success: Success,
    /// The files it left.
    pub files: Vec<KeptFile>,
    /// What lay beside them at its declared outputs and was not its own: it has to be as it was then.
    pub others: Vec<FileRow>,
    /// What its links led to, as far as that was found at its declared outputs: not kept, but part of the result.
    pub linked: Vec<FileRow>,
    /// What it wrote, if anything.
    pub log: Option<KeptLog>,
}

/// A log that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLog {
    /// Of its content.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// How many lines the task wrote.
    pub lines: u64,
}

impl Kept {
    /// The key of what is kept of a task's success with this key.
    #[must_use]
    pub fn key(task: &TaskName, key: Digest) -> Vec<u8> {
        [task.as_str().as_bytes(), b"\0", &key.0.to_le_bytes()].concat()
    }

    /// What the keys of all that is kept of a task begin with.
    #[must_use]
    pub fn prefix(task: &TaskName) -> Vec<u8> {
        [task.as_str().as_bytes(), b"\0"].concat()
    }

    /// The task that what is kept under a key is of.
    #[must_use]
    pub fn task_of(key: &[u8]) -> &[u8] {
        key.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// A task that another one called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// Which one.
    pub task: TaskName,
    /// Whether scheduling it as it is comes to the same as calling it did: it was called without arguments of its own,
    /// say.
    pub as_it_is: bool,
}
