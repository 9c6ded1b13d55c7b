//! What `devtask hooks` takes.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use devtask::hooks::Event;

/// What to do with git's hooks.
#[derive(Debug, Subcommand)]
pub(crate) enum HooksVerb {
    /// Have git call devtask for this tree: before each commit `devtask check --staged`, before each push `devtask check`
    /// on what is new for the other side. What git calls now is still called, first
    Install(HookArgs),
    /// Take them away for this tree, and with the last tree put back what was there before
    Uninstall(UninstallArgs),
    /// Say how they stand for this tree; exit code 1 if none is installed, if one that is named is not, or if one does not run
    Status(HookArgs),
    /// What a hook calls
    #[command(hide = true)]
    Run {
        /// The tree, relative to the top of the work tree
        #[arg(long = "in", value_name = "DIR")]
        within: Option<PathBuf>,
        /// Which hook calls
        #[arg(value_enum)]
        hook: HookEvent,
        /// What git gives to it
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct HookArgs {
    /// Which; default: pre-commit to install, else all
    #[arg(value_enum)]
    pub(crate) hooks: Vec<HookEvent>,
}

#[derive(Args, Debug)]
pub(crate) struct UninstallArgs {
    #[command(flatten)]
    pub(crate) which: HookArgs,
    /// For all trees of the repository, also those that are gone
    #[arg(long)]
    pub(crate) all: bool,
}

/// When git calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "git calls them that")]
pub(crate) enum HookEvent {
    /// Before a commit is made: the files in the index
    PreCommit,
    /// Before a merge without conflicts is committed, where git does not ask for pre-commit: the same
    PreMergeCommit,
    /// Before anything is pushed: the files that are new for the other side, as they are in what is pushed
    PrePush,
}

impl From<HookEvent> for Event {
    fn from(event: HookEvent) -> Self {
        match event {
            HookEvent::PreCommit => Self::PreCommit,
            HookEvent::PreMergeCommit => Self::PreMergeCommit,
            HookEvent::PrePush => Self::PrePush,
        }
    }
}

impl HookArgs {
    /// Each once; `usual` if none is named.
    pub(crate) fn events(&self, usual: &[Event]) -> Vec<Event> {
        let mut events: Vec<Event> = self.hooks.iter().map(|event| (*event).into()).collect();
        if events.is_empty() {
            events.extend(usual);
        }
        events.sort();
        events.dedup();
        events
    }
}
