//! `devtask clean` and `devtask prune`: what tasks made, and what is kept of it.

use std::{fmt::Write as _, path::Path};

use devtask::{
    Session, TaskId,
    session::{Pruned, SessionError},
};

use super::{look, out};
use crate::{
    app::{App, Tree, refuse},
    args::{CleanArgs, PruneArgs},
    exit::Exit,
    render::text::{self, count, shown},
};

pub(crate) fn clean(app: &mut App, args: &CleanArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let names = if args.all { every_name(&tree) } else { args.names.clone() };
    within(app, &tree, "devtask clean", |session| {
        let cleaned = session.clean(&names, args.dry_run)?;
        let word = if args.dry_run { "Would remove" } else { "Removed" };
        let mut told = String::new();
        for path in &cleaned.removed {
            line(&mut told, word, path, "");
        }
        for (path, why) in &cleaned.left {
            line(&mut told, "Left", path, &format!("   because {}", shown(why)));
        }
        let (files, tasks) = (cleaned.removed.len(), cleaned.tasks.len());
        let (would, forgotten) = match args.dry_run {
            true => ("would be removed", "would be forgotten"),
            false => ("removed", "forgotten"),
        };
        let _ = writeln!(
            told,
            "{} {would}; {} {forgotten}",
            count(files, "file", "files"),
            count(tasks, "task", "tasks")
        );
        Ok(told)
    })
}

pub(crate) fn prune(app: &mut App, args: &PruneArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let limits = app.cache_limits(&tree.loaded.settings);
    within(app, &tree, "devtask prune", |session| {
        session.prune(limits, args.dry_run).map(|pruned| told(&pruned, args.dry_run))
    })
}

fn told(pruned: &Pruned, is_dry: bool) -> String {
    let would = if is_dry { "would be removed" } else { "removed" };
    let results = count(pruned.results, "result", "results");
    let (freed, left) = (text::bytes(pruned.swept.freed), text::bytes(pruned.swept.left));
    let kept = count(pruned.left, "result", "results");
    format!("{results} {would}, {freed}; {kept} kept, {left}\n")
}

/// Every task by its full name.
fn every_name(tree: &Tree) -> Vec<String> {
    let graph = &tree.graph;
    let is_task = |id: &TaskId| !graph.is_builtin(*id) && graph.task(*id).check.is_none();
    graph.ids().filter(is_task).map(|id| graph.name(id).to_string()).collect()
}

fn line(text: &mut String, word: &str, path: &Path, more: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{word:<17} {}{more}", shown(&path.display().to_string()));
}

/// Does something that nobody else may be in the tree for.
fn within(
    app: &App,
    tree: &Tree,
    label: &str,
    work: impl FnOnce(&Session) -> Result<String, SessionError>,
) -> Result<Exit, Exit> {
    let session = match app.session(tree, label).open_blocking() {
        Ok(session) => session,
        Err(SessionError::Held(_)) => return Err(look::busy()),
        Err(error) => return Err(refuse(&error)),
    };
    let done = work(&session);
    let closed = session.close_blocking();
    let text = done.map_err(|error| refuse(&error))?;
    if let Err(why) = closed {
        crate::app::complain(&why);
        return Err(Exit::Internal);
    }
    Ok(out(&text))
}
