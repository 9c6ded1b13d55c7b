//! What `devtask hooks` takes.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};
use devtask::hooks::Event;

/// What to do with git's hooks.
#[derive(Debug, Subcommand)]
pub(crate) enum HooksVerb {
    /// Have git call devtask before each commit (`devtask check --staged`), or before each push; what is called now is
    /// still called, first
    Install(HookArgs),
    /// Take them away, and put back what was there before
    Uninstall(HookArgs),
    /// Say how they stand; exit code 1 if one is not installed
    Status(HookArgs),
    /// What a hook calls
    #[command(hide = true)]
    Run {
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
    /// Which; default: pre-commit
    #[arg(value_enum)]
    pub(crate) hooks: Vec<HookEvent>,
}

/// When git calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookEvent {
    /// Before a commit is made
    PreCommit,
    /// Before anything is pushed
    PrePush,
}

impl From<HookEvent> for Event {
    fn from(event: HookEvent) -> Self {
        match event {
            HookEvent::PreCommit => Self::PreCommit,
            HookEvent::PrePush => Self::PrePush,
        }
    }
}

impl HookArgs {
    /// Each once.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = self.hooks.iter().map(|event| (*event).into()).collect();
        if events.is_empty() {
            events.push(Event::PreCommit);
        }
        events.sort();
        events.dedup();
        events
    }
}
