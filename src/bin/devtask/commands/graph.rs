//! `devtask graph`.

use std::path::Path;

use devtask::{
    graph::{
        picture::{self, RunSeen},
        render,
    },
    model::{CheckRole, TaskId, TaskSet},
    plan::{Plan, select},
    session::read_run,
};

use crate::{
    app::{App, Tree, internal, refuse},
    args::{GraphArgs, GraphFormat},
    commands::{
        affected, out,
        report::{
            chosen::{Usual, chosen},
            place::Place,
        },
    },
    exit::Exit,
    render::reason,
};

pub(crate) fn graph(app: &mut App, args: &GraphArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let graph = &tree.graph;
    let mut roots: Vec<TaskId> = if args.names.is_empty() {
        let shown = |id: &TaskId| {
            let mut near = graph.upstream(*id).chain(graph.downstream(*id));
            let mends = graph.task(*id).check.as_ref().is_some_and(|check| check.role == CheckRole::Fix);
            !mends && !graph.is_builtin(*id) || near.any(|e| !graph.is_builtin(e.task))
        };
        graph.ids().filter(shown).collect()
    } else {
        let project = tree.loaded.current_project.as_deref();
        select(graph, project, &args.names)
            .map_err(|faults| refuse(&devtask::SessionError::Unknown(faults)))?
    };
    if let Some(base) = &args.affected {
        roots = affected::among(app, &tree, &roots, base)?;
    }
    let run = args.run.as_deref().map(|run| seen(app, &tree, run)).transpose()?;
    let plan = Plan::new(graph, roots, args.mode.into());
    let (scheduled, roots): (&TaskSet, &TaskSet) = (plan.scheduled(), plan.roots());
    let run = run.as_ref();
    let text = match args.format {
        GraphFormat::Tree => render::tree(graph, scheduled, roots, run),
        GraphFormat::Dot => render::dot(graph, scheduled, run),
        GraphFormat::Mermaid => render::mermaid(graph, scheduled, run),
        GraphFormat::Json => format!("{:#}\n", render::json(graph, scheduled, roots, run)),
        GraphFormat::Svg => picture::svg(graph, scheduled, roots, run),
        GraphFormat::Html => picture::page(graph, scheduled, roots, run),
    };
    let place = match &args.output {
        Some(file) if file != Path::new("-") => Place::file(app, file),
        _ => return Ok(out(&text)),
    };
    place.write_like(&text, app.globals.quiet).map(|()| Exit::Done)
}

/// A run as pictures show it.
fn seen(app: &App, tree: &Tree, wanted: &str) -> Result<RunSeen, Exit> {
    let state_dir = app.state_dir(tree);
    let id = chosen(&state_dir, Some(wanted), Usual::Newest)?;
    let events = read_run(&state_dir, &id)
        .map_err(|error| internal(&format!("cannot read the log of run {id}: {error}")))?;
    Ok(RunSeen::new(&id, &events, reason::line))
}
