//! What can be typed for runs: what `run` takes, and with it `test` and `watch`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, ValueEnum};

use super::{Up, duration, flag, interval};

/// How much of the graph is scheduled around the named tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Only the named tasks
    Single,
    /// The named tasks and everything upstream of them
    Before,
    /// The named tasks and everything downstream of them
    After,
    /// Upstream, then downstream, then upstream of all that
    All,
}

impl From<Mode> for devtask::plan::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Single => Self::Single,
            Mode::Before => Self::Before,
            Mode::After => Self::After,
            Mode::All => Self::All,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Tasks, namespaces (`ci`) or patterns (`*:lint`); default: the project's tasks no other depends on
    pub(crate) names: Vec<String>,
    /// How much of the graph is scheduled around them
    #[arg(short, long, value_enum, default_value = "before", env = "DEVTASK_MODE", hide_env_values = true)]
    pub(crate) mode: Mode,
    /// Set one key of the input of the named tasks (JSON if it parses, else text)
    #[arg(long = "input", value_name = "KEY=VALUE")]
    pub(crate) inputs: Vec<String>,
    /// Set the input of the named tasks from a JSON object; --input goes on top
    #[arg(long, value_name = "OBJECT")]
    pub(crate) input_json: Option<String>,
    /// Show the output of every task while it runs
    #[arg(long, env = "DEVTASK_SHOW_OUTPUT", hide_env_values = true, value_parser = flag(), num_args = 0, default_missing_value = "true")]
    pub(crate) show_output: Option<bool>,
    /// How many tasks run at once; default: the number of cores
    #[arg(short, long, value_name = "N", env = "DEVTASK_JOBS", hide_env_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) jobs: Option<u32>,
    /// Start nothing new after a failure, and end what runs
    #[arg(long, env = "DEVTASK_FAIL_FAST", hide_env_values = true, value_parser = flag(), num_args = 0, default_missing_value = "true")]
    pub(crate) fail_fast: Option<bool>,
    /// Run the named tasks even if they are fresh
    #[arg(long)]
    pub(crate) force: bool,
    /// Run nothing, say what would run; exit code 5 if something would
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Say why each task runs
    #[arg(long)]
    pub(crate) explain: bool,
    /// Only what the branch has changed since it left BASE, with what is downstream of it [default: the branch it is to go into]
    #[arg(long, value_name = "BASE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) affected: Option<OsString>,
    /// How long each task may take, for example 90s or 5m
    #[arg(long, value_name = "DURATION", value_parser = duration, env = "DEVTASK_TIMEOUT", hide_env_values = true)]
    pub(crate) timeout: Option<Duration>,
    /// How often a failed task is tried again
    #[arg(long, value_name = "N", env = "DEVTASK_RETRIES", hide_env_values = true)]
    pub(crate) retries: Option<u32>,
    /// Fail where a port of a process is taken, instead of giving it the next free one
    #[arg(long, env = "DEVTASK_STRICT_PORTS", hide_env_values = true, value_parser = flag(), num_args = 0, default_missing_value = "true", default_value = "false")]
    pub(crate) strict_ports: bool,
    /// Print the outputs of all tasks as one JSON object; auto: when stdout is no terminal
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "auto",
        env = "DEVTASK_OUTPUTS",
        hide_env_values = true
    )]
    pub(crate) outputs: Outputs,
    /// How many last lines of a failed task are shown [default: 25]
    #[arg(long, value_name = "N", env = "DEVTASK_TAIL", hide_env_values = true)]
    pub(crate) tail: Option<u32>,
    /// What the exit code of a failed run is: 1, or the first failing task's own
    #[arg(
        long,
        value_enum,
        value_name = "WHOSE",
        default_value = "devtask",
        env = "DEVTASK_EXIT_CODE",
        hide_env_values = true
    )]
    pub(crate) exit_code: ExitCodeOf,
    /// Write a page about what took how long to FILE once the run is over, as `report timings` does [default: devtask-timings.html]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "devtask-timings.html", conflicts_with = "dry_run")]
    pub(crate) timings: Option<PathBuf>,
    /// Arguments for the named tasks' scripts, as "$@"
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<OsString>,
}

// What is for named tasks is for `run`: nobody names any here, and all that is around them is run.
#[derive(Args, Debug)]
#[command(mut_arg("names", |arg| arg.hide(true)), mut_arg("mode", |arg| arg.hide(true)))]
#[command(mut_arg("inputs", |arg| arg.hide(true)), mut_arg("input_json", |arg| arg.hide(true)))]
#[command(mut_arg("force", |arg| arg.hide(true)), mut_arg("arguments", |arg| arg.hide(true)))]
#[command(mut_arg("affected", |arg| arg.hide(true)))]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

// What has an end is for `run`.
#[derive(Args, Debug)]
#[command(mut_arg("dry_run", |arg| arg.hide(true)), mut_arg("outputs", |arg| arg.hide(true)))]
#[command(mut_arg("exit_code", |arg| arg.hide(true)), mut_arg("affected", |arg| arg.hide(true)))]
#[command(mut_arg("timings", |arg| arg.hide(true)))]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Watch these files for a command instead of tasks; `!` in front leaves files out. Repeatable. Task
    /// files are of no account; the command is the words behind `--`, or one word for the shell
    #[arg(short = 'g', long = "glob", value_name = "PATTERN")]
    pub(crate) globs: Vec<String>,
    /// How long nothing may change before tasks are looked at. Where changes do not end, they are looked at
    /// after ten times as long, or half a second if that is longer
    #[arg(long, value_name = "DURATION", default_value = "5ms", value_parser = duration, env = "DEVTASK_DEBOUNCE", hide_env_values = true)]
    pub(crate) debounce: Duration,
    /// What becomes of a running task whose files change
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        default_value = "queue",
        env = "DEVTASK_ON_BUSY",
        hide_env_values = true
    )]
    pub(crate) on_busy: OnBusy,
    /// Look at everything so often instead of relying on the system's events
    #[arg(long, value_name = "DURATION", value_parser = interval, env = "DEVTASK_POLL", hide_env_values = true)]
    pub(crate) poll: Option<Duration>,
    /// Where events come from
    #[arg(
        long,
        value_enum,
        value_name = "WHICH",
        conflicts_with = "poll",
        hide_short_help = true,
        env = "DEVTASK_WATCHER",
        hide_env_values = true
    )]
    pub(crate) watcher: Option<Watcher>,
    /// Wait for the first change instead of running everything once
    #[arg(long)]
    pub(crate) no_initial: bool,
    /// Clear the terminal before each cycle
    #[arg(long)]
    pub(crate) clear: bool,
    /// Of `devtask up`.
    #[arg(skip)]
    pub(crate) up: Option<Up>,
}

/// What becomes of a running task whose files change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnBusy {
    /// It runs to its end, and then again
    Queue,
    /// It is ended, and begins anew
    Restart,
}

/// Where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Watcher {
    /// From the system, at once
    Native,
    /// From the system, stitched together
    Debounced,
}

/// Whether outputs go to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Outputs {
    /// When stdout is no terminal
    Auto,
    /// Always
    Json,
    /// Never
    None,
}

/// Whose exit code a failed run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExitCodeOf {
    /// 1
    Devtask,
    /// The first failing task's
    Task,
}

impl WatchArgs {
    /// A watch of which nothing was said.
    pub(crate) fn usual() -> Self {
        #[derive(Parser)]
        struct Usual {
            #[command(flatten)]
            watch: WatchArgs,
        }
        Usual::parse_from(["devtask"]).watch
    }
}
