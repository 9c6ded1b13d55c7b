//! `devtask show`: everything that is declared about one task, defaults filled in.

mod process;

use std::{collections::BTreeSet, fmt::Write as _};

use devtask::{
    TaskGraph,
    graph::Edge,
    model::{Action, ProcessSpec, Task, TaskId, TaskKind, Written},
    plan::select,
};
use serde_json::{Value, json};

use crate::{
    app::{App, Tree, misused, refuse},
    args::NameArgs,
    commands::{list, look::Look, out},
    exit::Exit,
    render::text::shown,
};

pub(crate) fn show(app: &mut App, args: &NameArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let id = one(&tree, &args.name)?;
    if args.json {
        return Ok(out(&format!("{:#}\n", as_json(&tree, id))));
    }
    Ok(out(&describe(&tree, id)))
}

/// The one task a name means.
pub(crate) fn one(tree: &Tree, name: &str) -> Result<TaskId, Exit> {
    let project = tree.loaded.current_project.as_deref();
    let found = select(&tree.graph, project, &[name])
        .map_err(|faults| refuse(&devtask::SessionError::Unknown(faults)))?;
    match found.as_slice() {
        [only] => Ok(*only),
        several => {
            let names: Vec<&str> = several.iter().map(|id| tree.graph.name(*id).as_str()).collect();
            Err(misused(&format!("`{name}` means several tasks: {}", names.join(", "))))
        }
    }
}

/// The keys of `list --json` that need no look at files, and the rest of what is declared.
fn as_json(tree: &Tree, id: TaskId) -> Value {
    let task = tree.graph.task(id);
    let text = |action: &Action| (*action != Action::None).then(|| self::action(action));
    let mut value = list::as_json(tree, id, &Look::default());
    let Value::Object(map) = &mut value else { return value };
    map.retain(|key, _| !["freshness", "lastSuccess"].contains(&key.as_str()));
    let more = json!({
        "exec": text(&task.action),
        "package": task.interpreter.package.value,
        "status": task.status.as_ref().and_then(text),
        "outputs": values(&task.outputs),
        "trackEnv": task.track_env,
        "exports": task.exports,
        "input": task.input.as_ref().map(|input| &input.value),
        "env": names(task),
        "timeout": task.timeout.map(|t| t.as_secs_f64()),
        "retries": task.retries,
        "restore": task.restore,
        "interactive": task.interactive,
        "lock": task.lock,
        "showOutput": task.show_output,
        "process": process_of(task).map(process::as_json),
    });
    map.extend(more.as_object().cloned().unwrap_or_default());
    value
}

fn describe(tree: &Tree, id: TaskId) -> String {
    let (graph, task) = (&tree.graph, tree.graph.task(id));
    let mut text = String::new();
    let mut row = |key: &str, value: &str| {
        if !value.is_empty() {
            let value = value.lines().map(shown).collect::<Vec<_>>().join("\n                  ");
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key:<17} {value}");
        }
    };
    row("name", task.name.as_str());
    row("description", task.description.as_deref().unwrap_or_default());
    row("project", &task.project);
    let place = place(tree, id).map(|(file, line)| format!("{file}:{line}"));
    row("place", place.as_deref().unwrap_or("built in"));
    row("type", if task.is_process() { "process" } else { "oneshot" });
    row("after", &edges(graph, graph.upstream(id)).join("\n"));
    row("before", &edges(graph, graph.downstream(id)).join("\n"));
    row("cwd", &task.cwd.display().to_string());
    row("exec", &action(&task.action));
    row("package", if task.has_command() { &task.interpreter.package.value } else { "" });
    row("status", &task.status.as_ref().map(action).unwrap_or_default());
    if task.is_process() {
        let mut watched: Vec<&str> = task.exec_if_modified.iter().map(|p| p.written.as_str()).collect();
        // An entry of `ignore` may have become several patterns.
        watched.dedup();
        row("watch", &watched.join("\n"));
        row("process", &process_of(task).map(process::as_lines).unwrap_or_default().join("\n"));
    } else {
        row("execIfModified", &values(&task.exec_if_modified).join("\n"));
    }
    if let Some(check) = &task.check {
        row("files", &values(&check.files).join("\n"));
        row("pass_files", if check.passes_files { "yes" } else { "no" });
    }
    row("outputs", &values(&task.outputs).join("\n"));
    row("trackEnv", &task.track_env.join("\n"));
    row("exports", &task.exports.join("\n"));
    row(
        "input",
        &task.input.as_ref().map(|i| Value::Object(i.value.clone()).to_string()).unwrap_or_default(),
    );
    row("env", &names(task).into_iter().collect::<Vec<_>>().join("\n"));
    row("options", &options(task));
    text
}

fn process_of(task: &Task) -> Option<&ProcessSpec> {
    match &task.kind {
        TaskKind::Process(spec) => Some(spec),
        _ => None,
    }
}

/// The file and line a task is declared at; none if it is built in.
pub(crate) fn place(tree: &Tree, id: TaskId) -> Option<(&str, usize)> {
    let place = tree.graph.place(id)?;
    let source = tree.loaded.sources.get(place.source)?;
    let line = source.text.get(..place.span.start)?.matches('\n').count() + 1;
    Some((&source.name, line))
}

/// Edges as they are written, one for each condition.
pub(crate) fn edges(graph: &TaskGraph, edges: impl Iterator<Item = Edge>) -> Vec<String> {
    let named = |edge: Edge| {
        let name = graph.name(edge.task);
        edge.conditions.iter().map(|c| format!("{name}@{c}")).collect::<Vec<_>>()
    };
    edges.flat_map(named).collect()
}

fn action(action: &Action) -> String {
    match action {
        Action::None => String::new(),
        Action::Script(text) => text.value.trim_end().to_owned(),
        Action::Command(path) => path.display().to_string(),
        Action::Served(server, _) => server.command_line(),
    }
}

fn values(list: &[Written<String>]) -> Vec<&str> {
    list.iter().map(|p| p.value.as_str()).collect()
}

/// The variables of the task and its file. Names only: values may be secret.
fn names(task: &Task) -> BTreeSet<&str> {
    task.file_env.keys().chain(task.env.keys()).map(String::as_str).collect()
}

fn options(task: &Task) -> String {
    let mut all = Vec::new();
    all.extend(task.timeout.map(|t| format!("timeout {}", humantime::format_duration(t))));
    all.extend((!task.restore && !task.outputs.is_empty()).then(|| "restore = false".to_owned()));
    all.extend((task.retries > 0).then(|| format!("retries {}", task.retries)));
    all.extend(task.lock.as_ref().map(|lock| format!("lock {lock}")));
    all.extend(task.interactive.then(|| "interactive".to_owned()));
    all.extend(task.show_output.then(|| "showOutput".to_owned()));
    all.join("\n")
}
