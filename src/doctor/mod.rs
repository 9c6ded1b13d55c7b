//! What may stand in devtask's way on this machine, in this tree: each thing with what was found, what it means and
//! what mends it.
//!
//! It looks, and tries out in a private directory what the file system can do. Nothing of the project is started: no
//! task, no `status`, no server. It writes to the state directory only; where there is none, to a directory beside the place it
//! would have, which is gone again at the end, for it is that file system that counts.
//!
//! | file | story |
//! |---|---|
//! | `limits` | what the system allows |
//! | `filesystem` | what the file system is, and what it can do: tried out |
//! | `state` | the state directory, the store in it, who holds it, what dead sessions left |
//! | `tools` | git, and the interpreters that tasks name |
//!
//! Floor 10, synchronous.

mod filesystem;
mod limits;
mod state;
#[cfg(test)]
mod tests;
mod tools;

use std::{
    error::Error,
    ffi::{OsStr, OsString},
    path::Path,
    time::Duration,
};

use serde::Serialize;

use crate::graph::TaskGraph;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but less well, or otherwise than one might think.
    Note,
    /// Something does not work, or will not.
    Problem,
}

impl Verdict {
    /// One word for people.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at. Texts may hold names from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: a stable word.
    pub about: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What that means, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// What mends it: a command where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(about: &'static str, found: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Ok, found: found.into(), meaning: None, remedy: None }
    }

    /// It is worth a word.
    #[must_use]
    pub fn note(about: &'static str, found: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, meaning: Some(meaning.into()), ..Self::ok(about, found) }
    }

    /// It does not work.
    #[must_use]
    pub fn problem(about: &'static str, found: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, ..Self::note(about, found, meaning) }
    }

    /// With what mends it.
    #[must_use]
    pub fn mended_by(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

/// What became of loading the task files.
#[derive(Clone, Copy, Debug)]
pub enum Files<'a> {
    /// There is no task file.
    None,
    /// They have so many faults.
    Faulty(usize),
    /// They are in order, but for so many warnings.
    Loaded {
        /// The root of the tree.
        root: &'a Path,
        /// Its tasks.
        graph: &'a TaskGraph,
        /// How many things are worth a word.
        warnings: usize,
    },
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Patient<'a> {
    /// The directory that was started in.
    pub dir: &'a Path,
    /// The task files.
    pub files: Files<'a>,
    /// Where the state lives, or would.
    pub state_dir: Option<&'a Path>,
    /// The environment that tasks would get.
    pub environment: &'a [(OsString, OsString)],
    /// How coarse stamps of files are taken to be.
    pub granularity: Duration,
}

impl Patient<'_> {
    fn root(&self) -> Option<&Path> {
        match self.files {
            Files::Loaded { root, .. } => Some(root),
            Files::None | Files::Faulty(_) => None,
        }
    }

    fn variable(&self, name: &str) -> Option<&OsStr> {
        self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
    }
}

/// Looks at everything that can be looked at from here, in the order to show it in.
#[must_use]
pub fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings = limits::examine(patient);
    if let Some(root) = patient.root() {
        findings.push(filesystem::kind("file system", root));
    }
    if let Some(state_dir) = patient.state_dir {
        findings.extend(state::examine(state_dir, patient.granularity));
    }
    findings.push(tools::git(patient));
    findings.extend(tools::hooks(patient));
    findings.extend(tools::interpreters(patient));
    findings.push(task_files(patient.files));
    findings
}

/// An error with everything that caused it.
fn told(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |error: &&dyn Error| (*error).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn task_files(files: Files<'_>) -> Finding {
    const ABOUT: &str = "task files";
    let count = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
    match files {
        Files::None => Finding::note(ABOUT, "none", "only the machine was looked at"),
        Files::Faulty(faults) => Finding::problem(ABOUT, count(faults, "fault"), "nothing can be run")
            .mended_by("devtask validate"),
        Files::Loaded { graph, warnings, .. } => {
            let tasks = graph.ids().filter(|id| !graph.is_builtin(*id)).count();
            match warnings {
                0 => Finding::ok(ABOUT, count(tasks, "task")),
                _ => Finding::note(
                    ABOUT,
                    format!("{}, {}", count(tasks, "task"), count(warnings, "warning")),
                    "something may not be as it was meant",
                )
                .mended_by("devtask validate"),
            }
        }
    }
}
