//! What makes a task a check, or the fix that belongs to it (`[checks]`, `guide::spec` section 7).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{TaskName, Written};

/// The namespace of checks: `fmt` of project `web` is the task `check:web:fmt`.
pub const CHECKS: &str = "check";
/// The namespace of what mends: the fix of `fmt` of project `web` is the task `fix:web:fmt`.
pub const FIXES: &str = "fix";

/// What a check knows beyond what every task does. Its fix knows the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Whether this task looks, or mends.
    pub role: CheckRole,
    /// The files it is about: patterns relative to the task's `cwd`; none: every file beneath it.
    pub files: Vec<Written<String>>,
    /// Whether it gets these files as arguments. It is taken to look at each of them by itself then.
    pub passes_files: bool,
    /// What else it rests on (`execIfModified`).
    pub inputs: Vec<Written<String>>,
    /// Ignored directories that are shown to it in a private checkout: absolute.
    pub links: Vec<PathBuf>,
    /// Whether a fix belongs to it.
    pub has_fix: bool,
}

/// What a task of a check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckRole {
    /// It looks.
    Check,
    /// It mends.
    Fix,
}

impl Check {
    /// What people call it: the name of its task without the namespace, `web:fmt`.
    #[must_use]
    pub fn called(task: &TaskName) -> &str {
        let name = task.as_str();
        [CHECKS, FIXES].iter().find_map(|space| name.strip_prefix(space)?.strip_prefix(':')).unwrap_or(name)
    }
}
