//! What can be typed. Help, completions and the manual are made from here.

mod cache;
pub(crate) mod check;
mod doctor;
mod entry;
mod hooks;
mod processes;
mod report;
mod run;

use std::{ffi::OsString, path::PathBuf, time::Duration};

pub(crate) use cache::{CleanArgs, PruneArgs};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use devtask::config::parse_size;
pub(crate) use doctor::DoctorArgs;
pub(crate) use entry::{AllowArgs, ExportArgs, ManArgs, Reader, RevokeArgs, ShellArgs};
pub(crate) use hooks::{HookArgs, HooksVerb, UninstallArgs};
pub(crate) use processes::{
    ListProcessesArgs, ProcessLogsArgs, ProcessNames, ProcessStatusArgs, ProcessesVerb, Up, UpArgs, WaitArgs,
};
pub(crate) use report::{ReplayArgs, ReportArgs, ReportVerb, RunsArgs};
pub(crate) use run::{ExitCodeOf, Mode, OnBusy, Outputs, RunArgs, TestArgs, WatchArgs, Watcher};

/// Runs tasks and reruns only what has to be rerun.
#[derive(Debug, Parser)]
#[command(name = "devtask", version, arg_required_else_help = false, max_term_width = 100)]
#[command(after_help = "Without a verb, devtask lists the tasks of the working directory's project.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// Options every verb takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Act as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// Task file; default: the nearest devtask.toml or devtask.json upward
    #[arg(short, long, value_name = "PATH", global = true, env = "DEVTASK_FILE", hide_env_values = true)]
    pub(crate) file: Option<PathBuf>,
    /// Where the state lives; default: .devtask in the root
    #[arg(long, value_name = "PATH", global = true, env = "DEVTASK_STATE_DIR", hide_env_values = true)]
    pub(crate) state_dir: Option<PathBuf>,
    /// How coarse the stamps of files are, for example 20ms; default: 2s, which no file system exceeds
    #[arg(long, value_name = "DURATION", global = true, hide_short_help = true, value_parser = duration, env = "DEVTASK_GRANULARITY", hide_env_values = true)]
    pub(crate) granularity: Option<Duration>,
    /// Exit with 6 instead of waiting for another devtask in the tree
    #[arg(long, global = true, env = "DEVTASK_NO_WAIT", hide_env_values = true, value_parser = flag(), num_args = 0, default_missing_value = "true", default_value = "false")]
    pub(crate) no_wait: bool,
    /// Show failures and their output only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Show the output of every task
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// How progress is shown
    #[arg(long, value_enum, value_name = "HOW", global = true, env = "DEVTASK_UI", hide_env_values = true)]
    pub(crate) ui: Option<Ui>,
    /// When to use colour
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        global = true,
        env = "DEVTASK_COLOR",
        hide_env_values = true
    )]
    pub(crate) color: Option<When>,
    /// Write every event as a JSON line to PATH, or `-` for stdout
    #[arg(long, value_name = "PATH", global = true, env = "DEVTASK_EVENTS", hide_env_values = true)]
    pub(crate) events: Option<PathBuf>,
    /// How much of earlier results is kept, such as `500MiB`; default: 1GiB
    #[arg(long, value_name = "SIZE", global = true, hide_short_help = true, value_parser = size, env = "DEVTASK_CACHE_SIZE", hide_env_values = true)]
    pub(crate) cache_size: Option<u64>,
    /// For how long a result is kept that does not come back; default: 30d
    #[arg(long, value_name = "DURATION", global = true, hide_short_help = true, value_parser = duration, env = "DEVTASK_CACHE_AGE", hide_env_values = true)]
    pub(crate) cache_age: Option<Duration>,
    /// Ignore what is known to be fresh, and status commands; still record
    #[arg(long, global = true, env = "DEVTASK_REFRESH_TASK_CACHE", hide_env_values = true, value_parser = flag(), num_args = 0, default_missing_value = "true", default_value = "false")]
    pub(crate) refresh_task_cache: bool,
}

/// A switch that an environment variable may set: `1`, `true`, `yes`, `on` and their opposites.
fn flag() -> clap::builder::BoolishValueParser {
    clap::builder::BoolishValueParser::new()
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ui {
    /// A live region on a terminal, else plain lines
    Auto,
    /// A live region of at most eight rows below the lines
    Inline,
    /// Plain lines
    Plain,
    /// The log of a GitHub Actions job; what `auto` is where GITHUB_ACTIONS is `true`
    Github,
    /// Nothing but failures
    None,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal; NO_COLOR, CLICOLOR, CLICOLOR_FORCE and FORCE_COLOR are honoured
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run tasks that are not fresh, with everything upstream of them
    Run(Box<RunArgs>),
    /// Run tasks, and run them again as their files change
    Watch(Box<WatchArgs>),
    /// Start processes with everything they need, and keep them up
    Up(Box<UpArgs>),
    /// End all processes that are up in the tree, and the `devtask up` that keeps them
    Down,
    /// Look on at what `devtask up` or `devtask watch` does elsewhere in the tree
    Attach,
    /// See how processes stand and what they write; start, end, restart them, wait for them
    Processes {
        #[command(subcommand)]
        verb: ProcessesVerb,
    },
    /// Run the tests: what hooks into `devenv:enterTest`, with the processes it needs
    Test(Box<TestArgs>),
    /// Run checks on files: in a git hook on what is staged, without touching work tree, index or stash
    #[command(after_help = check::AFTER_CHECK)]
    Check(Box<check::CheckArgs>),
    /// Mend what checks find, and put what was staged into the index again
    #[command(after_help = check::AFTER_FIX)]
    Fix(Box<check::CheckArgs>),
    /// Open a shell, or run a command, with what tasks export that hook into `devenv:enterShell`
    Shell(ShellArgs),
    /// Print what tasks export that hook into `devenv:enterShell`, for a shell or direnv; the tree has to be allowed
    Export(ExportArgs),
    /// Allow what is done without being asked for, as `devtask export` is, for as long as the task files stay the same
    Allow(AllowArgs),
    /// Take back what `devtask allow` has allowed here, or everywhere
    Revoke(RevokeArgs),
    /// List tasks as a tree, with what is fresh and what is stale
    List(ListArgs),
    /// Show everything that is declared about one task
    Show(NameArgs),
    /// Say why a task would run, or what was compared if it would not
    Why(WhyArgs),
    /// Draw the graph
    Graph(GraphArgs),
    /// Propose a devtask.toml from what other tools have left here; run and write nothing
    Init(InitArgs),
    /// Check the task files and run nothing
    Validate,
    /// Print the JSON Schema of task files
    Schema,
    /// Print a shell's completion script
    Completions(CompletionsArgs),
    /// Print the manual, or write its pages
    Man(ManArgs),
    /// Show the log of a task's last execution
    Logs(LogsArgs),
    /// Remove the declared outputs of tasks, and what is remembered of them
    Clean(CleanArgs),
    /// Remove earlier results that are too old, too much, or cannot come back any more
    Prune(PruneArgs),
    /// Make a page, a trace or a list of what runs have left
    Report {
        #[command(subcommand)]
        verb: ReportVerb,
    },
    /// Show a run again, as `devtask run` has shown it
    #[command(after_help = report::WHICH_NEWEST)]
    Replay(ReplayArgs),
    /// Have git call devtask before commits and pushes
    Hooks {
        #[command(subcommand)]
        verb: HooksVerb,
    },
    /// See what may stand in the way on this machine, and what mends it; exit code 1 if something does
    Doctor(DoctorArgs),
    /// For who writes a task server
    Tsp {
        #[command(subcommand)]
        verb: TspVerb,
    },
    /// devenv's spelling: `tasks run`, `tasks list`
    #[command(hide = true)]
    Tasks {
        #[command(subcommand)]
        verb: TasksVerb,
    },
    /// Print names for completion scripts
    #[command(hide = true, name = "__complete")]
    Complete {
        /// Of what
        #[arg(value_enum, default_value = "tasks")]
        of: Named,
    },
}

#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// Write what is proposed: devtask.toml here, and one in each member of a workspace; never over another
    #[arg(long)]
    pub(crate) write: bool,
}

/// What has names to be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Named {
    /// Tasks
    Tasks,
    /// Tasks, and checks as tasks
    Known,
    /// Processes, by their short names
    Processes,
    /// Checks
    Checks,
}

/// devenv's verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum TasksVerb {
    /// Like `devtask run`
    Run(Box<RunArgs>),
    /// Like `devtask list`
    List(ListArgs),
}

#[derive(Args, Debug, Default)]
pub(crate) struct ListArgs {
    /// Tasks, namespaces or patterns; default: the project's
    pub(crate) names: Vec<String>,
    /// Only what the branch has changed since it left BASE, with what is downstream of it [default: the branch it is to go into]
    #[arg(long, value_name = "BASE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) affected: Option<OsString>,
    /// As a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct NameArgs {
    /// The task
    pub(crate) name: String,
    /// As a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct WhyArgs {
    /// The task
    pub(crate) name: String,
    /// Say what did happen in the last run instead of what would happen now
    #[arg(long)]
    pub(crate) last: bool,
    /// As a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct GraphArgs {
    /// Tasks, namespaces or patterns; default: everything
    pub(crate) names: Vec<String>,
    /// How it is drawn
    #[arg(long, value_enum, default_value = "tree")]
    pub(crate) format: GraphFormat,
    /// How much of the graph is drawn around the named tasks
    #[arg(short, long, value_enum, default_value = "before")]
    pub(crate) mode: Mode,
    /// Only what the branch has changed since it left BASE, with what is downstream of it [default: the branch it is to go into]
    #[arg(long, value_name = "BASE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) affected: Option<OsString>,
    /// Show how the tasks fared in a run: an id, its beginning, or `last`
    #[arg(long, value_name = "RUN", num_args = 0..=1, require_equals = true, default_missing_value = "last")]
    pub(crate) run: Option<String>,
    /// Write it to a file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// How the graph is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Lines for a terminal
    Tree,
    /// Graphviz
    Dot,
    /// Mermaid, for Markdown
    Mermaid,
    /// JSON
    Json,
    /// An image
    Svg,
    /// A page to look around in
    Html,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    /// The task; without it, the tasks that have a log
    pub(crate) name: Option<String>,
    /// Of this run instead of the last that executed the task
    #[arg(long, value_name = "RUN", allow_negative_numbers = true)]
    pub(crate) run: Option<String>,
    /// Print the path of the log instead of its content
    #[arg(long)]
    pub(crate) path: bool,
}

/// What to do for who writes a task server.
#[derive(Debug, Subcommand)]
pub(crate) enum TspVerb {
    /// Check whether a server keeps to the Task Server Protocol; exit code 1 if it does not
    Check(CheckArgs),
    /// Speak to a server by hand: each line of stdin is said to it, or what follows `> ` in it; lines that begin with `<` or
    /// `#` are passed over. What it says is printed
    Talk(TalkArgs),
}

#[derive(Args, Debug)]
pub(crate) struct TalkArgs {
    /// How long it may take to start, and say nothing while an answer is missing
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// The server and its arguments; it gets the path of its socket as one more
    #[arg(value_name = "CMD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// The task to run again and again, by its name in the server's list; default: one without `depends`
    #[arg(long, value_name = "NAME")]
    pub(crate) task: Option<String>,
    /// A task that runs until it is cancelled
    #[arg(long, value_name = "NAME")]
    pub(crate) slow: Option<String>,
    /// How long it may take to start, for each answer, and to end, for example 500ms or 1m
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// As a JSON array
    #[arg(long)]
    pub(crate) json: bool,
    /// The server and its arguments; it gets the path of its socket as one more
    #[arg(value_name = "CMD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

/// How often to look at everything: more often than this nothing else would be done.
fn interval(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(10);
    match duration(text)? {
        interval if interval < LEAST => {
            Err("more often than every 10ms is no use; write for example 1s".to_owned())
        }
        interval => Ok(interval),
    }
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| "no amount of bytes; write for example 500MiB or 1GiB".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    // Longer than anything runs, and short enough to be reckoned with.
    const MOST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|e| format!("{e}; write for example 90s or 5m")),
    }?;
    if duration > MOST { Err("more than a hundred years".to_owned()) } else { Ok(duration) }
}
