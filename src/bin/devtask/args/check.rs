//! What can be typed for checks.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Args;

use super::{WatchArgs, duration, flag};

/// What is said behind the options of `check`.
pub(crate) const AFTER_CHECK: &str = "\
SKIP=fmt,web:lint in the environment leaves these checks out.

Exit codes: 0 all have passed, 1 one has failed, 2 wrong usage or a fault of the task files, 4 there is no such \
check, 5 something would run (-n). `devtask man` has all of them.";

/// What is said behind the options of `fix`.
pub(crate) const AFTER_FIX: &str = "\
Checks without a `fix` are passed over; `devtask check` says what they find. SKIP=fmt,web:lint in the environment \
leaves these out.

Exit codes: 0 all is done, 1 a fix has failed, 2 wrong usage or a fault of the task files, 4 there is no such \
check, 5 something would run (-n). `devtask man` has all of them.";

// What a run can be told, but for what makes no sense of checks.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Checks by name (`fmt`, `web:fmt`, `web`, `*:fmt`), and files; default: all checks of the project, on all files
    #[arg(value_name = "CHECK|FILE")]
    pub(crate) names: Vec<OsString>,
    /// How many run at once; default: the number of cores
    #[arg(short, long, value_name = "N", env = "DEVTASK_JOBS", hide_env_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) jobs: Option<u32>,
    /// Start nothing new after a failure, and end what runs
    #[arg(long, env = "DEVTASK_FAIL_FAST", hide_env_values = true, value_parser = flag(), num_args = 0, default_missing_value = "true")]
    pub(crate) fail_fast: Option<bool>,
    /// Also what has passed before
    #[arg(long)]
    pub(crate) force: bool,
    /// Run nothing, say what would run on which files; exit code 5 if something would
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Say why each runs, and on which files
    #[arg(long)]
    pub(crate) explain: bool,
    /// Show all output while it is written
    #[arg(long, env = "DEVTASK_SHOW_OUTPUT", hide_env_values = true, value_parser = flag(), num_args = 0, default_missing_value = "true")]
    pub(crate) show_output: Option<bool>,
    /// How long each may take, for example 90s or 5m
    #[arg(long, value_name = "DURATION", value_parser = duration, env = "DEVTASK_TIMEOUT", hide_env_values = true)]
    pub(crate) timeout: Option<Duration>,
    /// How many last lines of a failed one are shown [default: 25]
    #[arg(long, value_name = "N", env = "DEVTASK_TAIL", hide_env_values = true)]
    pub(crate) tail: Option<u32>,
    // Last: its heading counts for whatever comes behind it.
    #[command(flatten)]
    pub(crate) set: FileSet,
}

/// Which files. One of these at most.
#[derive(Args, Debug)]
#[group(multiple = true)]
#[command(next_help_heading = "Which files")]
pub(crate) struct FileSet {
    /// What is about to be committed, as it is in the index; the default in a git hook
    #[arg(long, conflicts_with_all = ["all_files", "files", "files0_from", "from_ref", "affected"])]
    pub(crate) staged: bool,
    /// All files that git does not ignore; the default elsewhere
    #[arg(long, conflicts_with_all = ["files", "files0_from", "from_ref", "affected"])]
    pub(crate) all_files: bool,
    /// Take every NAME for a file
    #[arg(long, conflicts_with_all = ["files0_from", "from_ref", "affected"])]
    pub(crate) files: bool,
    /// The files whose names stand in FILE, each ended by NUL; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from_ref", "affected"])]
    pub(crate) files0_from: Option<PathBuf>,
    /// What changed since REF and --to-ref have parted, as it is in --to-ref
    #[arg(long, value_name = "REF", conflicts_with = "affected")]
    pub(crate) from_ref: Option<OsString>,
    /// See --from-ref [default: HEAD]
    #[arg(long, value_name = "REF", requires = "from_ref")]
    pub(crate) to_ref: Option<OsString>,
    /// What the branch changed since it left BASE, with what is not committed yet [default: the branch it is to go into]
    #[arg(long, value_name = "BASE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) affected: Option<OsString>,
}

impl CheckArgs {
    /// The run it is, of the tasks with these names.
    pub(crate) fn run(&self, names: Vec<String>) -> super::RunArgs {
        let mut run = WatchArgs::usual().run;
        run.names = names;
        run.mode = super::Mode::Before;
        run.outputs = super::Outputs::None;
        (run.jobs, run.fail_fast, run.force, run.dry_run) =
            (self.jobs, self.fail_fast, self.force, self.dry_run);
        (run.explain, run.show_output) = (self.explain, self.show_output);
        (run.timeout, run.tail) = (self.timeout, self.tail);
        run
    }
}
