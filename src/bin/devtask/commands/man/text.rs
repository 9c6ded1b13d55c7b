//! What the manual says that is not said by the options themselves.

/// What the program ends with.
pub(super) const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "Done."),
    ("1", "A task, a check or a process has failed."),
    ("2", "Wrong usage, or a fault of the task files."),
    ("3", "devtask itself has failed, or results could not be saved."),
    ("4", "Nothing matched."),
    ("5", "Something would run (--dry-run)."),
    ("6", "Another devtask holds the tree, and waiting for it was not wanted or makes no sense."),
    ("77", "The tree is not allowed (devtask allow)."),
    ("128+n", "Ended by signal n."),
];

/// Variables that stand for no option: on which pages, the name, and what it says.
pub(super) const ENVIRONMENT: &[(&[&str], &str, &str)] = &[
    (
        &["devtask-check", "devtask-fix", "devtask"],
        "SKIP",
        "Names of checks, separated by commas, that are left out by check and fix, also in a git hook.",
    ),
    (&["devtask-shell"], "SHELL", "The shell that is opened."),
    (
        &["devtask-run", "devtask-check", "devtask-list", "devtask-graph"],
        "GITHUB_BASE_REF",
        "In a job of GitHub Actions, the branch that --affected compares with where none is named.",
    ),
    (&["devtask"], "GITHUB_ACTIONS", "If it is true, --ui auto is github."),
    (
        &["devtask"],
        "NO_COLOR, CLICOLOR, CLICOLOR_FORCE, FORCE_COLOR",
        "Whether there is colour where --color does not say it.",
    ),
    (
        &["devtask"],
        "DEVENV_TASKS, DEVENV_TASK_FILE, DEVENV_ROOT",
        "The tasks of devenv, as JSON or as the file that has it, and the directory they belong to.",
    ),
    (
        &["devtask"],
        "XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_RUNTIME_DIR",
        "Where the user's own settings, state and short-lived files are.",
    ),
];

/// What is read and written.
pub(super) const FILES: &[(&str, &str)] = &[
    ("devtask.toml, devtask.json", "The task file: the nearest one upward from the working directory."),
    (
        ".devtask",
        "Beside the root's task file: what is remembered, logs and events. While nothing runs there, it may be removed.",
    ),
    ("~/.config/devtask/config.toml", "The user's own settings, in a table [settings]."),
    ("~/.local/state/devtask", "What is allowed, and the state of trees that nobody may write to."),
];

/// What people do with it.
pub(super) const EXAMPLES: &[(&str, &str)] = &[
    ("devtask", "Lists the tasks, with what is fresh and what is stale."),
    ("devtask run build", "Runs build and everything it needs, as far as it is not fresh."),
    ("devtask run -n build", "Says what that would run."),
    ("devtask why web:build", "Says why a task would run."),
    ("devtask run --affected '*:test'", "Runs the tests of what the branch has changed."),
    ("devtask watch build", "Runs it again whenever its files change."),
    ("devtask up -d", "Keeps all processes up in the background."),
    ("devtask check --staged", "Checks what is about to be committed."),
    ("devtask shell", "Opens a shell with what tasks export."),
];
