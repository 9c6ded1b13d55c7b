//! What can be typed for processes: what keeps them up, and what looks at them.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Mode, WatchArgs, duration, flag, interval};

/// What to do with processes.
#[derive(Debug, Subcommand)]
pub(crate) enum ProcessesVerb {
    /// Show all processes of the tree and how they stand
    List(ListProcessesArgs),
    /// Show how one stands: since when, its ports, how it ended last, what ails it, where its log is
    Status(ProcessStatusArgs),
    /// Show what they wrote last
    Logs(ProcessLogsArgs),
    /// Start them in the background, and wait until they are ready
    Start(WaitArgs),
    /// End them; they stay so until somebody starts them
    Stop(ProcessNames),
    /// End those that are up and start them again, and wait until they are ready
    Restart(RestartArgs),
    /// Wait until they are ready, or cannot be
    Wait(WaitArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListProcessesArgs {
    /// As a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ProcessStatusArgs {
    /// Process, by its short or full name
    pub(crate) name: String,
    /// As a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ProcessNames {
    /// Processes, by their short or full names; default: all that are up
    pub(crate) names: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct WaitArgs {
    /// Processes, by their short or full names; default: all with `start.enable`
    pub(crate) names: Vec<String>,
    /// How long they may take to become ready, for example 90s or 5m; then exit code 1, and they go on
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub(crate) timeout: Duration,
}

// What it is for waiting, but for what is meant without names.
#[derive(Args, Debug)]
#[command(mut_arg("names", |arg| arg.help("Processes, by their short or full names; default: all that are up")))]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ProcessLogsArgs {
    /// Processes, by their short or full names; default: all
    pub(crate) names: Vec<String>,
    /// Go on showing what they write, until Ctrl-C; also -f, which names the task file elsewhere
    #[arg(long)]
    pub(crate) follow: bool,
    /// How many last lines of each
    #[arg(short = 'n', long, value_name = "N", default_value = "25")]
    pub(crate) lines: usize,
}

#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// Processes, by their short or full names; default: all with `start.enable`
    pub(crate) names: Vec<String>,
    /// Keep them up in the background, and return once all are ready; exit code 1 if one is not
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// With --detach: how long they may take to become ready, for example 90s or 5m
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Also run tasks again as their files change, and begin processes anew that rest on what they make
    #[arg(long = "watch")]
    pub(crate) follow: bool,
    /// How much of the graph is scheduled around them
    #[arg(short, long, value_enum, default_value = "before", env = "DEVTASK_MODE", hide_env_values = true)]
    pub(crate) mode: Mode,
    /// Fail where a port of a process is taken, instead of giving it the next free one
    #[arg(long, env = "DEVTASK_STRICT_PORTS", hide_env_values = true, value_parser = flag(), num_args = 0, default_missing_value = "true", default_value = "false")]
    pub(crate) strict_ports: bool,
    /// How many tasks run at once; default: the number of cores
    #[arg(short, long, value_name = "N", env = "DEVTASK_JOBS", hide_env_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) jobs: Option<u32>,
    /// Look at everything so often instead of relying on the system's events
    #[arg(long, value_name = "DURATION", value_parser = interval, env = "DEVTASK_POLL", hide_env_values = true)]
    pub(crate) poll: Option<Duration>,
    /// What is in the background
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub(crate) background: bool,
}

impl UpArgs {
    /// The watch it is.
    pub(crate) fn watch(&self) -> WatchArgs {
        let mut watch = WatchArgs::usual();
        watch.run.mode = self.mode;
        watch.run.strict_ports = self.strict_ports;
        watch.run.jobs = self.jobs;
        watch.poll = self.poll;
        watch.up = Some(Up { follow: self.follow, background: self.background });
        watch
    }
}
/// What `up` makes of a watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Up {
    /// Whether tasks are run again as their files change.
    pub(crate) follow: bool,
    /// Whether nobody looks on.
    pub(crate) background: bool,
}
