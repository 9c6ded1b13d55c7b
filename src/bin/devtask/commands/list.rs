//! `devtask list`, and `devtask` alone.

use devtask::{
    TaskGraph,
    graph::render::{Elsewhere, Row, rows},
    model::{CheckRole, TaskId, TaskSet},
    plan::{Mode, Plan, default_selection, select},
    store::now_ms,
};
use serde_json::{Value, json};

use crate::{
    app::{App, Tree, refuse},
    args::ListArgs,
    commands::{
        affected,
        look::{BUSY, Look, look},
        out,
        show::{edges, place},
    },
    exit::Exit,
    render::text::{ago, millis, shown},
};

/// What follows the list of `devtask` alone.
const HINTS: &str = "\n\
devtask run [NAMES]   run what is not fresh\n\
devtask why NAME      say why a task would run\n\
devtask --help        everything else\n";

pub(crate) fn list(app: &mut App, args: &ListArgs, hints: bool) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let mut roots = roots(&tree, &args.names)?;
    if let Some(base) = &args.affected {
        roots = affected::among(app, &tree, &roots, base)?;
    }
    let plan = Plan::new(&tree.graph, roots.iter().copied(), Mode::Before);
    let names: Vec<String> = roots.iter().map(|id| tree.graph.name(*id).to_string()).collect();
    let look = if names.is_empty() { Some(Look::default()) } else { look(app, &tree, &names)? };
    if look.is_none() {
        eprintln!("note: {BUSY}, so what is fresh is not known");
    }
    let look = look.unwrap_or_default();
    if args.json {
        let all: Vec<Value> = plan.order().iter().map(|id| as_json(&tree, *id, &look)).collect();
        return Ok(out(&format!("{:#}\n", Value::Array(all))));
    }
    let mut text = as_tree(&tree, &plan, &look);
    if text.is_empty() {
        let nothing = if args.affected.is_some() { affected::NOTHING } else { "There are no tasks here." };
        eprintln!("{nothing}");
    }
    if hints {
        text.push_str(HINTS);
    }
    Ok(out(&text))
}

/// The named tasks; without names all of the project's, and events that something hooks into.
fn roots(tree: &Tree, names: &[String]) -> Result<Vec<TaskId>, Exit> {
    let graph = &tree.graph;
    let project = tree.loaded.current_project.as_deref();
    if !names.is_empty() {
        return select(graph, project, names)
            .map_err(|faults| refuse(&devtask::SessionError::Unknown(faults)));
    }
    let root = tree.loaded.projects.first().map(|p| p.name.as_str());
    let only = project.filter(|p| Some(*p) != root);
    let listed = |id: &TaskId| {
        if graph.is_builtin(*id) {
            only.is_none() && is_hooked(graph, *id)
        } else {
            let task = graph.task(*id);
            let mends = task.check.as_ref().is_some_and(|check| check.role == CheckRole::Fix);
            !mends && only.is_none_or(|p| &*task.project == p)
        }
    };
    Ok(graph.ids().filter(listed).collect())
}

/// Whether something of a file hooks into a built-in event.
fn is_hooked(graph: &TaskGraph, event: TaskId) -> bool {
    graph.upstream(event).chain(graph.downstream(event)).any(|edge| !graph.is_builtin(edge.task))
}

fn as_tree(tree: &Tree, plan: &Plan, look: &Look) -> String {
    let graph = &tree.graph;
    let tops: TaskSet = default_selection(graph, None).into_iter().collect();
    let hidden = |row: &Row| graph.is_builtin(row.task) && !is_hooked(graph, row.task);
    let rows: Vec<Row> = rows(graph, plan.scheduled(), &tops).into_iter().filter(|r| !hidden(r)).collect();
    let left = |row: &Row| {
        let mark = match row.elsewhere {
            None => "",
            Some(Elsewhere::Above) => " (above)",
            Some(Elsewhere::Below) => " (below)",
        };
        format!("{}{}{}{mark}", row.lead, graph.name(row.task), row.suffix)
    };
    let width = rows.iter().map(|row| left(row).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in &rows {
        let left = left(row);
        let pad = width - left.chars().count();
        let right = if row.elsewhere.is_some() { String::new() } else { columns(tree, row.task, look) };
        text.push_str(format!("{left}{:pad$}  {right}", "").trim_end());
        text.push('\n');
    }
    text
}

fn columns(tree: &Tree, id: TaskId, look: &Look) -> String {
    let task = tree.graph.task(id);
    let decision = look.decisions.get(&task.name);
    let freshness = match &task.check {
        _ if task.is_process() => "process",
        Some(check) if check.passes_files => "checks files",
        _ => decision.map_or("?", |d| d.freshness()),
    };
    let last = decision.and_then(|d| d.last_success.as_ref());
    let last = last.map(|last| {
        let took = millis(last.duration_ms);
        format!("{}, {took}", ago(now_ms(), last.at_ms))
    });
    let description = task.description.as_deref().map(shown).unwrap_or_default();
    format!("{freshness:<16}{:<24}{description}", last.unwrap_or_default())
}

/// devenv's keys, and what is known beyond them.
pub(crate) fn as_json(tree: &Tree, id: TaskId, look: &Look) -> Value {
    let (graph, task) = (&tree.graph, tree.graph.task(id));
    let place = place(tree, id).map(|(file, line)| json!({"file": file, "line": line}));
    // A process is neither fresh nor stale.
    let decision = look.decisions.get(&task.name).filter(|_| !task.is_process());
    json!({
        "name": task.name.as_str(),
        "description": task.description,
        "type": if task.is_process() { "process" } else { "oneshot" },
        "after": edges(graph, graph.upstream(id)),
        "before": edges(graph, graph.downstream(id)),
        "hasExec": task.has_command(),
        "hasStatus": task.status.is_some(),
        "cwd": task.cwd.display().to_string(),
        "execIfModified": task.exec_if_modified.iter().map(|p| p.value.as_str()).collect::<Vec<_>>(),
        "project": &*task.project,
        "place": place,
        "check": task.check.as_ref().map(|check| json!({
            "files": check.files.iter().map(|pattern| pattern.value.as_str()).collect::<Vec<_>>(),
            "passFiles": check.passes_files,
            "hasFix": check.has_fix,
        })),
        "freshness": decision.map(|d| d.freshness()),
        "lastSuccess": decision.and_then(|d| d.last_success.as_ref()),
    })
}
