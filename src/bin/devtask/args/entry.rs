//! What can be typed to enter a tree: its shell, its exports, what is allowed; and for the manual.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, ValueEnum};

use super::{Mode, RunArgs};

#[derive(Args, Debug)]
pub(crate) struct ShellArgs {
    /// A command to run in place of the shell, and its arguments; its exit code is ours
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Who reads it
    #[arg(long, value_enum, value_name = "SHELL")]
    pub(crate) shell: Reader,
}

/// Who reads exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reader {
    /// `eval "$(devtask export --shell bash)"`
    Bash,
    /// `eval "$(devtask export --shell zsh)"`
    Zsh,
    /// `devtask export --shell fish | source`
    Fish,
    /// In .envrc: `eval "$(devtask export --shell direnv)"`; also has direnv watch the task files
    Direnv,
    /// One JSON object
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct AllowArgs {
    /// Print the roots of all trees that are allowed, and allow nothing
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// Whatever is allowed anywhere
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Write devtask.1 and a page for each verb into DIR
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

impl RunArgs {
    /// A run of this task and everything upstream of it, of which nothing else was said.
    pub(crate) fn usual(name: &str) -> Result<Self, clap::Error> {
        #[derive(Parser)]
        struct Usual {
            #[command(flatten)]
            run: RunArgs,
        }
        let Usual { mut run } = Usual::try_parse_from(["devtask", name])?;
        run.mode = Mode::Before;
        Ok(run)
    }
}
