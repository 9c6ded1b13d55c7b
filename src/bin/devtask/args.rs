//! What can be typed. Help, completions and the manual are made from here.

pub(crate) mod check;
mod doctor;
mod entry;
mod hooks;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
pub(crate) use doctor::DoctorArgs;
pub(crate) use hooks::{HookArgs, HookEvent, HooksVerb};

pub(crate) use entry::{AllowArgs, ExportArgs, ManArgs, Reader, RevokeArgs, ShellArgs};

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

/// What `up` makes of a watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Up {
    /// Whether tasks are run again as their files change.
    pub(crate) follow: bool,
    /// Whether nobody looks on.
    pub(crate) background: bool,
}

/// devenv's verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum TasksVerb {
    /// Like `devtask run`
    Run(Box<RunArgs>),
    /// Like `devtask list`
    List(ListArgs),
}

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
    #[arg(long, value_name = "RUN")]
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

fn duration(text: &str) -> Result<Duration, String> {
    // Longer than anything runs, and short enough to be reckoned with.
    const MOST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|e| format!("{e}; write for example 90s or 5m")),
    }?;
    if duration > MOST { Err("more than a hundred years".to_owned()) } else { Ok(duration) }
}
