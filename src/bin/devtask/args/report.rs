//! What can be typed for reports of runs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::flag;

/// What is made of the log of a run.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportVerb {
    /// A page that shows what took how long, what waited, and the critical path
    #[command(after_help = WHICH_EXECUTED)]
    Timings(ReportArgs),
    /// Trace events, for Perfetto (ui.perfetto.dev) and other readers of Chrome's format
    #[command(after_help = WHICH_EXECUTED)]
    Trace(ReportArgs),
    /// JUnit XML, for what shows tests
    #[command(after_help = WHICH_NEWEST)]
    Junit(ReportArgs),
    /// List the runs that are known, newest first
    Runs(RunsArgs),
}

/// How a run is named.
const WHICH_EXECUTED: &str = "RUN is an id or how one begins, `last` (or `-1`) for the newest run, `-2` for the one \
    before it, and so on. Without it, it is the newest run that executed something.";
pub(super) const WHICH_NEWEST: &str = "RUN is an id or how one begins, `last` (or `-1`) for the newest run, `-2` for \
    the one before it, and so on. Without it, it is the newest run.";

#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Which run
    #[arg(value_name = "RUN", allow_negative_numbers = true)]
    pub(crate) run: Option<String>,
    /// Write it to FILE, or `-` for stdout. Default: stdout, and a file of a usual name here where that is a terminal
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct RunsArgs {
    /// How many
    #[arg(short = 'n', long = "number", value_name = "N", default_value_t = 20)]
    pub(crate) number: usize,
    /// As a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Which run
    #[arg(value_name = "RUN", allow_negative_numbers = true)]
    pub(crate) run: Option<String>,
    /// Show what every task wrote, as far as it is kept
    #[arg(long, env = "DEVTASK_SHOW_OUTPUT", hide_env_values = true, value_parser = flag(), num_args = 0, default_missing_value = "true")]
    pub(crate) show_output: Option<bool>,
    /// Say why each task ran
    #[arg(long)]
    pub(crate) explain: bool,
    /// How many last lines of a failed task are shown [default: 25]
    #[arg(long, value_name = "N", env = "DEVTASK_TAIL", hide_env_values = true)]
    pub(crate) tail: Option<u32>,
}
