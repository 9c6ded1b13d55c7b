//! `devtask graph`.

use devtask::{
    graph::render,
    model::{CheckRole, TaskId, TaskSet},
    plan::{Plan, select},
};

use crate::{
    app::{App, refuse},
    args::{GraphArgs, GraphFormat},
    commands::{affected, out},
    exit::Exit,
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
    let plan = Plan::new(graph, roots, args.mode.into());
    let (scheduled, roots): (&TaskSet, &TaskSet) = (plan.scheduled(), plan.roots());
    let text = match args.format {
        GraphFormat::Tree => render::tree(graph, scheduled, roots),
        GraphFormat::Dot => render::dot(graph, scheduled),
        GraphFormat::Mermaid => render::mermaid(graph, scheduled),
        GraphFormat::Json => format!("{:#}\n", render::json(graph, scheduled, roots)),
    };
    Ok(out(&text))
}
