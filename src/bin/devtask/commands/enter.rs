//! The environment of a tree: what hooks into `devenv:enterShell` is run as `devtask run` would, and what it exports
//! is what one finds who enters (spec section 7).
//!
//! A shell is like a task after `devenv:enterShell` in the root's file: it has that file's `[env]` and dotenv variables,
//! the exports over them, and the directories over these.

use std::{env, os::unix::ffi::OsStrExt};

use devtask::{
    TaskGraph,
    event::RunStatus,
    graph::ENTER_SHELL,
    loader::Kind,
    session::RunSummary,
    shell::{Environment, Variables},
};
use serde_json::Map;

use super::{errand::Errand, run::Stage};
use crate::{
    app::{App, Tree, misused},
    args::RunArgs,
    console::{Ended, Events},
    exit::Exit,
    render::text::{output_line, shown},
};

/// What came of entering.
pub(crate) struct Entered {
    pub(crate) environment: Environment,
    /// What tasks want to be said once one is in, as lines for a terminal.
    pub(crate) messages: Vec<String>,
    /// Whether a task failed whose failure counts: what it exports is missing.
    pub(crate) failed: bool,
    /// Whether what was done is remembered.
    pub(crate) is_saved: bool,
}

/// Runs what hooks into `devenv:enterShell`, and lets go of the tree. `label`: how others are told what this is.
pub(crate) fn enter(app: &App, tree: &Tree, label: &str) -> Result<Entered, Exit> {
    let mut summary = None;
    if is_hooked(&tree.graph) {
        let args = RunArgs::usual(ENTER_SHELL).map_err(|error| misused(error.to_string().trim_end()))?;
        let (inputs, events) = (Map::new(), Events::open(app)?);
        if events.use_stdout() {
            return Err(misused(
                "`--events -` wants stdout, which is not for events here; send them to a file",
            ));
        }
        let errand = Errand::entry(&args, &inputs, label);
        let ended = Stage { app, tree, errand }.run(events.to)?;
        if let (RunStatus::Interrupted, Some(signal)) = (ended.summary.status, ended.signal) {
            return Err(Exit::Signal(signal));
        }
        let Ended { summary: ended, .. } = ended;
        summary = Some(ended);
    }
    let failed = summary.as_ref().is_some_and(|s| s.status != RunStatus::Succeeded || s.internal_failure);
    let is_saved = summary.as_ref().is_none_or(|summary| summary.not_saved.is_none());
    let (exports, messages) = summary.map_or_else(Default::default, handed_on);
    Ok(Entered { environment: environment(app, tree, exports), messages, failed, is_saved })
}

fn handed_on(summary: RunSummary) -> (Variables, Vec<String>) {
    let lines = summary.messages.iter().flat_map(|(_, text)| text.lines());
    let messages = lines.map(|line| output_line(line, false)).collect();
    (summary.exports, messages)
}

/// Whether anything hooks into the entry of the shell.
fn is_hooked(graph: &TaskGraph) -> bool {
    graph
        .id(ENTER_SHELL)
        .is_some_and(|id| graph.task(id).has_command() || graph.upstream(id).next().is_some())
}

fn environment(app: &App, tree: &Tree, exports: Variables) -> Environment {
    let own = tree.loaded.env.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes()));
    let variables: Variables = own.chain(exports).collect();
    let path = env::var_os("PATH");
    let state_dir = app.state_dir(tree);
    let directories = [
        ("DEVENV_ROOT", tree.loaded.root.clone()),
        ("DEVENV_DOTFILE", state_dir.clone()),
        ("DEVENV_STATE", state_dir.join("state")),
    ];
    // Where a devenv shell has set them they stay what they are, as in its tasks (spec section 3).
    let is_kept = |name: &str| tree.loaded.kind == Kind::Devenv && env::var_os(name).is_some();
    let environment = Environment::new(variables, path.as_deref().map(OsStrExt::as_bytes));
    directories
        .into_iter()
        .filter(|(name, _)| !is_kept(name))
        .fold(environment, |environment, (name, path)| environment.with(name, path.as_os_str().as_bytes()))
}

/// Says what of an environment nobody should overlook: names, never values (hazard C20).
pub(crate) fn tell_of(environment: &Environment, left_out: &[&str]) {
    let list = |names: &[&str]| names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    let reserved: Vec<&str> = environment.reserved.iter().map(String::as_str).collect();
    for (names, why) in [
        (environment.far_reaching().as_slice(), "exported, which changes how other programs run"),
        (&reserved, "left out: devtask's own"),
        (left_out, "left out: cannot be set there"),
    ] {
        if !names.is_empty() {
            eprintln!("warning: {}: {why}", list(names));
        }
    }
}
