//! git's hooks: putting ours where git looks, beside what was there, and taking it away again without a trace.
//!
//! From git 2.54 on a hook stands in the repository's configuration, beside whatever else runs. Before, there is one script for
//! each event: what was there is kept under another name and run first, and put back byte for byte at the end. What is not
//! ours, or was changed since we wrote it, is never touched. Several trees of tasks in one repository share its hooks: each has
//! an entry of its own in the configuration, or a line of its own in the script.
//!
//! | file | story |
//! |---|---|
//! | `script` | the text of a hook, whether it is still that, and whom it calls (pure) |
//! | `place` | where git looks for hooks |
//! | `entries` | hooks in the configuration |
//! | `file` | the hook that is a script |
//! | `install` | installing, taking away, and how things stand |
//! | `push` | what is pushed, and since when it is new |
//!
//! Floor 8, synchronous. The room knows what to call, and not what that does.

mod entries;
mod file;
mod install;
mod place;
mod push;
mod script;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, io, path::PathBuf};

pub use install::{Done, Manner, Standing, install, status, uninstall};
pub use push::{Pushed, Range, ranges, read_pushed};

use crate::git::{GitError, Version};

/// From this version on git runs the hooks its configuration names.
pub const CONFIGURED: Version = Version(2, 54);

/// When git calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Before a commit is made.
    PreCommit,
    /// Before a merge without conflicts is committed, where git does not ask for `pre-commit`.
    PreMergeCommit,
    /// Before anything is pushed.
    PrePush,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PreCommit, Self::PreMergeCommit, Self::PrePush];

    /// What git calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreCommit => "pre-commit",
            Self::PreMergeCommit => "pre-merge-commit",
            Self::PrePush => "pre-push",
        }
    }

    /// How to do without it once.
    #[must_use]
    pub const fn way_round(self) -> &'static str {
        match self {
            Self::PreCommit => "git commit --no-verify",
            Self::PreMergeCommit => "git merge --no-verify",
            Self::PrePush => "git push --no-verify",
        }
    }

    /// How what git gives to the hook is passed on, if it gives anything.
    const fn arguments(self) -> &'static str {
        match self {
            Self::PreCommit | Self::PreMergeCommit => "",
            Self::PrePush => " \"$@\"",
        }
    }

    /// Whether git says something on stdin, which everything that is called wants to read.
    const fn is_told(self) -> bool {
        matches!(self, Self::PrePush)
    }
}

/// What a hook calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The program, by its absolute path; if it is gone, the one on `PATH` is called.
    pub program: PathBuf,
    /// Where, relative to the top of the work tree; empty for the top.
    pub directory: PathBuf,
}

/// Why a hook could not be installed or taken away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A file could not be read or written.
    #[error("cannot {what} {}: {error}", path.display())]
    File {
        /// What was to be done with it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is ours, but not as we wrote it.
    #[error("{what} was changed since devtask wrote it")]
    Changed {
        /// The file, or the key of the configuration.
        what: String,
    },
    /// There is a hook of somebody's, and one that was kept as well.
    #[error("{} is in the way: a hook was kept there before", .0.display())]
    KeptTwice(PathBuf),
    /// The directory of hooks belongs to the project, or to more than this repository.
    #[error("the hooks of this repository are in {}, which {why}", dir.display())]
    NotOurs {
        /// The directory.
        dir: PathBuf,
        /// The rest of the sentence.
        why: &'static str,
        /// The file of it that people write.
        file: PathBuf,
        /// The line that does there what our hook would.
        line: OsString,
    },
}

impl HookError {
    fn file(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { what, path, error }
    }
}
