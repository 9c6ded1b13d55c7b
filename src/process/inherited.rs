//! What children see of the environment that surrounds us.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

/// Variables that tie git to one repository. A hook's environment carries them, and a git called by a task
/// would write into the index of the commit in progress (hazard C23).
const GIT_LOCAL: [&str; 15] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Variables that are a task's own or not there at all: what an outer devtask set them to is none of its business.
const OF_TASKS: [&str; 2] = ["DEVENV_TASK_INPUT", "DEVENV_TASKS_OUTPUTS"];

/// The variables of a surrounding environment that are handed on.
#[must_use]
pub fn inherited(ambient: &[(OsString, OsString)]) -> BTreeMap<OsString, OsString> {
    let is_kept = |name: &OsStr| !GIT_LOCAL.iter().chain(&OF_TASKS).any(|known| name == *known);
    ambient.iter().filter(|(name, _)| is_kept(name)).cloned().collect()
}
