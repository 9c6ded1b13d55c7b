//! What is remembered of a task.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::model::{Digest, TaskName};

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
    /// The run of the last execution.
    pub run: String,
    /// When the last execution ended (or began, if it never ended): milliseconds since the epoch.
    pub at_ms: u64,
    /// How long the last success executed, in milliseconds: the scheduler's estimate. Outlives failures.
    pub typical_ms: Option<u64>,
}

impl TaskRecord {
    /// The record of a task that begins now.
    #[must_use]
    pub fn begun(run: String, typical_ms: Option<u64>) -> Self {
        Self { state: RecordState::Begun, success: None, run, at_ms: now_ms(), typical_ms }
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
