//! The tables of a task file. Keys, types and descriptions stand here and nowhere else; the schema is
//! made from them (spec sections 1 and 6).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{
    process::{HttpGet, Listen, ProcessFields, Ready, Restart, Shutdown, Start, Watchdog},
    table::{Both, Fields, table},
    types::{CommandLine, Dict, JsonTable, List, Seconds, Size, words},
    watch::Watch,
};

table! {
    /// A devtask task file.
    struct File called "a task file" {
        /// The address of this schema, for editors.
        "$schema" => schema: String;
        /// The project's name, the namespace of its tasks. Default: the name of the file's directory.
        "name" => name: String;
        /// Globs of directories, relative to this file, whose task files belong to the same tree.
        "include" => include: List<String>;
        /// Variables for every task of this file.
        "env" => env: Dict<String>;
        /// Files of `KEY=VALUE` lines, relative to this file; later ones win, and `env` wins over them.
        /// A missing one is skipped.
        "dotenv" => dotenv: List<String>;
        /// Tasks by name. A name without a colon belongs to this project: `build` in `web` is `web:build`.
        "tasks" => tasks: Dict<Both<Common, Task>>;
        /// Long-running processes by name.
        "processes" => processes: Dict<Both<Common, ProcessFields>>;
        /// Settings of the tree; those of the root's file count.
        "settings" => settings: SettingsTable;
        /// Checks by name: what `devtask check` and `devtask fix` do with changed files.
        "checks" => checks: Dict<Both<Common, CheckFields>>;
        /// Task servers by name: programs that list tasks and run them.
        "servers" => servers: Dict<Server>;
        /// devenv's place for task servers.
        "task" => task: TaskServers;
    }
}

table! {
    /// What tasks and processes have in common.
    struct Common called "a task" {
        /// Script text, run by `package`.
        "exec" => exec: String;
        /// The interpreter: a program looked up on PATH, or a path. Default: `bash`.
        "package" => package: String;
        /// The name of the interpreter's program where it differs from that of the package.
        "binary" => binary: String;
        /// Tasks this one runs after, each with an optional `@started`, `@ready`, `@succeeded` or `@completed`.
        "after" => after: List<String>;
        /// Tasks this one runs before, each with an optional suffix as in `after`.
        "before" => before: List<String>;
        /// The directory it runs in, relative to this file. Default: the directory of this file.
        "cwd" => cwd: String;
        /// JSON for `$DEVENV_TASK_INPUT`.
        "input" => input: JsonTable;
        /// Variables.
        "env" => env: Dict<String>;
        /// One line for people.
        "description" => description: String;
        /// Always show its output.
        "showOutput" => show_output: bool;
    }
}

table! {
    /// A task.
    struct Task called "a task" {
        /// Script text that runs first; when it exits with 0, `exec` is skipped.
        "status" => status: String;
        /// Files, directories, globs and `!`negations, relative to `cwd`. It runs only when one of these changed.
        "execIfModified" => exec_if_modified: List<String>;
        /// The files it produces, relative to `cwd`; an empty list: none. They are kept, and put back instead of running it
        /// again.
        "outputs" => outputs: List<String>;
        /// Whether what it left may come back instead of running it; `false` where `outputs` are not all it produces.
        "restore" => restore: bool;
        /// Names, or `PREFIX_*`, of variables of the surrounding environment that count as inputs.
        "trackEnv" => track_env: List<String>;
        /// Shell variables whose values become exports (bash only).
        "exports" => exports: List<String>;
        /// Whether it ends by itself.
        "type" => kind: Type;
        /// What only processes have, where `type` is `process`.
        "process" => process: ProcessFields;
        /// How long it may take: seconds, or text such as `30s`.
        "timeout" => timeout: Seconds;
        /// How often it is tried again after a failure.
        "retries" => retries: u32;
        /// Whether it owns the terminal while it runs, alone.
        "interactive" => interactive: bool;
        /// The name of a lock it holds while it runs.
        "lock" => lock: String;
    }
}

table! {
    /// A check.
    struct CheckFields called "a check" {
        /// The files it is about: patterns relative to `cwd`. Default: every file beneath it.
        "files" => files: List<String>;
        /// Whether it gets these files as arguments (`"$@"`). Each is looked at by itself then: one that has passed is not
        /// passed again until it changes.
        "pass_files" => pass_files: bool;
        /// Script text that mends what `exec` finds, for `devtask fix`. It gets the same arguments.
        "fix" => fix: String;
        /// What else it rests on, such as its configuration: when one of these changed, everything is checked again.
        "execIfModified" => exec_if_modified: List<String>;
        /// Names, or `PREFIX_*`, of variables of the surrounding environment that count as inputs.
        "trackEnv" => track_env: List<String>;
        /// Ignored directories, relative to this file, that are shown to it where it runs in a checkout of the index.
        "link" => link: List<String>;
        /// How long it may take: seconds, or text such as `30s`.
        "timeout" => timeout: Seconds;
        /// The name of a lock it holds while it runs.
        "lock" => lock: String;
    }
}

words! {
    /// Whether a task ends by itself.
    pub(super) enum Type {
        /// It runs to its end.
        OneShot = "oneshot",
        /// It stays up until it is stopped.
        Process = "process",
    }
}

table! {
    /// Settings of the tree.
    struct SettingsTable called "`settings`" {
        /// How many tasks run at once. Default: the number of cores.
        "jobs" => jobs: u32;
        /// How many last lines of a failed task are shown.
        "tail" => tail: u32;
        /// Start nothing new after a failure.
        "fail_fast" => fail_fast: bool;
        /// Show the output of every task.
        "show_output" => show_output: bool;
        /// How progress is shown.
        "ui" => ui: Ui;
        /// Whether output is coloured.
        "color" => color: Color;
        /// How much of earlier results is kept, in bytes or as text such as `1GiB`. Default: 1 GiB.
        "cache_size" => cache_size: Size;
        /// For how long one is kept that does not come back: seconds, or text such as `30d`. Default: 30 days.
        "cache_age" => cache_age: Seconds;
    }
}

words! {
    /// How progress is shown.
    pub enum Ui {
        /// Live on a terminal, plain lines elsewhere.
        Auto = "auto",
        /// A live region below the finished lines.
        Inline = "inline",
        /// Plain lines.
        Plain = "plain",
        /// Nothing but failures' output.
        None = "none",
    }
}

words! {
    /// Whether output is coloured.
    pub enum Color {
        /// On a terminal.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

table! {
    /// A task server.
    struct Server called "a server" {
        /// The program that is started, looked up on PATH or relative to this file, and its arguments.
        "command" => command: CommandLine, required;
        /// What it is made of: files, directories and globs, relative to this file. When one of these changes it is asked
        /// for its tasks again, and they run again. The files named in `command` count anyway.
        "watch" => watch: List<String>;
        /// Variables.
        "env" => env: Dict<String>;
        /// How long it may take to start and to tell its tasks. Default: 5 s.
        "startTimeout" => start_timeout: Seconds;
    }
}

table! {
    /// devenv's place for task servers.
    struct TaskServers called "`task`" {
        /// Executables that serve tasks.
        "serverProtocol" => server_protocol: List<String>;
    }
}

/// Which table an unknown key belongs to, if it is a key of another one.
pub(super) fn owner(key: &str) -> Option<&'static str> {
    fn has<T: Fields>() -> (&'static str, Vec<&'static str>) {
        (T::CALLED, T::keys())
    }
    [
        has::<Common>(),
        has::<Task>(),
        has::<ProcessFields>(),
        has::<CheckFields>(),
        has::<Ready>(),
        has::<HttpGet>(),
        has::<Restart>(),
        has::<Shutdown>(),
        has::<Start>(),
        has::<Watch>(),
        has::<Listen>(),
        has::<Watchdog>(),
        has::<SettingsTable>(),
        has::<Server>(),
        has::<File>(),
    ]
    .into_iter()
    .find(|(_, keys)| keys.contains(&key))
    .map(|(called, _)| called)
}

/// What other tools call one of our keys, with our word for it.
pub(super) fn synonym(key: &str) -> Option<&'static str> {
    [
        ("command", "exec"),
        ("cmd", "exec"),
        ("run", "exec"),
        ("script", "exec"),
        ("deps", "after"),
        ("depends_on", "after"),
        ("dependsOn", "after"),
        ("dir", "cwd"),
        ("sources", "execIfModified"),
        ("generates", "outputs"),
        ("desc", "description"),
        ("pass_filenames", "pass_files"),
        ("entry", "exec"),
    ]
    .into_iter()
    .find(|(other, _)| *other == key)
    .map(|(_, ours)| ours)
}
